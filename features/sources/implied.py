"""Implied-volatility indices: daily closes, known at the end of their day."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from features.sources.files import Origin, read_arrow, to_floats, to_stamps
from models.errors import InputError
from models.typing import DAY_NS, BoolArray, FloatArray, IntArray

__all__ = ["STALE_AFTER_NS", "ImpliedIndex", "implied_path", "read_implied_index"]

STALE_AFTER_NS: Final = 3 * DAY_NS
"""How old a close may be, from the end of its day."""
_LOWEST, _HIGHEST = 1.0, 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class ImpliedIndex:
    """An implied-volatility index over time.

    Parameters
    ----------
    asset : str
        For example ``"BTC"``.
    known : ndarray of int64, shape (n,)
        When each close became known: the end of its day, nanoseconds since the epoch, strictly rising.
    level : ndarray, shape (n,)
        Volatility a year, a fraction.

    Raises
    ------
    InputError
        If the instants do not rise strictly, or shapes differ.
    """

    asset: str
    known: IntArray
    level: FloatArray

    def __post_init__(self) -> None:
        if self.known.ndim != 1 or self.known.shape != self.level.shape:
            raise InputError("level", self.level.shape, f"one level for each of {self.known.size} instants")
        if not np.all(np.diff(self.known) > 0):
            raise InputError("known", self.known.tolist(), "instants that rise strictly")

    def at(self, times_ns: IntArray | int) -> tuple[FloatArray, BoolArray]:
        """Give the level as it was known at some instants.

        Parameters
        ----------
        times_ns : int or ndarray of int64
            Nanoseconds since the epoch.

        Returns
        -------
        tuple of ndarray
            Levels (a fraction, NaN where none is known) and whether one is known: the newest close that is not younger
            than the instant, unless it is more than three days old.

        Examples
        --------
        >>> index = ImpliedIndex("BTC", np.array([DAY_NS]), np.array([0.55]))
        >>> index.at(np.array([DAY_NS - 1, DAY_NS, 4 * DAY_NS, 4 * DAY_NS + 1]))
        (array([ nan, 0.55, 0.55,  nan]), array([False,  True,  True, False]))
        """
        times = np.asarray(times_ns, np.int64)
        if len(self.known) == 0:
            return np.full(times.shape, np.nan), np.zeros(times.shape, np.bool_)
        row = np.searchsorted(self.known, times, side="right") - 1
        last = np.maximum(row, 0)
        known = np.asarray((row >= 0) & (times - self.known[last] <= STALE_AFTER_NS))
        return np.where(known, self.level[last], np.nan), known


def implied_path(root: str | Path, asset: str) -> Path:
    """Where the layout keeps the index of an asset.

    Parameters
    ----------
    root : str or Path
        Folder of the market.
    asset : str
        For example ``"BTC"``.

    Returns
    -------
    Path
        ``<root>/vol/DVOL_<ASSET>-1d.parquet``.

    Examples
    --------
    >>> implied_path("market", "BTC").as_posix()
    'market/vol/DVOL_BTC-1d.parquet'
    """
    return Path(root) / "vol" / f"DVOL_{asset}-1d.parquet"


def read_implied_index(root: str | Path, asset: str) -> ImpliedIndex | None:
    """Read the daily closes of an asset's implied-volatility index.

    Parameters
    ----------
    root : str or Path
        Folder of the market.
    asset : str
        For example ``"BTC"``.

    Returns
    -------
    ImpliedIndex or None
        None where there is no file. Days without a close are left out; of two rows of one day the later one stays.

    Raises
    ------
    InputError
        With the file, field, row and value, if the file cannot be read or a close is not in percent points.
    """
    path = implied_path(root, asset)
    if not path.is_file():
        return None
    table, origin = read_arrow(path), Origin(str(path))
    missing = [name for name in ("timestamp", "dvol_close") if name not in table.column_names]
    if missing:
        raise origin.fault("columns", None, table.column_names, f"also {', '.join(missing)}")
    stamp, points = to_stamps(table["timestamp"], origin), to_floats(table["dvol_close"], "dvol_close", origin)
    there = ~np.isnan(points)
    wrong = np.flatnonzero(there & ~((points >= _LOWEST) & (points <= _HIGHEST)))
    if len(wrong):
        row = int(wrong[0])
        raise origin.fault("dvol_close", row, float(points[row]), f"percent points in [{_LOWEST:g}, {_HIGHEST:g}]")
    known = (stamp[there] // DAY_NS + 1) * DAY_NS
    order = np.argsort(known, kind="stable")
    last = np.append(np.diff(known[order]) > 0, True)[: len(order)]
    keep = order[last]
    return ImpliedIndex(asset, known[keep], points[there][keep] / 100.0)
