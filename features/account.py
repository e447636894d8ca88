"""Account features: how near an account is to a level, and what it is made of.

Notes
-----
Features are of two kinds, and the predictor's monotonicity rests on it. *Distances and uses* move when all positions
are scaled up against the same collateral; each has a direction in `ACCOUNT_MONOTONE` (+1: more means more risk, -1:
less). All else is *scale-free*: shares of the positions among themselves, of the collateral among itself, counts.

The directions hold for accounts whose wallet and collateral are worth more than nothing and whose collateral does not
hedge the positions. An account short BTC against BTC collateral becomes safer as it adds to the short, up to a point:
there the distances rise with scale, as the risk falls.

References
----------
The delta-normal distance is gap over its first-order standard deviation (RiskMetrics Technical Document, 1996, ch. 6).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from features.exposure import (
    CASH,
    COLLATERAL,
    DAY,
    DEFAULT_LOADING,
    EQUITY,
    GROSS,
    HAIRCUT,
    ISOLATED,
    N_COLL,
    REQUIREMENT,
    SHORT,
    SQUARES,
    VOLATILE,
    Scratch,
    collect,
    new_scratch,
    risk_weights,
)
from models.book import Book, BookArrays, require_sheets
from models.errors import InputError
from models.typing import FloatArray, IntArray

__all__ = ["ACCOUNT_FEATURES", "ACCOUNT_MONOTONE", "account_features", "account_row", "one_state"]

_MONOTONE: Final[dict[str, int]] = {
    "distance_sigma_60": -1,
    "distance_sigma_240": -1,
    "distance_sigma_1440": -1,
    "distance_sigma_4320": -1,
    "distance_price": -1,
    "gross_leverage": 1,
    "margin_usage": 1,
    "requirement_rate": 1,
    "concentration": 0,
    "direction": 0,
    "hedged_share": 0,
    "short_share": 0,
    "isolated_share": 0,
    "haircut_share": 0,
    "volatile_collateral_share": 0,
    "wrong_way_correlation": 0,
    "n_legs": 0,
    "n_units": 0,
    "n_collaterals": 0,
    "n_assets": 0,
    "main_asset": 0,
}
ACCOUNT_FEATURES: Final[tuple[str, ...]] = tuple(_MONOTONE)
"""Names of the columns, in order."""
ACCOUNT_MONOTONE: Final[tuple[int, ...]] = tuple(_MONOTONE.values())
"""Direction of risk in each column; 0 where the column does not move with scale."""

_FAR_SIGMA: Final = 40.0
_FAR_PRICE: Final = 5.0
_MAX_LEVERAGE: Final = 1000.0


def account_features(
    book: Book,
    price: FloatArray,
    sigma: FloatArray,
    factor: FloatArray | float,
    loading: FloatArray | None = None,
    row: IntArray | None = None,
) -> FloatArray:
    """Features of every account of a book with respect to one level.

    Parameters
    ----------
    book : Book
        n accounts over A assets.
    price : ndarray, shape (A,) or (R, A)
        Prices, settlement currency.
    sigma : ndarray, shape (A, 4) or (R, A, 4)
        Standard deviation of the log price change over each of the horizons.
    factor : ndarray, shape (n,), or float
        The level as a multiple of maintenance: 1 for liquidation, the account's call factor for a call.
    loading : ndarray, shape (A,) or (R, A), optional
        Correlation of each asset to the common factor; `DEFAULT_LOADING` where NaN or not given.
    row : ndarray of int64, shape (n,), optional
        Which of the R market states an account is in; the first if not given.

    Returns
    -------
    ndarray of float64, shape (n, len(ACCOUNT_FEATURES))
        ``distance_sigma_*`` the nearest margin unit's distance to the level in sigmas of the horizon: from the exact
        barrier prices for a unit with one price factor, gap over its delta-normal deviation for several, negative
        in breach, within [-40, 40]; ``distance_price`` the same in log price (for several assets: all against it at
        once), within [-5, 5]; ``gross_leverage`` at most 1000 and ``margin_usage`` (requirement over equity of the
        worst unit) at most 10, also where equity is not positive; ``requirement_rate`` requirement over gross;
        ``concentration`` Herfindahl index of leg values; ``direction`` net over gross; ``haircut_share`` at the
        first haircut step; ``wrong_way_correlation`` of what collateral and positions earn over a day; ``main_asset``
        the index of the asset with the largest net risk, -1 without positions. A NaN price makes the account's
        distances NaN.

    Raises
    ------
    InputError
        If shapes do not agree.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> from models.account import Account, Collateral, Position
    >>> account = Account(account_id="a", as_of=datetime(2025, 3, 1, tzinfo=timezone.utc), ruleset="generic-linear",
    ...     currency="USDT", collateral=(Collateral(asset="USDT", quantity=1e4),),
    ...     positions=(Position(symbol="BTC/USDT:USDT", quantity=0.5, entry_price=80_000.0),))
    >>> book, _ = Book.from_accounts([account], ["BTC"])
    >>> sigma = np.array([[0.005, 0.01, 0.025, 0.045]])
    >>> columns = account_features(book, np.array([80_000.0]), sigma, book.arrays.account_call_factor)
    >>> float(columns[0, ACCOUNT_FEATURES.index("gross_leverage")])
    4.0
    """
    prices, sigmas, rows, level = one_state(book, price, sigma, factor, row)
    loads = np.full(prices.shape, DEFAULT_LOADING)
    if loading is not None:
        np.copyto(loads, loading, where=~np.isnan(loading))
    out = np.empty((len(book), len(ACCOUNT_FEATURES)))
    _fill(book.arrays, prices, sigmas, loads, rows, level, out)
    return out


def one_state(
    book: Book, price: FloatArray, sigma: FloatArray, factor: FloatArray | float, row: IntArray | None
) -> tuple[FloatArray, FloatArray, IntArray, FloatArray]:
    """Bring market states and levels to shapes (R, A), (R, A, 4), (n,), (n,), and check them.

    Parameters
    ----------
    book : Book
        The accounts.
    price, sigma, factor, row
        As for `account_features`.

    Returns
    -------
    tuple of ndarray
        Price, sigma, row, factor.

    Raises
    ------
    InputError
        If shapes do not agree, a row is not a state, or the book has options without sheets.

    Examples
    --------
    >>> book, _ = Book.from_accounts([], ["BTC"])
    >>> [x.shape for x in one_state(book, np.ones(1), np.ones((1, 4)), 1.25, None)]
    [(1, 1), (1, 1, 4), (0,), (0,)]
    """
    require_sheets(book)
    n, n_assets = len(book), len(book.assets)
    prices, sigmas = np.ascontiguousarray(price, np.float64), np.ascontiguousarray(sigma, np.float64)
    prices = prices.reshape(1, -1) if prices.ndim == 1 else prices
    sigmas = sigmas[None] if sigmas.ndim == 2 else sigmas
    if prices.ndim != 2 or prices.shape[1] != n_assets:
        raise InputError("price", prices.shape, f"one price for each of the {n_assets} assets of the book")
    if sigmas.shape != (*prices.shape, 4):
        raise InputError("sigma", sigmas.shape, f"shape {(*prices.shape, 4)}: states, assets, horizons")
    rows = np.zeros(n, np.int64) if row is None else np.ascontiguousarray(row, np.int64)
    if rows.shape != (n,) or (row is not None and n and (rows.min() < 0 or rows.max() >= len(prices))):
        raise InputError("row", rows.shape, f"for each account a state from 0 to {len(prices) - 1}")
    level = np.full(n, factor, np.float64) if np.ndim(factor) == 0 else np.ascontiguousarray(factor, np.float64)
    if level.shape != (n,):
        raise InputError("factor", level.shape, f"one level, or one for each of the {n} accounts")
    return prices, sigmas, rows, level


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    b: BookArrays,
    price: FloatArray,
    sigma: FloatArray,
    loading: FloatArray,
    row: IntArray,
    factor: FloatArray,
    out: FloatArray,
) -> None:
    s = new_scratch(price.shape[1])
    for n in range(len(row)):
        r = row[n]
        account_row(b, n, factor[n], price[r], sigma[r], loading[r], s, out[n])


@njit(cache=True, nogil=True, error_model="numpy")
def account_row(
    b: BookArrays,
    n: int,
    k: float,
    price: FloatArray,
    sigma: FloatArray,
    loading: FloatArray,
    s: Scratch,
    out: FloatArray,
) -> None:
    """Features of account `n`; leaves its exposures, weights and sides in the work space."""
    usage = collect(b, n, k, price, sigma, loading, s)
    main = risk_weights(sigma, s)
    sums = s.sums
    for h in range(4):
        out[h] = _clip(s.near[h], -_FAR_SIGMA, _FAR_SIGMA)
    out[4] = _clip(s.near[4], -_FAR_PRICE, _FAR_PRICE)
    leverage = sums[GROSS] / sums[EQUITY] if sums[EQUITY] > 0.0 else _MAX_LEVERAGE * (sums[GROSS] > 0.0)
    out[5] = _clip(leverage, 0.0, _MAX_LEVERAGE)
    out[6] = usage
    out[7] = _share(sums[REQUIREMENT], sums[GROSS])
    out[8] = _share(sums[SQUARES], sums[GROSS] * sums[GROSS])
    _composition(sums, s, out)
    out[15] = _wrong_way(sigma, loading, s)
    first, last = b.account_unit[n], b.account_unit[n + 1]
    out[16] = b.unit_leg[last] - b.unit_leg[first]
    out[17] = last - first
    out[18] = sums[N_COLL]
    held = 0
    for i in range(s.seen[-1]):
        held += s.gross[s.seen[i]] > 0.0
    out[19] = held
    out[20] = main


@njit(cache=True, nogil=True, error_model="numpy")
def _composition(sums: FloatArray, s: Scratch, out: FloatArray) -> None:
    net, left = 0.0, 0.0
    for i in range(s.seen[-1]):
        net += s.net[s.seen[i]]
        left += abs(s.net[s.seen[i]])
    out[9] = _share(net, sums[GROSS])
    out[10] = 1.0 - left / sums[GROSS] if sums[GROSS] > 0.0 else 0.0
    out[11] = _share(sums[SHORT], sums[GROSS])
    out[12] = _share(sums[ISOLATED], sums[GROSS])
    funds = sums[COLLATERAL] + sums[CASH]
    out[13] = _share(sums[HAIRCUT], funds)
    out[14] = _share(sums[VOLATILE], funds)


@njit(cache=True, nogil=True, error_model="numpy")
def _wrong_way(sigma: FloatArray, loading: FloatArray, s: Scratch) -> float:
    """Correlation of what collateral and positions earn over a day, one common factor; 0 where either has no risk."""
    common_c, common_p, own_c, own_p, own = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(s.seen[-1]):
        a = s.seen[i]
        c, p, rest = s.backing[a] * sigma[a, DAY], s.net[a] * sigma[a, DAY], 1.0 - loading[a] * loading[a]
        common_c += c * loading[a]
        common_p += p * loading[a]
        own_c += c * c * rest
        own_p += p * p * rest
        own += c * p * rest
    scale = (common_c * common_c + own_c) * (common_p * common_p + own_p)
    return (common_c * common_p + own) / np.sqrt(scale) if scale > 0.0 else 0.0


@njit(cache=True, inline="always")
def _share(a: float, b: float) -> float:
    return a / b if b > 0.0 else 0.0


@njit(cache=True, inline="always")
def _clip(x: float, low: float, high: float) -> float:
    if x < low:
        return low
    return high if x > high else x
