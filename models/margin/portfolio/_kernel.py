"""Scenario margin of one block, compiled: `models.margin.portfolio.engine` on the columns of a book."""

from __future__ import annotations

import math
from typing import Final

from models.margin._kernel import inlined, kernel
from models.margin._room import room
from models.margin.blocks import BlockArrays
from models.margin.portfolio._deltas import delta_needs
from models.margin.portfolio._lanes import (
    DEBT,
    FORWARD,
    GAIN,
    KEPT,
    LINEAR,
    MOVING,
    STATES,
    WORK_ROWS,
    YEARS,
    lane_count,
    padded,
    sums_by_rule,
)
from models.margin.portfolio._row import (
    BASIS_ADD,
    BASIS_DOWN,
    BASIS_MULTIPLE,
    BASIS_UP,
    COIN,
    FACTOR_IM,
    FACTOR_MM,
    HAS_BASIS,
    HEAD,
    N_POINTS,
    NEEDS_DELTA,
    OPTION_IM,
    OPTION_MM,
    PERPETUAL_IM,
    PERPETUAL_MM,
    PROVISION,
    RATE_MOVE,
    run_end,
    time_left,
)
from models.margin.portfolio.packing import POINT_SIZE
from models.typing import FloatArray

__all__ = ["requirement", "scenario_margin"]

_YEAR_HOURS: Final = 8760.0


@kernel
def _payoff(b: BlockArrays, first: int, last: int, spot: float) -> float:
    """What expired options have paid."""
    total = 0.0
    for j in range(first, last):
        gain = spot - b.option_strike[j] if b.option_call[j] else b.option_strike[j] - spot
        total += b.option_quantity[j] * max(gain, 0.0)
    return total


@inlined
def _totals(b: BlockArrays, i: int, sums: FloatArray) -> None:
    """Add up the lanes over live expiries in the row behind them; in the last row by how much each expiry changes."""
    p, first = b.block_parameter[i], b.block_expiry[i]
    points, lanes, n = int(b.parameter[p + N_POINTS]), lane_count(b, p), b.block_expiry[i + 1] - first
    total, change = sums[n], sums[n + 1]
    for k in range(points):
        total[k], change[k] = 0.0, 0.0
    for e in range(n):
        row, rate = sums[e], b.expiry_rate[first + e]
        if row[lanes + YEARS] <= 0.0:
            continue
        kept, gain, debt, mark = (
            row[lanes + KEPT],
            row[lanes + GAIN],
            row[lanes + DEBT],
            row[points] * row[lanes + KEPT],
        )
        for k in range(points):
            later = b.parameter[p + HEAD + POINT_SIZE * k + 3]
            shown = kept
            if later > 0.0 and rate != 0.0:
                shown = math.exp(-rate * max(row[lanes + YEARS] - later / _YEAR_HOURS, 0.0))
            after = row[k] * shown
            after *= gain if after > 0.0 else debt
            total[k] += after
            change[k] += abs(after - mark)


@inlined
def _linear(b: BlockArrays, i: int, spot: float, sums: FloatArray) -> float:
    """What everything but options is worth, as far as it moves with the price."""
    p, first = b.block_parameter[i], b.block_expiry[i]
    lanes, coin = lane_count(b, p), b.parameter[p + COIN] > 0.0
    linear = b.block_perpetual[i] * spot
    if not coin:
        linear += b.block_spot[i] * spot
    for e in range(b.block_expiry[i + 1] - first):
        if sums[e, lanes + YEARS] > 0.0:
            moves = spot if coin else sums[e, lanes + FORWARD] * sums[e, lanes + MOVING]
            linear += b.expiry_future[first + e] * moves
    return linear


