"""Substitutions that save more than they cost: the largest size, re-priced after the delivery and after the return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.account import Account
from models.margin.levels import STATES
from models.rebalance.effects import apply_move, delivered
from models.rebalance.evaluate import Evaluation
from models.rebalance.moves import Move, round_amount
from models.rebalance.plan import Action, Plan, Substituted, Unreachable
from models.rebalance.scenarios import assets_of, scenario_factors, worse_in_scenarios
from models.rebalance.search import Search, search_amounts
from models.rebalance.substituting.notice import notices
from models.rebalance.substituting.substitute import Substitute
from models.rebalance.substituting.ways import substituting_moves
from models.rebalance.substituting.wording import not_kept, not_paying, stressed, substitution_sentence
from models.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from models.rebalance.desk import Desk

__all__ = ["Substitutions", "substitutions"]

_CENT = 1e-4
_EQUITY, _CALL_LEVEL = 0, 2
_CALL = STATES.index("call")
_DAY_MINUTES = 1_440.0


@dataclass(frozen=True, slots=True, eq=False)
class Substitutions:
    """What was found for the accounts of a desk.

    Parameters
    ----------
    plans : mapping of int to list of Plan
        By row of the account: for each pair of assets the way that saves the most, the largest saving first.
    unreachable : mapping of int to list of Unreachable
        By row: what a rule of the policy names but cannot be, or does not pay.
    """

    plans: Mapping[int, list[Plan]]
    unreachable: Mapping[int, list[Unreachable]]


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """Searches at their rounded amounts, after the delivery and after the return, N each."""

    searches: Sequence[Search]
    owner: IntArray
    amount: FloatArray
    states: tuple[list[Account], list[Account]]
    between: Evaluation
    after: Evaluation


def substitutions(desk: Desk) -> Substitutions:
    """Find what accounts under the target may exchange under their agreements.

    Parameters
    ----------
    desk : Desk
        The accounts, their market, and the policy.

    Returns
    -------
    Substitutions
        Each exchange by itself: two of them may draw on the same inventory. At present prices the account counts for
        no less than before at either moment, P(call) stays at or under the target, and no price scenario of the policy
        leaves it in a worse state than doing nothing would.

    Notes
    -----
    An account over the target is first brought under it: it is given no exchange. The value of what comes back is that
    at the return: if the substitute is then worth less, less comes back.
    """
    searches: list[Search] = []
    lost: dict[int, list[Unreachable]] = {}
    for i, own in enumerate(desk.weights):
        if own is None or desk.over(i):
            continue
        moves, refused = substituting_moves(own, desk.policy, desk.now or own.account.as_of)
        searches += [Search(i, move) for move in moves]
        for move, reason in refused:
            lost.setdefault(i, []).append(_unreachable(desk, i, move, reason))
    if not searches:
        return Substitutions({}, lost)
    tried = _try(desk, searches)
    worse = _worse(desk, tried)
    kept = (tried.amount > 0) & _kept(desk, tried.between, tried.owner) & _kept(desk, tried.after, tried.owner)
    best: dict[tuple[int, str, str], tuple[Plan, int]] = {}
    for k, search in enumerate(searches):
        plan = _plan(desk, tried, k) if kept[k] and k not in worse else None
        key = search.owner, search.move.asset, _way(search.move).asset
        if plan is None or not _saves(plan) > _least(search.move):
            reason = _reason(desk, tried, k, plan, k in worse)
            lost.setdefault(search.owner, []).append(_unreachable(desk, search.owner, search.move, reason))
        elif key not in best or _saves(plan) > _saves(best[key][0]):
            best[key] = plan, search.owner
    plans: dict[int, list[Plan]] = {}
    for plan, owner in sorted(best.values(), key=lambda pair: -_saves(pair[0])):
        plans.setdefault(owner, []).append(plan)
    return Substitutions(plans, lost)


def _try(desk: Desk, searches: Sequence[Search]) -> _Tried:
    """Find the largest amounts that are kept, and evaluate them rounded."""
    owner = np.array([search.owner for search in searches], np.int64)

    def enough(seen: Evaluation, rows: IntArray) -> BoolArray:
        return _kept(desk, seen, rows)

    found = search_amounts(searches, desk.accounts, desk.evaluate, enough, desk.target.column)
    pairs = list(zip(searches, found.amount.tolist(), strict=True))
    amount = np.array([0.0 if np.isnan(x) else round_amount(x, s.move) for s, x in pairs])
    moved = list(zip([desk.accounts[i] for i in owner.tolist()], searches, amount.tolist(), strict=True))
    between = [delivered(account, search.move, x) for account, search, x in moved]
    after = [apply_move(account, search.move, x) for account, search, x in moved]
    seen = desk.evaluate(between, owner), desk.evaluate(after, owner)
    return _Tried(searches, owner, amount, (between, after), *seen)


def _kept(desk: Desk, seen: Evaluation, owner: IntArray) -> BoolArray:
    """Whether an account counts for no less than before, is under the target, and in no worse state."""
    before, column = desk.before, desk.target.column
    value = seen.level[:, _EQUITY] >= before.level[owner, _EQUITY] - _CENT
    state = (seen.state <= before.state[owner]) & (seen.state < _CALL)
    return np.asarray(seen.good & value & state & (seen.p[:, column] <= desk.target.probability))


def _worse(desk: Desk, tried: _Tried) -> set[int]:
    """Exchanges that some price scenario leaves in a worse state than doing nothing, at either moment."""
    moved = np.flatnonzero(tried.amount > 0)
    if not len(moved):
        return set()
    rows, old = tried.owner[moved], [desk.accounts[i] for i in tried.owner[moved].tolist()]
    found: set[int] = set()
    for states in tried.states:
        new = [states[k] for k in moved.tolist()]
        used = assets_of([*old, *new], desk.evaluate)
        factors = scenario_factors(desk.policy.limits.stress, len(desk.evaluate.assets), used)
        found |= {int(moved[k]) for k in worse_in_scenarios(old, new, rows, desk.evaluate, factors)}
    return found


def _plan(desk: Desk, tried: _Tried, k: int) -> Plan:
    owner, move, amount = int(tried.owner[k]), tried.searches[k].move, float(tried.amount[k])
    way, account = _way(move), desk.accounts[owner]
    fee, value = move.fee(amount), amount * move.price
    done = _substituted(desk, tried, k)
    p = desk.before.probabilities(owner), tried.after.probabilities(k)
    column = desk.target.column
    return Plan(
        actions=(
            Action(
                kind="substitute",
                asset=move.asset,
                symbol=None,
                amount=amount,
                value=value,
                value_usd=value * move.dollar,
                proceeds=-fee,
                fee=fee,
                haircut=0.0,
                into=way.asset,
                received=way.needs(amount),
            ),
        ),
        p_before=p[0],
        p_after=p[1],
        levels_before=desk.before.levels(owner),
        levels_after=tried.after.levels(k),
        cost=fee,
        last_safe_minute=None,
        sentence=substitution_sentence(account, move, amount, done, desk.target, (p[0][column], p[1][column])),
        substitution=done,
    )


def _substituted(desk: Desk, tried: _Tried, k: int) -> Substituted:
    owner, move, amount = int(tried.owner[k]), tried.searches[k].move, float(tried.amount[k])
    way, own, limits = _way(move), desk.weights[owner], desk.policy.limits
    assert own is not None
    rule, units, above = way.rule, way.needs(amount), limits.approval_above
    value = units * way.price * way.dollar
    approval = rule.needs_approval or way.route.needs_approval or (above is not None and value > above)
    out = own.counted(move.asset, amount)
    return Substituted(
        rule=rule.name,
        route=way.route.name,
        source=way.route.source,
        returns_to=rule.returns_to or way.route.source,
        sent_usd=value,
        counted_in=out * units / (amount * way.each) if amount > 0 else 0.0,
        counted_out=out,
        saves=way.saves(amount) - _risk(desk, tried, k),
        holding_days=way.days,
        arrives_minutes=way.timing.arrives_minutes,
        returns_minutes=way.timing.returns_minutes,
        needs_consent=rule.needs_consent,
        needs_approval=approval,
        p_between=tried.between.probabilities(k),
        levels_between=tried.between.levels(k),
        instructions=notices(own.account.account_id, move, amount, approval),
    )


def _risk(desk: Desk, tried: _Tried, k: int) -> float:
    """What the calls that become likelier cost over the holding time, account currency."""
    owner, column, limits = int(tried.owner[k]), desk.target.column, desk.policy.limits
    way = _way(tried.searches[k].move)
    more = max(float(tried.after.p[k, column] - desk.before.p[owner, column]), 0.0)
    times = max(way.days * _DAY_MINUTES / desk.target.horizon_minutes, 1.0)
    required = max(float(tried.after.level[k, _CALL_LEVEL]), 0.0)
    return more * times * (limits.call_cost / way.dollar + limits.call_cost_rate * required)


def _reason(desk: Desk, tried: _Tried, k: int, plan: Plan | None, worse: bool) -> str:
    """Why an exchange is not given."""
    account, move = desk.accounts[int(tried.owner[k])], tried.searches[k].move
    if worse:
        return stressed(account, move)
    if plan is None:
        return not_kept(account, move, desk.target)
    return not_paying(account, move, float(tried.amount[k]), _saves(plan))


def _unreachable(desk: Desk, owner: int, move: Move, reason: str) -> Unreachable:
    p = float(desk.before.p[owner, desk.target.column])
    return Unreachable("substitute", move.asset, None, p, 0.0, reason)


def _saves(plan: Plan) -> float:
    assert plan.substitution is not None
    return plan.substitution.saves


def _least(move: Move) -> float:
    """What must be saved, account currency."""
    way = _way(move)
    return way.rule.min_saving / way.dollar


def _way(move: Move) -> Substitute:
    assert move.substitute is not None
    return move.substitute
