"""What a plan by worth says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.account import Account
from models.rebalance.evaluate import Evaluation
from models.rebalance.joint.choice import Choice
from models.rebalance.joint.plan import DeskPlan
from models.rebalance.joint.solve import Solution
from models.rebalance.joint.telling import tell
from models.rebalance.joint.wording import worth_sentence
from models.typing import FloatArray

if TYPE_CHECKING:
    from models.rebalance.joint.run import DeskRun

__all__ = ["Weighed", "tell_worth"]


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """A choice, and what it was made on.

    Parameters
    ----------
    knob : float
        Dollars that may be spent to avoid a dollar of expected loss.
    every : float
        Minutes to the next decision.
    found : Choice
        What is worth sending.
    amount : ndarray, shape (R,)
        Units of each link.
    price : dict of str to float
        Dollars that one more unit of each binding inventory is worth.
    waits : tuple of str
        Accounts for which help pays over the days ahead, and comes in time if it is sent at the next decision.
    """

    knob: float
    every: float
    found: Choice
    amount: FloatArray
    price: dict[str, float]
    waits: tuple[str, ...]


def tell_worth(
    run: DeskRun, weighed: Weighed, after: list[Account], seen: Evaluation, worse: set[int], count: int
) -> DeskPlan:
    """Put a plan by worth into words and values.

    Parameters
    ----------
    run : DeskRun
        The desk.
    weighed : Weighed
        What is sent, and why.
    after, seen, worse, count
        As `models.rebalance.joint.telling.tell`.

    Returns
    -------
    DeskPlan
        Accounts that stay over the target are ``"left"``: nothing more is worth sending to them now. The cost is the
        worth of the plan taken from 0, and the bound that of the best plan: both are below 0.
    """
    found, amount = weighed.found, weighed.amount
    transfers = float(run.network.arcs.transfer_cost(amount).sum())
    solution = Solution(
        amount, 0.0 - found.value, transfers, 0.0 - found.bound, np.zeros(len(run.worth.pockets)), "milp",
        found.timed_out, weighed.price,
    )  # fmt: skip
    plan = tell(run, solution, after, seen, worse, count, relaxing=False)
    outcomes = tuple(replace(o, status="left") if o.status == "short" else o for o in plan.accounts)
    sent = tuple(replace(t, stage="send") for t in plan.transfers)
    words = worth_sentence(
        run.target, sent, len(run.needy), (weighed.knob, found.value, found.bound), weighed.waits, weighed.every,
        _short(weighed.price), plan.certificate.sentence,
    )  # fmt: skip
    return replace(
        plan, status="act" if sent else "ok", transfers=sent, accounts=outcomes, knob=weighed.knob,
        waits=weighed.waits, sentence=" ".join([words, *plan.warnings]),
    )  # fmt: skip


def _short(price: dict[str, float]) -> Sequence[tuple[str, float]]:
    """Binding inventories by name, the dearest first."""
    return sorted(((name.removeprefix("pool: "), x) for name, x in price.items()), key=lambda pair: -pair[1])
