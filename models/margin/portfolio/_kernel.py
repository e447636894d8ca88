"""Scenario margin of one block, compiled: `models.margin.portfolio.engine` on the columns of a book.

Options are revalued expiry by expiry in a loop without a branch, which the compiler turns into vector instructions.
"""

from __future__ import annotations

import math
from typing import Any, Final

from numba import njit

from models.margin._kernel import inlined, kernel
from models.margin.blocks import BlockArrays
from models.margin.portfolio._deltas import delta_needs
from models.margin.portfolio._row import (
    BASIS_ADD,
    BASIS_DOWN,
    BASIS_MULTIPLE,
    BASIS_UP,
    COIN,
    DISCOUNT,
    FACTOR_IM,
    FACTOR_MM,
    HAS_BASIS,
    HAS_DISCOUNT,
    HEAD,
    N_POINTS,
    NEEDS_DELTA,
    OPTION_IM,
    OPTION_MM,
    PERPETUAL_IM,
    PERPETUAL_MM,
    PROVISION,
    RATE_MOVE,
    SKEW,
    VOL,
    VOL_ABSOLUTE,
    WINDOW,
    forward_of,
    run_end,
    time_left,
)
from models.margin.portfolio.packing import POINT_SIZE
from models.options.batch import black76_fast

__all__ = ["scenario_margin"]

_YEAR_DAYS: Final = 365.0
_YEAR_HOURS: Final = 8760.0
_UP: Final = 1.0
_LINEAR: Final = 3.0
_OPTIONS: Final[dict[str, Any]] = {"cache": True, "nogil": True, "_nrt": False, "error_model": "numpy"}
_summed = njit(**_OPTIONS, fastmath={"contract", "reassoc"})
"""Sums may be taken in any order; the prices are compiled on their own and keep theirs."""


@_summed
def _sum(
    b: BlockArrays, first: int, last: int, forward: float, root: float, share: float, add: float, least: float
) -> float:
    """Undiscounted value of a run of options at ``max(vol * share + add, least)``."""
    total = 0.0
    for j in range(first, last):
        v = b.option_vol[j] * share + add
        v = v if v > least else least
        total += b.option_quantity[j] * black76_fast(forward, b.option_strike[j], v * root, b.option_call[j])
    return total


@kernel
def _skewed_sum(
    b: BlockArrays, first: int, last: int, forward: float, years: float, p: int, vol: float, tilt: bool, moved: bool
) -> float:
    """Undiscounted value of a run of options after a move of the skew."""
    s, root, total = p + SKEW, math.sqrt(years), 0.0
    own = s if tilt and not moved else s + 2
    amplitude = b.parameter[own] + b.parameter[own + 1] * root
    wing = max(b.parameter[s + 4], b.parameter[s + 5] * (b.parameter[s + 6] + b.parameter[s + 7] * root) * root)
    for j in range(first, last):
        money = math.log(b.option_strike[j] / forward)
        reach = abs(money) / wing if wing > 0.0 else math.inf
        move = min(amplitude * reach, amplitude) if amplitude != 0.0 else 0.0
        v = max(b.option_vol[j] * vol * (1.0 + (-move if tilt and money < 0.0 else move)), 0.0)
        total += b.option_quantity[j] * black76_fast(forward, b.option_strike[j], v * root, b.option_call[j])
    return total


@kernel
def _payoff(b: BlockArrays, first: int, last: int, spot: float) -> float:
    """What expired options have paid."""
    total = 0.0
    for j in range(first, last):
        gain = spot - b.option_strike[j] if b.option_call[j] else b.option_strike[j] - spot
        total += b.option_quantity[j] * max(gain, 0.0)
    return total


@inlined
def _vol_scale(b: BlockArrays, p: int, years: float) -> float:
    """Multiple of the volatility shock at this time to expiry."""
    v = p + VOL
    days = max(years * _YEAR_DAYS, b.parameter[v + 6])
    power = b.parameter[v + 2] if days <= b.parameter[v + 4] else b.parameter[v + 3]
    return 1.0 if power == 0.0 else (b.parameter[v + 5] / days) ** power


