"""The size of a margin call without paths: where the level lies, and how far beyond it the hour that passes it reaches.

Prices move along one ray: that of the moves which, on average, go with a loss of the gap (a single price: its own).
The gap is followed along the ray to its root by the exact rule; the overshoot is looked up in a table of the past; at
the prices so found the account is valued by the exact rule.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit

from models._path_kernels import asset_part, unit_assets
from models.book import Book, BookArrays, require_sheets
from models.margin._kernel import kernel
from models.margin.linear import unit_equity, unit_gap, unit_initial, unit_is_live, unit_requirement
from models.overshoot import AMOUNT_LEVELS, OvershootTable, overshoot_at
from models.typing import HORIZONS, FloatArray, IntArray

__all__ = ["call_sizes"]

_DAY: Final = HORIZONS.index(1440)
_FURTHEST: Final = 24.0
"""Deviations of a day to which a root is looked for."""
_ROOT_HOURS: Final = np.sqrt(np.array(HORIZONS) / 60.0)


def call_sizes(
    book: Book, price: FloatArray, sigma: FloatArray, correlation: FloatArray, table: OvershootTable
) -> FloatArray:
    """Quantiles of the call amount given a call within each horizon, by the prior alone.

    Parameters
    ----------
    book : Book
        n accounts.
    price : ndarray of float, shape (A,)
        Prices now.
    sigma : ndarray of float, shape (A, 4)
        Volatility of each asset to each horizon.
    correlation : ndarray of float, shape (A, A)
        Of daily moves.
    table : OvershootTable
        How far beyond a barrier the price goes.

    Returns
    -------
    ndarray of float, shape (n, 4, 7)
        Account currency, at `AMOUNT_LEVELS`, rising; NaN where no move along the ray leads to a call or a price is
        missing.

    Raises
    ------
    InputError
        If the book has options without sheets.

    Notes
    -----
    Valid for accounts that one direction of the market calls. Of several units the nearest one counts; time value is
    that of now.
    """
    require_sheets(book)
    out = np.empty((len(book), len(HORIZONS), len(AMOUNT_LEVELS)))
    arrays = (np.ascontiguousarray(a, np.float64) for a in (price, sigma, correlation, table.quantile))
    _fill(book.arrays, *arrays, out)
    return out


class Ray(NamedTuple):
    """A direction of all prices, and work space."""

    move: FloatArray  # (A,) log moves that go with a gain of the gap by one deviation of a day
    ratio: FloatArray  # (4,) deviation of the gap to each horizon over that of a day
    used: IntArray  # (A,) assets of the unit
    slope: FloatArray  # (A,) change of the gap for each of them
    trial: FloatArray  # (A,) prices somewhere along it


@njit(cache=True, nogil=True)
def _new_ray(n_assets: int) -> Ray:  # pragma: no cover - compiled
    return Ray(np.zeros(n_assets), np.ones(4), np.zeros(n_assets, np.int64), np.zeros(n_assets), np.zeros(n_assets))


@njit(cache=True, nogil=True)
def _fill(  # pragma: no cover - compiled
    b: BookArrays, price: FloatArray, sigma: FloatArray, correlation: FloatArray, table: FloatArray, out: FloatArray
) -> None:
    ray, best = _new_ray(len(price)), _new_ray(len(price))
    for n in range(len(out)):
        nearest, unit, spread, live = np.inf, -1, 0.0, False
        for u in range(b.account_unit[n], b.account_unit[n + 1]):
            if unit_is_live(b, u):
                live = True
                spread += _aim(b, u, b.account_call_factor[n], price, sigma, correlation, ray)
                root = _root(b, u, b.account_call_factor[n], price, ray)
                if abs(root) < abs(nearest):
                    nearest, unit = root, u
                    best.move[:] = ray.move
                    best.ratio[:] = ray.ratio
        if unit >= 0:
            _beyond(b, n, unit, price, nearest, table, best, out[n])
        elif live:
            _without_root(b, n, price, spread, ray.ratio, table[1], out[n])
        else:
            out[n] = np.nan


@kernel
def _beyond(
    b: BookArrays, n: int, u: int, price: FloatArray, root: float, table: FloatArray, ray: Ray, out: FloatArray
) -> None:
    """Amounts of account `n` where its unit is called, and by each quantile of the overshoot beyond."""
    toward = 1.0 if root >= 0.0 else -1.0
    market = 0.0
    for move in ray.move:
        market += move
    side = 0 if market * toward > 0.0 else 1
    k, coin = b.account_call_factor[n], b.account_numeraire[n]
    for h in range(4):
        hour = ray.ratio[h] / _ROOT_HOURS[h]
        for q in range(out.shape[1]):
            over = overshoot_at(table[side, h], abs(root) / ray.ratio[h], q)
            _move(price, ray, root + toward * over * hour)
            amount = unit_initial(b, u, k, b.account_initial_factor[n], ray.trial) - unit_equity(b, u, ray.trial)
            amount = amount / ray.trial[coin] if coin >= 0 else amount
            out[h, q] = out[h, q - 1] if q > 0 and amount < out[h, q - 1] else amount


@kernel
def _without_root(
    b: BookArrays, n: int, price: FloatArray, spread: float, ratio: FloatArray, table: FloatArray, out: FloatArray
) -> None:
    """Room between initial and call requirement now, and the overshoot of the furthest node."""
    k, coin, room = b.account_call_factor[n], b.account_numeraire[n], 0.0
    for u in range(b.account_unit[n], b.account_unit[n + 1]):
        room += unit_initial(b, u, k, b.account_initial_factor[n], price) - unit_requirement(b, u, k, price)
    for h in range(4):
        for q in range(out.shape[1]):
            amount = room + spread * ratio[h] / _ROOT_HOURS[h] * table[h, table.shape[1] - 1, q]
            out[h, q] = amount / price[coin] if coin >= 0 else amount


@kernel
def _move(price: FloatArray, ray: Ray, far: float) -> None:
    """Prices some way along the ray."""
    for a in range(len(price)):
        ray.trial[a] = price[a] * math.exp(far * ray.move[a]) if ray.move[a] != 0.0 else price[a]


@kernel
def _aim(
    b: BookArrays, u: int, k: float, price: FloatArray, sigma: FloatArray, correlation: FloatArray, ray: Ray
) -> float:
    """Fill the ray of a unit; the deviation of its gap over a day, account currency."""
    m = unit_assets(b, u, ray.used)
    for i in range(m):
        a = ray.used[i]
        up = math.exp(sigma[a, _DAY])
        ray.slope[i] = (asset_part(b, u, k, a, price[a] * up) - asset_part(b, u, k, a, price[a] / up)) / 2.0
    total = _deviation(m, _DAY, sigma, correlation, ray)
    for h in range(4):
        if total > 0.0:
            ray.ratio[h] = _deviation(m, h, sigma, correlation, ray) / total
        else:
            ray.ratio[h] = sigma[ray.used[0], h] / sigma[ray.used[0], _DAY]
    for a in range(len(ray.move)):
        ray.move[a] = 0.0
    for i in range(m):
        c, together = ray.used[i], 0.0
        for j in range(m):
            together += correlation[c, ray.used[j]] * ray.slope[j]
        ray.move[c] = sigma[c, _DAY] * (together / total if total > 0.0 else 1.0)
    return total


@kernel
def _deviation(m: int, h: int, sigma: FloatArray, correlation: FloatArray, ray: Ray) -> float:
    """Deviation of the gap to a horizon, from its changes for a deviation of a day of each asset."""
    variance = 0.0
    for i in range(m):
        c = ray.used[i]
        own = ray.slope[i] * sigma[c, h] / sigma[c, _DAY]
        for j in range(m):
            d = ray.used[j]
            variance += own * ray.slope[j] * sigma[d, h] / sigma[d, _DAY] * correlation[c, d]
    return math.sqrt(max(variance, 0.0))


@kernel
def _root(b: BookArrays, u: int, k: float, price: FloatArray, ray: Ray) -> float:
    """Signed way along the ray to the nearer root of the gap; 0 in breach, infinite where there is none."""
    here = unit_gap(b, u, k, price)
    if not here >= 0.0:
        return 0.0 if here < 0.0 else np.inf
    found = np.inf
    for toward in (-1.0, 1.0):
        inside, value, far = 0.0, here, 0.25
        while inside < min(abs(found), _FURTHEST):
            _move(price, ray, toward * far)
            other = unit_gap(b, u, k, ray.trial)
            if other < 0.0:
                way = _close(b, u, k, price, ray, toward, inside, value, far, other)
                found = toward * way if way < abs(found) else found
                break
            inside, value, far = far, other, min(1.6 * far, _FURTHEST)
    return found


@kernel
def _close(
    b: BookArrays,
    u: int,
    k: float,
    price: FloatArray,
    ray: Ray,
    toward: float,
    inside: float,
    value: float,
    outside: float,
    other: float,
) -> float:
    """Root between two ways, by the Illinois method."""
    last, least = 0, 1e-9 * (abs(value) + abs(other))
    for _ in range(40):
        if outside - inside <= 1e-7 * outside:
            break
        middle = inside + (outside - inside) * value / (value - other)
        if not inside < middle < outside:
            middle = 0.5 * (inside + outside)
        _move(price, ray, toward * middle)
        found = unit_gap(b, u, k, ray.trial)
        if abs(found) <= least:
            return middle
        if found < 0.0:
            outside, other = middle, found
            value = 0.5 * value if last < 0 else value
            last = -1
        else:
            inside, value = middle, found
            other = 0.5 * other if last > 0 else other
            last = 1
    return outside
