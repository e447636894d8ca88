"""From downloads to the layout: Binance public-data zips, merged into what is there already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from features.sources.bars import Bars
from features.sources.binance import read_funding_zip, read_klines_zip, zip_kind
from features.sources.files import bars_path, read_bars, write_bars
from features.sources.funding import Funding, write_funding
from features.sources.times import bar_name, iso
from models.errors import InputError

__all__ = ["Progress", "collect_zips", "merge_bars", "summary_row"]

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with what is done, how much there is, and the name of what comes next."""


def collect_zips(
    folder: str | Path, root: str | Path, venue: str = "binance", progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Read every Binance public-data zip below a folder into the layout.

    Parameters
    ----------
    folder : str or Path
        Downloads; the folders above a zip (``spot``, ``futures/um``, ``markPriceKlines``) say what it holds.
    root : str or Path
        Folder of the market to add to. Bars of a stamp that is there already are replaced.
    venue : str
        Venue to file them under.
    progress : callable, optional
        Told about each zip.

    Returns
    -------
    list of dict
        One row for each file written: file, rows, from, to.

    Raises
    ------
    InputError
        If the folder holds no such zip. If some cannot be read, after the others are written, with every reason.
    """
    found = [(path, zip_kind(path)) for path in sorted(Path(folder).rglob("*.zip"))]
    known = [(path, kind) for path, kind in found if kind is not None]
    if not known:
        raise InputError(
            "folder",
            str(folder),
            "a folder with Binance public-data zips such as um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip",
        )
    bars: dict[tuple[str, str, int], list[Bars]] = {}
    funding: list[Funding] = []
    broken: list[str] = []
    for done, (path, kind) in enumerate(known):
        if progress is not None:
            progress(done, len(known), path.name)
        try:
            if kind == "funding":
                funding.append(read_funding_zip(path))
            else:
                part = read_klines_zip(path, kind=kind, venue=venue)
                bars.setdefault((part.kind, part.symbol, part.bar_minutes), []).append(part)
        except InputError as error:
            broken.append(str(error))
    rows = [merge_bars(root, parts) for parts in bars.values()]
    if funding:
        whole = Funding.concat(funding)
        path = write_funding(root, venue, whole)
        rows.append(summary_row(path.relative_to(root).as_posix(), len(whole), whole.time.min(), whole.time.max()))
    if broken:
        raise InputError("folder", broken, f"{len(known)} readable zips; {len(known) - len(broken)} were written")
    return rows


def merge_bars(root: str | Path, parts: list[Bars]) -> dict[str, Any]:
    """Add bars of one symbol to its file in the layout; of a stamp that is there twice, the new row stays.

    Parameters
    ----------
    root : str or Path
        Folder of the market.
    parts : list of Bars
        Of one kind, symbol and length; later parts win.

    Returns
    -------
    dict
        The summary row of the file as it now is.
    """
    first = parts[0]
    path = bars_path(root, first.kind, first.venue, first.symbol, first.bar_minutes)
    if path.is_file():
        old = read_bars(path, kind=first.kind, venue=first.venue, symbol=first.symbol, bar=first.bar_minutes)
        parts = [old, *parts]
    whole = _concat(parts).tidy()
    write_bars(path, whole)
    return summary_row(path.relative_to(root).as_posix(), len(whole), whole.time[0], whole.time[-1])


def summary_row(file: str, rows: int, first: int, last: int) -> dict[str, Any]:
    """One line about a file that was written, times as ISO text.

    Parameters
    ----------
    file : str
        Relative to the folder of the market.
    rows : int
        Rows in it.
    first, last : int
        Nanoseconds since the epoch.

    Returns
    -------
    dict
        Keys file, rows, from, to.

    Examples
    --------
    >>> summary_row("mark/binance/BTCUSDT-1h.parquet", 1, 0, 0)["to"]
    '1970-01-01T00:00:00Z'
    """
    return {"file": file, "rows": rows, "from": iso(int(first)), "to": iso(int(last))}


def _concat(parts: list[Bars]) -> Bars:
    first = parts[0]
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("time", "open", "high", "low", "close")
    }
    held = [part.volume if part.volume is not None else np.full(len(part), np.nan) for part in parts]
    volume = None if all(part.volume is None for part in parts) else np.concatenate(held)
    if any(part.bar_minutes != first.bar_minutes for part in parts):
        raise InputError("bar", bar_name(parts[-1].bar_minutes), f"bars of {bar_name(first.bar_minutes)}")
    return Bars(first.symbol, first.kind, first.venue, first.bar_minutes, **columns, volume=volume)
