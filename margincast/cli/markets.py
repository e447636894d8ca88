"""The part of a market that the accounts of a file need, loaded when they are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.sources import KINDS, list_bar_files, read_panel
from features.sources.bars import base_of
from features.sources.times import bar_minutes, iso
from margincast.cli.console import note
from models.errors import InputError, MargincastError
from models.instrument import is_stable, parse_symbol
from models.typing import DAY_NS, MINUTE_NS

if TYPE_CHECKING:
    from features.sources.account_chunks import AccountChunk
    from features.sources.files import BarFile
    from models.market import MarketPanel

__all__ = ["MarketNeed", "MarketWindow", "assets_of"]


@dataclass(frozen=True, slots=True)
class MarketNeed:
    """What some accounts need of a market.

    Parameters
    ----------
    first : int or None
        The earliest of their instants, nanoseconds; None where there is no account.
    assets : frozenset of str
        Of `assets_of`.
    """

    first: int | None
    assets: frozenset[str]

    @classmethod
    def of(cls, chunk: AccountChunk) -> MarketNeed:
        """Find what a chunk of accounts needs."""
        as_of = np.asarray(chunk.accounts["as_of"], np.int64)
        return cls(int(as_of.min()) if len(as_of) else None, frozenset(assets_of(chunk)))


class MarketWindow:
    """A market on disk, read from some days before the first account on, for the assets that matter.

    Parameters
    ----------
    root : Path
        Folder of the market data.
    bar, venue : str
        As in the file names.
    assets : tuple of str or None
        Exactly these assets.
    always : iterable of str or None
        Assets to load besides those that the accounts hold: a model's features of the whole market are computed over
        those of its training. None: every asset there is.
    days : int or None
        Days of history before the first account; None: all of it.
    end : int or None
        Nothing that closes after it is read, nanoseconds; None: all there is.

    Raises
    ------
    InputError
        If the folder is not there.
    """

    def __init__(
        self,
        root: Path,
        bar: str = "1h",
        venue: str = "binance",
        assets: tuple[str, ...] | None = None,
        always: Iterable[str] | None = (),
        days: int | None = None,
        end: int | None = None,
    ) -> None:
        if not root.is_dir():
            raise InputError("--market", str(root), "a folder with {mark,perp,spot}/<venue>/<SYMBOL>-<bar>.parquet")
        self.root, self.bar, self.venue, self.fixed, self.days, self.end = root, bar, venue, assets, days, end
        minutes = bar_minutes(bar)
        files = [f for f in list_bar_files(root, KINDS, venue) if minutes % f.minutes == 0]
        self._files: dict[str, list[BarFile]] = {}
        for file in files:
            self._files.setdefault(base_of(file.symbol) or "", []).append(file)
        self._files.pop("", None)
        self._held = set(self._files if always is None else always) & set(self._files)
        self._panel: MarketPanel | None = None
        self._from: int | None = None
        self._stop: int | None = None
        self._said: set[str] = set()

    def panel_for(self, chunk: AccountChunk) -> MarketPanel:
        """Load what a chunk of accounts needs, or give what is loaded already.

        Parameters
        ----------
        chunk : AccountChunk
            Accounts.

        Returns
        -------
        MarketPanel
            Bars from `days` before the first of them on.
        """
        return self.panel_with(MarketNeed.of(chunk))

    def panel_with(self, need: MarketNeed) -> MarketPanel:
        """Load what is needed, or give what is loaded already.

        Parameters
        ----------
        need : MarketNeed
            Of a chunk of accounts.

        Returns
        -------
        MarketPanel
            Bars from `days` before the first of them on.
        """
        wanted = self._held | (need.assets & set(self._files))
        start = self._start(self.end if need.first is None else need.first, wanted)
        if self._panel is None or wanted != self._held or _earlier(start, self._from):
            self._held = wanted
            self._from = start if self._panel is None or _earlier(start, self._from) else self._from
            self._panel = self._read()
        return self._panel

    def _start(self, first: int | None, assets: set[str]) -> int | None:
        """`days` before the first account, inside what the files hold; None where they do not say what they hold."""
        span = _span([file for asset in assets for file in self._files[asset]])
        if span is not None and self.end is not None and self.end <= span[0]:
            raise InputError(
                "--at", iso(self.end), f"a time after the first bar of {', '.join(assets)}, {iso(span[0])}"
            )
        if span is not None:
            self._stop = span[1] + bar_minutes(self.bar) * MINUTE_NS
        if self.days is None or first is None or span is None:
            return None
        return max(min(first, span[1]) - self.days * DAY_NS, span[0])

    def _read(self) -> MarketPanel:
        names = self.fixed
        if names is None:
            names = tuple(sorted(self._held)) or tuple(sorted(self._files, key=lambda a: (a != "BTC", a)))[:1] or None
        end = self.end if self.end is None or self._stop is None else min(self.end, self._stop)
        load = read_panel(self.root, names, self.bar, self._from, end, venue=self.venue)
        if "simulated" in load.panel.source:
            self._say("this market is SIMULATED; nothing here says anything about a real one")
        for line in load.notes:
            self._say(line)
        return load.panel

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            note(f"note: {text}")


def assets_of(chunk: AccountChunk) -> set[str]:
    """Assets that the accounts of a chunk depend on; what is no symbol is left for the engine to refuse.

    Parameters
    ----------
    chunk : AccountChunk
        Accounts.

    Returns
    -------
    set of str
        Bases of the positions and assets of the collateral, without the stable ones.
    """
    found = {str(asset) for asset in set(_texts(chunk.collateral["asset"])) if not is_stable(str(asset))}
    for symbol in set(_texts(chunk.positions["symbol"])):
        try:
            found.add(parse_symbol(str(symbol)).base)
        except MargincastError:
            continue
    return found


def _texts(column: Any) -> list[Any]:
    return list(column.tolist()) if hasattr(column, "tolist") else list(column)


def _earlier(start: int | None, loaded: int | None) -> bool:
    """Whether a start lies before what is loaded; None is the beginning of everything."""
    return loaded is not None and (start is None or start < loaded)


def _span(files: list[BarFile]) -> tuple[int, int] | None:
    """First and last stamp of the most preferred kind, from the statistics of the parquet files."""
    kind = next((kind for kind in KINDS if any(file.kind == kind for file in files)), None)
    spans = [_stamps(file.path) for file in files if file.kind == kind]
    known = [span for span in spans if span is not None]
    if not known or len(known) < len(spans):
        return None
    return min(first for first, _ in known), max(last for _, last in known)


def _stamps(path: Path) -> tuple[int, int] | None:
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        return None
    meta = pq.ParquetFile(path).metadata
    if "timestamp" not in meta.schema.names or not meta.num_row_groups:
        return None
    index = meta.schema.names.index("timestamp")
    stats = [meta.row_group(i).column(index).statistics for i in range(meta.num_row_groups)]
    if any(s is None or not s.has_min_max or not hasattr(s.min, "timestamp") for s in stats):
        return None
    first, last = (int(moment.timestamp()) for moment in (min(s.min for s in stats), max(s.max for s in stats)))
    return first * 1_000_000_000, last * 1_000_000_000
