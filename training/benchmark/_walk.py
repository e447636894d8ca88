"""The hour of the simulated market, compiled: history and futures are drawn by this code and no other."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from models.typing import Float32Array, FloatArray
from training.benchmark.law import CEILING, MARKET_STATE, OWN_STATE, LawArrays

__all__ = ["walk"]

_FIRST: Final = len(MARKET_STATE)
_WIDTH: Final = len(OWN_STATE)
_SLOW, _FAST, _KICK, _TREND, _PRICE = range(5)
_MOST_KICK: Final = 2.0
_FUNDING_HOURS: Final = 8
_RATE_LIMIT: Final = 7.5e-3


@njit(cache=True, nogil=True)
def walk(
    law: LawArrays,
    state: FloatArray,
    hour: int,
    normal: Float32Array,
    uniform: Float32Array,
    sign: float,
    bars: FloatArray,
    funding: FloatArray,
    kept: FloatArray,
) -> None:
    """Walk P paths over T hours from their states, which are left at the end.

    `state` (P, K); `hour` of the week of the first bar; `normal` (P, T, N) times `sign` (-1: the antithetic path) and
    `uniform` (P, T, U) drive the paths; `bars` (4, A, P, T) open, high, low, close and `funding` (A, P, T) are filled,
    and so is `kept` (P, T + 1, K) where it is not empty.
    """
    n_assets = len(law.usual)
    sigma, jump = np.empty(n_assets), np.empty(n_assets)
    for p in range(len(state)):
        s = state[p]
        for t in range(normal.shape[1]):
            if len(kept):
                kept[p, t] = s
            z, u = normal[p, t], uniform[p, t]
            now = (hour + t) % len(law.season)
            _deviations(law, s, law.season[now], sigma)
            step = _jumps(law, u, jump)
            _funding(law, s, now, z, sign, funding[:, p, t])
            _path(law, s, z, sign, sigma, jump, step, bars[:, :, p, t])
            _next(law, s, z, sign, u)
            for a in range(n_assets):
                moved = math.log(bars[3, a, p, t] / bars[0, a, p, t])
                at = _FIRST + a * _WIDTH + _TREND
                s[at] = law.keep[2] * s[at] + (1.0 - law.keep[2]) * moved
        if len(kept):
            kept[p, normal.shape[1]] = s


@njit(cache=True, nogil=True)
def _deviations(law: LawArrays, s: FloatArray, season: float, sigma: FloatArray) -> None:
    """Deviation of the hour of each asset."""
    market = math.sqrt(1.0 - law.own) * (s[_SLOW] + s[_FAST]) + s[_KICK]
    for a in range(len(sigma)):
        at = _FIRST + a * _WIDTH
        log_vol = market + math.sqrt(law.own) * (s[at + _SLOW] + s[at + _FAST]) + s[at + _KICK]
        sigma[a] = law.scale[a] * season * math.exp(min(log_vol, CEILING))


@njit(cache=True, nogil=True)
def _size(law: LawArrays, hit: float, down: float, size: float, which: int) -> float:
    if hit >= law.jump_rate[which]:
        return 0.0
    length = law.jump_size * (0.3 - 0.7 * math.log(1.0 - size))
    return -length if down < law.jump_down[which] else length


@njit(cache=True, nogil=True)
def _jumps(law: LawArrays, u: Float32Array, jump: FloatArray) -> int:
    """Jump of each asset in the hour, its own and the market's; the step at which it comes."""
    market = _size(law, u[0], u[1], u[2], 0)
    for a in range(len(jump)):
        at = 4 + 3 * a
        jump[a] = law.beta[a] * market + _size(law, u[at], u[at + 1], u[at + 2], 1)
    return min(int(u[3] * law.steps), law.steps - 1)


@njit(cache=True, nogil=True)
def _funding(law: LawArrays, s: FloatArray, hour: int, z: Float32Array, sign: float, rate: FloatArray) -> None:
    """Rate charged at the open of the hour."""
    first = law.steps * (1 + len(rate)) + 2
    spread = math.sqrt((1.0 - law.keep[2]) / (1.0 + law.keep[2]))
    for a in range(len(rate)):
        rate[a] = 0.0
        if hour % _FUNDING_HOURS == 0:
            trend = s[_FIRST + a * _WIDTH + _TREND] / (law.usual[a] * spread)
            premium = 4.5e-4 * trend + 1.5e-4 * sign * z[first + 3 * a + 2]
            clamped = premium + min(max(1e-4 - premium, -5e-4), 5e-4)
            rate[a] = min(max(clamped, -_RATE_LIMIT), _RATE_LIMIT)


@njit(cache=True, nogil=True)
def _path(
    law: LawArrays,
    s: FloatArray,
    z: Float32Array,
    sign: float,
    sigma: FloatArray,
    jump: FloatArray,
    step: int,
    bar: FloatArray,
) -> None:
    """Path inside the hour; extremes are those of its points, the open among them."""
    steps = law.steps
    crowd = law.correlation + law.crowding * (math.sqrt(1.0 - law.own) * s[_FAST] + s[_KICK])
    common = 1.0 / (1.0 + math.exp(-crowd))
    both, alone = sign * math.sqrt(common / steps), sign * math.sqrt((1.0 - common) / steps)
    for a in range(len(sigma)):
        at = _FIRST + a * _WIDTH + _PRICE
        x = s[at]
        low = high = opened = x
        back = -law.rebound * jump[a] / max(steps - 1 - step, 1)
        for i in range(steps):
            x += sigma[a] * (both * z[i] + alone * z[(1 + a) * steps + i])
            if jump[a] != 0.0 and i >= step:
                x += jump[a] if i == step else back
            low, high = min(low, x), max(high, x)
        bar[0, a], bar[1, a], bar[2, a], bar[3, a] = math.exp(opened), math.exp(high), math.exp(low), math.exp(x)
        s[at] = x


@njit(cache=True, nogil=True)
def _next(law: LawArrays, s: FloatArray, z: Float32Array, sign: float, u: Float32Array) -> None:
    """Move factors and kicks to the next hour."""
    n_assets, steps = len(law.usual), law.steps
    at = steps * (1 + n_assets)
    moved = 0.0
    for i in range(steps):
        moved += z[i]
    moved *= sign / math.sqrt(steps)
    noise = math.sqrt(1.0 - law.leverage**2) * sign * z[at + 1] + law.leverage * moved
    _revert(law, s, 0, sign * z[at], noise, u[0] < law.jump_rate[0])
    for a in range(n_assets):
        own = at + 2 + 3 * a
        _revert(law, s, _FIRST + a * _WIDTH, sign * z[own], sign * z[own + 1], u[4 + 3 * a] < law.jump_rate[1])


@njit(cache=True, nogil=True)
def _revert(law: LawArrays, s: FloatArray, at: int, slow: float, fast: float, hit: bool) -> None:
    """Move one pair of factors, and their kick."""
    keep = law.keep
    s[at + _SLOW] = keep[0] * s[at + _SLOW] + law.deviation[0] * math.sqrt(1.0 - keep[0] ** 2) * slow
    s[at + _FAST] = keep[1] * s[at + _FAST] + law.deviation[1] * math.sqrt(1.0 - keep[1] ** 2) * fast
    kick = keep[1] * s[at + _KICK] + (law.jump_kick if hit else 0.0)
    s[at + _KICK] = min(kick, _MOST_KICK)
