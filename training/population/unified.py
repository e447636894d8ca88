"""Unified accounts: a coin, a debt in stable coins, and linear and coin-margined legs that are margined together."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.typing import BoolArray, FloatArray, IntArray
from training._rules import RuleTable
from training.population.columns import objects
from training.population.draft import Draft, Legs, no_legs
from training.population.history import History
from training.population.linear import LONG_SHARE
from training.population.opening import Slots, drawn_equity, drawn_leverage, opening_bars, wanted_major

__all__ = ["draw_unified"]

INVERSE_SHARE: Final = 0.5
DEBT: Final = (0.05, 0.6)
"""Range of the debt over the value of the coin at the opening."""


def draw_unified(history: History, slots: Slots, rules: RuleTable, rng: np.random.Generator) -> Draft:
    """Draw unified accounts under one ruleset.

    Parameters
    ----------
    history : History
        Prices.
    slots : Slots
        Accounts to draw.
    rules : RuleTable
        What the ruleset lists.
    rng : Generator
        Source of every draw.

    Returns
    -------
    Draft
        BTC or ETH for collateral and a debt; one or two linear perpetuals, and for half of the accounts a
        coin-margined one, short more often than not.
    """
    n = len(slots)
    now, then = opening_bars(history, slots.as_of, rng)
    coin, valid = wanted_major(history, slots.as_of, (now, then), rng)
    price = np.where(valid, history.price(then, coin), 1.0)
    equity = drawn_equity(n, rng)
    debt = rng.uniform(*DEBT, n)
    value = equity / (1.0 - debt)
    gross = equity * drawn_leverage(slots.kind, rng)
    legs, found = _legs(history, rules, coin, now, then, gross, rng)
    names = objects(list(history.panel.assets))[coin]
    held = np.column_stack([names, np.full(n, rules.currency, object)])
    return Draft(
        history.panel.assets,
        slots.as_of,
        then,
        slots.kind,
        slots.ruleset,
        np.full(n, rules.currency, object),
        valid & found,
        legs,
        rules.currency,
        held,
        np.column_stack([value / price, -debt * value]),
        gross,
        np.ones(n, np.int64),
        np.ones(n),
        setting=np.full(n, 10.0),
    )


def _legs(
    history: History,
    rules: RuleTable,
    coin: IntArray,
    now: IntArray,
    then: IntArray,
    gross: FloatArray,
    rng: np.random.Generator,
) -> tuple[Legs, BoolArray]:
    n, width = len(coin), len(history.panel.assets)
    legs = no_legs(n, 3)
    open_now, open_then = history.close[now], history.close[then]
    ready = np.isfinite(open_now) & np.isfinite(open_then) & rules.tradable
    weight = np.array([{"BTC": 4.0, "ETH": 3.0}.get(a, 1.0) for a in history.panel.assets])
    noise = -np.log(-np.log(rng.uniform(1e-12, 1.0, (n, width))))
    order = np.argsort(-np.where(ready, np.log(weight) + noise, -np.inf), axis=1)
    draw = rng.uniform(size=(6, n))
    two = (draw[0] < 0.4) & (ready.sum(axis=1) > 1)
    inverse = draw[1] < INVERSE_SHARE
    part = rng.exponential(1.0, (n, 3)) + 0.2
    part *= np.column_stack([np.ones(n), two, inverse])
    side = np.where(draw[2] < LONG_SHARE, 1.0, -1.0)
    sign = np.column_stack([side, np.where(draw[3] < 0.6, -side, side), np.where(draw[4] < 0.6, -1.0, 1.0)])
    legs.asset[:, 0] = order[:, 0]
    legs.asset[:, 1] = order[:, min(1, width - 1)]
    legs.asset[:, 2] = coin
    legs.coin[:, 2] = True
    legs.entry[:] = np.nan_to_num(np.take_along_axis(open_then, legs.asset, axis=1), nan=1.0)
    dollars = sign * part / part.sum(axis=1, keepdims=True) * gross[:, None]
    legs.quantity[:] = np.where(legs.coin, dollars, dollars / legs.entry)
    return legs, np.asarray(ready.any(axis=1))
