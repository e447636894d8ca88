"""Accounts with options: what is drawn as a structure becomes strikes, expiries and entry prices of the opening."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.options.black76 import greeks
from models.options.black76 import price as option_price
from models.options.surface import implied_vol
from models.typing import DAY_NS, HOUR_NS, BoolArray, FloatArray, IntArray
from training.population.calendar import friday_after, month_end_after, strike_grid, strike_step
from training.population.coins import YEAR_NS
from training.population.columns import objects
from training.population.draft import NEVER, Draft, Legs, no_legs
from training.population.history import History
from training.population.kinds import TYPES, type_index
from training.population.opening import Slots, drawn_equity, of_kind, opening_bars, wanted_major
from training.population.structures import Structure, buyer, covered_call, gamma_book, seller, spread

__all__ = ["COIN_SETTLED", "draw_gamma_books", "draw_options"]

COIN_SETTLED: Final = ("deribit-standard", "deribit-pm", "okx-pm")
"""Rulesets whose options settle in the coin; those of the others in USDC."""
STABLE: Final = "USDC"
SIZE: Final = 4.0
"""Size of the position over the scale of equity."""
TICK: Final = 1e-4
"""Smallest premium, of the price of the underlying."""
LEAST_DEVIATION: Final = 0.02
FIRST_BARS_HOURS: Final = 24
"""An account is opened at the earliest so many hours into the panel, so that volatility is known."""


def draw_options(history: History, slots: Slots, kind: int, rng: np.random.Generator) -> Draft:
    """Draw option accounts of one type.

    Parameters
    ----------
    history : History
        Prices and volatility.
    slots : Slots
        Accounts to draw, all of one type.
    kind : int
        Index into `TYPES`.
    rng : Generator
        Source of every draw.

    Returns
    -------
    Draft
        Without collateral (but for the coins behind covered calls): it is found from the requirement at the opening.
    """
    shape = {"option-seller": seller, "covered-call": covered_call, "option-buyer": buyer, "option-spread": spread}
    held = shape[TYPES[kind].name](len(slots), rng)
    coin = np.isin(slots.ruleset.astype(str), COIN_SETTLED)
    if kind == type_index("covered-call"):
        held.part[coin, 0] = 0.0
    draft = _draft(history, slots, held, rng)
    if kind == type_index("covered-call"):
        behind = coin & draft.valid
        covered = np.abs(draft.legs.quantity).sum(axis=1) / np.maximum(rng.uniform(0.5, 1.0, len(slots)), 0.5)
        draft.held_quantity[behind, 0] = covered[behind]
        draft.lever[behind] = -1
    return draft


def draw_gamma_books(history: History, slots: Slots, rng: np.random.Generator) -> Draft:
    """Draw short-gamma books, hedged with the perpetual at the opening to within 15%.

    Parameters
    ----------
    history : History
        Prices and volatility.
    slots : Slots
        Accounts to draw.
    rng : Generator
        Source of every draw.

    Returns
    -------
    Draft
        Without collateral: it is found from the requirement at the opening.
    """
    return _draft(history, slots, gamma_book(len(slots), rng), rng, rng.uniform(0.85, 1.15, len(slots)))


def _draft(
    history: History, slots: Slots, held: Structure, rng: np.random.Generator, hedge: FloatArray | None = None
) -> Draft:
    n = len(slots)
    now, then = opening_bars(history, slots.as_of, rng)
    first = FIRST_BARS_HOURS * 60 // history.panel.bar_minutes
    then = np.minimum(np.maximum(then, first), now)
    asset, valid = wanted_major(history, slots.as_of, (now, then), rng)
    valid &= then < now
    coin = np.isin(slots.ruleset.astype(str), COIN_SETTLED)
    price = np.where(valid, history.price(then, asset), 1.0)
    size = SIZE * drawn_equity(n, rng) / price
    expiries = _expiries(slots.as_of, rng)
    legs = _legs(history, held, asset, then, price, np.take_along_axis(expiries, held.term, axis=1), hedge)
    legs.quantity *= size[:, None]
    legs.coin[:] = coin[:, None]
    legs.quantity[:, 0] *= np.where(coin, price, 1.0)
    low, high = of_kind(slots.kind, "leverage", 0), of_kind(slots.kind, "leverage", 1)
    names = np.where(coin, objects(list(history.panel.assets))[asset], STABLE).astype(object)
    return Draft(
        history.panel.assets,
        slots.as_of,
        then,
        slots.kind,
        slots.ruleset,
        names,
        valid,
        legs,
        STABLE,
        names[:, None],
        np.zeros((n, 1)),
        np.full(n, np.nan),
        np.zeros(n, np.int64),
        np.where(coin & valid, history.price(now, asset), 1.0),
        margin_use=low + rng.uniform(size=n) * (high - low),
    )


def _expiries(as_of: IntArray, rng: np.random.Generator) -> IntArray:
    """Three expiries of each account, later than its instant: the coming Fridays and month ends; shape (n, 3)."""
    shape = (len(as_of), 3)
    draw = rng.uniform(size=(2, *shape))
    weeks = np.searchsorted([0.6, 0.85], draw[0]) * 7 * DAY_NS
    weekly = friday_after(as_of[:, None] + HOUR_NS + weeks)
    ahead = np.where(draw[1] < 0.7, 45.0, 240.0) * rng.uniform(size=shape)
    monthly = month_end_after(as_of[:, None] + HOUR_NS + (ahead * DAY_NS).astype(np.int64))
    return np.where(rng.uniform(size=shape) < 0.5, weekly, monthly)


def _legs(
    history: History,
    held: Structure,
    asset: IntArray,
    then: IntArray,
    price: FloatArray,
    expiry: IntArray,
    hedge: FloatArray | None,
) -> Legs:
    """Strikes, entry prices and, where there is a hedge, the perpetual that offsets the deltas of the opening."""
    n, width = held.part.shape
    legs = no_legs(n, width)
    years = np.maximum((expiry - history.closed_at(then)[:, None]) / YEAR_NS, 1.0 / 8760.0)
    level = np.repeat(history.level(then, asset)[:, None], width, axis=1)
    strike = _strikes(held, price, level, years)
    spot = np.repeat(price[:, None], width, axis=1)
    vol = implied_vol(np.minimum(level, 10.0), np.log(strike / spot), years)
    legs.asset[:] = asset[:, None]
    legs.quantity[:] = _once(held, expiry, strike)
    legs.entry[:] = np.maximum(option_price(spot, strike, vol, years, held.call), TICK * spot)
    legs.entry[:, 0] = price
    legs.expiry[:] = expiry
    legs.expiry[:, 0] = NEVER
    legs.strike[:, 1:] = strike[:, 1:]
    legs.call[:] = held.call
    if hedge is not None:
        delta = greeks(spot, strike, vol, years, held.call).forward_delta
        legs.quantity[:, 0] = -hedge * (legs.quantity * delta)[:, 1:].sum(axis=1)
    return legs


def _strikes(held: Structure, price: FloatArray, level: FloatArray, years: FloatArray) -> FloatArray:
    """Listed strikes at the distances of the structure; those that must differ do, by a step at least."""
    deviation = np.maximum(np.minimum(level, 10.0) * np.sqrt(years), LEAST_DEVIATION)
    step = strike_step(price[:, None], years)
    strike = strike_grid(price[:, None] * np.exp(np.clip(held.distance * deviation, -1.5, 1.5)), step)
    for leg in range(2, strike.shape[1]):
        apart = held.steps[:, leg] * step[:, leg]
        edge = strike[:, leg - 1] + apart
        wanted = np.where(apart > 0, np.maximum(strike[:, leg], edge), np.minimum(strike[:, leg], edge))
        strike[:, leg] = np.where(apart != 0, np.maximum(wanted, step[:, leg]), strike[:, leg])
    return np.round(strike, 8)


def _once(held: Structure, expiry: IntArray, strike: FloatArray) -> FloatArray:
    """Parts of the legs, where the same option is drawn twice only the first."""
    n, width = strike.shape
    part = held.part.copy()
    rows = np.repeat(np.arange(n), width - 1)
    key = np.rec.fromarrays([rows, expiry[:, 1:].ravel(), strike[:, 1:].ravel(), held.call[:, 1:].ravel()])
    live = np.flatnonzero(part[:, 1:].ravel() != 0.0)
    _, first = np.unique(key[live], return_index=True)
    again: BoolArray = np.ones(n * (width - 1), np.bool_)
    again[live[first]] = False
    part[:, 1:][again.reshape(n, width - 1)] = 0.0
    return part
