"""What can be known without the hidden state: a particle filter that knows the law and sees the bars.

It is told the law with all its parameters, and of every jump as it comes; what it must infer from the bars is the
volatility: two factors of the market and two of each asset. No forecast made of prices alone knows more, so its share
of the attainable skill is a ceiling for all that learn. Futures are drawn from its particles as they are from the true
state.

Notes
-----
The likelihood of an hour is that of the returns, which is exact, times that of the ranges given the returns, which is
exact for one asset but for the direction of the range, and ties assets by a Gaussian copula.

References
----------
Gordon, Salmond and Smith (1993), "Novel approach to nonlinear/non-Gaussian Bayesian state estimation", IEE F 140(2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.errors import InputError
from models.market import MarketPanel
from models.typing import DAY_NS, HOUR_NS, FloatArray, IntArray
from models.volatility.seasonality import hour_of_week
from training.benchmark._filter_kernel import Seen, run_filter
from training.benchmark.law import MARKET_STATE, OWN_STATE
from training.benchmark.market import Futures, KnownMarket, draw_futures
from training.benchmark.range_law import range_law, rogers_satchell

__all__ = ["FilteredMarket", "filter_market"]

_FIRST = len(MARKET_STATE)
_WIDTH = len(OWN_STATE)


@dataclass(frozen=True, slots=True, eq=False)
class FilteredMarket:
    """A market whose hidden state is known by particles.

    Parameters
    ----------
    market : KnownMarket
        The market.
    row : ndarray of int64, shape (R,)
        Bars before which there are particles, rising.
    particles : ndarray, shape (R, n, 2 + 2 A)
        Slow and fast factor of the market, then of each asset; all alike likely.
    """

    market: KnownMarket
    row: IntArray
    particles: FloatArray

    @property
    def panel(self) -> MarketPanel:
        """What anyone may see."""
        return self.market.panel

    def futures(self, as_of: int, paths: int, chunk: int = 1000) -> Iterator[Futures]:
        """Draw what may follow an instant, each antithetic pair from a particle.

        Parameters
        ----------
        as_of : int
            Close of a bar for which there are particles, nanoseconds UTC.
        paths : int
            How many, an even number.
        chunk : int
            Paths drawn at once, an even number.

        Yields
        ------
        Futures
            At most `chunk` paths.

        Raises
        ------
        InputError
            If the numbers are not even, or there are no particles for the instant.
        """
        row = int(self.panel.row_closed(as_of)) + 1
        place = int(np.searchsorted(self.row, row))
        if place == len(self.row) or self.row[place] != row:
            raise InputError("as_of", as_of, "an instant that was filtered")
        if paths < 2 or paths % 2 or chunk < 2 or chunk % 2:
            raise InputError("paths", (paths, chunk), "even numbers from 2 on")
        rng = np.random.default_rng([self.market.seed, 2, row])
        state = self.states(place, rng.permutation(np.arange(paths // 2) % self.particles.shape[1]))
        for first in range(0, paths // 2, chunk // 2):
            yield draw_futures(self.market.law, state[first : first + chunk // 2], int(hour_of_week(as_of)), rng)

    def states(self, place: int, chosen: IntArray) -> FloatArray:
        """Whole states with the factors of some particles.

        Parameters
        ----------
        place : int
            Index into `row`.
        chosen : ndarray of int64, shape (m,)
            Particles.

        Returns
        -------
        ndarray, shape (m, K)
            Prices, trends and kicks are the true ones.
        """
        state = np.tile(self.market.state[self.row[place]], (len(chosen), 1))
        factor = self.particles[place, chosen]
        state[:, :2] = factor[:, :2]
        for a in range(len(self.panel.assets)):
            first = _FIRST + a * _WIDTH
            state[:, first : first + 2] = factor[:, 2 + 2 * a : 4 + 2 * a]
        return state


def filter_market(
    market: KnownMarket, instants: IntArray, particles: int = 4000, kept: int = 2000, warmup_days: int = 180
) -> FilteredMarket:
    """Infer the hidden state of a market from its bars.

    Parameters
    ----------
    market : KnownMarket
        The market; of its state only the kicks that jumps leave are read.
    instants : ndarray of int64
        Closes of bars, nanoseconds UTC, rising.
    particles : int
        Particles of the filter, at least 100.
    kept : int
        Particles that are kept for each instant, 1 to `particles`.
    warmup_days : int
        Days before the first instant from which on the bars are seen.

    Returns
    -------
    FilteredMarket
        The particles of each instant.

    Raises
    ------
    InputError
        If a number is out of its range.

    Examples
    --------
    >>> from training.benchmark.law import Law
    >>> from training.benchmark.market import draw_market
    >>> market = draw_market(Law(assets=("BTC", "ETH")), days=8, seed=1)
    >>> filter_market(market, np.array([market.panel.end]), particles=100, kept=50).particles.shape
    (1, 50, 6)
    """
    if particles < 100:
        raise InputError("particles", particles, "at least 100")
    if not 1 <= kept <= particles:
        raise InputError("kept", kept, f"1 to {particles}")
    panel = market.panel
    first = max(0, int(panel.row_closed(int(instants[0]) - warmup_days * DAY_NS)) + 1)
    row = np.asarray(panel.row_closed(instants), np.int64) + 1
    law = market.law.arrays()
    out = np.empty((len(row), kept, 2 + 2 * len(panel.assets)))
    rng = np.random.default_rng([market.seed, 3])
    run_filter(law, range_law(law.steps), _seen(market, first), row - first, rng, particles, out)
    return FilteredMarket(market, row, out)


def _seen(market: KnownMarket, first: int) -> Seen:
    """What the filter is told of the hours from `first` on."""
    panel, keep = market.panel, market.law.arrays().keep[1]
    opened, high, low, close = (np.log(p.T[first:]) for p in (panel.open, panel.high, panel.low, panel.close))
    variance = rogers_satchell(high - opened, low - opened, close - opened)
    columns = [2, *(_FIRST + a * _WIDTH + 2 for a in range(len(panel.assets)))]
    kick = np.ascontiguousarray(market.state[first:, columns])
    hit = kick[1:] > keep * kick[:-1] + 1e-9
    return Seen(
        move=np.ascontiguousarray(close - opened),
        log_range=np.log(np.maximum(variance, 1e-12)),
        quiet=~(hit[:, :1] | hit[:, 1:]),
        kick=kick[:-1],
        hour=hour_of_week(panel.start + (first + np.arange(len(close), dtype=np.int64)) * HOUR_NS),
    )
