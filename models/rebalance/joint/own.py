"""What accounts of a desk do beside transfers to them: reduce where those fall short, give back what is not needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from models.account import Account
from models.rebalance.desk import Desk
from models.rebalance.effects import apply_move
from models.rebalance.joint.closeout import CloseOut, close_outs
from models.rebalance.joint.plan import OwnStep
from models.rebalance.moves import Move, reduce_move
from models.rebalance.places import Route
from models.rebalance.plan import Kind, Plan
from models.rebalance.policy import Policy
from models.rebalance.recommend import market_part
from models.rebalance.wording import plan_sentence
from models.typing import IntArray

if TYPE_CHECKING:
    from models.rebalance.joint.run import DeskRun

__all__ = ["Own", "plans_of", "reduced", "released"]

_YEAR_DAYS = 365.0


@dataclass(frozen=True, slots=True, eq=False)
class Own:
    """Steps, and the accounts after them.

    Parameters
    ----------
    steps : tuple of OwnStep
        The steps.
    accounts : tuple of Account
        All accounts of the desk, with them.
    policy : Policy
        The policy with what came back.
    """

    steps: tuple[OwnStep, ...]
    accounts: tuple[Account, ...]
    policy: Policy


def reduced(run: DeskRun, accounts: Sequence[Account], rows: Collection[int], policy: Policy) -> Own:
    """Find the smallest reduction that brings each account to the target where transfers cannot.

    Parameters
    ----------
    run : DeskRun
        The desk.
    accounts : sequence of Account
        Its accounts with the transfers carried out.
    rows : collection of int
        Those that are still over the target.
    policy : Policy
        With the inventory that is left.

    Returns
    -------
    Own
        Of each account the cheapest reduction of one position that is enough, if there is one, it passes the stress of
        the policy, and the policy lets positions be reduced; where positions have isolated margin, the cheapest
        reductions together, see `close_outs`.
    """
    wanted = sorted(rows) if policy.reduce else []
    several = [row for row in wanted if _has_several(accounts[row])]
    out, steps = list(accounts), []
    for row, plan in plans_of(run, accounts, [row for row in wanted if row not in several], "reduce", policy):
        changed = _reduced_account(run, row, accounts[row], plan, policy)
        if changed is None or run.ends_worse(row, changed):
            continue
        action, out[row] = plan.actions[0], changed
        fee_usd = action.fee * action.value_usd / max(action.value, 1e-300)
        rule = policy.unwind(accounts[row], action.symbol or "")
        step = _step(accounts[row], "reduce", plan, None, fee_usd)
        steps.append(replace(step, needs_approval=rule is not None and rule.needs_approval))
    for row in several:
        own = run.weights[row]
        assert own is not None
        ways = close_outs(replace(own, account=accounts[row]), row, run.evaluate, run.target, policy)
        best = next((way for way in ways if not run.ends_worse(row, way.account)), None)
        if best is not None:
            out[row] = best.account
            steps += _orders(run, row, best)
    return Own(tuple(steps), tuple(out), policy)


def _has_several(account: Account) -> bool:
    """Whether an account is margined in several parts, one of them an isolated position."""
    return len(account.positions) > 1 and any(p.margin_mode == "isolated" for p in account.positions)


def _orders(run: DeskRun, row: int, way: CloseOut) -> list[OwnStep]:
    """The reductions of an account, each with what it does after those before it."""
    states = [*(order.account for order in way.orders), way.account]
    seen, column = run.evaluate(states, np.full(len(states), row)), run.target.column
    out = []
    for i, order in enumerate(way.orders):
        move, amount = order.move, order.amount
        p = seen.probabilities(i), seen.probabilities(i + 1)
        out.append(
            OwnStep(
                account_id=way.account.account_id,
                kind="reduce",
                asset=move.asset,
                symbol=move.symbol,
                amount=amount,
                value_usd=amount * move.price * move.dollar,
                cost_usd=move.fee(amount) * move.dollar,
                route=None,
                to=None,
                p_before=p[0],
                p_after=p[1],
                levels_after=seen.levels(i + 1),
                sentence=plan_sentence(move, amount, run.target, p[0][column], p[1][column]),
            )
        )
    return out


def released(run: DeskRun, accounts: Sequence[Account], rows: Collection[int], policy: Policy) -> Own:
    """Find what accounts with more than they need can give back, where that saves more than it costs.

    Parameters
    ----------
    run : DeskRun
        The desk.
    accounts : sequence of Account
        Its accounts with the transfers carried out.
    rows : collection of int
        Those under the target that take no part in the plan.
    policy : Policy
        With the inventory that is left.

    Returns
    -------
    Own
        Of each account the asset that saves the most over the holding days of the policy, by the cheapest of the routes
        that lead there, taken the other way. Target, release level and agreement are kept; fees and gas are those of
        the route.
    """
    best: dict[int, tuple[float, Plan, Route]] = {}
    for row, plan in plans_of(run, accounts, sorted(rows), "release", policy):
        for route in _routes(accounts[row], plan, policy):
            saved = -_cost(plan, route, policy)
            if saved > 0 and (row not in best or saved > best[row][0]):
                best[row] = saved, plan, route
    out, steps = list(accounts), []
    for row, (saved, plan, route) in sorted(best.items()):
        action = plan.actions[0]
        move = Move("release", action.asset, -1, None, 1.0, action.amount)
        out[row] = apply_move(accounts[row], move, action.amount)
        policy = _with_more(policy, route.source, action.asset, action.amount)
        steps.append(_step(accounts[row], "release", plan, route, -saved))
    return Own(tuple(steps), tuple(out), policy)


def plans_of(
    run: DeskRun, accounts: Sequence[Account], rows: list[int], kind: Kind, policy: Policy
) -> list[tuple[int, Plan]]:
    """Ask for plans of one kind.

    Parameters
    ----------
    run : DeskRun
        The desk.
    accounts : sequence of Account
        Its accounts as they are by then.
    rows : list of int
        Those that are asked about.
    kind : str
        The kind of action.
    policy : Policy
        With the inventory that is left.

    Returns
    -------
    list of tuple
        Row and plan, cheapest first for each account; of reductions the cheapest alone.
    """
    if not rows:
        return []
    index: IntArray = np.array(rows, np.int64)
    market = None if run.evaluate.volatility is None else market_part(run.evaluate.volatility, index)
    part = replace(run.evaluate, prices=run.evaluate.prices[index], volatility=market)
    found, _ = Desk([accounts[i] for i in rows], part, run.target, policy, frozenset({kind}), run.now).run()
    row_of = {accounts[i].account_id: i for i in rows}
    out = []
    for one in found:
        out += [(row_of[one.account_id], plan) for plan in (one.plans[:1] if kind == "reduce" else one.plans)]
    return out


def _reduced_account(run: DeskRun, row: int, account: Account, plan: Plan, policy: Policy) -> Account | None:
    """The account after its reduction; None where it has several positions of that symbol."""
    action, own = plan.actions[0], run.weights[row]
    index = [k for k, position in enumerate(account.positions) if position.symbol == action.symbol]
    if own is None or len(index) != 1:
        return None
    fee = own.rules.taker_fee if policy.taker_fee is None else policy.taker_fee
    move = reduce_move(replace(own, account=account), index[0], policy.lot(action.symbol or ""), fee)
    return apply_move(account, move, action.amount)


def _routes(account: Account, plan: Plan, policy: Policy) -> list[Route]:
    """Routes by which the asset of a release can go back to where it may have come from."""
    action = plan.actions[0]
    out = []
    for route in policy.routes:
        place = policy.places[route.source]
        leads = any(name in ("*", account.account_id, f"ruleset:{account.ruleset}") for name in route.to)
        inside = action.amount >= route.min_transfer and action.amount <= (route.max_transfer or np.inf)
        if (
            leads
            and inside
            and place.account is None
            and place.serves(account.account_id)
            and action.asset in route.assets
        ):
            out.append(route)
    return out


def _cost(plan: Plan, route: Route, policy: Policy) -> float:
    """Dollars that a release costs, less what the asset earns elsewhere over the holding days."""
    action, rule = plan.actions[0], policy.asset_rule(plan.actions[0].asset)
    price = action.value_usd / max(action.amount, 1e-300)
    fees = route.gas + (route.fee + rule.fee) * price + route.fee_rate * action.value_usd
    rate = rule.annual_cost + policy.places[route.source].annual_rate
    return fees - action.value_usd * rate * policy.limits.holding_days / _YEAR_DAYS


def _with_more(policy: Policy, name: str, asset: str, units: float) -> Policy:
    place = policy.places[name]
    more = msgspec.structs.replace(place, inventory=place.inventory | {asset: place.inventory.get(asset, 0.0) + units})
    return msgspec.structs.replace(policy, places=dict(policy.places) | {name: more})


def _step(
    account: Account, kind: Literal["reduce", "release"], plan: Plan, route: Route | None, cost: float
) -> OwnStep:
    action = plan.actions[0]
    return OwnStep(
        account_id=account.account_id,
        kind=kind,
        asset=action.asset,
        symbol=action.symbol,
        amount=action.amount,
        value_usd=action.value_usd,
        cost_usd=cost,
        route=None if route is None else route.name,
        to=None if route is None else route.source,
        p_before=plan.p_before,
        p_after=plan.p_after,
        levels_after=plan.levels_after,
        sentence=plan.sentence,
    )