@inlined
def _worst(b: BlockArrays, i: int, spot: float, live: float, sums: FloatArray) -> float:
    """Largest loss over the scenarios, weighted and dampened, >= 0."""
    p, n = b.block_parameter[i], b.block_expiry[i + 1] - b.block_expiry[i]
    coin, linear, worst = b.parameter[p + COIN] > 0.0, _linear(b, i, spot, sums), 0.0
    for k in range(int(b.parameter[p + N_POINTS])):
        q = p + HEAD + POINT_SIZE * k
        price, weight, edge = b.parameter[q], b.parameter[q + 2], b.parameter[q + 4]
        if b.parameter[q + 1] >= LINEAR:
            worst = max(worst, weight * sums[n + 1, k])
            continue
        if coin:
            profit = (sums[n, k] - live * (1.0 + price) + linear * price) * weight / (1.0 + edge)
        else:
            profit = (sums[n, k] - live + linear * price) * weight
        relief = min(b.parameter[q + 5] / (1.0 + edge if coin else 1.0), abs(profit))
        worst = max(worst, -(profit - relief if profit > 0.0 else profit + relief))
    return worst


@inlined
def _basis(b: BlockArrays, i: int, sums: FloatArray) -> float:
    """Forward contingency of the block, >= 0."""
    p, first = b.block_parameter[i], b.block_expiry[i]
    points, lanes, loss = int(b.parameter[p + N_POINTS]), lane_count(b, p), 0.0
    for e in range(b.block_expiry[i + 1] - first):
        row = sums[e]
        years = row[lanes + YEARS]
        if years <= 0.0:
            continue
        worst = 0.0
        for side in range(2):
            move = b.parameter[p + (BASIS_UP if side == 0 else BASIS_DOWN)] * row[lanes + MOVING]
            gain = (row[points + 1 + side] - row[points]) * row[lanes + KEPT]
            worst = min(worst, gain + b.expiry_future[first + e] * row[lanes + FORWARD] * move)
        loss -= worst * (b.parameter[p + BASIS_ADD] + b.parameter[p + BASIS_MULTIPLE] * years)
    return loss


@inlined
def _value(b: BlockArrays, i: int, spot: float, sums: FloatArray) -> tuple[float, float, float]:
    """Value of live options, cash of expired ones, and value times years."""
    p, at, last = b.block_parameter[i], b.block_option[i], b.block_option[i + 1]
    points, lanes = int(b.parameter[p + N_POINTS]), lane_count(b, p)
    live, cash, duration = 0.0, 0.0, 0.0
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        first, at = at, run_end(b, at, last, e)
        row = sums[e - b.block_expiry[i]]
        if row[lanes + YEARS] > 0.0:
            mark = row[points] * row[lanes + KEPT]
            live, duration = live + mark, duration + mark * row[lanes + YEARS]
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
def requirement(
    b: BlockArrays, i: int, spot: float, vol: float, hours: float, sums: FloatArray
) -> tuple[float, float, float]:
    """Value, maintenance and initial requirement of block `i`, quote currency, from the sums of its lanes.

    Parameters and result are those of `scenario_margin`; `sums` is laid out as `_lanes` says.
    """
    p = b.block_parameter[i]
    live, cash, duration = _value(b, i, spot, sums)
    _totals(b, i, sums)
    worst = _worst(b, i, spot, live, sums)
    if b.parameter[p + HAS_BASIS] > 0.0:
        worst = max(worst, _basis(b, i, sums))
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


@kernel
def scenario_margin(b: BlockArrays, i: int, spot: float, vol: float, hours: float) -> tuple[float, float, float]:
    """Value, maintenance and initial requirement of block `i`, quote currency.

    The underlying trades at `spot`, every implied volatility is multiplied by `vol`, and `hours` have passed. The
    options of a block stand in the order of its expiries. The value is what live options are worth and what expired
    ones have paid; these require nothing more.
    """
    lanes = lane_count(b, b.block_parameter[i])
    work = room(WORK_ROWS, padded(lanes))
    sums = room(b.block_expiry[i + 1] - b.block_expiry[i] + 2, lanes + STATES)
    sums_by_rule(b, i, spot, vol, hours, work, sums)
    return requirement(b, i, spot, vol, hours, sums)
