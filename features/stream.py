"""The same market features, one bar at a time, with memory that does not grow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from features.market import MARKET_FEATURES, advance
from features.window import new_state, warmup_bars
from models.errors import InputError
from models.market import MarketPanel
from models.typing import MINUTE_NS, FloatArray

__all__ = ["MarketStream"]


class MarketStream:
    """Market features bar by bar: the kernel of `market_features`, fed one bar.

    Parameters
    ----------
    assets : sequence of str, length A
        Base codes, in the order of the values that are pushed.
    bar_minutes : int
        Length of a bar, a divisor of 60.

    Notes
    -----
    A stamp that was skipped counts as a missing bar of every asset. After ``warmup_bars(bar_minutes)`` bars the columns
    are what a longer history would give. Not thread-safe: one writer.

    Examples
    --------
    >>> stream = MarketStream(["BTC"], 60)
    >>> stream.push(0, [100.0], [101.0], [99.0], [100.5], [10.0], [0.0]).shape == (1, len(MARKET_FEATURES))
    True
    >>> stream.last_open == 0
    True
    """

    def __init__(self, assets: Sequence[str], bar_minutes: int) -> None:
        self.assets = tuple(assets)
        self.bar_minutes = bar_minutes
        self._warmup = warmup_bars(bar_minutes)
        self._state = new_state(len(self.assets), bar_minutes)
        self._next: int | None = None

    @property
    def last_open(self) -> int | None:
        """Open stamp of the last bar taken, nanoseconds; None before the first."""
        return None if self._next is None else (self._next - 1) * self._step

    @property
    def _step(self) -> int:
        return self.bar_minutes * MINUTE_NS

    def push(
        self,
        open_time: int,
        open: ArrayLike,
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        volume: ArrayLike,
        funding_rate: ArrayLike,
    ) -> FloatArray:
        """Take the next bar of all assets and give their columns at its close.

        Parameters
        ----------
        open_time : int
            Open stamp of the bar, nanoseconds since the epoch, UTC; later than the one before.
        open, high, low, close : array_like, shape (A,)
            Prices; NaN where an asset has no bar.
        volume : array_like, shape (A,)
            Base units; NaN where it is not known.
        funding_rate : array_like, shape (A,)
            Rate charged at the open stamp, 0 where none is.

        Returns
        -------
        ndarray of float64, shape (A, F)
            In the order of `MARKET_FEATURES`.

        Raises
        ------
        InputError
            If the stamp is not on the grid or not later than the last one, or an array has another length.
        """
        index, rest = divmod(int(open_time), self._step)
        if rest:
            raise InputError("open_time", open_time, f"a whole multiple of {self.bar_minutes} minutes since the epoch")
        if self._next is not None and index < self._next:
            raise InputError("open_time", open_time, f"a bar after the last one, at {self.last_open}")
        bar = [self._column(n, x) for n, x in zip(_FIELDS, (open, high, low, close, volume, funding_rate), strict=True)]
        self._skip_to(index)
        return np.ascontiguousarray(self._advance(bar)[:, 0])

    def extend(self, panel: MarketPanel) -> FloatArray:
        """Take all bars of a panel, to start from history.

        Parameters
        ----------
        panel : MarketPanel
            Bars of the same assets and length, later than the last one taken.

        Returns
        -------
        ndarray of float64, shape (A, T, F)
            Columns at the close of each.

        Raises
        ------
        InputError
            If assets, bar or stamps do not fit.

        Examples
        --------
        >>> one = np.ones((1, 30))
        >>> stream = MarketStream(["BTC"], 60)
        >>> stream.extend(MarketPanel(("BTC",), 60, 0, one, one, one, one, one, one * 0, ("mark",))).shape[:2]
        (1, 30)
        """
        if panel.assets != self.assets or panel.bar_minutes != self.bar_minutes:
            raise InputError("panel", (panel.assets, panel.bar_minutes), f"{self.assets} in {self.bar_minutes} minutes")
        index, rest = divmod(panel.start, self._step)
        if rest or (self._next is not None and index < self._next):
            raise InputError("panel.start", panel.start, f"a bar after the last one, at {self.last_open}")
        self._skip_to(index)
        return self._advance([np.ascontiguousarray(getattr(panel, name)) for name in _FIELDS])

    def _column(self, name: str, values: ArrayLike) -> FloatArray:
        column = np.ascontiguousarray(values, np.float64).reshape(-1, 1)
        if len(column) != len(self.assets):
            raise InputError(name, np.shape(values), f"{len(self.assets)} values, one for each asset")
        return column

    def _skip_to(self, index: int) -> None:
        """Count the stamps that were skipped as missing bars; more than a warm-up of them forgets everything."""
        missing = 0 if self._next is None else index - self._next
        if missing > self._warmup:
            self._state = new_state(len(self.assets), self.bar_minutes)
        elif missing:
            gone = np.full((len(self.assets), missing), np.nan)
            self._advance([gone] * len(_FIELDS))
        self._next = index

    def _advance(self, fields: list[FloatArray]) -> FloatArray:
        n_assets, size = fields[0].shape
        out = np.empty((n_assets, size, len(MARKET_FEATURES)))
        if self._next is None:
            raise RuntimeError("no bar yet")
        advance(self._state, self.bar_minutes, self._next, *fields, out)
        self._next += size
        return out


_FIELDS = ("open", "high", "low", "close", "volume", "funding_rate")
