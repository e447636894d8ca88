"""What accounts of a desk substitute under their agreements, on the inventory that the plan leaves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from models.account import Account
from models.rebalance.balances import changed
from models.rebalance.joint.own import Own, plans_of
from models.rebalance.joint.plan import OwnStep
from models.rebalance.plan import Plan, Substituted
from models.rebalance.policy import Policy

if TYPE_CHECKING:
    from models.rebalance.joint.run import DeskRun

__all__ = ["substituted"]

_MOST = 100
"""Exchanges of one run."""


def substituted(
    run: DeskRun, accounts: Sequence[Account], rows: Collection[int], policy: Policy, moves: int, moved_usd: float
) -> Own:
    """Find the exchanges under agreements that save more than they cost, one after the other.

    Parameters
    ----------
    run : DeskRun
        The desk.
    accounts : sequence of Account
        Its accounts with the plan so far carried out.
    rows : collection of int
        Those under the target that take no part in the plan.
    policy : Policy
        With the inventory that is left.
    moves : int
        Transfers that the plan has already.
    moved_usd : float
        Dollars of them.

    Returns
    -------
    Own
        Of all accounts the exchange that saves the most, then the next on the inventory that this one leaves, until
        none saves anything. What comes back is in no inventory: it comes after the return lag. Limits of a run hold,
        and nothing is exchanged on a price that is too old.
    """
    out, steps = list(accounts), list[OwnStep]()
    left = sorted(i for i in rows if accounts[i].csa is not None) if policy.substitutions else []
    while left and len(steps) < _MOST and _may_move(policy, moves + len(steps)):
        asked = _with_less_run(policy, moved_usd + sum(_dollars(step) for step in steps))
        every = plans_of(run, out, left, "substitute", asked)
        found = [one for one in every if _allowed(policy, steps, out[one[0]]) and _fresh(run, *one)]
        if not found:
            break
        row, plan = max(found, key=lambda pair: _saved_usd(pair[1]))
        step = _step(out[row], plan)
        steps.append(step)
        out[row] = _carried_out(out[row], step)
        policy = _with_less(policy, plan)
        left = sorted({i for i, _ in found})
    return Own(tuple(steps), tuple(out), policy)


def _may_move(policy: Policy, count: int) -> bool:
    most = policy.limits.max_moves
    return most is None or count < most


def _allowed(policy: Policy, steps: Sequence[OwnStep], account: Account) -> bool:
    """Whether an account may be sent one more thing in this run."""
    most = policy.limits.max_moves_per_account
    return most is None or sum(step.account_id == account.account_id for step in steps) < most


def _fresh(run: DeskRun, row: int, plan: Plan) -> bool:
    """Whether the prices of both assets are no older than the rules of the account allow."""
    own, action = run.weights[row], plan.actions[0]
    assert own is not None
    oldest = max(run.age.get(name, 0.0) for name in (action.asset, action.into or ""))
    return oldest <= own.rules.stale_after_minutes


def _with_less_run(policy: Policy, dollars: float) -> Policy:
    """The policy with what is left of the value that a run may move."""
    most = policy.limits.max_run_value
    if most is None:
        return policy
    limits = msgspec.structs.replace(policy.limits, max_run_value=max(most - dollars, 0.0))
    return msgspec.structs.replace(policy, limits=limits)


def _with_less(policy: Policy, plan: Plan) -> Policy:
    """The policy without what the substitute and its fees take from its place."""
    done, action = _done(plan), plan.actions[0]
    route = next(route for route in policy.routes if route.name == done.route)
    place, asset = policy.places[done.source], action.into or ""
    units = (action.received or 0.0) * (1.0 + route.fee_rate) + route.fee + policy.asset_rule(asset).fee
    kept = max(place.inventory[asset] - units, place.least.get(asset, 0.0))
    less = msgspec.structs.replace(place, inventory=place.inventory | {asset: kept})
    return msgspec.structs.replace(policy, places=policy.places | {done.source: less})


def _carried_out(account: Account, step: OwnStep) -> Account:
    """The account when what was asked back has come back."""
    return changed(changed(account, step.into or "", step.received or 0.0), step.asset, -step.amount, "supplied")


def _step(account: Account, plan: Plan) -> OwnStep:
    action, done = plan.actions[0], _done(plan)
    return OwnStep(
        account_id=account.account_id,
        kind="substitute",
        asset=action.asset,
        symbol=None,
        amount=action.amount,
        value_usd=action.value_usd,
        cost_usd=-_saved_usd(plan),
        route=done.route,
        to=done.returns_to,
        p_before=plan.p_before,
        p_after=plan.p_after,
        levels_after=plan.levels_after,
        sentence=plan.sentence,
        needs_approval=done.needs_approval,
        into=action.into,
        received=action.received,
        substitution=done,
    )


def _dollars(step: OwnStep) -> float:
    """Dollars that an exchange sends."""
    done = step.substitution
    assert done is not None
    return done.sent_usd


def _saved_usd(plan: Plan) -> float:
    action = plan.actions[0]
    return _done(plan).saves * action.value_usd / max(action.value, 1e-300)


def _done(plan: Plan) -> Substituted:
    assert plan.substitution is not None
    return plan.substitution