@inlined
def _counted(b: BlockArrays, p: int, e: int, value: float, years: float) -> float:
    """Value of an expiry in a scenario, after the static discount."""
    if b.parameter[p + HAS_DISCOUNT] == 0.0:
        return value
    d, rate = p + DISCOUNT, b.expiry_rate[e]
    if value > 0.0:
        slope = rate * b.parameter[d + 1] + b.parameter[d + 2]
        return value * b.parameter[d] * math.exp(-years * slope)
    debt = b.parameter[d + 3] * math.exp(years * (rate * b.parameter[d + 4] + b.parameter[d + 5]))
    return value * min(debt, math.exp(rate * years))


@inlined
def _moving(b: BlockArrays, p: int, years: float) -> float:
    """Share of the forward that still moves, less than 1 inside the settlement window."""
    window = b.parameter[p + WINDOW]
    return years / window if years < window else 1.0


@inlined
def _after(
    b: BlockArrays, p: int, e: int, first: int, last: int, forward: float, years: float, vol: float, q: int
) -> float:
    """Value of the options of an expiry in the scenario at place `q` of the row."""
    price, kind = b.parameter[q], b.parameter[q + 1]
    if kind >= _LINEAR:
        total = _skewed_sum(b, first, last, forward, years, p, vol, kind == _LINEAR, price != 0.0)
        return _counted(b, p, e, total * math.exp(-b.expiry_rate[e] * years), years)
    share, add, least = vol, 0.0, 0.0
    if kind > 0.0:
        up = kind == _UP
        size = _vol_scale(b, p, years) * (b.parameter[p + VOL] if up else -b.parameter[p + VOL + 1])
        absolute = b.parameter[p + VOL_ABSOLUTE] > 0.0
        share, add = (vol, size) if absolute else (vol * (1.0 + size), 0.0)
        least = b.parameter[p + VOL + 7] if up else 0.0
    left = max(years - b.parameter[q + 3] / _YEAR_HOURS, 0.0)
    moved = forward * (1.0 + _moving(b, p, years) * price)
    total = _sum(b, first, last, moved, math.sqrt(left), share, add, least)
    return _counted(b, p, e, total * math.exp(-b.expiry_rate[e] * left), years)


@kernel
def _mark(b: BlockArrays, e: int, first: int, last: int, forward: float, years: float, vol: float) -> float:
    """Value of the options of an expiry."""
    total = _sum(b, first, last, forward, math.sqrt(years), vol, 0.0, 0.0)
    return total * math.exp(-b.expiry_rate[e] * years)


@kernel
def _profit(b: BlockArrays, i: int, spot: float, vol: float, hours: float, value: float, q: int) -> float:
    """Profit or loss of the scenario at place `q`, weighted and dampened; `value` is that of the live options."""
    p, at, last = b.block_parameter[i], b.block_option[i], b.block_option[i + 1]
    price, weight, edge = b.parameter[q], b.parameter[q + 2], b.parameter[q + 4]
    skew, coin = b.parameter[q + 1] >= _LINEAR, b.parameter[p + COIN] > 0.0
    total, change, linear = 0.0, 0.0, b.block_perpetual[i] * spot
    if not coin:
        linear += b.block_spot[i] * spot
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        first, at = at, run_end(b, at, last, e)
        years = time_left(b, e, hours)
        if years <= 0.0:
            continue
        forward = forward_of(b, e, spot, years)
        after = _after(b, p, e, first, at, forward, years, vol, q) if at > first else 0.0
        total += after
        linear += b.expiry_future[e] * (spot if coin else forward * _moving(b, p, years))
        if skew and at > first:
            change += abs(after - _mark(b, e, first, at, forward, years, vol))
    if skew:
        return -weight * change
    if coin:
        profit = (total - value * (1.0 + price) + linear * price) * weight / (1.0 + edge)
    else:
        profit = (total - value + linear * price) * weight
    relief = min(b.parameter[q + 5] / (1.0 + edge if coin else 1.0), abs(profit))
    return profit - relief if profit > 0.0 else profit + relief


