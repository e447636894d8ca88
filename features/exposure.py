"""What an account is exposed to, asset by asset: the pass over legs and collateral that all account columns share."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit

from models.book import BookArrays
from models.margin.linear import barriers
from models.margin.sheets import sheet_value
from models.typing import FloatArray, IntArray

__all__ = ["DEFAULT_LOADING", "Scratch", "collect", "new_scratch", "risk_weights", "unit_distance"]

DEFAULT_LOADING: Final = 0.8
"""Correlation of an asset to the common factor where none is given: two assets then correlate by 0.64."""
DAY: Final = 2  # position of 1440 minutes in models.typing.HORIZONS
_ZERO: Final = 1e-9  # a net position below this share of the gross one counts as flat

# figures of the account in Scratch.sums
EQUITY, GROSS, SHORT, REQUIREMENT, CASH, COLLATERAL, VOLATILE, HAIRCUT, ISOLATED, SQUARES, N_COLL, SPARE = range(12)


class Scratch(NamedTuple):
    """Work space of the kernels, reused from account to account.

    Parameters
    ----------
    net, gross, backing : ndarray, shape (A,)
        Signed and absolute position value, and collateral value, of each asset, account currency.
    weight, side : ndarray, shape (A,)
        Share of each asset in the risk of the positions (sums to 1), and the side it is held on (1, -1, 0 if flat).
    delta : ndarray, shape (A,)
        Change of one unit's gap for a price change of one (log), account currency.
    seen, unit_seen : ndarray of int64, shape (A + 1,)
        Assets the account, the unit, touches; the last item counts them.
    sums : ndarray, shape (12,)
        Figures of the account.
    near : ndarray, shape (5,)
        Distance of the nearest unit in sigmas of the four horizons, and in price.
    """

    net: FloatArray
    gross: FloatArray
    backing: FloatArray
    weight: FloatArray
    side: FloatArray
    delta: FloatArray
    seen: IntArray
    unit_seen: IntArray
    sums: FloatArray
    near: FloatArray


@njit(cache=True, nogil=True)
def new_scratch(n_assets: int) -> Scratch:
    """Work space for books over `n_assets` assets."""
    return Scratch(
        np.zeros(n_assets),
        np.zeros(n_assets),
        np.zeros(n_assets),
        np.zeros(n_assets),
        np.zeros(n_assets),
        np.zeros(n_assets),
        np.zeros(n_assets + 1, np.int64),
        np.zeros(n_assets + 1, np.int64),
        np.zeros(12),
        np.zeros(5),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def collect(
    b: BookArrays, n: int, k: float, price: FloatArray, sigma: FloatArray, loading: FloatArray, s: Scratch
) -> float:
    """Fill the work space for account `n` at requirement factor `k`; returns the use of the worst unit."""
    for i in range(s.seen[-1]):
        a = s.seen[i]
        s.net[a] = s.gross[a] = s.backing[a] = 0.0
    s.seen[-1] = 0
    s.sums[:] = 0.0
    s.near[:] = np.inf
    usage = 0.0
    for u in range(b.account_unit[n], b.account_unit[n + 1]):
        equity, required = _unit(b, u, k, price, s, u > b.account_unit[n])
        s.sums[EQUITY] += equity
        s.sums[REQUIREMENT] += required
        if required != 0.0:
            usage = -_least(-usage, -min(required / equity, 10.0) if not equity <= 0.0 else -10.0)
        unit_distance(b, u, k, equity - required, price, sigma, loading, s)
    return usage


@njit(cache=True, inline="always")
def _row(start: IntArray, floor: FloatArray, i: int, value: float) -> int:
    """Row of schedule `i` that holds a value."""
    k: int = start[i]
    stop = start[i + 1] - 1
    while k < stop and floor[k + 1] <= value:
        k += 1
    return k


@njit(cache=True, inline="always")
def _touch(a: int, seen: IntArray) -> None:
    count = seen[-1]
    for i in range(count):
        if seen[i] == a:
            return
    seen[count] = a
    seen[-1] = count + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _unit(b: BookArrays, u: int, k: float, price: FloatArray, s: Scratch, isolated: bool) -> tuple[float, float]:
    """Equity and `k` times maintenance of a unit; adds its exposures to the account's, fills its deltas."""
    for i in range(s.unit_seen[-1]):
        s.delta[s.unit_seen[i]] = 0.0
    s.unit_seen[-1] = 0
    equity = b.unit_cash[u]
    s.sums[CASH] += max(equity, 0.0)
    required = b.unit_offset[u] + k * b.unit_floor[u]
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        a, q = b.leg_asset[i], b.leg_quantity[i]
        value = q * price[a]
        size = abs(value)
        at = b.leg_size[i] * price[a]
        row = _row(b.tier_start, b.tier_floor, b.leg_tier[i], at)
        equity += value - q * b.leg_entry[i]
        required += k * (b.tier_rate[row] * at - b.tier_offset[row])
        _touch(a, s.seen)
        _touch(a, s.unit_seen)
        s.delta[a] += value - k * b.tier_rate[row] * at
        s.net[a] += value
        s.gross[a] += size
        s.sums[GROSS] += size
        s.sums[SQUARES] += size * size
        s.sums[SHORT] += size if q < 0.0 else 0.0
        s.sums[ISOLATED] += size if isolated else 0.0
    for h in range(b.unit_sheet[u], b.unit_sheet[u + 1]):
        worth, need = _sheet(b, h, k, price, s)
        equity += worth
        required += need
    return equity + _collateral(b, u, price, s), required


