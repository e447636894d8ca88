"""The exact P(call by h) of accounts by nested simulation, and its noise taken out of the Bayes log loss.

The futures of an instant are laid end to end as one long panel, and every account is replayed along each of them by
`models.margin.replay`: the rule of the labels, funding and extremes inside bars included.

Notes
-----
The share k / N of N futures that breach is an unbiased estimate of p. The expected log loss of a forecast q,
-p log q - (1 - p) log(1 - q), is linear in p, so the estimate of it is unbiased as well. The Bayes forecast is p
itself, and its loss, the entropy of p, is not linear: put k / N in its place, and it comes out too low by about
1 / (2 N). The jackknife over the N / 2 antithetic pairs takes that first-order bias out,

    M H(k / N) - (M - 1) mean_i H((k - k_i) / (N - 2)),         M = N / 2, k_i = 0, 1 or 2 breaches in pair i.

References
----------
Efron and Stein (1981), "The Jackknife Estimate of Variance", Annals of Statistics 9(3).
Miller (1955), "Note on the bias of information estimates" (the bias of the entropy).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import xlogy

from models.book import Book
from models.errors import InputError
from models.margin.replay import replay
from models.market import MarketPanel
from models.typing import HORIZONS, BoolArray, FloatArray, IntArray
from training.benchmark.market import HOURS, Futures, FutureSource
from training.evaluate.metrics import CLIP

__all__ = ["Truth", "bayes_loss", "breaches", "counted", "counted_loss", "entropy", "expected_loss", "nested"]

_START_PATHS: Final = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What nested simulation counted for n accounts at both levels.

    Parameters
    ----------
    one, both : ndarray of int64, shape (n, 2, 4)
        Pairs of futures of which one, and of which both, breach the level (call, liquidation) within each horizon.
    pairs : int
        Pairs of futures of each account.
    """

    one: IntArray
    both: IntArray
    pairs: int

    @property
    def p(self) -> FloatArray:
        """Share of futures that breach, shape (n, 2, 4)."""
        return (self.one + 2.0 * self.both) / (2.0 * self.pairs)

    def bayes_loss(self) -> FloatArray:
        """Log loss of the Bayes forecast without simulation noise, shape (n, 2, 4); see `bayes_loss`."""
        return bayes_loss(self.one, self.both, self.pairs)


