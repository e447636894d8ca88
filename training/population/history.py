"""What was known of prices and implied volatility when accounts were opened, and as of their instants."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.errors import InputError
from models.margin.valuation import implied_level
from models.market import MarketPanel
from models.typing import BoolArray, FloatArray, IntArray
from models.volatility.month import month_volatility

__all__ = ["MAJORS", "History"]

MAJORS: Final = ("BTC", "ETH")
"""The assets of options, coin-margined contracts, loans and OTC trades: those with a long history of marks."""


class History:
    """Look-ups into closed bars.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    instants : ndarray of int64, shape (R,)
        The instants of the sample, rising.
    volatility : ndarray, shape (R, A), optional
        30-day implied volatility at the instants; where it is missing, the index of the panel, else realised
        volatility of the last 30 days with a premium.

    Raises
    ------
    InputError
        If the shape of `volatility` does not fit.
    """

    def __init__(self, panel: MarketPanel, instants: IntArray, volatility: FloatArray | None = None) -> None:
        self.panel, self.instants = panel, instants
        self.majors = np.array([panel.assets.index(a) for a in MAJORS if a in panel.assets], np.int64)
        if volatility is not None and np.shape(volatility) != (len(instants), len(panel.assets)):
            raise InputError("volatility", np.shape(volatility), f"shape ({len(instants)}, {len(panel.assets)})")
        self.close = panel.close.T
        self._place = np.zeros(len(panel.assets), np.int64)
        self._place[self.majors] = np.arange(len(self.majors))
        self._table: FloatArray | None = None
        self.given = None if volatility is None else np.asarray(volatility, np.float64)

    def bar(self, as_of: IntArray) -> IntArray:
        """Last closed bar at each instant, at least 0."""
        return np.asarray(np.clip(self.panel.row_closed(as_of), 0, self.panel.n_bars - 1), np.int64)

    def known(self, as_of: IntArray) -> BoolArray:
        """Where there is a closed bar, and one more before it."""
        return np.asarray(self.panel.row_closed(as_of) >= 1)

    def closed_at(self, bar: IntArray) -> IntArray:
        """Instant at which a bar is closed, nanoseconds."""
        return np.asarray(self.panel.start + (bar + 1) * self.panel.step, np.int64)

    def before(self, bar: IntArray, hours: FloatArray) -> IntArray:
        """Bar so many hours earlier: at least one bar, and not before the first."""
        back = np.maximum(np.rint(hours * 60.0 / self.panel.bar_minutes).astype(np.int64), 1)
        return np.asarray(np.maximum(bar - back, 0))

    def price(self, bar: IntArray, asset: IntArray) -> FloatArray:
        """Close of an asset (index into the assets of the panel) at a bar."""
        return np.asarray(self.close[bar, asset])

    def prices(self, as_of: IntArray) -> FloatArray:
        """Closes of all assets at each instant, shape (n, A)."""
        return np.asarray(self.close[self.bar(as_of)])

    def level(self, bar: IntArray, asset: IntArray) -> FloatArray:
        """30-day implied volatility of BTC or ETH that was known at the close of a bar."""
        return np.asarray(self._levels()[bar, self._place[asset]])

    def level_now(self, as_of: IntArray, asset: IntArray) -> FloatArray:
        """30-day implied volatility as of instants of the sample: the one that was given, else what was known."""
        out = self.level(self.bar(as_of), asset)
        if self.given is not None:
            given = self.given[np.searchsorted(self.instants, as_of), asset]
            out = np.where(np.isfinite(given), given, out)
        return out

    def _levels(self) -> FloatArray:
        """Levels of the majors at every bar; each from what was known at its close."""
        if self._table is None:
            panel = self.panel.select([self.panel.assets[a] for a in self.majors])
            bars = np.arange(panel.n_bars)
            index = None if panel.implied is None else panel.implied.T[np.minimum(bars + 1, panel.n_bars - 1)]
            self._table = implied_level(index, month_volatility(panel, bars))[0]
        return self._table
