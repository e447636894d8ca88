"""The health of bar files: what `margincast data check` reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from features.sources import faults
from features.sources.bars import KINDS, Bars
from features.sources.faults import BadTick, Stretch
from features.sources.files import BarFile, list_bar_files, read_bars
from features.sources.times import bar_name, iso
from models.errors import InputError
from models.typing import MINUTE_NS

__all__ = ["BarsReport", "DirectoryReport", "check_bars", "check_directory"]

QUIET_BARS: Final = 3
"""Least length of a stretch without volume that is reported."""
COLUMNS: Final = (
    "file",
    "bars",
    "from",
    "to",
    "gaps",
    "missing",
    "dupl.",
    "off grid",
    "bad price",
    "high/low",
    "ticks",
    "quiet",
    "stale",
)


@dataclass(frozen=True, slots=True)
class BarsReport:
    """What was found in the bars of one file.

    Parameters
    ----------
    file : str
        Name of the file, relative to the folder that was checked.
    symbol, kind, venue : str
        What the bars are.
    bar_minutes : int
        Length of a bar.
    rows : int
        Rows in the file.
    first, last : int or None
        Open stamps, nanoseconds; None where there is no row.
    gaps : tuple of Stretch
        Missing bars between the first and the last.
    duplicates : int
        Rows whose stamp another row has.
    conflicts : int
        Those of them that differ in a price.
    unordered : int
        Rows that are older than the row before them.
    off_grid : int
        Rows whose stamp is no multiple of the bar length.
    not_a_number, not_positive : int
        Rows with such a price.
    inconsistent : int
        Rows whose high or low does not contain open and close.
    bad_ticks : tuple of BadTick
        Prints far from both neighbours.
    zero_volume : tuple of Stretch
        Three or more bars in a row without volume.
    stale_tail : int
        Bars at the end that repeat one price.
    behind_minutes : int
        How much earlier the file ends than the newest of its kind and venue in the folder.
    error : str
        Why the file could not be read; empty where it could.
    """

    file: str
    symbol: str
    kind: str
    venue: str
    bar_minutes: int
    rows: int = 0
    first: int | None = None
    last: int | None = None
    gaps: tuple[Stretch, ...] = ()
    duplicates: int = 0
    conflicts: int = 0
    unordered: int = 0
    off_grid: int = 0
    not_a_number: int = 0
    not_positive: int = 0
    inconsistent: int = 0
    bad_ticks: tuple[BadTick, ...] = ()
    zero_volume: tuple[Stretch, ...] = ()
    stale_tail: int = 0
    behind_minutes: int = 0
    error: str = ""

    @property
    def missing_bars(self) -> int:
        """Bars that are missing between the first and the last."""
        return sum(gap.bars for gap in self.gaps)

    @property
    def faults(self) -> int:
        """Rows that are wrong; gaps, quiet stretches and stale tails are facts of a market and do not count."""
        rows = self.duplicates + self.unordered + self.off_grid + self.not_a_number + self.not_positive
        return rows + self.inconsistent + len(self.bad_ticks) + bool(self.error)

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Plain values for JSON.

        Parameters
        ----------
        limit : int, optional
            Longest list of gaps, ticks and stretches to write out; the counts are always whole.

        Returns
        -------
        dict
            Times as ISO text.
        """
        plain = {f: getattr(self, f) for f in self.__slots__ if not isinstance(getattr(self, f), tuple)}
        for name in ("first", "last"):
            plain[name] = None if plain[name] is None else iso(plain[name])
        plain |= {"missing_bars": self.missing_bars, "faults": self.faults}
        for name in ("gaps", "bad_ticks", "zero_volume"):
            items = getattr(self, name)
            plain |= {f"n_{name}": len(items), name: [item.to_dict() for item in items[:limit]]}
        return plain

    def row(self) -> tuple[str, ...]:
        """Cells of a table whose head is `COLUMNS`."""
        if self.error:
            return (self.file, "unreadable", self.error, *[""] * (len(COLUMNS) - 3))
        span = [iso(t)[:16].replace("T", " ") if t is not None else "" for t in (self.first, self.last)]
        bad = self.not_a_number + self.not_positive
        quiet = sum(part.bars for part in self.zero_volume)
        counts = (len(self.gaps), self.missing_bars, self.duplicates, self.off_grid, bad, self.inconsistent)
        return (
            self.file,
            f"{self.rows:,}",
            *span,
            *(f"{c:,}" for c in (*counts, len(self.bad_ticks), quiet, self.stale_tail)),
        )


