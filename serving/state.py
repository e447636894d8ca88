"""The market in memory: loaded at start, looked at again when its files change, swapped whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from models.errors import MargincastError
from models.market import MarketPanel
from models.typing import DAY_NS
from serving.settings import Settings

__all__ = ["MarketFiles", "fingerprint", "watch"]

_log = logging.getLogger("margincast.serving")

Fingerprint = tuple[tuple[str, int, int], ...]


def fingerprint(root: str) -> Fingerprint:
    """Name, size and time of change of every file under a folder.

    Parameters
    ----------
    root : str
        The folder.

    Returns
    -------
    tuple
        Equal for equal states of the folder.

    Examples
    --------
    >>> fingerprint("no-such-folder")
    ()
    """
    found = []
    for path in sorted(Path(root).rglob("*")):
        try:
            info = path.stat()
        except FileNotFoundError:
            continue
        if path.is_file():
            found.append((str(path), info.st_size, info.st_mtime_ns))
    return tuple(found)


class MarketFiles:
    """Market files of one folder, read again only when they have changed.

    Parameters
    ----------
    settings : Settings
        ``market``, ``bar``, ``assets`` and ``history_days`` are used.
    trained : sequence of str
        Assets of the model, loaded where the settings name none: columns about the market as a whole mean what they
        meant in training only over the same assets.
    """

    def __init__(self, settings: Settings, trained: Sequence[str] = ()) -> None:
        self._settings = settings
        self._assets = tuple(settings.assets or trained) or None
        self._seen: Fingerprint | None = None

    def read(self) -> MarketPanel | None:
        """Read the newest part of the market.

        Returns
        -------
        MarketPanel or None
            None where nothing has changed since the last successful read.

        Raises
        ------
        MargincastError
            If the files cannot be read; the next call tries again.
        """
        from features.sources import load_panel

        now = fingerprint(self._settings.market)
        if now == self._seen:
            return None
        panel = load_panel(self._settings.market, assets=self._assets, bar=self._settings.bar)
        self._seen = now
        return panel.between(panel.end - self._settings.history_days * DAY_NS, panel.end)


async def watch(read: Callable[[], bool], seconds: float, name: str) -> None:
    """Call `read` in a thread every so often, for ever; a failed read is logged and the old state stays.

    Parameters
    ----------
    read : callable
        Returns whether something changed.
    seconds : float
        Pause between two looks; 0: return at once.
    name : str
        What is read, for the log.
    """
    while seconds > 0:
        await asyncio.sleep(seconds)
        try:
            if await asyncio.to_thread(read):
                _log.info("%s brought up to date", name)
        except (MargincastError, OSError, ValueError) as error:
            _log.warning("%s not brought up to date: %s", name, error)
