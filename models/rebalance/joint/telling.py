"""What a finished plan says: transfers, outcomes, limits that bind, and the certificate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from models.account import Account
from models.instrument import parse_symbol
from models.margin.levels import STATES
from models.rebalance.evaluate import Evaluation
from models.rebalance.joint.carry_out import policy_after
from models.rebalance.joint.network import Link
from models.rebalance.joint.plan import AccountOutcome, Certificate, DeskPlan, TradeStep, Transfer
from models.rebalance.joint.problem import DeskProblem
from models.rebalance.joint.relax import smallest_relaxation
from models.rebalance.joint.solve import Solution
from models.rebalance.joint.wording import certificate_sentence, desk_sentence
from models.rebalance.wording import action_words
from models.typing import FloatArray

if TYPE_CHECKING:
    from models.rebalance.joint.run import DeskRun

__all__ = ["tell", "tell_nothing"]

_LEAD = 120.0
_LEVELS_CALL = STATES.index("call")


def tell(
    run: DeskRun,
    found: Solution,
    after: list[Account],
    seen: Evaluation,
    worse: set[int],
    count: int,
    relaxing: bool = True,
) -> DeskPlan:
    """Put a plan and what was checked of it into words and values.

    Parameters
    ----------
    run : DeskRun
        The desk.
    found : Solution
        Amounts of its links, with their bound.
    after : list of Account
        The accounts with the plan carried out.
    seen : Evaluation
        The same as the predictor and the engine see them.
    worse : set of int
        Rows of the accounts that end worse than with no action.
    count : int
        Scenarios asked.
    relaxing : bool
        Whether it is asked what binds where accounts stay over the target.

    Returns
    -------
    DeskPlan
        The plan.
    """
    transfers, trades = _transfers(run, found.amount), _trades(run, found.amount)
    outcomes = _outcomes(run, seen, transfers, found.short)
    missed = tuple(o.account_id for o in outcomes if o.status == "short")
    names = tuple(run.accounts[i].account_id for i in sorted(worse))
    sentence = certificate_sentence(count, names, missed)
    certificate = Certificate(count, run.policy.limits.stress, names, missed, sentence)
    relaxed = smallest_relaxation(_wished(run)) if missed and relaxing else ()
    warnings = _stale_words(run)
    words = desk_sentence(run.target, transfers, outcomes, found.transfers, relaxed, sentence, trades)
    return DeskPlan(
        target=run.target,
        status="cannot_reach" if missed else "act",
        method=found.method,
        transfers=transfers,
        accounts=outcomes,
        cost_usd=found.cost,
        transfers_usd=found.transfers,
        bound_usd=found.bound if math.isfinite(found.bound) else None,
        gap=found.gap if math.isfinite(found.bound) else None,
        timed_out=found.timed_out,
        shadow=found.shadow,
        relaxations=relaxed,
        refused=tuple(run.refused),
        warnings=warnings,
        certificate=certificate,
        sentence=" ".join([words, *warnings]),
        accounts_after=tuple(after),
        policy_after=policy_after(run.policy, run.network, found.amount),
        trades=trades,
    )


def _wished(run: DeskRun) -> DeskProblem:
    """The problem with the needs as they are, also of accounts that no money can bring to the target."""
    return run.problem().with_need(run.worth.curves.need)


def _transfers(run: DeskRun, amount: FloatArray) -> tuple[Transfer, ...]:
    network, limits = run.network, run.policy.limits
    cost = network.arcs.transfer_cost(amount)
    out = []
    for k in np.flatnonzero(amount > 0).tolist():
        link, units = network.links[k], float(amount[k])
        if link.trade is not None:
            continue
        last = run.last_safe(link.account)
        start = None if math.isinf(last) else max(last - link.arrives, 0.0)
        value = units * link.price
        above = limits.approval_above is not None and value > limits.approval_above
        fee = units * (network.arcs.draw[k] - 1.0) + network.arcs.fixed_units[k]
        out.append(
            Transfer(
                route=link.route.name,
                source=link.route.source,
                account_id=run.accounts[link.account].account_id,
                kind=link.kind,
                symbol=None if link.position < 0 else run.accounts[link.account].positions[link.position].symbol,
                asset=link.asset,
                amount=units,
                fee=float(fee),
                value_usd=value,
                cost_usd=float(cost[k]),
                arrives_minutes=link.arrives,
                start_within_minutes=start,
                stage="ready" if start is None or start > _LEAD else "send",
                late=link.late,
                needs_approval=link.route.needs_approval or above,
                annual_rate=link.place.annual_rate if link.place.kind == "credit_line" else None,
                recalled_from=_recalled_from(run, link),
            )
        )
    return tuple(sorted(out, key=_urgency))


def _recalled_from(run: DeskRun, link: Link) -> str | None:
    """The agreement under which the other party returns it."""
    giver = run.accounts[link.giver] if link.giver >= 0 else None
    return giver.account_id if giver is not None and giver.csa is not None else None


def _trades(run: DeskRun, amount: FloatArray) -> tuple[TradeStep, ...]:
    network, above = run.network, run.policy.limits.approval_above
    cost = network.arcs.transfer_cost(amount)
    out = []
    for k in np.flatnonzero(amount > 0).tolist():
        link, units = network.links[k], float(amount[k])
        if link.trade is None or link.trade.trade is None:
            continue
        trade, swaps, value = link.trade.trade, link.kind == "swap", units * link.price
        out.append(
            TradeStep(
                account_id=run.accounts[link.account].account_id,
                rule=trade.rule,
                kind="swap" if swaps else "hedge",
                asset=link.asset,
                amount=units,
                value_usd=value,
                cost_usd=float(cost[k]),
                symbol=link.trade.symbol,
                quantity=None if swaps else trade.side * units,
                into=trade.into if swaps else None,
                received=link.trade.buys(units) if swaps else None,
                needs_approval=trade.needs_approval or (above is not None and value > above),
                sentence=action_words(link.trade, units),
            )
        )
    return tuple(sorted(out, key=lambda step: -step.value_usd))


def _urgency(transfer: Transfer) -> tuple[float, float]:
    start = transfer.start_within_minutes
    return math.inf if start is None else start, -transfer.value_usd


def _outcomes(
    run: DeskRun, seen: Evaluation, transfers: Sequence[Transfer], lacks: FloatArray
) -> tuple[AccountOutcome, ...]:
    late, needy = {t.account_id for t in transfers if t.late}, set(run.needy.tolist())
    out = []
    for row in dict.fromkeys(run.worth.owner.tolist()):
        name, p = run.accounts[row].account_id, float(seen.p[row, run.target.column])
        if row not in needy:
            if np.array_equal(seen.level[row], run.before.level[row]):
                continue
            status, short = "gives", 0.0
        else:
            over = not seen.good[row] or p > run.target.probability or seen.state[row] >= _LEVELS_CALL
            status = "short" if over else "late" if name in late else "reached"
            short = _still_short(run, row, p, lacks) if over else 0.0
        levels = run.before.levels(row), seen.levels(row)
        chances = run.before.probabilities(row), seen.probabilities(row)
        out.append(AccountOutcome(name, status, *chances, *levels, short))  # type: ignore[arg-type]
    return tuple(out)


def _still_short(run: DeskRun, row: int, p: float, lacks: FloatArray) -> float:
    """Dollars of money that would still be needed: by the curve of P, of several pockets as the plan says."""
    mine = np.flatnonzero(run.worth.owner[: run.worth.count] == row)
    if len(mine) > 1:
        return float(lacks[mine].sum())
    k = int(mine[0])
    return max(float(run.worth.curves.need[k]) - run.worth.equivalent(k, p), 0.0)


def tell_nothing(run: DeskRun) -> DeskPlan:
    """Say that every account is under the target.

    Parameters
    ----------
    run : DeskRun
        The desk.

    Returns
    -------
    DeskPlan
        Without transfers.
    """
    certificate = Certificate(0, run.policy.limits.stress, (), (), "No account changes.")
    sentence = desk_sentence(run.target, (), (), 0.0, (), "")
    return DeskPlan(
        run.target, "ok", "nothing", (), (), 0.0, 0.0, 0.0, 0.0, False, {}, (), (), _stale_words(run), certificate,
        sentence, tuple(run.accounts), run.policy,
    )  # fmt: skip


def _stale_words(run: DeskRun) -> tuple[str, ...]:
    """Warn of the accounts that rest on a price older than their ruleset allows."""
    out = []
    for account, own in zip(run.accounts, run.weights, strict=True) if run.age else ():
        if own is None:
            continue
        names = {item.asset for item in account.collateral} | {parse_symbol(p.symbol).base for p in account.positions}
        late = sorted(a for a in names if run.age.get(a, 0.0) > own.rules.stale_after_minutes)
        if late:
            oldest = max(run.age[a] for a in late)
            out.append(f"{account.account_id} rests on a price of {', '.join(late)} that is {oldest:.0f} minutes old.")
    return tuple(out)
