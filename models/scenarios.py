"""Joint scenario paths by filtered historical simulation of whole windows.

A scenario is a past 72-hour window of all assets at once, each hourly low, high and close divided by
the deviation that was forecast for that hour at the window's start. At an instant it is multiplied by
the deviations forecast now. Volatility clustering within the window, intrabar extremes, correlation in
crashes and asymmetry come from the data. How closely assets move together has its own forecast, at the window's start
and now: what an asset shares with the market and what is its own are scaled to it, and its variance is kept.

References
----------
Barone-Adesi, Giannopoulos and Vosper (1999), "VaR without correlations for portfolios of derivative securities".
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numba import njit

from models._path_kernels import Paths
from models.errors import InputError
from models.market import MarketPanel
from models.typing import BoolArray, Float32Array, FloatArray, IntArray

__all__ = ["BLOCKS", "ScenarioPool", "step_deviation"]

BLOCKS = np.array([0, 1, 4, 12, 24, 36, 48, 60, 72], np.int32)
"""Steps at which the pruning blocks start; the horizons are among them."""
_EDGES = (0, 1, 4, 24, 72)
_ONE_ASSET_CORRELATION = 0.64
_STRENGTH = 0.75


def step_deviation(total_variance: FloatArray, season: FloatArray, hour: IntArray) -> FloatArray:
    """Spread the forecast variance to the horizons over their hours.

    Parameters
    ----------
    total_variance : ndarray, shape (N, 4)
        Variance to 1, 4, 24, 72 hours.
    season : ndarray, shape (168,)
        Hour-of-week factors.
    hour : ndarray of int, shape (N,)
        Hour of the week of the first step.

    Returns
    -------
    ndarray, shape (N, 72)
        Deviation of each hourly step; their squares add up to the totals (each segment at least 5% of its mean).
    """
    factor = season[(np.asarray(hour)[:, None] + np.arange(_EDGES[-1])) % len(season)]
    out = np.empty(factor.shape)
    before = np.zeros(len(total_variance))
    for k in range(4):
        first, stop = _EDGES[k], _EDGES[k + 1]
        share = factor[:, first:stop]
        mean = total_variance[:, k] / stop
        inside = np.maximum(total_variance[:, k] - before, 0.05 * mean * (stop - first))
        out[:, first:stop] = np.sqrt(share * (inside / share.sum(axis=1))[:, None])
        before = total_variance[:, k]
    return out


@dataclass(frozen=True, slots=True, eq=False)
class ScenarioPool:
    """Standardised windows of all assets.

    Parameters
    ----------
    assets : tuple of str
        Base codes.
    low, high, close : ndarray of float32, shape (S, A, 72)
        Log low, high and close of each hour relative to the close before, over the forecast deviation.
    correlation : ndarray, shape (A, A)
        Of standardised daily moves.
    proxy : tuple of str
        Assets with too little history; they move with the market of the same window.
    market : ndarray of float32, shape (S, 72), optional
        Mean standardised move of the assets that are no proxies, in each hour.
    own_share : ndarray, shape (S, A), optional
        `models.volatility.comovement.ComovementModel.forecast` at the start of each window, NaN where there is none.
        Windows keep their co-movement where these two are left out.
    """

    assets: tuple[str, ...]
    low: Float32Array
    high: Float32Array
    close: Float32Array
    correlation: FloatArray
    proxy: tuple[str, ...]
    market: Float32Array | None = None
    own_share: FloatArray | None = None

    @classmethod
    def fit(
        cls,
        panel: MarketPanel,
        total_variance: FloatArray,
        season: FloatArray,
        hours: IntArray,
        size: int,
        own_share: FloatArray | None = None,
    ) -> ScenarioPool:
        """Choose `size` windows from a panel.

        Parameters
        ----------
        panel : MarketPanel
            Hourly bars; nothing beyond it is used.
        total_variance : ndarray, shape (A, T, 4)
            Forecast at each close.
        season : ndarray, shape (168,)
            Hour-of-week factors.
        hours : ndarray of int, shape (T,)
            Hour of the week of each bar.
        size : int
            Number of windows; the windows are ordered by the market's largest fall and taken at even steps, which
            keeps the tails in proportion.
        own_share : ndarray, shape (A, T), optional
            Forecast at each close.

        Returns
        -------
        ScenarioPool
            The pool.

        Raises
        ------
        InputError
            If no window is complete.
        """
        cube, complete, starts = _standardised(panel, total_variance, season, hours, 3 * size)
        share = complete.mean(axis=0)
        core = np.flatnonzero(share > 0.5) if (share > 0.5).any() else share.argmax(keepdims=True)
        rows = np.flatnonzero(complete[:, core].all(axis=1))
        if len(rows) == 0:
            raise InputError("panel", f"{panel.n_bars} bars", "at least one complete window of 72 hours")
        fall = np.cumsum(cube[2, rows][:, core].mean(axis=1), axis=1).min(axis=1)
        order = rows[np.argsort(fall, kind="stable")]
        chosen = order[np.floor((np.arange(size) + 0.5) * len(order) / size).astype(np.int64)]
        cube, there = cube[:, chosen], complete[chosen]
        for a in range(len(panel.assets)):
            cube[:, ~there[:, a], a] = cube[:, ~there[:, a], core[0]]
        proxy = tuple(name for a, name in enumerate(panel.assets) if there[:, a].mean() < 0.5)
        daily = (
            cube[2]
            .reshape(size, len(panel.assets), 3, 24)
            .sum(axis=3)
            .transpose(0, 2, 1)
            .reshape(-1, len(panel.assets))
        )
        correlation = np.corrcoef(daily, rowvar=False).reshape(len(panel.assets), -1)
        low, high, close = (np.ascontiguousarray(c, np.float32) for c in cube)
        correlation = np.nan_to_num(correlation, nan=1.0)
        if own_share is None:
            return cls(panel.assets, low, high, close, correlation, proxy)
        own = np.where(there, own_share[:, starts[chosen]].T, np.nan)
        return cls(panel.assets, low, high, close, correlation, proxy, close[:, core].mean(axis=1), own)

    def for_assets(self, assets: tuple[str, ...]) -> ScenarioPool:
        """Give the pool in another order of assets.

        Parameters
        ----------
        assets : tuple of str
            Base codes; those that the pool does not know are added to `proxy`.

        Returns
        -------
        ScenarioPool
            Windows of an unknown asset are those of the pool's first asset, mixed with the same in an order that is
            drawn from its name, so that it is correlated to the first as the assets of the pool are on average.
        """
        index = [self.assets.index(a) if a in self.assets else 0 for a in assets]
        unknown = tuple(a for a in assets if a not in self.assets)
        low, high, close = (np.ascontiguousarray(c[:, index]) for c in (self.low, self.high, self.close))
        share = np.ones(len(assets))
        for name in unknown:
            a = assets.index(name)
            share[a] = self._usual_correlation()
            other = np.random.default_rng(zlib.crc32(name.encode())).permutation(len(close))
            _mix(low, high, close, a, other, float(share[a]))
        correlation = self.correlation[np.ix_(index, index)] * np.outer(share, share)
        np.fill_diagonal(correlation, 1.0)
        own = None if self.own_share is None else np.where(np.isin(assets, unknown), np.nan, self.own_share[:, index])
        return ScenarioPool(assets, low, high, close, correlation, (*self.proxy, *unknown), self.market, own)

    def _usual_correlation(self) -> float:
        """Mean correlation of two assets of the pool."""
        pairs = self.correlation[np.triu_indices(len(self.assets), 1)]
        return float(np.clip(pairs.mean(), 0.0, 1.0)) if len(pairs) else _ONE_ASSET_CORRELATION

    def at(self, deviation: FloatArray, own_share: FloatArray | None = None) -> Paths:
        """Scale the windows to the deviations, and to the co-movement, forecast now.

        Parameters
        ----------
        deviation : ndarray, shape (A, 72)
            Hourly deviations from `step_deviation`.
        own_share : ndarray, shape (A,), optional
            Forecast now; an asset whose figure is left out or NaN moves with the others as in each window.

        Returns
        -------
        Paths
            Price ratios to now.
        """
        s_n, a_n, t_n = self.low.shape
        path, block, whole = (s_n, a_n, t_n), (s_n, a_n, len(BLOCKS) - 1), (a_n, s_n)
        shapes = (path, path, path, block, block, whole, whole)
        low, high, close, block_low, block_high, path_low, path_high = (np.empty(x, np.float32) for x in shapes)
        least, most = np.empty(a_n), np.empty(a_n)
        out = Paths(low, high, close, block_low, block_high, path_low, path_high, least, most, BLOCKS)
        known, own, shared = self._together(own_share)
        market = np.zeros((s_n, t_n), np.float32) if self.market is None else self.market
        windows = (self.low, self.high, self.close, market)
        _steps(windows, np.ascontiguousarray(deviation, np.float32), known, own, shared, out)
        with np.errstate(over="ignore"):  # a step that float32 cannot hold is inf, as it is in a kernel
            for part in (low, high, close):
                np.exp(part, out=part)  # outside the kernels: numpy takes many at once
        _chain(out)
        return out

    def _together(self, own_share: FloatArray | None) -> tuple[BoolArray, Float32Array, Float32Array]:
        """Which windows get the co-movement of now; factors of what is an asset's own, and of the market."""
        shape = (len(self.low), len(self.assets))
        if own_share is None or self.own_share is None:
            return np.zeros(shape, np.bool_), np.ones(shape, np.float32), np.ones(shape, np.float32)
        own = (own_share / self.own_share) ** (0.5 * _STRENGTH)
        shared = ((1.0 - own_share) / (1.0 - self.own_share)) ** (0.5 * _STRENGTH)
        return np.isfinite(own), own.astype(np.float32), shared.astype(np.float32)


