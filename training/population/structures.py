"""What option accounts hold, in units of their size: each leg's side, expiry and distance from the price.

A structure is drawn as padded arrays of shape (n, L): quantity relative to the size of the account (0 where there is
no leg), which of the account's expiries, distance of the strike from the price in standard deviations to the expiry,
and the right. The first leg is the perpetual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["GAMMA_LEGS", "Structure", "buyer", "covered_call", "gamma_book", "seller", "spread"]

GAMMA_LEGS: Final = 20
GAMMA_FEWEST: Final = 4


@dataclass(slots=True)
class Structure:
    """Legs in units of the account's size, shape (n, L); see the module.

    Parameters
    ----------
    part : ndarray
        Signed quantity over the size; the first column is the perpetual.
    term : ndarray of int64
        Which of the account's expiries, 0 to 2.
    distance : ndarray
        Log strike over price, in standard deviations to the expiry.
    call : ndarray of bool
        Right.
    steps : ndarray of int64
        Fewest strike steps beyond the leg before, where strikes must differ; 0 elsewhere.
    """

    part: FloatArray
    term: IntArray
    distance: FloatArray
    call: BoolArray
    steps: IntArray


def _columns(n: int, *columns: Any) -> Any:
    return np.column_stack([np.broadcast_to(c, n) for c in columns])


def seller(n: int, rng: np.random.Generator) -> Structure:
    """Short strangles (half), puts (30%) or calls; a third have a second lot at another expiry."""
    u = rng.uniform(size=(8, n))
    puts, calls = u[0] < 0.8, (u[0] < 0.5) | (u[0] >= 0.8)
    second = u[1] < 0.33
    part = _columns(n, 0.0, -1.0 * puts, -1.0 * calls, -u[2] * (second & puts), -u[3] * (second & calls))
    distance = _columns(n, 0.0, -(0.3 + 1.5 * u[4]), 0.3 + 1.5 * u[5], -(0.3 + 1.5 * u[6]), 0.3 + 1.5 * u[7])
    return Structure(part, _fixed(n, 0, 0, 0, 1, 1), distance, _flags(n, 0, 0, 1, 0, 1), _fixed(n, 0, 0, 0, 0, 0))


def covered_call(n: int, rng: np.random.Generator) -> Structure:
    """Short calls on half to all of what is held, a third at two expiries; the perpetual stands for what is held."""
    u = rng.uniform(size=(5, n))
    cover = 0.5 + 0.5 * u[0]
    second = np.where(u[1] < 0.33, u[2], 0.0)
    part = _columns(n, 1.0, -cover * (1.0 - second), -cover * second)
    distance = _columns(n, 0.0, 0.2 + 1.3 * u[3], 0.2 + 1.3 * u[4])
    return Structure(part, _fixed(n, 0, 0, 1), distance, _flags(n, 0, 1, 1), _fixed(n, 0, 0, 0))


def buyer(n: int, rng: np.random.Generator) -> Structure:
    """A perpetual with a bought option: a protective put (half), a protective call, or a call on top of a long one."""
    u = rng.uniform(size=(6, n))
    short, more = (u[0] >= 0.5) & (u[0] < 0.75), u[0] >= 0.75
    perpetual = np.where(short, -1.0, 1.0) * (0.6 + 0.8 * u[1])
    second = np.where(u[2] < 0.3, u[3], 0.0)
    right = short | more
    away = np.where(right, 1.0, -1.0)
    part = _columns(n, perpetual, 1.0, second)
    distance = _columns(n, 0.0, away * (1.5 * u[4]), away * (0.2 + 1.8 * u[5]))
    return Structure(part, _fixed(n, 0, 0, 1), distance, _columns(n, False, right, right), _fixed(n, 0, 0, 0))


def spread(n: int, rng: np.random.Generator) -> Structure:
    """Vertical spreads of puts or calls (half), butterflies (a fifth) and iron condors; 70% collect premium."""
    u = rng.uniform(size=(7, n))
    up = u[1] < 0.5
    vertical, fly = u[0] < 0.5, (u[0] >= 0.5) & (u[0] < 0.7)
    condor = u[0] >= 0.7
    away = np.where(up, 1.0, -1.0)
    side = np.where(u[2] < 0.7, 1.0, -1.0)
    near, width = 0.1 + 1.2 * u[3], 0.2 + 0.8 * u[4]
    lower, lift = -(0.3 + 1.0 * u[5]), 0.3 + 1.0 * u[6]
    first = [np.where(fly, 1.0, -1.0), np.where(condor, lower, np.where(fly, -width * 0.5 + near * 0.2, away * near))]
    next_ = [np.where(fly, -2.0, 1.0), np.where(condor, lower - width, first[1] + np.where(fly, 1.0, away) * width)]
    third = [np.where(fly, 1.0, np.where(condor, -1.0, 0.0)), np.where(condor, lift, next_[1] + width)]
    last = [np.where(condor, 1.0, 0.0), lift + width]
    turn = np.where(fly, -side, side)
    part = _columns(n, 0.0, *(turn * leg[0] for leg in (first, next_, third, last)))
    distance = _columns(n, 0.0, *(leg[1] for leg in (first, next_, third, last)))
    right = np.where(condor, False, up)
    call = _columns(n, False, right, right, right | condor, right | condor)
    down = np.where(condor | (vertical & ~up), -1, 1)
    steps = _columns(n, 0, 0, down, np.where(condor, 0, 1), 1)
    return Structure(part, np.zeros(part.shape, np.int64), distance, call, steps.astype(np.int64))


def gamma_book(n: int, rng: np.random.Generator) -> Structure:
    """Four to twenty options at up to three expiries, 70% of them short; the perpetual is for the hedge to set."""
    shape = (n, GAMMA_LEGS)
    count = rng.integers(GAMMA_FEWEST, GAMMA_LEGS + 1, n)
    held = np.arange(GAMMA_LEGS) < count[:, None]
    side = np.where(rng.uniform(size=shape) < 0.7, -1.0, 1.0)
    side[:, :2] = -1.0
    part = np.where(held, side * (0.3 + 1.2 * rng.uniform(size=shape)), 0.0)
    distance = 1.1 * rng.standard_normal(shape)
    term = rng.integers(0, 3, shape)
    call = (distance > 0.0) ^ (rng.uniform(size=shape) < 0.1)
    lead = np.zeros((n, 1))
    return Structure(
        np.hstack([lead, part]),
        np.hstack([lead, term]).astype(np.int64),
        np.hstack([lead, distance]),
        np.hstack([lead, call]).astype(np.bool_),
        np.zeros((n, GAMMA_LEGS + 1), np.int64),
    )


def _fixed(n: int, *values: int) -> IntArray:
    return np.tile(np.array(values, np.int64), (n, 1))


def _flags(n: int, *values: int) -> BoolArray:
    return np.tile(np.array(values, np.bool_), (n, 1))