@dataclass(frozen=True, slots=True)
class DirectoryReport:
    """What was found in a folder of markets.

    Parameters
    ----------
    root : str
        The folder.
    files : tuple of BarsReport
        One for each bar file, in order of kind, venue and name.
    """

    root: str
    files: tuple[BarsReport, ...]

    @property
    def faults(self) -> int:
        """Rows that are wrong, over all files."""
        return sum(file.faults for file in self.files)

    def totals(self) -> dict[str, int]:
        """Counts over all files."""
        add: Callable[[str], int] = lambda name: sum(getattr(file, name) for file in self.files)  # noqa: E731
        names = ("rows", "missing_bars", "duplicates", "off_grid", "not_a_number", "not_positive", "inconsistent")
        out = {"files": len(self.files), **{name: add(name) for name in names}}
        out["gaps"] = sum(len(file.gaps) for file in self.files)
        out["bad_ticks"] = sum(len(file.bad_ticks) for file in self.files)
        out["unreadable"] = sum(bool(file.error) for file in self.files)
        return out | {"faults": self.faults}

    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Plain values for JSON; `limit` as in `BarsReport.to_dict`."""
        return {"root": self.root, "totals": self.totals(), "files": [file.to_dict(limit) for file in self.files]}

    def rows(self) -> list[tuple[str, ...]]:
        """Cells of a table whose head is `COLUMNS`."""
        return [file.row() for file in self.files]


def check_bars(bars: Bars, file: str = "") -> BarsReport:
    """Look for everything that can be wrong with bars.

    Parameters
    ----------
    bars : Bars
        Rows as their source gave them.
    file : str
        Name to report them under.

    Returns
    -------
    BarsReport
        What was found.

    Examples
    --------
    >>> hour = 3_600_000_000_000
    >>> price = np.array([100.0, 101.0, 102.0])
    >>> bars = Bars("BTCUSDT", "mark", "binance", 60, np.array([0, 1, 3]) * hour, price, price, price, price)
    >>> report = check_bars(bars)
    >>> report.missing_bars, report.faults
    (1, 0)
    """
    named = BarsReport(
        file or f"{bars.symbol}-{bar_name(bars.bar_minutes)}", bars.symbol, bars.kind, bars.venue, bars.bar_minutes
    )
    if not len(bars):
        return named
    order = bars.tidy()
    lost, low = faults.price_faults(bars)
    found: dict[str, Any] = {
        "rows": len(bars),
        "first": int(order.time[0]),
        "last": int(order.time[-1]),
        "gaps": faults.find_gaps(order.time, bars.step),
        "duplicates": len(bars) - len(order),
        "conflicts": _conflicts(bars, order),
        "unordered": int(np.count_nonzero(np.diff(bars.time) < 0)),
        "off_grid": int(np.count_nonzero(bars.time % bars.step)),
        "not_a_number": lost,
        "not_positive": low,
        "inconsistent": len(faults.inconsistent_rows(bars)),
        "bad_ticks": faults.bad_ticks(bars),
        "zero_volume": faults.zero_volume(order, QUIET_BARS),
        "stale_tail": faults.stale_tail(order),
    }
    return replace(named, **found)


def _conflicts(bars: Bars, order: Bars) -> int:
    """Rows that differ from the kept row of their stamp."""
    if len(bars) == len(order):
        return 0
    at = np.searchsorted(order.time, bars.time)
    differ = np.zeros(len(bars), bool)
    for name in ("open", "high", "low", "close"):
        differ |= getattr(bars, name) != getattr(order, name)[at]
    return int(differ.sum())


def check_directory(
    root: str | Path, kinds: Sequence[str] = KINDS, venue: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> DirectoryReport:  # fmt: skip
    """Check every bar file below a folder of the contract's layout.

    Parameters
    ----------
    root : str or Path
        Folder of the market.
    kinds : sequence of str
        Kinds to look at.
    venue : str, optional
        One venue; every venue where it is left out.
    progress : callable, optional
        Called before each file with its number from 0, the number of files, and its name.

    Returns
    -------
    DirectoryReport
        One report for each file; a file that cannot be read is reported, not raised.

    Raises
    ------
    InputError
        If the folder does not exist or holds no bar file.
    """
    files = list_bar_files(root, tuple(kinds), venue)
    if not files:
        raise InputError("root", str(root), "a folder with <kind>/<venue>/<SYMBOL>-<bar>.parquet or .csv below")
    reports = []
    for i, file in enumerate(files):
        if progress:
            progress(i, len(files), file.path.name)
        reports.append(_check_file(Path(root), file))
    return DirectoryReport(str(root), tuple(_behind(reports)))


def _check_file(root: Path, file: BarFile) -> BarsReport:
    name = file.path.relative_to(root).as_posix()
    try:
        bars = read_bars(file.path, kind=file.kind, venue=file.venue, symbol=file.symbol, bar=file.minutes)
    except InputError as error:
        return BarsReport(name, file.symbol, file.kind, file.venue, file.minutes, error=str(error))
    return check_bars(bars, name)


def _behind(reports: list[BarsReport]) -> list[BarsReport]:
    """The reports, with how much earlier each ends than the newest of its kind and venue."""
    newest: dict[tuple[str, str], int] = {}
    for report in reports:
        key = report.kind, report.venue
        newest[key] = max(newest.get(key, 0), _end(report))
    late = [(newest[r.kind, r.venue] - _end(r)) // MINUTE_NS if r.last is not None else 0 for r in reports]
    return [replace(report, behind_minutes=minutes) for report, minutes in zip(reports, late, strict=True)]


def _end(report: BarsReport) -> int:
    return 0 if report.last is None else report.last + report.bar_minutes * MINUTE_NS
