"""A plan with what accounts do themselves: its outcomes, certificate and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from models.rebalance.joint.own import reduced, released
from models.rebalance.joint.own_substitutions import substituted
from models.rebalance.joint.plan import AccountOutcome, DeskPlan, OwnStep
from models.rebalance.joint.wording import certificate_sentence, own_sentence

if TYPE_CHECKING:
    from models.rebalance.joint.run import DeskRun

__all__ = ["with_own"]


def with_own(run: DeskRun, plan: DeskPlan, reduce: bool, release: bool, substitute: bool = False) -> DeskPlan:
    """Add reductions of the accounts that transfers leave over the target, and what others give back or exchange.

    Parameters
    ----------
    run : DeskRun
        The desk.
    plan : DeskPlan
        Its transfers.
    reduce, release, substitute : bool
        What is asked for; the policy must allow it as well.

    Returns
    -------
    DeskPlan
        The same plan where there is nothing to add.
    """
    row = {account.account_id: i for i, account in enumerate(run.accounts)}
    steps: tuple[OwnStep, ...] = ()
    accounts, policy = plan.accounts_after, plan.policy_after
    if reduce:
        short = [row[o.account_id] for o in plan.accounts if o.status == "short"]
        own = reduced(run, accounts, short, policy)
        accounts, policy, steps = own.accounts, own.policy, own.steps
    if release:
        busy = {row[o.account_id] for o in plan.accounts}
        idle = [i for i, own in enumerate(run.weights) if own is not None and i not in busy]
        own = released(run, accounts, idle, policy)
        accounts, policy, steps = own.accounts, own.policy, (*steps, *own.steps)
    if substitute:
        busy = {row[o.account_id] for o in plan.accounts}
        idle = [i for i, own in enumerate(run.weights) if own is not None and i not in busy]
        sent = len(plan.transfers), sum(t.value_usd for t in plan.transfers)
        own = substituted(run, accounts, idle, policy, *sent)
        accounts, policy, steps = own.accounts, own.policy, (*steps, *own.steps)
    if not steps:
        return plan
    outcomes = tuple(_outcome(o, steps) for o in plan.accounts)
    missed = tuple(o.account_id for o in outcomes if o.status == "short")
    old = plan.certificate
    words = certificate_sentence(old.scenarios, old.worsened, missed)
    sentence = plan.sentence.replace(old.sentence, words) if old.sentence else plan.sentence
    return replace(
        plan,
        status="cannot_reach" if missed else "act",
        accounts=outcomes,
        certificate=replace(old, missed=missed, sentence=words),
        sentence=f"{sentence} {own_sentence(steps)}",
        accounts_after=accounts,
        policy_after=policy,
        own=steps,
    )


def _outcome(outcome: AccountOutcome, steps: Sequence[OwnStep]) -> AccountOutcome:
    for step in reversed(steps):  # what the last of several leaves
        if step.account_id == outcome.account_id and step.kind == "reduce":
            return replace(
                outcome, status="reduced", p_after=step.p_after, levels_after=step.levels_after, short_usd=0.0
            )
    return outcome
