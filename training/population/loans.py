"""Loans against coins: dollars owed, or another coin."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.typing import BoolArray, FloatArray, IntArray, ObjectArray
from training._rules import RuleTable
from training.population.columns import objects
from training.population.draft import Draft, no_legs
from training.population.history import History
from training.population.kinds import type_index
from training.population.opening import Slots, drawn_equity, of_kind, opening_bars, usable, wanted_major

__all__ = ["draw_loans"]

CURRENCY: Final = "USDC"
MIXED_SHARE: Final = 0.25


def draw_loans(history: History, slots: Slots, rules: RuleTable, rng: np.random.Generator) -> Draft:
    """Draw loans.

    Parameters
    ----------
    history : History
        Prices.
    slots : Slots
        Accounts to draw.
    rules : RuleTable
        Thresholds of the ruleset.
    rng : Generator
        Source of every draw.

    Returns
    -------
    Draft
        No positions; BTC or ETH (a quarter hold both) against USDC, or ETH against BTC, at a health factor within the
        range of the type at the opening.
    """
    n = len(slots)
    now, then = opening_bars(history, slots.as_of, rng)
    asset, valid = wanted_major(history, slots.as_of, (now, then), rng)
    low, high = np.log(of_kind(slots.kind, "leverage", 0)), np.log(of_kind(slots.kind, "leverage", 1))
    health = np.exp(low + rng.uniform(size=n) * (high - low))
    value = drawn_equity(n, rng, 2.0)
    share = np.where(rng.uniform(size=n) < MIXED_SHARE, rng.uniform(0.2, 0.8, n), 1.0)
    coin_debt = slots.kind == type_index("coin-loan")
    first, last = (history.majors[0], history.majors[-1]) if len(history.majors) else (0, 0)
    asset = np.where(coin_debt, last, asset)
    other = np.where(asset == first, last, first)
    share[coin_debt] = 1.0
    both = usable(history, slots.as_of, (now, then), other) & (first != last)
    valid &= np.where(coin_debt | (share < 1.0), both, True) & usable(history, slots.as_of, (now, then), asset)
    priced, second = (np.where(valid, history.price(then, a), 1.0) for a in (asset, other))
    at_now = np.where(valid, history.price(now, other), 1.0)
    weight = rules.ratio(asset) * share + rules.ratio(other) * (1.0 - share)
    valid &= weight > 0.0
    owed = value * weight / health
    return Draft(
        history.panel.assets,
        slots.as_of,
        then,
        slots.kind,
        slots.ruleset,
        np.full(n, CURRENCY, object),
        valid,
        no_legs(n, 0),
        CURRENCY,
        _names(history, asset, other, share, coin_debt),
        np.column_stack(
            [value * share / priced, value * (1.0 - share) / second, -owed / np.where(coin_debt, second, 1.0)]
        ),
        owed,
        np.full(n, 2, np.int64),
        np.where(coin_debt, at_now, 1.0) / rules.call_ratio,
    )


def _names(history: History, asset: IntArray, other: IntArray, share: FloatArray, coin_debt: BoolArray) -> ObjectArray:
    names = objects(list(history.panel.assets))
    debt = np.where(coin_debt, names[other], CURRENCY)
    return np.column_stack([names[asset], np.where(share < 1.0, names[other], ""), debt])
