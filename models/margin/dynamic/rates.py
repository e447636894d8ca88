"""A margin model that sets its rates from the market, with nothing fitted and nothing known too early."""

from __future__ import annotations

from typing import Literal

import numpy as np
from msgspec import Struct

from models.errors import InputError
from models.margin.dynamic._rolling import rolling_tails
from models.margin.dynamic.fhs import (
    LEAST_VOLATILITY,
    Measure,
    Side,
    ewma_volatility,
    har_volatility,
    log_returns,
    loss_rate,
)
from models.margin.dynamic.procyclicality import buffered, speed_limited, stress_weighted
from models.market import MarketPanel
from models.typing import FloatArray
from models.volatility.realised import trailing_mean

__all__ = ["DynamicMargin"]

Scaling = Literal["ewma", "har", "none"]


class DynamicMargin(Struct, frozen=True, kw_only=True):
    """Margin by filtered historical simulation, damped by the choices of EMIR RTS 153/2013 Article 28.

    All lengths are in bars of the prices that are given (days, or hours with ``mpor=24``).

    Parameters
    ----------
    confidence : float
        In [0.97, 0.999].
    measure : {"var", "es"}
        Quantile or expected shortfall.
    side : {"long", "short", "both"}
        Whose loss; ``"both"`` sets one rate for both.
    mpor : int
        Bars to close a position out (margin period of risk), 1 to 1000.
    overlapping : bool
        Returns over `mpor` bars that overlap; else one-bar returns times the square root of `mpor`.
    look_back : int
        Returns in the window, 50 to 100,000.
    least : float
        Share of the window that must be known, in (0, 1].
    scaling : {"ewma", "har", "none"}
        Forecast of volatility; ``"none"`` is plain historical simulation.
    decay : float
        Of the EWMA, in [0.8, 0.9999].
    buffer : float
        (a) 0 for none, or at least 0.25.
    buffer_window : int
        Bars of the mean over which a rise uses the buffer up.
    stress_weight : float
        (b) 0 for none, or at least 0.25: weight of the worst window to date.
    stress_window : int
        Returns of a stressed window; its rate is that of plain historical simulation.
    floor_look_back : int
        (c) 0 for none, or the bars of the volatility that sets the floor (ten years: 3650 daily bars).
    rise, fall : float
        Largest relative change of the rate in a bar; infinite and 1 for none.

    Notes
    -----
    Applied in the order (b), (c), (a), speed. Valid for liquid prices without long gaps; a return over a missing
    price is left out. While less than ten years are known, the floor uses all there is.

    References
    ----------
    Hull and White (1998), Journal of Risk 1(1); Commission Delegated Regulation (EU) No 153/2013, Articles 24 to 28
    (confidence 99 % or 99.5 %, look-back of 12 months, liquidation period of 2 or 5 days, procyclicality).

    Examples
    --------
    >>> days = np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 0.03, (1, 800)), axis=1))
    >>> rate = DynamicMargin(confidence=0.99, look_back=250, scaling="none").rate_history(days)
    >>> 0.06 < float(rate[0, -1]) < 0.1
    True
    """

    confidence: float = 0.99
    measure: Measure = "var"
    side: Side = "both"
    mpor: int = 1
    overlapping: bool = True
    look_back: int = 500
    least: float = 0.5
    scaling: Scaling = "ewma"
    decay: float = 0.97
    buffer: float = 0.0
    buffer_window: int = 60
    stress_weight: float = 0.0
    stress_window: int = 250
    floor_look_back: int = 0
    rise: float = float("inf")
    fall: float = 1.0

    def __post_init__(self) -> None:
        """Check every range once."""
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(name, value, f"a number in [{low:g}, {high:g}]")
        for name in ("buffer", "stress_weight"):
            if not (getattr(self, name) == 0 or 0.25 <= getattr(self, name) <= 1):
                raise InputError(name, getattr(self, name), "0 for none, or a share in [0.25, 1]")
        for name, known in _CHOICES:
            if getattr(self, name) not in known:
                raise InputError(name, getattr(self, name), "one of " + ", ".join(known))
        if not self.rise > 0 or not 0 < self.fall <= 1:
            raise InputError("rise", (self.rise, self.fall), "a rise > 0 and a fall in (0, 1]")

    def rates(self, panel: MarketPanel, as_of: int, volatility: FloatArray | None = None) -> FloatArray:
        """Give the rate of each asset at an instant.

        Parameters
        ----------
        panel : MarketPanel
            Bars; those that close after `as_of` are not looked at.
        as_of : int
            Nanoseconds since the epoch.
        volatility : ndarray, shape (A, T), optional
            As in `rate_history`.

        Returns
        -------
        ndarray, shape (A,)
            Fractions of position value; NaN where too little is known.
        """
        stop = int(np.clip(panel.row_closed(as_of) + 1, 0, panel.n_bars))
        if stop == 0:
            return np.full(len(panel.assets), np.nan)
        known = None if volatility is None else volatility[:, :stop]
        return self.rate_history(panel.close[:, :stop], known)[:, -1]

    def rate_history(self, close: FloatArray, volatility: FloatArray | None = None) -> FloatArray:
        """Give the rate that was known at the close of every bar.

        Parameters
        ----------
        close : ndarray, shape (A, T)
            Prices; NaN where missing.
        volatility : ndarray, shape (A, T), optional
            Forecast of the volatility of the next bar, known at the close of each; replaces `scaling`. For example
            ``sqrt(HarModel.total_variance(panel)[:, :, 0])`` of a model fitted on earlier data.

        Returns
        -------
        ndarray, shape (A, T)
            Column t depends on columns up to t only; NaN where too little is known.

        Raises
        ------
        InputError
            If the volatility has another shape.
        """
        prices = np.ascontiguousarray(close, np.float64)
        if volatility is not None and volatility.shape != prices.shape:
            raise InputError("volatility", volatility.shape, f"the shape of close, {prices.shape}")
        one = log_returns(prices)
        sigma = self._volatility(one) if volatility is None else np.asarray(volatility, np.float64)
        moves = one if self.mpor == 1 or not self.overlapping else log_returns(prices, self.mpor)
        tails = self._tails(_before(moves, sigma, self._bars), self.look_back)
        rate = self._rate(tails * sigma)
        if self.stress_weight:
            worst = np.fmax.accumulate(self._rate(self._tails(moves, self.stress_window)), axis=1)
            rate = stress_weighted(rate, worst, self.stress_weight)
        if self.floor_look_back:
            rate = np.maximum(rate, self._rate(tails * self._usual(one, sigma)))
        if self.buffer:
            rate = buffered(rate, self.buffer, self.buffer_window)
        return speed_limited(rate, self.rise, self.fall)

    @property
    def _bars(self) -> int:
        return self.mpor if self.overlapping else 1

    def _volatility(self, one: FloatArray) -> FloatArray:
        if self.scaling == "ewma":
            return ewma_volatility(one, self.decay)
        return har_volatility(one) if self.scaling == "har" else np.ones_like(one)

    def _usual(self, one: FloatArray, sigma: FloatArray) -> FloatArray:
        """Volatility of the longest look-back, in the unit that the tails are scaled by."""
        square = one**2
        usual = np.sqrt(trailing_mean(square, self.floor_look_back, least=0.0))
        if not np.all(sigma == 1.0):
            return usual
        with np.errstate(divide="ignore", invalid="ignore"):
            return usual / np.maximum(np.sqrt(trailing_mean(square, self.look_back)), LEAST_VOLATILITY)

    def _tails(self, values: FloatArray, look_back: int) -> FloatArray:
        out = np.empty((2, *values.shape))
        least = max(int(np.ceil(self.least * look_back)), 1)
        rolling_tails(values, look_back, least, self.confidence, self.measure == "es", out)
        return out

    def _rate(self, tails: FloatArray) -> FloatArray:
        factor = 1.0 if self.overlapping else float(np.sqrt(self.mpor))
        return loss_rate(tails[0] * factor, tails[1] * factor, self.side)


_RANGES = (
    ("confidence", 0.97, 0.999),
    ("mpor", 1, 1000),
    ("look_back", 50, 100_000),
    ("least", 1e-6, 1.0),
    ("decay", 0.8, 0.9999),
    ("buffer_window", 1, 100_000),
    ("stress_window", 50, 100_000),
    ("floor_look_back", 0, 1_000_000),
)
_CHOICES = (("measure", ("var", "es")), ("side", ("long", "short", "both")), ("scaling", ("ewma", "har", "none")))


def _before(moves: FloatArray, sigma: FloatArray, bars: int) -> FloatArray:
    """Moves over the volatility that was forecast before they began."""
    out = np.full_like(moves, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        out[:, bars:] = moves[:, bars:] / sigma[:, :-bars]
    return out
