"""What happens at an expiry: the payoff becomes cash or coin, and what was required is free."""

from __future__ import annotations

from models.margin._direct_plan import DirectPlan, Walked
from models.margin._extremes import Extremes
from models.margin._kernel import kernel

__all__ = ["past_expiry", "settle"]

_HOUR_NS = 3_600_000_000_000
_YEAR_HOURS = 8760.0
_CLOSE = 1e-6
"""Hours within which an expiry counts as reached."""


@kernel
def settle(w: Walked, t: Extremes, d: DirectPlan, u: int, n: int, bar: int, opened: int) -> bool:
    """Settle what of unit `u` of account `n` has expired by the open of a bar, at that price; whether anything had."""
    b, settled = w.book, 0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        if b.leg_expiry[i] > opened or b.leg_tier[i] == w.nothing:
            continue
        price = t.open[b.leg_asset[i], bar]
        if d.leg_coin[i]:
            b.leg_quantity[i] *= 1.0 - b.leg_entry[i] / price
        else:
            b.unit_cash[u] += b.leg_quantity[i] * (price - b.leg_entry[i])
            b.leg_quantity[i] = 0.0
        b.leg_entry[i] = 0.0
        b.leg_size[i] = 0.0
        b.leg_initial[i] = 0.0
        b.leg_tier[i] = w.nothing
        settled += 1
    hours = (opened - d.as_of[n]) / _HOUR_NS
    for i in range(d.unit_block[u], d.unit_block[u + 1]):
        settled += _settle_block(w, u, i, t.open[w.blocks.block_asset[i], bar], hours)
    return settled > 0


@kernel
def _settle_block(w: Walked, u: int, i: int, price: float, hours: float) -> int:
    """How many expiries and options have been reached; an expiry counts again at every later bar."""
    k, settled = w.blocks, 0
    for e in range(k.block_expiry[i], k.block_expiry[i + 1]):
        if k.expiry_years[e] * _YEAR_HOURS <= hours + _CLOSE:
            settled += 1
            k.expiry_future[e] = 0.0
            if len(k.expiry_linear) > 0:
                k.expiry_linear[e] = 0.0
                k.expiry_inverse[e] = 0.0
    for o in range(k.block_option[i], k.block_option[i + 1]):
        left = k.expiry_years[k.option_expiry[o]] * _YEAR_HOURS - hours
        if k.option_quantity[o] == 0.0 or left > _CLOSE:
            continue
        inside = price - k.option_strike[o] if k.option_call[o] else k.option_strike[o] - price
        paid = k.option_quantity[o] * max(inside, 0.0)
        if len(k.option_coin) > 0 and k.option_coin[o]:
            w.block_coin[i] += paid / price
        else:
            b = w.book
            b.unit_cash[u] += paid
        k.option_quantity[o] = 0.0
    return settled


@kernel
def past_expiry(w: Walked, d: DirectPlan, u: int, hours: float) -> float:
    """Hours, moved just beyond an expiry of the unit that they reach up to rounding."""
    k = w.blocks
    out = hours
    for i in range(d.unit_block[u], d.unit_block[u + 1]):
        for e in range(k.block_expiry[i], k.block_expiry[i + 1]):
            if abs(k.expiry_years[e] * _YEAR_HOURS - hours) <= _CLOSE:
                out = hours + 2.0 * _CLOSE
    return out
