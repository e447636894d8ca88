"""The plan, account by account: send what saves more than it costs, when it must leave, and take it back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.rebalance.replaying.rules import View, Wanted
from models.rebalance.replaying.weighing import expected_loss, refined
from models.typing import HORIZONS, FloatArray

__all__ = ["Worthwhile"]

_DAY = 1440.0


@dataclass(frozen=True, slots=True)
class Worthwhile:
    """Weigh expected losses against what help costs.

    Parameters
    ----------
    knob : float
        Dollars that may be spent to avoid a dollar of expected loss; 1 is the least total cost.
    ahead : float
        Days for which an amount is chosen, at least.
    patience : float
        What sending now must save before help sent at the next decision could arrive, over what it costs, in [0, 1].
    review : float
        Days of holding that taking back must save.
    """

    knob: float
    ahead: float = 1.0
    patience: float = 0.1
    review: float = 2.0
    name: str = "plan"

    def decide(self, view: View) -> Wanted:
        """What each account should have.

        Notes
        -----
        Of all amounts that one is chosen at which expected loss and holding cost the least over the days ahead, or
        until help sent at the next decision could arrive, if that is later: a route may close for a weekend. It is sent
        if that saves its fees, and if waiting is not better: what may be lost until help sent at the next decision has
        arrived must be worth a part of its cost. It is taken back if that saves both transfers.
        """
        held, near = view.held, view.epoch.near
        amount, urgency = np.full(len(held), np.nan), np.zeros(len(held))
        far = np.ones(len(held), np.bool_)
        far[near] = False
        spare = held * view.epoch.price * view.terms.held_rate * _DAY * self.review
        amount[far & (held > 0.0) & (spare > view.terms.fixed)] = 0.0
        if len(near):
            amount[near], urgency[near] = self._near(view)
        return Wanted(amount, urgency)

    def _near(self, view: View) -> tuple[FloatArray, FloatArray]:
        near, terms = view.epoch.near, view.terms
        held, price = view.held[near], view.epoch.price[near]
        fixed, fee = terms.fixed[near], terms.fee_rate[near] * price
        rate = terms.held_rate[near] * price * _DAY
        points = np.concatenate([refined(view.epoch.amount), held[None]])
        days = np.maximum(self.ahead, np.minimum(terms.later[near], HORIZONS[-1]) / _DAY)
        risk = self.knob * expected_loss(view, points, days * _DAY)
        total = risk + points * rate * days
        best = np.argmin(total, axis=0)
        columns = np.arange(len(near))
        goal = points[best, columns]
        more = np.maximum(goal - held, 0.0)
        saved = total[-1] - total[best, columns]
        cost = fixed + fee * more
        lost = self._before(view, held, goal)
        send = (
            (goal > held) & (saved > cost) & (lost > self.patience * (cost + more * rate * (terms.later[near] / _DAY)))
        )
        back = np.maximum(held - goal, 0.0)
        gain = back * rate * self.review - (risk[best, columns] - risk[-1])
        take = (goal < held) & (gain > fixed * 2.0 + fee * back)
        with np.errstate(divide="ignore", invalid="ignore"):
            urgency = np.nan_to_num(lost / (more * price))
        return np.where(send | take, goal, np.nan), urgency

    def _before(self, view: View, held: FloatArray, goal: FloatArray) -> FloatArray:
        """Expected loss that sending now spares until help sent at the next decision has arrived."""
        near, terms = view.epoch.near, view.terms
        both = np.stack([held, goal])
        until = [expected_loss(view, both, np.minimum(t[near], HORIZONS[-1])) for t in (terms.later, terms.now)]
        window = until[0] - until[1]
        return self.knob * np.maximum(window[0] - window[1], 0.0)
