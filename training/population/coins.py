"""Coin-margined perpetuals and futures: the collateral falls with the price of what a long position holds."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.typing import DAY_NS, FloatArray, IntArray
from training._rules import RuleTable
from training.population.calendar import friday_after, month_end_after
from training.population.columns import objects
from training.population.draft import NEVER, Draft, Legs, no_legs
from training.population.history import History
from training.population.kinds import type_index
from training.population.linear import settings_for
from training.population.opening import Slots, drawn_equity, drawn_leverage, of_kind, opening_bars, wanted_major

__all__ = ["YEAR_NS", "drawn_carry", "draw_inverse"]

DATED_SHARE: Final = 0.35
YEAR_NS: Final = 365 * DAY_NS


def drawn_carry(shape: int | tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Draw the yearly basis of futures over spot."""
    return np.asarray(np.clip(0.05 + 0.04 * rng.standard_normal(shape), -0.05, 0.15))


def draw_inverse(history: History, slots: Slots, rules: RuleTable, rng: np.random.Generator) -> Draft:
    """Draw coin-margined accounts under one ruleset.

    Parameters
    ----------
    history : History
        Prices.
    slots : Slots
        Accounts to draw.
    rules : RuleTable
        What the ruleset allows; sizes in coins.
    rng : Generator
        Source of every draw.

    Returns
    -------
    Draft
        A perpetual or a dated future, or one of each on the same side; the collateral is the coin.
    """
    n = len(slots)
    now, then = opening_bars(history, slots.as_of, rng)
    asset, valid = wanted_major(history, slots.as_of, (now, then), rng)
    price = np.where(valid, history.price(then, asset), 1.0)
    equity = drawn_equity(n, rng)
    drawn = drawn_leverage(slots.kind, rng)
    allowed = rules.max_leverage(np.arange(n), asset, drawn * (equity / price))
    leverage = np.minimum(drawn, 0.9 * allowed)
    legs, count = _legs(slots, history, asset, price, then, rng)
    side = np.where(slots.kind == type_index("coin-long"), 1.0, -1.0)
    legs.quantity *= (side * leverage * equity)[:, None]
    coins = equity / price
    setting = settings_for(leverage, rng.integers(0, 3, n), allowed)
    isolated = (rng.uniform(size=n) < of_kind(slots.kind, "isolated")) & (count == 1)
    names = objects(list(history.panel.assets))[asset]
    return Draft(
        history.panel.assets,
        slots.as_of,
        then,
        slots.kind,
        slots.ruleset,
        names,
        valid,
        legs,
        "USD",
        names[:, None],
        np.where(isolated, 0.1 * coins, coins)[:, None],
        leverage * equity,
        np.zeros(n, np.int64),
        np.where(valid, history.price(now, asset), 1.0),
        isolated_margin=np.where(isolated, coins, np.nan),
        setting=setting,
    )


def _legs(
    slots: Slots, history: History, asset: IntArray, price: FloatArray, then: IntArray, rng: np.random.Generator
) -> tuple[Legs, IntArray]:
    """Legs with the part of each in ``quantity``, and how many each account has."""
    n = len(slots)
    legs = no_legs(n, 2)
    legs.asset[:] = asset[:, None]
    legs.coin[:] = True
    draw = rng.uniform(size=(5, n))
    both = draw[0] < of_kind(slots.kind, "legs", 1) - of_kind(slots.kind, "legs", 0) - 0.8
    dated = draw[1] < DATED_SHARE
    expiry = np.where(
        draw[2] < 0.4,
        friday_after(slots.as_of),
        month_end_after(slots.as_of + (draw[3] * 180).astype(np.int64) * DAY_NS),
    )
    years = (expiry - history.closed_at(then)) / YEAR_NS
    legs.expiry[:, 1] = expiry
    legs.entry[:] = price[:, None]
    legs.entry[:, 1] *= np.exp(drawn_carry(n, rng) * years)
    part = 0.2 + 0.6 * draw[4]
    legs.quantity[:, 0] = np.where(both, part, np.where(dated, 0.0, 1.0))
    legs.quantity[:, 1] = np.where(both, 1.0 - part, np.where(dated, 1.0, 0.0))
    assert (legs.expiry[:, 0] == NEVER).all()
    return legs, np.asarray((legs.quantity != 0.0).sum(axis=1))