@njit(cache=True, nogil=True, error_model="numpy")
def _sheet(b: BookArrays, h: int, k: float, price: FloatArray, s: Scratch) -> tuple[float, float]:
    """Equity and requirement of a sheet; its exposure is that of its slope."""
    a = b.sheet_asset[h]
    now, p = b.sheet_now[h], price[a]
    worth, need = b.sheet_equity[h, 0], b.sheet_maintenance[h, 0]
    slope = (sheet_value(now, worth, p * 1.005) - sheet_value(now, worth, p * 0.995)) * 100.0
    steeper = (sheet_value(now, need, p * 1.005) - sheet_value(now, need, p * 0.995)) * 100.0
    size = b.sheet_gross[h] * p
    _touch(a, s.seen)
    _touch(a, s.unit_seen)
    s.delta[a] += slope - k * steeper
    s.net[a] += slope
    s.gross[a] += size
    s.sums[GROSS] += size
    s.sums[SQUARES] += size * size
    s.sums[SHORT] += size if slope < 0.0 else 0.0
    return sheet_value(now, worth, p), k * sheet_value(now, need, p)


@njit(cache=True, nogil=True, error_model="numpy")
def _collateral(b: BookArrays, u: int, price: FloatArray, s: Scratch) -> float:
    """Collateral value of a unit after haircuts."""
    total = 0.0
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        a, schedule = b.coll_asset[j], b.coll_schedule[j]
        value = b.coll_quantity[j] * (price[a] if a >= 0 else 1.0)
        row = _row(b.sched_start, b.sched_floor, schedule, value)
        rate = b.sched_rate[row] if value >= 0.0 else 1.0
        total += rate * value - (b.sched_offset[row] if value >= 0.0 else 0.0)
        s.sums[N_COLL] += 1.0
        s.sums[COLLATERAL] += max(value, 0.0)
        s.sums[HAIRCUT] += max(value, 0.0) * (1.0 - b.sched_rate[b.sched_start[schedule]])
        if a >= 0:
            _touch(a, s.seen)
            _touch(a, s.unit_seen)
            s.delta[a] += rate * value
            s.backing[a] += value
            s.sums[VOLATILE] += value
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def unit_distance(
    b: BookArrays,
    u: int,
    k: float,
    gap: float,
    price: FloatArray,
    sigma: FloatArray,
    loading: FloatArray,
    s: Scratch,
) -> None:
    """Lower ``s.near`` to the distances of unit `u`, whose deltas are in ``s.delta``."""
    gross = 0.0
    for i in range(s.unit_seen[-1]):
        gross += abs(s.delta[s.unit_seen[i]])
    if gross == 0.0 and gap >= 0.0:
        return
    if s.unit_seen[-1] == 1 and gap >= 0.0:
        a = s.unit_seen[0]
        lower, upper = barriers(b, u, k, a, price)
        down = math.log(price[a] / lower) if lower > 0.0 else np.inf
        up = math.log(upper / price[a]) if upper < np.inf else np.inf
        near = min(down, up)
        s.near[4] = _least(s.near[4], near)
        for h in range(4):
            s.near[h] = _least(s.near[h], near / sigma[a, h])
        return
    s.near[4] = _least(s.near[4], gap / gross)
    for h in range(4):
        common, own = 0.0, 0.0
        for i in range(s.unit_seen[-1]):
            a = s.unit_seen[i]
            risk = s.delta[a] * sigma[a, h]
            common += risk * loading[a]
            own += risk * risk * (1.0 - loading[a] * loading[a])
        s.near[h] = _least(s.near[h], gap / math.sqrt(common * common + own))


@njit(cache=True, inline="always")
def _least(a: float, b: float) -> float:
    """The smaller one; NaN if either is."""
    return a if a < b or a != a else b


@njit(cache=True, nogil=True, error_model="numpy")
def risk_weights(sigma: FloatArray, s: Scratch) -> int:
    """Fill weight and side of each asset from the positions alone; returns the main asset, -1 without positions."""
    total = _weigh(s.net, sigma, s)
    if total == 0.0:
        total = _weigh(s.gross, sigma, s)
    main, most = -1, 0.0
    for i in range(s.seen[-1]):
        a = s.seen[i]
        flat = abs(s.net[a]) <= _ZERO * s.gross[a]
        s.side[a] = 0.0 if flat else (1.0 if s.net[a] > 0.0 else -1.0)
        s.weight[a] = s.weight[a] / total if total > 0.0 else 0.0
        if s.weight[a] > most:
            main, most = a, s.weight[a]
    return main


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh(value: FloatArray, sigma: FloatArray, s: Scratch) -> float:
    total = 0.0
    for i in range(s.seen[-1]):
        a = s.seen[i]
        size = abs(value[a])
        s.weight[a] = size * sigma[a, DAY] if size > _ZERO * s.gross[a] else 0.0
        total += s.weight[a]
    return total
