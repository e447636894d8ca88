"""The rules that are compared: what each wants an account to have, from what is known at a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from models.rebalance.limits import RiskLimits
from models.rebalance.replaying.epochs import Epoch, between
from models.rebalance.replaying.terms import Terms
from models.typing import BoolArray, FloatArray

__all__ = ["AtTarget", "Band", "Dynamic", "Nothing", "Order", "Rule", "Static", "View", "Wanted"]

_CALL, _DAY = 0, 2
_REFILL = 1.25


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a rule sees of m accounts at a decision; amounts in units of the lever, money in dollars, shape (m,) each.

    Parameters
    ----------
    epoch : Epoch
        Curves of risk.
    terms : Terms
        Costs and times.
    limits : RiskLimits
        What calls and liquidations cost.
    held : ndarray
        What was sent to the account, what is on its way included.
    equity, maintenance : ndarray
        Without what was sent.
    more_equity, more_maintenance : ndarray
        What one unit adds to them.
    factor : ndarray
        Call requirement over maintenance.
    live : ndarray of bool, optional
        Who was not liquidated before; all where None.
    free : mapping of tuple of (str, str) to float
        Units that may still leave each place, by place and asset.
    """

    epoch: Epoch
    terms: Terms
    limits: RiskLimits
    held: FloatArray
    equity: FloatArray
    maintenance: FloatArray
    more_equity: FloatArray
    more_maintenance: FloatArray
    factor: FloatArray
    live: BoolArray | None = None
    free: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def amount_for(self, ratio: FloatArray | float, beyond: FloatArray | float = 0.0) -> FloatArray:
        """Units at which equity is so many times maintenance, and so much more."""
        gain = self.more_equity - ratio * self.more_maintenance
        lack = ratio * self.maintenance + beyond - self.equity
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(gain > 0.0, lack / gain, np.nan)


@dataclass(frozen=True, slots=True)
class Order:
    """One transfer that a rule gives itself, with its route and its size.

    Parameters
    ----------
    place : int
        Place of the account among the rows of the decision.
    route : int
        Place of the route in the policy.
    units : float
        How much is to arrive, > 0.
    """

    place: int
    route: int
    units: float


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What a rule wants.

    Parameters
    ----------
    amount : ndarray, shape (m,)
        Units that each account should have been sent in all, >= 0; NaN: leave it as it is.
    urgency : ndarray, shape (m,)
        Who is served first where not all can be.
    orders : tuple of Order
        Transfers that are made as they are given, in this order, before those that `amount` asks for.
    """

    amount: FloatArray
    urgency: FloatArray
    orders: tuple[Order, ...] = ()


class Rule(Protocol):
    """A rule with its knob."""

    @property
    def name(self) -> str:
        """Name of the family."""

    @property
    def knob(self) -> float:
        """Its setting."""

    def decide(self, view: View) -> Wanted:
        """What each account should have."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Leave every account as it is."""

    name: str = "nothing"
    knob: float = 0.0

    def decide(self, view: View) -> Wanted:
        """What each account should have: what it has."""
        return Wanted(np.full(len(view.held), np.nan), np.zeros(len(view.held)))


@dataclass(frozen=True, slots=True)
class Static:
    """Below a multiple of maintenance, top up to 1.25 times that multiple; nothing comes back.

    Parameters
    ----------
    knob : float
        The multiple.
    """

    knob: float
    name: str = "static"

    def decide(self, view: View) -> Wanted:
        """What each account should have."""
        low, goal = view.amount_for(self.knob), view.amount_for(_REFILL * self.knob)
        return _banded(view, low, goal, np.full(len(low), np.inf))


@dataclass(frozen=True, slots=True)
class Band:
    """Below a multiple of maintenance, top up to 1.25 times it; above `width` times it, take back to 1.25 times.

    Parameters
    ----------
    knob : float
        The multiple.
    width : float
        Upper end of the band over its lower end, above 1.25.
    """

    knob: float
    width: float = 1.75
    name: str = "band"

    def decide(self, view: View) -> Wanted:
        """What each account should have."""
        low, goal, high = (view.amount_for(self.knob * k) for k in (1.0, _REFILL, self.width))
        return _banded(view, low, goal, high)


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Hold `knob` deviations of a day above the liquidation level: top up to 1.25 times that, take back above `width`.

    Parameters
    ----------
    knob : float
        Deviations; with a normal law of the move, P(liquidation within a day) is 2 Phi(-knob).
    width : float
        Upper end of the band over its lower end, above 1.25.
    """

    knob: float
    width: float = 1.75
    name: str = "dynamic"

    def decide(self, view: View) -> Wanted:
        """What each account should have."""
        buffer = self.knob * view.epoch.deviation
        low, goal, high = (view.amount_for(1.0, buffer * k) for k in (1.0, _REFILL, self.width))
        return _banded(view, low, goal, high)


@dataclass(frozen=True, slots=True)
class AtTarget:
    """Bring P(call within a day) over the knob down to half of it; take back where it is below a tenth.

    Parameters
    ----------
    knob : float
        The probability.
    """

    knob: float
    name: str = "target"

    def decide(self, view: View) -> Wanted:
        """What each account should have."""
        near, p = view.epoch.near, view.epoch.p[_CALL, :, :, _DAY]
        low, goal, high = (np.full(len(view.held), -np.inf) for _ in range(3))
        for out, chance in ((low, self.knob), (goal, self.knob / 2.0), (high, self.knob / 10.0)):
            out[near] = amount_at(view.epoch.amount, p, chance)
        return _banded(view, low, goal, high)


def amount_at(amount: FloatArray, p: FloatArray, chance: float, steps: int = 8) -> FloatArray:
    """Find the least amounts at which curves of probability are at most a chance.

    Parameters
    ----------
    amount, p : ndarray, shape (k, j)
        The curves.
    chance : float
        The probability.
    steps : int
        Points tried between two points of a curve.

    Returns
    -------
    ndarray, shape (k,)
        Units; the last point where no amount is enough.
    """
    share = np.linspace(0.0, 1.0, steps, endpoint=False)
    left, width = amount[:, :-1, None], np.diff(amount, axis=1)[:, :, None]
    inner = (left + width * share).reshape(len(amount), steps * (amount.shape[1] - 1))
    fine = np.concatenate([inner, amount[:, -1:]], axis=1)
    seen = between(fine.T, amount, p).T
    good = seen <= chance
    at = np.where(good.any(axis=1), np.argmax(good, axis=1), fine.shape[1] - 1)
    return np.asarray(fine[np.arange(len(fine)), at])


def _banded(view: View, low: FloatArray, goal: FloatArray, high: FloatArray) -> Wanted:
    """Up to the goal where less than `low` is there, down to it where more than `high` is."""
    held, known = view.held, np.isfinite(view.equity)
    with np.errstate(invalid="ignore"):
        up = known & (held < low)
        down = known & (held > 0.0) & (held > np.maximum(high, 0.0))
        amount = np.where(up | down, np.maximum(goal, 0.0), np.nan)
        urgency = np.nan_to_num((low - held) * view.epoch.price)
    return Wanted(amount, urgency)