def nested(
    market: FutureSource,
    book: Book,
    paths: int = 4000,
    chunk: int = 500,
    progress: Callable[[int, int], None] | None = None,
) -> Truth:
    """Count the futures in which each account breaches.

    Parameters
    ----------
    market : FutureSource
        Market with its state, or with what a filter knows of it.
    book : Book
        n accounts on the assets of the market, each as of the close of a bar.
    paths : int
        Futures of each instant, an even number.
    chunk : int
        Futures drawn and replayed at once, an even number.
    progress : callable, optional
        Called with (instants done, instants in all).

    Returns
    -------
    Truth
        Counts.

    Raises
    ------
    InputError
        If the book has options, scenario margin or contracts that expire: their future needs volatilities too.
    """
    if book.blocks is not None or (book.arrays.leg_expiry < book.as_of.max(initial=0) + 10**15).any():
        raise InputError("book", "options or expiries", "accounts whose value depends on prices and funding alone")
    one = np.zeros((len(book), 2, len(HORIZONS)), np.int64)
    both = np.zeros_like(one)
    instants = np.unique(book.as_of)
    for i, moment in enumerate(instants.tolist()):
        rows = np.flatnonzero(book.as_of == moment)
        accounts = book.take(rows)
        for futures in market.futures(moment, paths, chunk):
            hit = breaches(accounts, futures, market.panel.assets)
            found = hit[:, 0::2].astype(np.int64) + hit[:, 1::2]
            one[rows] += (found == 1).sum(axis=1)
            both[rows] += (found == 2).sum(axis=1)
        if progress is not None:
            progress(i + 1, len(instants))
    return Truth(one, both, paths // 2)


def breaches(book: Book, futures: Futures, assets: tuple[str, ...]) -> BoolArray:
    """Replay accounts of one instant along every future.

    Parameters
    ----------
    book : Book
        n accounts.
    futures : Futures
        P futures of their instant.
    assets : tuple of str
        Assets of the futures.

    Returns
    -------
    ndarray of bool, shape (n, P, 2, 4)
        Whether the call and the liquidation level are breached by each horizon.
    """
    n, paths = len(book), futures.bars.shape[2]
    flat = futures.bars.reshape(4, len(assets), -1)
    opened, high, low, close = flat
    empty = np.full(close.shape, np.nan)
    rates = futures.funding.reshape(close.shape)
    panel = MarketPanel(assets, 60, 0, opened, high, low, close, empty, rates, ("simulated",) * len(assets))
    laid = np.tile(np.arange(paths, dtype=np.int64) * (HOURS * panel.step), n)
    many = replace(book.take(np.repeat(np.arange(n), paths)), as_of=laid)
    seen = replay(many, panel, HOURS * 60, n_threads=2)
    minutes = np.column_stack([seen.minutes_to_call, seen.minutes_to_liquidation])
    with np.errstate(invalid="ignore"):
        hit = minutes[:, :, None] <= np.asarray(HORIZONS, np.float64)
    return np.asarray(hit.reshape(n, paths, 2, len(HORIZONS)), np.bool_)


def expected_loss(q: FloatArray, p: FloatArray) -> FloatArray:
    """Log loss that a forecast is expected to have where p is the truth.

    Parameters
    ----------
    q : ndarray of float
        Forecasts, clipped to [1e-6, 1 - 1e-6] as in the reports.
    p : ndarray of float
        True probabilities, or unbiased estimates of them; same shape.

    Returns
    -------
    ndarray of float
        Nats; linear in p.

    Examples
    --------
    >>> expected_loss(np.array([0.5]), np.array([0.3])).round(4).tolist()
    [0.6931]
    """
    clipped = np.clip(q, CLIP, 1.0 - CLIP)
    return np.asarray(-(p * np.log(clipped) + (1.0 - p) * np.log1p(-clipped)))


def entropy(p: FloatArray) -> FloatArray:
    """Expected log loss of the truth itself.

    Parameters
    ----------
    p : ndarray of float
        Probabilities.

    Returns
    -------
    ndarray of float
        Nats; 0 where p is 0 or 1.

    Examples
    --------
    >>> entropy(np.array([0.0, 0.5])).round(4).tolist()
    [0.0, 0.6931]
    """
    return np.asarray(0.0 - (xlogy(p, p) + xlogy(1.0 - p, 1.0 - p)))


def bayes_loss(one: IntArray, both: IntArray, pairs: int) -> FloatArray:
    """Entropy of an estimated probability without its first-order bias: the jackknife over antithetic pairs.

    Parameters
    ----------
    one, both : ndarray of int64
        Pairs of which one, and of which both, breach.
    pairs : int
        All pairs, at least 2.

    Returns
    -------
    ndarray of float
        Nats; unbiased but for terms of order 1 / pairs squared. A single value may be negative; means count.

    Raises
    ------
    InputError
        If there are fewer than two pairs.

    Examples
    --------
    >>> bayes_loss(np.array([0]), np.array([5]), 5).tolist()
    [0.0]
    """
    return _without_noise(lambda breached, paths: entropy(breached / paths), one, both, pairs)


def counted_loss(seen: Truth, p: FloatArray, start: FloatArray) -> FloatArray:
    """Expected log loss of a forecast that is counted on futures, without the noise of the count.

    Parameters
    ----------
    seen : Truth
        Counts of n accounts, from futures that the forecaster believes in.
    p : ndarray of float, shape (n, 4)
        True probabilities of a call.
    start : ndarray of float, shape (n, 4)
        What the share is drawn to, see `counted`.

    Returns
    -------
    ndarray of float, shape (n, 4)
        Nats, as of a count on futures without end, to first order; see `bayes_loss`.
    """

    def loss(breached: FloatArray, paths: float) -> FloatArray:
        return expected_loss(_drawn(breached, paths, start), p)

    return _without_noise(loss, seen.one[:, 0], seen.both[:, 0], seen.pairs)


def counted(seen: Truth, start: FloatArray) -> FloatArray:
    """Probability of a call counted on futures.

    Parameters
    ----------
    seen : Truth
        Counts of n accounts.
    start : ndarray of float, shape (n, 4)
        What the share is drawn to with the weight of two futures, as for the prior of accounts on several prices: no
        count says that a call cannot come.

    Returns
    -------
    ndarray of float, shape (n, 4)
        Probabilities.
    """
    return _drawn(seen.one[:, 0] + 2.0 * seen.both[:, 0], 2.0 * seen.pairs, start)


def _drawn(breached: FloatArray, paths: float, start: FloatArray) -> FloatArray:
    return (breached + _START_PATHS * start) / (paths + _START_PATHS)


def _without_noise(
    figure: Callable[[FloatArray, float], FloatArray], one: IntArray, both: IntArray, pairs: int
) -> FloatArray:
    """Jackknife over pairs of a figure of breached futures and of their number."""
    if pairs < 2:
        raise InputError("pairs", pairs, "at least 2")
    breached, paths = one + 2.0 * both, 2.0 * pairs
    left = np.zeros(np.shape(breached))
    for k, count in ((0.0, pairs - one - both), (1.0, one), (2.0, both)):
        left += count * figure(np.clip(breached - k, 0.0, paths - 2.0), paths - 2.0)
    return np.asarray(pairs * figure(breached, paths) - (pairs - 1.0) * left / pairs)