def _standardised(
    panel: MarketPanel, total_variance: FloatArray, season: FloatArray, hours: IntArray, most: int
) -> tuple[FloatArray, BoolArray, IntArray]:
    """Windows that start at a bar's close: (3, W, A, 72) low, high, close steps; (W, A) completeness; (W,) starts."""
    a_n, t_n = panel.close.shape
    before = np.full_like(panel.close, np.nan)
    before[:, 1:] = panel.close[:, :-1]
    with np.errstate(all="ignore"):
        steps = np.stack(
            [
                np.log(np.minimum(panel.low, before) / before),
                np.log(np.maximum(panel.high, before) / before),
                np.log(panel.close / before),
            ]
        )
    w_n = max(0, t_n - 72)
    stride = max(1, w_n // most)
    starts = np.arange(0, w_n, stride)
    index = starts[:, None] + 1 + np.arange(72)
    cube = np.empty((3, len(starts), a_n, 72))
    complete = np.zeros((len(starts), a_n), bool)
    for a in range(a_n):
        deviation = step_deviation(total_variance[a, starts], season, hours[starts] + 1)
        cube[:, :, a] = steps[:, a][:, index] / deviation
        complete[:, a] = np.isfinite(cube[:, :, a]).all(axis=(0, 2))
    return cube, complete, starts


def _mix(low: Float32Array, high: Float32Array, close: Float32Array, a: int, other: IntArray, share: float) -> None:
    """Mix the windows of asset `a` with its windows in another order, in place, to a correlation of `share`.

    Closes keep their variance, and what lies beyond open and close of an hour its mean.
    """
    own = np.sqrt(1.0 - share**2)
    lower, upper = np.minimum(close[:, a], 0.0) - low[:, a], high[:, a] - np.maximum(close[:, a], 0.0)
    close[:, a] = share * close[:, a] + own * close[other, a]
    low[:, a] = np.minimum(close[:, a], 0.0) - (share**2 * lower + own**2 * lower[other])
    high[:, a] = np.maximum(close[:, a], 0.0) + share**2 * upper + own**2 * upper[other]


@njit(cache=True)
def _steps(
    windows: tuple[Float32Array, Float32Array, Float32Array, Float32Array],
    deviation: Float32Array,
    known: BoolArray,
    own: Float32Array,
    shared: Float32Array,
    out: Paths,
) -> None:
    """Fill the paths with log steps; what lies beyond open and close of an hour is not turned."""
    low, high, close, market = windows
    s_n, a_n, t_n = low.shape
    zero = np.float32(0.0)
    for s in range(s_n):
        for a in range(a_n):
            for t in range(t_n):
                d = deviation[a, t]
                least, most, move = low[s, a, t], high[s, a, t], close[s, a, t]
                if known[s, a]:
                    turned = shared[s, a] * market[s, t] + own[s, a] * (move - market[s, t])
                    least += min(turned, zero) - min(move, zero)
                    most += max(turned, zero) - max(move, zero)
                    move = turned
                out.low[s, a, t] = least * d
                out.high[s, a, t] = most * d
                out.close[s, a, t] = move * d


@njit(cache=True)
def _chain(out: Paths) -> None:
    """Chain factors from hour to hour into price ratios to now, in place, and fill the bounds of the paths."""
    s_n, a_n, _ = out.low.shape
    for s in range(s_n):
        for a in range(a_n):
            level, least, most = np.float32(1.0), np.float32(np.inf), np.float32(0.0)
            for k in range(len(out.blocks) - 1):
                lowest, highest = np.float32(np.inf), np.float32(0.0)
                for t in range(out.blocks[k], out.blocks[k + 1]):
                    bottom, top = level * out.low[s, a, t], level * out.high[s, a, t]
                    level *= out.close[s, a, t]
                    out.low[s, a, t] = bottom
                    out.high[s, a, t] = top
                    out.close[s, a, t] = level
                    lowest = bottom if bottom < lowest else lowest
                    highest = top if top > highest else highest
                out.block_low[s, a, k], out.block_high[s, a, k] = lowest, highest
                least, most = min(least, lowest), max(most, highest)
            out.path_low[a, s], out.path_high[a, s] = least, most
    for a in range(a_n):
        out.least[a] = out.path_low[a].min()
        out.most[a] = out.path_high[a].max()
