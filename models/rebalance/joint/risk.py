"""The loss of a desk on joint paths: as figures of its plan, and as what the plan minimises."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from models.account import Account
from models.rebalance.joint.plan import DeskPlan, Objective, Risk
from models.rebalance.joint.tails import TAILS, Scenarios, Tail, joint_tail, path_losses, tail_mean
from models.rebalance.joint.wording import risk_sentence
from models.typing import FloatArray

if TYPE_CHECKING:
    from models.rebalance.joint.run import DeskRun

__all__ = ["risk_of", "tail_of", "with_risk"]


def risk_of(run: DeskRun, accounts: Sequence[Account]) -> Risk | None:
    """Take the loss of the desk on the joint paths.

    Parameters
    ----------
    run : DeskRun
        The desk.
    accounts : sequence of Account
        All its accounts, as they are or as they would be; those that could not be computed count for nothing.

    Returns
    -------
    Risk or None
        None where there are no paths.
    """
    if run.scenarios is None:
        return None
    loss = _loss(run, accounts)
    return Risk(len(loss), *(tail_mean(loss, TAILS[name]) for name in ("expected", "cvar90", "cvar95")))


def tail_of(run: DeskRun, scenarios: Scenarios) -> Tail:
    """Minimise the CVaR of the desk on the linear relaxation.

    Parameters
    ----------
    run : DeskRun
        The desk, with its network built on curves of the accounts alone.
    scenarios : callable
        The joint paths.

    Returns
    -------
    Tail
        Its curves stand for the CVaR in the plan in whole numbers.
    """
    worth, limits = run.worth, run.policy.limits
    rows, points = np.repeat(worth.owner, worth.amount.shape[1]), worth.amount.shape[1]
    dollar = np.repeat(worth.probe.dollar, points)
    candidates = worth.probe.candidates(worth.amount)
    losses = path_losses(candidates, rows, dollar, run.evaluate, scenarios, run.target, limits)
    others = _loss(run, run.accounts, set(worth.owner.tolist()))
    share = TAILS[limits.risk_measure]
    return joint_tail(run.problem(), losses.reshape(len(worth.pockets), points, -1), share, others)


def _loss(run: DeskRun, accounts: Sequence[Account], left_out: Collection[int] = ()) -> FloatArray:
    """Loss of the accounts that could be computed on each path, dollars."""
    assert run.scenarios is not None
    rows = np.array([i for i, own in enumerate(run.weights) if own is not None and i not in left_out], np.int64)
    part = [accounts[i] for i in rows.tolist()]
    own = [run.weights[i] for i in rows.tolist()]
    dollar = np.array([w.quotes.dollar(w.account.currency) for w in own if w is not None])
    asked = run.evaluate, run.scenarios, run.target, run.policy.limits
    return np.asarray(path_losses(part, rows, dollar, *asked).sum(axis=0), np.float64)


def with_risk(run: DeskRun, plan: DeskPlan) -> DeskPlan:
    """Add to a plan which loss it minimised, and what the loss of the desk is before and after it.

    Parameters
    ----------
    run : DeskRun
        The desk.
    plan : DeskPlan
        Its plan.

    Returns
    -------
    DeskPlan
        With the figures, in words as well where anything is done.
    """
    measure = run.policy.limits.risk_measure
    joint = run.scenarios is not None or measure == "expected"
    objective: Objective = measure if joint else f"sum of {measure}"  # type: ignore[assignment]
    before = risk_of(run, run.accounts)
    if before is None or plan.status == "ok":
        return replace(plan, objective=objective, risk_before=before, risk_after=before)
    after = risk_of(run, plan.accounts_after)
    assert after is not None
    sentence = f"{plan.sentence} {risk_sentence(objective, before, after)}"
    return replace(plan, objective=objective, risk_before=before, risk_after=after, sentence=sentence)
