"""The design matrix: one row an account and horizon, in the order the predictor was trained on.

Market columns are averaged over the assets an account holds positions in (those that have the figure), weighted by
net risk (value times daily sigma). Signed ones are turned to the account's side: an *adverse* return is one against
the position, a funding *cost* is one it pays, the adverse semivariance of a long is the downside. Weights and sides
come from the positions alone and do not change when all are scaled together, so only the columns that `MONOTONE`
constrains move with leverage.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final

import numpy as np
from numba import njit

from features.account import ACCOUNT_FEATURES, ACCOUNT_MONOTONE, account_row, one_state
from features.columns import ASSET_COLUMNS
from features.exposure import DEFAULT_LOADING, Scratch, new_scratch
from features.market import MARKET_FEATURES
from models.book import Book, BookArrays
from models.errors import InputError
from models.typing import HORIZONS, Float32Array, FloatArray, IntArray

__all__ = ["FEATURE_NAMES", "FEATURE_SCHEMA_HASH", "MONOTONE", "design_matrix", "market_loading"]

_SIGNED: Final = {
    **{f"ret_{h}h": (f"adverse_ret_{h}h", -1.0) for h in (1, 4, 24, 168)},
    **{f"funding_{h}h": (f"funding_cost_{h}h", 1.0) for h in (8, 24, 168)},
    "market_ret_24h": ("adverse_market_ret_24h", -1.0),
    "market_funding_24h": ("market_funding_cost_24h", 1.0),
}
_PAIRED: Final = {
    **{f"drawdown_{h}h": f"adverse_excursion_{h}h" for h in (168, 720)},
    **{f"runup_{h}h": f"favourable_excursion_{h}h" for h in (168, 720)},
}
_SHARES: Final = {f"down_share_{h}h": f"adverse_share_{h}h" for h in (24, 168)}
_NEW_NAME: Final = {**{old: new for old, (new, _) in _SIGNED.items()}, **_PAIRED, **_SHARES}

_OWN: Final[dict[str, int]] = {"horizon": 0, "prior_logit": 1, "distance_sigma": -1, "sigma": 0}
_FIRST_ACCOUNT: Final = ACCOUNT_FEATURES.index("distance_price")
_N_ACCOUNT: Final = ACCOUNT_FEATURES.index("main_asset") - _FIRST_ACCOUNT
_KEPT: Final = slice(_FIRST_ACCOUNT, _FIRST_ACCOUNT + _N_ACCOUNT)
_EXTRA: Final = ("net_beta_168h", "weight_main")

FEATURE_NAMES: Final[tuple[str, ...]] = (
    *_OWN,
    *ACCOUNT_FEATURES[_KEPT],
    *_EXTRA,
    *(_NEW_NAME.get(name, name) for name in MARKET_FEATURES),
)
"""Names of the columns, in order."""
MONOTONE: Final[tuple[int, ...]] = (
    *_OWN.values(),
    *ACCOUNT_MONOTONE[_KEPT],
    *(0,) * (len(_EXTRA) + len(MARKET_FEATURES)),
)
"""Direction of P(breach) in each column: +1 not falling, -1 not rising, 0 free (such a column does not move with
leverage)."""
FEATURE_SCHEMA_HASH: Final = hashlib.sha256(repr((FEATURE_NAMES, MONOTONE, HORIZONS)).encode()).hexdigest()[:16]
"""Fingerprint of names, order, directions and horizons; a bundle carries it."""

# how each asset column is averaged: 0 as it is, 1 times side, 2 share turned to the adverse side, 3 swapped for shorts
_MODE: Final = np.array(
    [1 if n in _SIGNED else 2 if n in _SHARES else 3 if n in _PAIRED else 0 for n in MARKET_FEATURES],
    np.int64,
)
_FACTOR: Final = np.array([_SIGNED[n][1] if n in _SIGNED else 1.0 for n in MARKET_FEATURES])
_SWAP: Final = np.array(
    [
        MARKET_FEATURES.index(n.replace("drawdown", "runup") if "drawdown" in n else n.replace("runup", "drawdown"))
        for n in MARKET_FEATURES
    ],
    np.int64,
)
_N_ASSET: Final = len(ASSET_COLUMNS)
_N_MARKET: Final = len(MARKET_FEATURES)
_MARKET_AT: Final = len(_OWN) + _N_ACCOUNT + len(_EXTRA)
_BETA: Final = MARKET_FEATURES.index("beta_168h")
_CORR: Final = MARKET_FEATURES.index("corr_168h")
_CLIP: Final = 1e-7


def market_loading(market: FloatArray) -> FloatArray:
    """Correlation of each asset to the common factor: ``corr_168h``, drawn half way to `DEFAULT_LOADING`.

    Parameters
    ----------
    market : ndarray, shape (..., F)
        Market features.

    Returns
    -------
    ndarray, shape (...)
        Within [0.3, 0.95].

    Examples
    --------
    >>> row = np.full((1, len(MARKET_FEATURES)), np.nan)
    >>> market_loading(row).tolist()
    [0.8]
    """
    figures = np.ascontiguousarray(market, np.float64).reshape(-1, 1, len(MARKET_FEATURES))
    loading: FloatArray = _loading(figures).reshape(market.shape[:-1])
    return loading


@njit(cache=True, nogil=True)
def _loading(market: FloatArray) -> FloatArray:
    out = np.full(market.shape[:2], DEFAULT_LOADING)
    for r in range(market.shape[0]):
        for a in range(market.shape[1]):
            corr = market[r, a, _CORR]
            if corr == corr:
                out[r, a] = min(max(0.5 * (corr + DEFAULT_LOADING), 0.3), 0.95)
    return out


def design_matrix(
    book: Book,
    price: FloatArray,
    market: FloatArray,
    sigma: FloatArray,
    prior: FloatArray,
    factor: FloatArray | float,
    row: IntArray | None = None,
    out: Float32Array | None = None,
) -> Float32Array:
    """Rows for the predictor: account-major, then horizon.

    Parameters
    ----------
    book : Book
        n accounts over A assets.
    price : ndarray, shape (A,) or (R, A)
        Prices at each of R market states.
    market : ndarray, shape (A, F) or (R, A, F)
        Market features of the states, see `MARKET_FEATURES`.
    sigma : ndarray, shape (A, 4) or (R, A, 4)
        Standard deviation of the log price change over each horizon.
    prior : ndarray, shape (n, 4)
        The prior's probability of a breach of this level within each horizon.
    factor : ndarray, shape (n,), or float
        The level as a multiple of maintenance: the account's call factor for a call, 1 for liquidation.
    row : ndarray of int64, shape (n,), optional
        State of each account; the first if not given.
    out : ndarray of float32, shape (n * 4, K), optional
        C-contiguous array to fill, for repeated calls.

    Returns
    -------
    ndarray of float32, shape (n * 4, K)
        Columns of `FEATURE_NAMES`; NaN where a figure is not known.

    Raises
    ------
    InputError
        If shapes do not agree.

    Examples
    --------
    >>> book, _ = Book.from_accounts([], ["BTC"])
    >>> market = np.zeros((1, len(MARKET_FEATURES)))
    >>> rows = design_matrix(book, np.ones(1), market, np.ones((1, 4)), np.zeros((0, 4)), 1.25)
    >>> rows.shape == (0, len(FEATURE_NAMES))
    True
    """
    prices, sigmas, rows, level = one_state(book, price, sigma, factor, row)
    markets = np.ascontiguousarray(market, np.float64)
    markets = markets[None] if markets.ndim == 2 else markets
    if markets.shape != (*prices.shape, _N_MARKET):
        raise InputError("market", markets.shape, f"shape {(*prices.shape, _N_MARKET)}: states, assets, features")
    n, k = len(book), len(FEATURE_NAMES)
    chance = np.ascontiguousarray(prior, np.float64)
    if chance.shape != (n, 4):
        raise InputError("prior", chance.shape, f"shape {(n, 4)}: accounts, horizons")
    if out is None:
        out = np.empty((n * 4, k), np.float32)
    elif out.shape != (n * 4, k) or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise InputError("out", f"{out.dtype}{out.shape}", f"C-contiguous float32 of shape {(n * 4, k)}")
    _fill(book.arrays, prices, markets, sigmas, rows, chance, level, out)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    b: BookArrays,
    price: FloatArray,
    market: FloatArray,
    sigma: FloatArray,
    row: IntArray,
    prior: FloatArray,
    factor: FloatArray,
    out: Float32Array,
) -> None:
    s = new_scratch(price.shape[1])
    loading = _loading(market)
    account = np.empty(len(ACCOUNT_FEATURES))
    line = np.empty(len(FEATURE_NAMES))
    mass = np.empty(_N_ASSET)
    for n in range(len(row)):
        r = row[n]
        account_row(b, n, factor[n], price[r], sigma[r], loading[r], s, account)
        for i in range(_N_ACCOUNT):
            line[4 + i] = account[_FIRST_ACCOUNT + i]
        _market_part(market[r], s, mass, line)
        for h in range(4):
            line[0] = h
            p = min(max(prior[n, h], _CLIP), 1.0 - _CLIP) if prior[n, h] == prior[n, h] else np.nan
            line[1] = math.log(p / (1.0 - p))
            line[2] = account[h]
            line[3] = _weighted_sigma(sigma[r], h, s)
            target = out[4 * n + h]
            for i in range(len(line)):
                target[i] = line[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _weighted_sigma(sigma: FloatArray, h: int, s: Scratch) -> float:
    total = 0.0
    for i in range(s.seen[-1]):
        a = s.seen[i]
        if s.weight[a] > 0.0:
            total += s.weight[a] * sigma[a, h]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _market_part(market: FloatArray, s: Scratch, mass: FloatArray, line: FloatArray) -> None:
    """Weighted, signed market columns, the net beta and the weight of the main asset."""
    target = line[_MARKET_AT:]
    target[:] = 0.0
    mass[:] = 0.0
    most, beta, side = 0.0, 0.0, 0.0
    for i in range(s.seen[-1]):
        a = s.seen[i]
        w = s.weight[a]
        if w > 0.0:
            _add_asset(market[a], w, s.side[a], mass, target)
            most = max(most, w)
            beta += w * s.side[a] * market[a, _BETA]
            side += w * s.side[a]
    for j in range(_N_ASSET):  # over the assets that have the figure; none: 0 / 0 is NaN
        target[j] /= mass[j]
    for j in range(_N_ASSET, _N_MARKET):
        target[j] = market[0, j] * (_FACTOR[j] * side if _MODE[j] == 1 else 1.0)
    line[_MARKET_AT - 2] = beta
    line[_MARKET_AT - 1] = most


@njit(cache=True, nogil=True, error_model="numpy")
def _add_asset(x: FloatArray, w: float, side: float, mass: FloatArray, target: FloatArray) -> None:
    for j in range(_N_ASSET):
        value, mode = x[j], _MODE[j]
        if mode == 1:
            value *= _FACTOR[j] * side
        elif mode == 2:
            value = 0.5 + side * (value - 0.5)
        elif mode == 3:
            other = x[_SWAP[j]]
            value = value if side > 0.0 else (other if side < 0.0 else 0.5 * (value + other))
        if value == value:
            target[j] += w * value
            mass[j] += w
