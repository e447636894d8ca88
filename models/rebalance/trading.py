"""Which trades an account has: what it may swap, and what it may hedge with, by its ruleset and its policy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from models.account import Account
from models.instrument import parse_symbol
from models.rebalance.balances import held
from models.rebalance.effects import apply_move
from models.rebalance.evaluate import Evaluator
from models.rebalance.limits import CollateralLine
from models.rebalance.moves import Move, hedge_move, swap_move
from models.rebalance.options import collateral_side
from models.rebalance.places import leads_to
from models.rebalance.policy import Policy
from models.rebalance.scenarios import equities
from models.rebalance.trades import Hedge, Swap
from models.rebalance.weights import Weights
from models.typing import FloatArray, IntArray

__all__ = ["alone_refusal", "exposures", "hedge_moves", "swap_moves", "trading_moves"]

_BUMP = 1e-3
_SMALL = 1e-9
Refused = tuple[Move, str]


def trading_moves(
    accounts: Sequence[Account],
    weights: Sequence[Weights],
    rows: IntArray,
    policy: Policy,
    evaluate: Evaluator,
) -> tuple[list[tuple[int, Move]], list[tuple[int, Move, str]]]:
    """List the trades of some accounts that their rulesets can value, and the others with the reason.

    Parameters
    ----------
    accounts : sequence of Account, length m
        The accounts.
    weights : sequence of Weights, length m
        The same with their rules and prices.
    rows : ndarray of int, shape (m,)
        Their rows in the evaluator.
    policy : Policy
        What the desk may do.
    evaluate : Evaluator
        The engine and its prices.

    Returns
    -------
    tuple of list
        Place in `accounts` and move; the same with the reason of a refusal.
    """
    good: list[tuple[int, Move]] = []
    bad: list[tuple[int, Move, str]] = []
    if not policy.swaps and not policy.hedges:
        return good, bad
    gains = exposures(accounts, rows, policy, evaluate)
    for i, own in enumerate(weights):
        for moves, refused in (swap_moves(own, policy), hedge_moves(own, policy, gains[i])):
            good += [(i, move) for move in moves]
            bad += [(i, move, reason) for move, reason in refused]
    whole = [apply_move(accounts[i], move, move.limit) for i, move in good]
    _, failures = evaluate.book(whole)
    lost = {f.row: f.message for f in failures}
    bad += [(*good[k], message) for k, message in lost.items()]
    return [one for k, one in enumerate(good) if k not in lost], bad


def swap_moves(weights: Weights, policy: Policy) -> tuple[list[Move], list[Refused]]:
    """List what an account may swap, and what the policy wants but cannot be.

    Parameters
    ----------
    weights : Weights
        The account with its rules and prices.
    policy : Policy
        What the desk may do.

    Returns
    -------
    tuple of list
        Moves, and moves that are refused with the reason; an asset that the account does not hold is neither.
    """
    moves, refused = [], []
    fee = weights.rules.taker_fee if policy.taker_fee is None else policy.taker_fee
    for rule in policy.swaps:
        if not leads_to(rule.to, weights.account):
            continue
        for asset in rule.sell:
            free = held(weights.account, asset, collateral_side(weights))
            if free <= 0 or weights.quotes.own(asset) <= 0:
                continue
            repays = _repays(weights, rule)
            reason = _swap_refusal(weights, rule, policy)
            most = min(free, _room(weights, asset, rule, policy, repays)) if reason is None else free
            move = swap_move(asset, weights, most, rule, fee, repays)
            if reason is None and move.limit <= 0:
                reason = f"The account has less {asset} than {rule.name} may trade."
            if reason is None:
                moves.append(move)
            else:
                refused.append((move, reason))
    return moves, refused


def _repays(weights: Weights, rule: Swap) -> bool:
    """Whether what is bought repays a loan: elsewhere a debt is part of the balance itself."""
    loan = weights.rules.borrows and not weights.rules.debt_in_equity
    return loan and held(weights.account, rule.buy, "owed") > 0


def _swap_refusal(weights: Weights, rule: Swap, policy: Policy) -> str | None:
    account = weights.account
    if account.csa is not None:
        return "Collateral under an agreement lies with the other party and cannot be sold: substitutions exchange it."
    if weights.quotes.own(rule.buy) <= 0:
        return f"The market has no price for {rule.buy}."
    line = _line(weights, rule, policy)
    if line is None:
        return f"The policy does not list {rule.buy} as eligible for {account.account_id}."
    if line.most_share < 1:
        return f"The policy limits the share of {rule.buy} at {account.account_id}: it is not bought by a swap."
    return None if _repays(weights, rule) else weights.refusal(rule.buy)


def _line(weights: Weights, rule: Swap, policy: Policy) -> CollateralLine | None:
    eligible = policy.eligible(weights.account.account_id, weights.account.ruleset)
    return CollateralLine() if eligible is None else eligible.line(rule.buy)


def _room(weights: Weights, asset: str, rule: Swap, policy: Policy, repays: bool) -> float:
    """Units that may be sold until the cap of what is bought, or the debt that it repays, is reached."""
    line = _line(weights, rule, policy)
    room = math.inf if line is None or line.cap is None else max(line.cap - held(weights.account, rule.buy), 0.0)
    if repays:
        room = min(room, held(weights.account, rule.buy, "owed"))
    return room * weights.quotes.own(rule.buy) / weights.quotes.own(asset)


def hedge_moves(weights: Weights, policy: Policy, exposure: dict[str, float]) -> tuple[list[Move], list[Refused]]:
    """List what an account may be hedged with, and what the policy wants but cannot be.

    Parameters
    ----------
    weights : Weights
        The account with its rules and prices.
    policy : Policy
        What the desk may do.
    exposure : dict of str to float
        What its equity gains when the base doubles, to first order, account currency, by base.

    Returns
    -------
    tuple of list
        Moves, and moves that are refused with the reason.
    """
    moves, refused = [], []
    fee = weights.rules.taker_fee if policy.taker_fee is None else policy.taker_fee
    for rule in policy.hedges:
        base = parse_symbol(rule.symbol).base
        if not leads_to(rule.to, weights.account) or weights.quotes.own(base) <= 0:
            continue
        size = exposure.get(base, 0.0)
        alone = alone_refusal(weights.account, rule) if abs(size) <= _SMALL else None
        if not abs(size) > _SMALL and alone is None:  # nothing to hedge, or not to be valued
            continue
        move = hedge_move(weights, size, rule, fee)
        reason = alone or _hedge_refusal(weights, rule, move)
        if reason is None:
            moves.append(move)
        else:
            refused.append((move, reason))
    return moves, refused


def alone_refusal(account: Account, rule: Hedge) -> str | None:
    """Say why isolated positions are not hedged.

    Parameters
    ----------
    account : Account
        The account.
    rule : Hedge
        The policy's rule.

    Returns
    -------
    str or None
        The reason; None where no isolated position is on the base of the rule's instrument.
    """
    base = parse_symbol(rule.symbol).base
    alone = [p.symbol for p in account.positions if p.margin_mode == "isolated" and parse_symbol(p.symbol).base == base]
    if not alone:
        return None
    return (
        f"{alone[0]} of {account.account_id} is liquidated on its own margin, whatever the cross wallet holds: a hedge "
        "there does not help it. Add margin to it, or close it."
    )


def _hedge_refusal(weights: Weights, rule: Hedge, move: Move) -> str | None:
    assert move.trade is not None
    name = weights.account.account_id
    if weights.account.csa is not None:
        return "What is margined under an agreement is traded with its other party: it cannot be hedged on a venue."
    if move.limit <= 0:
        return f"What {name} holds is less than {rule.name} may trade."
    for position in weights.account.positions:
        if position.symbol == rule.symbol and position.margin_mode == "isolated":
            return f"{rule.symbol} of {name} has isolated margin: the cross wallet cannot be hedged with it."
        if position.symbol == rule.symbol and position.quantity * move.trade.side < 0:
            return f"{name} holds {rule.symbol} on the other side: reducing it is the same."
    return None


def exposures(
    accounts: Sequence[Account], rows: IntArray, policy: Policy, evaluate: Evaluator
) -> list[dict[str, float]]:
    """What the equity of the cross wallets gains when a base doubles, to first order, by the exact engine.

    Parameters
    ----------
    accounts : sequence of Account, length m
        The accounts.
    rows : ndarray of int, shape (m,)
        Their rows in the evaluator.
    policy : Policy
        Its hedges say which bases are asked.
    evaluate : Evaluator
        The engine and its prices.

    Returns
    -------
    list of dict
        By base, account currency; NaN where an account cannot be valued. What isolated positions gain is left out.

    Notes
    -----
    Of accounts with options it is what equity gains over maintenance: some rulesets count an option's value there.
    """
    out: list[dict[str, float]] = [{} for _ in accounts]
    wanted = [
        {parse_symbol(rule.symbol).base for rule in policy.hedges if leads_to(rule.to, account)} & _named(account)
        for account in accounts
    ]
    cross = [
        msgspec.structs.replace(a, positions=tuple(p for p in a.positions if p.margin_mode == "cross"))
        for a in accounts
    ]
    for base in sorted(set().union(*wanted) & set(evaluate.assets)):
        chosen = np.array([i for i, bases in enumerate(wanted) if base in bases], np.int64)
        part = [cross[i] for i in chosen.tolist()]
        up, down = (equities(part, rows[chosen], evaluate, _factors(evaluate, base, x)) for x in (_BUMP, -_BUMP))
        options = np.array([any(parse_symbol(p.symbol).kind == "option" for p in a.positions) for a in part], np.bool_)
        gain = up[0] - down[0] - np.where(options, up[1] - down[1], 0.0)
        for i, one in zip(chosen.tolist(), (gain / (2 * _BUMP)).tolist(), strict=True):
            out[i][base] = one
    return out


def _named(account: Account) -> set[str]:
    """Assets whose price an account can depend on."""
    bases = {parse_symbol(position.symbol).base for position in account.positions}
    return bases | {item.asset for item in account.collateral} | {account.currency}


def _factors(evaluate: Evaluator, base: str, bump: float) -> FloatArray:
    factors = np.ones(len(evaluate.assets))
    factors[evaluate.assets.index(base)] += bump
    return factors