@kernel
def _basis(b: BlockArrays, i: int, spot: float, vol: float, hours: float) -> float:
    """Forward contingency of the block, >= 0."""
    p, at, last = b.block_parameter[i], b.block_option[i], b.block_option[i + 1]
    loss = 0.0
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        first, at = at, run_end(b, at, last, e)
        years = time_left(b, e, hours)
        if years <= 0.0:
            continue
        forward, share = forward_of(b, e, spot, years), _moving(b, p, years)
        mark, worst = _mark(b, e, first, at, forward, years, vol), 0.0
        for move in (b.parameter[p + BASIS_UP] * share, b.parameter[p + BASIS_DOWN] * share):
            gain = _mark(b, e, first, at, forward * (1.0 + move), years, vol) - mark
            worst = min(worst, gain + b.expiry_future[e] * forward * move)
        loss -= worst * (b.parameter[p + BASIS_ADD] + b.parameter[p + BASIS_MULTIPLE] * years)
    return loss


@kernel
def _value(b: BlockArrays, i: int, spot: float, vol: float, hours: float) -> tuple[float, float, float]:
    """Value of live options, cash of expired ones, and value times years."""
    at, last = b.block_option[i], b.block_option[i + 1]
    live, cash, duration = 0.0, 0.0, 0.0
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        first, at = at, run_end(b, at, last, e)
        years = time_left(b, e, hours)
        if years > 0.0:
            mark = _mark(b, e, first, at, forward_of(b, e, spot, years), years, vol)
            live, duration = live + mark, duration + mark * years
        else:
            cash += _payoff(b, first, at, spot)
    return live, cash, duration


@kernel
def _net_short(b: BlockArrays, i: int, hours: float) -> float:
    """Live short options, net by expiry and strike."""
    at, last, total = b.block_option[i], b.block_option[i + 1], 0.0
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        first, at = at, run_end(b, at, last, e)
        if time_left(b, e, hours) <= 0.0:
            continue
        for j in range(first, at):
            net, earlier = 0.0, False
            for k in range(first, at):
                if b.option_strike[k] == b.option_strike[j]:
                    net += b.option_quantity[k]
                    earlier = earlier or k < j
            total += 0.0 if earlier else max(-net, 0.0)
    return total


@kernel
def scenario_margin(b: BlockArrays, i: int, spot: float, vol: float, hours: float) -> tuple[float, float, float]:
    """Value, maintenance and initial requirement of block `i`, quote currency.

    The underlying trades at `spot`, every implied volatility is multiplied by `vol`, and `hours` have passed. The
    options of a block stand in the order of its expiries. The value is what live options are worth and what expired
    ones have paid; these require nothing more.
    """
    p = b.block_parameter[i]
    live, cash, duration = _value(b, i, spot, vol, hours)
    worst = 0.0
    for s in range(int(b.parameter[p + N_POINTS])):
        worst = max(worst, -_profit(b, i, spot, vol, hours, live, p + HEAD + POINT_SIZE * s))
    if b.parameter[p + HAS_BASIS] > 0.0:
        worst = max(worst, _basis(b, i, spot, vol, hours))
    need = worst + b.parameter[p + RATE_MOVE] * abs(duration)
    if b.parameter[p + NEEDS_DELTA] > 0.0:
        added, least = delta_needs(b, i, spot, vol, hours)
        need = max(need + added, least)
    perpetual, short = abs(b.block_perpetual[i]) * spot, 0.0
    if b.parameter[p + OPTION_MM] + b.parameter[p + OPTION_IM] > 0.0:
        short = _net_short(b, i, hours) * spot
    flat = (b.parameter[p + PERPETUAL_MM] + b.parameter[p + PROVISION]) * perpetual + b.parameter[p + OPTION_MM] * short
    more = b.parameter[p + PERPETUAL_IM] * perpetual + b.parameter[p + OPTION_IM] * short
    return live + cash, b.parameter[p + FACTOR_MM] * need + flat, b.parameter[p + FACTOR_IM] * need + flat + more
