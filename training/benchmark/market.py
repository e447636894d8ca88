"""A simulated market with its hidden state, and futures drawn from that state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from features.sources.times import Instant, to_ns
from models.errors import InputError
from models.market import MarketPanel
from models.typing import HORIZONS, HOUR_NS, FloatArray
from models.volatility.seasonality import hour_of_week
from training.benchmark._walk import walk
from training.benchmark.law import Law

__all__ = ["HOURS", "FutureSource", "Futures", "KnownMarket", "draw_futures", "draw_market"]

HOURS = max(HORIZONS) // 60
"""Hours of a future."""
_TURNOVER = 1e8


@dataclass(frozen=True, slots=True, eq=False)
class Futures:
    """P futures of an instant, antithetic pairs side by side.

    Parameters
    ----------
    bars : ndarray, shape (4, A, P, 72)
        Open, high, low, close.
    funding : ndarray, shape (A, P, 72)
        Rate charged at the open of each bar.
    """

    bars: FloatArray
    funding: FloatArray


class FutureSource(Protocol):
    """Anything that draws what may follow an instant."""

    @property
    def panel(self) -> MarketPanel:
        """What anyone may see."""

    def futures(self, as_of: int, paths: int, chunk: int = 1000) -> Iterator[Futures]:
        """Draw futures, as :meth:`KnownMarket.futures` does."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownMarket:
    """A market of which the truth is known.

    Parameters
    ----------
    law : Law
        Its law.
    panel : MarketPanel
        What anyone may see: hourly bars and funding.
    state : ndarray, shape (T + 1, K)
        The hidden state before each bar, and after the last one.
    seed : int
        Seed of history and futures.
    """

    law: Law
    panel: MarketPanel
    state: FloatArray
    seed: int

    def futures(self, as_of: int, paths: int, chunk: int = 1000) -> Iterator[Futures]:
        """Draw what may follow an instant, from the true state there.

        Parameters
        ----------
        as_of : int
            Close of a bar, nanoseconds UTC.
        paths : int
            How many, an even number.
        chunk : int
            Paths drawn at once, an even number.

        Yields
        ------
        Futures
            At most `chunk` paths; the second of each pair has the normal draws of the first with their signs changed,
            and the same jumps.

        Raises
        ------
        InputError
            If the numbers are not even, or the instant is not the close of a bar.
        """
        row = int(self.panel.row_closed(as_of)) + 1
        if not 0 < row <= self.panel.n_bars or self.panel.start + row * self.panel.step != as_of:
            raise InputError("as_of", as_of, "the close of a bar of the market")
        if paths < 2 or paths % 2 or chunk < 2 or chunk % 2:
            raise InputError("paths", (paths, chunk), "even numbers from 2 on")
        rng = np.random.default_rng([self.seed, 1, row])
        for first in range(0, paths, chunk):
            state = np.tile(self.state[row], (min(chunk, paths - first) // 2, 1))
            yield draw_futures(self.law, state, int(hour_of_week(as_of)), rng)


def draw_market(law: Law, days: int, seed: int = 0, start: Instant = "2021-01-01") -> KnownMarket:
    """Draw a market.

    Parameters
    ----------
    law : Law
        Its law.
    days : int
        Length, 1 to 36500.
    seed : int
        Same seed, same market.
    start : int, str, date or datetime
        Open of the first bar, a full hour.

    Returns
    -------
    KnownMarket
        Hourly bars without gaps; volume follows the range.

    Raises
    ------
    InputError
        If an argument is out of its range.

    Examples
    --------
    >>> market = draw_market(Law(assets=("BTC", "ETH")), days=7, seed=1)
    >>> market.panel.n_bars, market.state.shape
    (168, (169, 13))
    """
    begin = to_ns(start, "start")
    if begin % HOUR_NS:
        raise InputError("start", start, "a full hour")
    if not 1 <= days <= 36_500:
        raise InputError("days", days, "1 to 36500")
    hours, n = days * 24, len(law.assets)
    rng = np.random.default_rng([seed, 0])
    state = law.first_state(rng)[None]
    normal = rng.standard_normal((1, hours, law.n_normal), np.float32)
    uniform = rng.random((1, hours, law.n_uniform), np.float32)
    bars, funding = np.empty((4, n, 1, hours)), np.empty((n, 1, hours))
    kept = np.empty((1, hours + 1, law.n_state))
    walk(law.arrays(), state, int(hour_of_week(begin)), normal, uniform, 1.0, bars, funding, kept)
    opened, high, low, close = np.ascontiguousarray(bars[:, :, 0])
    volume = _TURNOVER * np.log(high / low) / close
    panel = MarketPanel(
        law.assets, 60, begin, opened, high, low, close, volume, funding[:, 0].copy(), ("simulated",) * n
    )
    return KnownMarket(law, panel, kept[0], seed)


def draw_futures(law: Law, state: FloatArray, hour: int, rng: np.random.Generator) -> Futures:
    """Draw an antithetic pair of futures from each state.

    Parameters
    ----------
    law : Law
        Law of the market.
    state : ndarray, shape (P, K)
        States to begin with.
    hour : int
        Hour of the week of the first bar.
    rng : Generator
        Source of the draws.

    Returns
    -------
    Futures
        2 P paths.
    """
    n, pairs = len(law.assets), len(state)
    normal = rng.standard_normal((pairs, HOURS, law.n_normal), np.float32)
    uniform = rng.random((pairs, HOURS, law.n_uniform), np.float32)
    bars, funding = np.empty((4, n, pairs, 2, HOURS)), np.empty((n, pairs, 2, HOURS))
    for side, sign in enumerate((1.0, -1.0)):
        walk(
            law.arrays(), state.copy(), hour, normal, uniform, sign, bars[:, :, :, side],
            funding[:, :, side], np.empty((0, 0, 0)),
        )  # fmt: skip
    return Futures(bars.reshape(4, n, 2 * pairs, HOURS), funding.reshape(n, 2 * pairs, HOURS))
