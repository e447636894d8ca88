"""What accounts of several regimes have in common at the opening: when, on which asset, how large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.typing import BoolArray, FloatArray, IntArray, ObjectArray
from training.population.history import History
from training.population.kinds import TYPES
from training.population.linear import AGE_HOURS, EQUITY

__all__ = ["Slots", "drawn_equity", "drawn_leverage", "of_kind", "opening_bars", "usable", "wanted_major"]

BTC_SHARE: Final = 0.6


@dataclass(frozen=True, slots=True)
class Slots:
    """Accounts to be drawn, arrays of shape (n,): the instant, the index into `TYPES`, and the ruleset."""

    as_of: IntArray
    kind: IntArray
    ruleset: ObjectArray

    def __len__(self) -> int:
        return len(self.as_of)


def of_kind(kind: IntArray, field: str, place: int | None = None) -> FloatArray:
    """A number of the type of each account: a field of `Kind`, or one place of it."""
    values = [getattr(k, field) for k in TYPES]
    return np.array([v if place is None else v[place] for v in values], np.float64)[kind]


def opening_bars(
    history: History, as_of: IntArray, rng: np.random.Generator, hours: tuple[float, float] = AGE_HOURS
) -> tuple[IntArray, IntArray]:
    """Draw the bar of the opening, log-uniform in age; and the bar of now."""
    low, high = np.log(hours)
    now = history.bar(as_of)
    return now, history.before(now, np.exp(rng.uniform(low, high, len(as_of))))


def usable(history: History, as_of: IntArray, bars: tuple[IntArray, ...], asset: IntArray) -> BoolArray:
    """Where the asset has a price at every bar, and the panel has begun."""
    out = history.known(as_of)
    for bar in bars:
        out &= np.isfinite(history.price(bar, asset))
    return out


def wanted_major(
    history: History, as_of: IntArray, bars: tuple[IntArray, ...], rng: np.random.Generator
) -> tuple[IntArray, BoolArray]:
    """Draw BTC or ETH, or the other where the one drawn has no price; and whether there was any."""
    first = (rng.uniform(size=len(as_of)) >= BTC_SHARE).astype(np.int64)
    if not len(history.majors):
        return np.zeros(len(as_of), np.int64), np.zeros(len(as_of), np.bool_)
    last = len(history.majors) - 1
    asset = history.majors[np.minimum(first, last)]
    other = history.majors[np.minimum(1 - first, last)]
    asset = np.where(usable(history, as_of, bars, asset), asset, other)
    return asset, usable(history, as_of, bars, asset)


def drawn_equity(n: int, rng: np.random.Generator, scale: float = 1.0) -> FloatArray:
    """Draw the equity at the opening, dollars."""
    middle, spread, low, high = EQUITY
    return np.asarray(scale * np.clip(middle * np.exp(spread * rng.standard_normal(n)), low, high))


def drawn_leverage(kind: IntArray, rng: np.random.Generator) -> FloatArray:
    """Draw gross exposure over equity within the range of each type."""
    wanted = of_kind(kind, "typical") * np.exp(0.7 * rng.standard_t(5, len(kind)))
    return np.asarray(np.clip(wanted, of_kind(kind, "leverage", 0), of_kind(kind, "leverage", 1)))
