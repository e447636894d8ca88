"""OTC forwards under a credit support annex: thresholds, minimum transfers, independent amounts, posted collateral."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.margin.csa import CsaTerms, EligibleCollateral, PartyTerms, Rounding
from models.typing import DAY_NS, BoolArray, FloatArray, IntArray, ObjectArray
from training.population.calendar import month_end_after
from training.population.coins import YEAR_NS, drawn_carry
from training.population.columns import objects
from training.population.draft import Draft, Legs, no_legs
from training.population.history import MAJORS, History
from training.population.opening import Slots, of_kind, opening_bars, wanted_major

__all__ = ["draw_otc"]

TRADES: Final = 3
SIZE: Final = (3e6, 1.2, 2e5, 2e8)
AGE_HOURS: Final = (24.0, 2160.0)
SETTLED_HOURS: Final = (1.0, 72.0)
"""Hours since the last exchange of collateral."""
COIN_RATIO: Final = 0.85
UNIT: Final = 1e4


def draw_otc(history: History, slots: Slots, rng: np.random.Generator) -> Draft:
    """Draw agreements.

    Parameters
    ----------
    history : History
        Prices.
    slots : Slots
        Accounts to draw.
    rng : Generator
        Source of every draw.

    Returns
    -------
    Draft
        One to three forwards of either sign on BTC or ETH, entered at the forward price of their day; collateral as
        it was after the last exchange, in dollars or in BTC that counts for 85%.
    """
    n = len(slots)
    now, then = opening_bars(history, slots.as_of, rng, AGE_HOURS)
    asset, valid = wanted_major(history, slots.as_of, (now, then), rng)
    middle, spread, low, high = SIZE
    size = np.clip(middle * np.exp(spread * rng.standard_normal(n)), low, high)
    legs, opened = _forwards(history, slots, asset, valid, then, now, size, rng)
    settled = np.maximum(
        history.before(now, np.exp(rng.uniform(np.log(SETTLED_HOURS[0]), np.log(SETTLED_HOURS[1]), n))), then
    )
    last = np.nan_to_num(history.price(settled[:, None], legs.asset))
    value = np.where(opened <= settled[:, None], legs.quantity * (last - legs.entry), 0.0).sum(axis=1)
    terms, figures = _terms(size, rng)
    bitcoin = np.full(n, history.majors[0] if len(history.majors) else 0, np.int64)
    coin = (rng.uniform(size=n) < of_kind(slots.kind, "coin")) & np.isfinite(history.price(settled, bitcoin))
    coin &= np.isfinite(history.price(now, bitcoin))
    shortfall = np.maximum(figures[2] - figures[0] - value, 0.0)
    posted = np.where(shortfall >= np.maximum(figures[1], 1.0), np.ceil(shortfall / UNIT) * UNIT, 0.0)
    worth = np.where(coin, COIN_RATIO * history.price(settled, bitcoin), 1.0)
    name = history.panel.assets[bitcoin[0]] if n else ""
    return Draft(
        history.panel.assets,
        slots.as_of,
        then,
        slots.kind,
        slots.ruleset,
        np.full(n, "USD", object),
        valid,
        legs,
        "USD",
        np.where(coin, name, "USD").astype(object)[:, None],
        (posted / worth)[:, None],
        size,
        np.zeros(n, np.int64),
        np.where(coin, COIN_RATIO * history.price(now, bitcoin), 1.0),
        csa=terms,
    )


def _forwards(
    history: History,
    slots: Slots,
    asset: IntArray,
    valid: BoolArray,
    then: IntArray,
    now: IntArray,
    size: FloatArray,
    rng: np.random.Generator,
) -> tuple[Legs, IntArray]:
    """Trades entered between the opening of the agreement and now; and the bar of each."""
    n = len(slots)
    legs = no_legs(n, TRADES)
    count = rng.integers(1, TRADES + 1, n)
    used = np.arange(TRADES) < count[:, None]
    opened = then[:, None] + ((now - then)[:, None] * rng.uniform(0.0, 0.95, (n, TRADES))).astype(np.int64)
    opened[:, 0] = then
    price = history.price(opened, asset[:, None])
    used &= np.isfinite(price) & valid[:, None]
    used[:, 0] = valid
    expiry = month_end_after(slots.as_of[:, None] + rng.integers(1, 270, (n, TRADES)) * DAY_NS)
    years = (expiry - history.closed_at(opened)) / YEAR_NS
    side = np.where(rng.uniform(size=(n, 1)) < 0.5, 1.0, -1.0)
    sign = np.where(rng.uniform(size=(n, TRADES)) < 0.85, side, -side)
    part = np.where(used, rng.exponential(1.0, (n, TRADES)) + 0.2, 0.0)
    part /= np.maximum(part.sum(axis=1, keepdims=True), 1e-300)
    legs.asset[:] = asset[:, None]
    legs.expiry[:] = expiry
    legs.entry[:] = np.where(used, price, 1.0) * np.exp(drawn_carry((n, TRADES), rng) * years)
    legs.quantity[:] = np.where(used, sign * part * size[:, None] / legs.entry, 0.0)
    return legs, opened


def _terms(size: FloatArray, rng: np.random.Generator) -> tuple[ObjectArray, tuple[FloatArray, FloatArray, FloatArray]]:
    """Terms of each agreement; and its threshold, minimum transfer amount and independent amount, dollars."""
    n = len(size)
    draw = rng.uniform(size=(6, n))
    threshold = _round(np.where(draw[0] < 0.4, 0.0, draw[1] ** 2 * 0.1 * size))
    transfer = _round((0.0005 + 0.0095 * draw[2] ** 2) * size)
    independent = _round(np.where(draw[3] < 0.6, 0.0, (0.01 + 0.09 * draw[4]) * size))
    rounded = draw[5] < 0.5
    coins = tuple(EligibleCollateral(asset=a, valuation_percentage=COIN_RATIO) for a in MAJORS)
    terms = [
        CsaTerms(
            base_currency="USD",
            party=PartyTerms(threshold=t, minimum_transfer_amount=m, independent_amount=i),
            counterparty=PartyTerms(threshold=t, minimum_transfer_amount=m),
            rounding=Rounding(delivery_increment=UNIT, return_increment=UNIT) if r else Rounding(),
            eligible_collateral=(EligibleCollateral(asset="USD"), *coins),
            margin_type="variation_margin",
        )
        for t, m, i, r in zip(
            threshold.tolist(), transfer.tolist(), independent.tolist(), rounded.tolist(), strict=True
        )
    ]
    return objects(terms), (threshold, transfer, independent)


def _round(amount: FloatArray) -> FloatArray:
    """Whole thousands, as agreements have them."""
    return np.asarray(np.rint(amount / 1e3) * 1e3)
