"""Market history and market snapshots as values."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from models.errors import InputError, UnknownAssetError
from models.typing import HOUR_NS, MINUTE_NS, FloatArray, IntArray

__all__ = ["MarketPanel", "MarketSnapshot", "to_hourly"]


_COLUMNS: Final = ("open", "high", "low", "close", "volume", "funding_rate")


@dataclass(frozen=True, slots=True, eq=False)
class MarketPanel:
    """Bars of several assets on one regular grid.

    Parameters
    ----------
    assets : tuple of str, length A
        Base codes, in the order of the rows.
    bar_minutes : int
        Length of a bar in minutes, a divisor of a day.
    start : int
        Open of column 0, nanoseconds since the epoch, UTC.
    open, high, low, close : ndarray, shape (A, T)
        Prices in settlement currency; NaN where the bar is missing (never filled forward).
    volume : ndarray, shape (A, T)
        Base units; NaN where it is not known.
    funding_rate : ndarray, shape (A, T)
        Rate charged at the open stamp of the bar, 0 where none is.
    source : tuple of str, length A
        ``"mark"``, ``"perp"``, ``"spot"`` or ``"simulated"``.
    implied : ndarray, shape (A, T), or None
        30-day implied volatility (an index such as DVOL, a fraction a year) that was known at the open of the bar; NaN
        where none was.

    Notes
    -----
    A bar is stamped with its open and known only at its close.
    """

    assets: tuple[str, ...]
    bar_minutes: int
    start: int
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    funding_rate: FloatArray
    source: tuple[str, ...]
    implied: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.bar_minutes < 1 or 1440 % self.bar_minutes:
            raise InputError("bar_minutes", self.bar_minutes, "a divisor of 1440")
        shape = (len(self.assets), self.close.shape[1] if self.close.ndim == 2 else -1)
        for name in ("open", "high", "low", "close", "volume", "funding_rate"):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float64:
                raise InputError(name, f"{array.dtype}{array.shape}", f"float64 of shape {shape}")
        if self.implied is not None and self.implied.shape != shape:
            raise InputError("implied", self.implied.shape, f"shape {shape}")
        if len(self.source) != len(self.assets):
            raise InputError("source", self.source, f"{len(self.assets)} values, one for each asset")

    @property
    def n_bars(self) -> int:
        """Number of columns T."""
        return int(self.close.shape[1])

    @property
    def step(self) -> int:
        """Length of a bar in nanoseconds."""
        return self.bar_minutes * MINUTE_NS

    @property
    def end(self) -> int:
        """Close of the last bar, nanoseconds since the epoch."""
        return self.start + self.n_bars * self.step

    def times(self) -> IntArray:
        """Open stamps of all bars, nanoseconds, shape (T,)."""
        return self.start + np.arange(self.n_bars, dtype=np.int64) * self.step

    def column(self, asset: str) -> int:
        """Index of an asset; UnknownAssetError names those there are."""
        try:
            return self.assets.index(asset)
        except ValueError:
            raise UnknownAssetError("asset", asset, f"one of {', '.join(self.assets)}") from None

    def row_closed(self, as_of: IntArray | int) -> IntArray:
        """Index of the last bar that is closed at `as_of`; -1 or less before the first close.

        Parameters
        ----------
        as_of : ndarray of int64 or int
            Nanoseconds since the epoch.

        Returns
        -------
        ndarray of int64
            ``floor((as_of - start) / step) - 1``; not clipped to the panel.
        """
        return (np.asarray(as_of, np.int64) - self.start) // self.step - 1

    def row_after(self, as_of: IntArray | int) -> IntArray:
        """Index of the first bar that opens at or after `as_of`; not clipped to the panel."""
        return -((self.start - np.asarray(as_of, np.int64)) // self.step)

    def _columns(self) -> tuple[str, ...]:
        """Names of the arrays that there are."""
        return _COLUMNS if self.implied is None else (*_COLUMNS, "implied")

    def slice(self, first: int, stop: int) -> MarketPanel:
        """Columns ``first:stop`` as a panel (views, no copy)."""
        first, stop = max(first, 0), min(stop, self.n_bars)
        cut = {n: getattr(self, n)[:, first:stop] for n in self._columns()}
        return replace(self, start=self.start + first * self.step, **cut)

    def between(self, start: int, end: int) -> MarketPanel:
        """Bars that open at or after `start` and close at or before `end` (nanoseconds)."""
        return self.slice(int(self.row_after(start)), int(self.row_closed(end)) + 1)

    def select(self, assets: Sequence[str]) -> MarketPanel:
        """The same bars for some of the assets, in the order given."""
        rows = [self.column(a) for a in assets]
        cut = {n: getattr(self, n)[rows] for n in self._columns()}
        return replace(self, assets=tuple(assets), source=tuple(self.source[r] for r in rows), **cut)

    def snapshot(self, as_of: int) -> MarketSnapshot:
        """What is known at `as_of`: the last close of each asset, and its age.

        Parameters
        ----------
        as_of : int
            Nanoseconds since the epoch.

        Returns
        -------
        MarketSnapshot
            Prices are NaN, ages infinite for assets that have no closed bar yet.
        """
        stop = int(np.clip(self.row_closed(as_of) + 1, 0, self.n_bars))
        n = len(self.assets)
        price, funding, age = np.full(n, np.nan), np.zeros(n), np.full(n, np.inf)
        for a in range(n):
            known = np.flatnonzero(np.isfinite(self.close[a, max(0, stop - 10_000) : stop]))
            if len(known):
                row = max(0, stop - 10_000) + int(known[-1])
                price[a] = self.close[a, row]
                age[a] = (as_of - (self.start + (row + 1) * self.step)) / MINUTE_NS
                rates = self.funding_rate[a, max(0, row - 24 * 60 // self.bar_minutes) : row + 1]
                paid = np.flatnonzero(rates)
                funding[a] = rates[paid[-1]] if len(paid) else 0.0
        implied = np.full(n, np.nan)
        if self.implied is not None and stop > 0:
            implied = self.implied[:, min(stop, self.n_bars - 1)].copy()
        return MarketSnapshot(as_of, self.assets, price, funding, age, implied)


@dataclass(frozen=True, slots=True, eq=False)
class MarketSnapshot:
    """What was known of the market at one instant, and nothing later.

    Parameters
    ----------
    as_of : int
        Nanoseconds since the epoch.
    assets : tuple of str, length A
        Base codes.
    price : ndarray, shape (A,)
        Last known price in settlement currency; NaN where none is known.
    funding_rate : ndarray, shape (A,)
        Last funding rate charged, per interval.
    age_minutes : ndarray, shape (A,)
        Minutes since the close of the bar the price is from.
    implied : ndarray, shape (A,), or None
        30-day implied volatility, a fraction a year; NaN where none is known.
    """

    as_of: int
    assets: tuple[str, ...]
    price: FloatArray
    funding_rate: FloatArray
    age_minutes: FloatArray
    implied: FloatArray | None = None


def to_hourly(panel: MarketPanel) -> MarketPanel:
    """Aggregate bars that divide an hour into hourly bars.

    Parameters
    ----------
    panel : MarketPanel
        Bars of 1 to 60 minutes.

    Returns
    -------
    MarketPanel
        Whole hours only; an hour with a missing bar keeps the bars that are there, an empty one is NaN.
        Funding rates inside an hour are summed.

    Raises
    ------
    InputError
        If the bar does not divide an hour.
    """
    if panel.bar_minutes == 60 and panel.start % HOUR_NS == 0:
        return panel
    if 60 % panel.bar_minutes:
        raise InputError("panel.bar_minutes", panel.bar_minutes, "a divisor of 60")
    per = 60 // panel.bar_minutes
    first = int(panel.row_after(-(-panel.start // HOUR_NS) * HOUR_NS))
    hours = (panel.n_bars - first) // per
    cut = panel.slice(first, first + hours * per)
    shape = (len(panel.assets), hours, per)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        there = np.isfinite(cut.close.reshape(shape))
        first_there, last_there = there.argmax(axis=2), per - 1 - there[:, :, ::-1].argmax(axis=2)
        open_ = np.take_along_axis(cut.open.reshape(shape), first_there[:, :, None], 2)[:, :, 0]
        close = np.take_along_axis(cut.close.reshape(shape), last_there[:, :, None], 2)[:, :, 0]
        return MarketPanel(
            panel.assets,
            60,
            cut.start,
            np.ascontiguousarray(open_),
            np.nanmax(cut.high.reshape(shape), axis=2),
            np.nanmin(cut.low.reshape(shape), axis=2),
            np.ascontiguousarray(close),
            cut.volume.reshape(shape).sum(axis=2),
            cut.funding_rate.reshape(shape).sum(axis=2),
            panel.source,
            None if cut.implied is None else np.ascontiguousarray(cut.implied.reshape(shape)[:, :, 0]),
        )
