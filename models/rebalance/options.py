"""Which moves an account has: what its ruleset or agreement accepts and its policy allows."""

from __future__ import annotations

from dataclasses import replace

from models.account import Account
from models.instrument import parse_symbol
from models.rebalance.agreement import delivery_grid, due, return_grid
from models.rebalance.balances import Side, held
from models.rebalance.closing import margin_asset
from models.rebalance.moves import Move, reduce_move, transfer_move
from models.rebalance.policy import Policy
from models.rebalance.quotes import Quotes
from models.rebalance.weights import Weights

__all__ = ["collateral_side", "gross_value", "haircut_of", "releasing_moves", "saving_moves"]

_LIMIT = 3.0
_LEAST_RATIO = 0.05
_SAME = 1e-12


def saving_moves(weights: Weights, shortfall: float, policy: Policy) -> tuple[list[Move], list[tuple[Move, str]]]:
    """List what can lower P, and what the policy wants but the ruleset or the market refuses.

    Parameters
    ----------
    weights : Weights
        The account with its rules and prices.
    shortfall : float
        What its equity lacks to the initial requirement, account currency.
    policy : Policy
        What the desk may do.

    Returns
    -------
    tuple of list
        Moves to search, and moves that are refused with the reason.
    """
    moves, refused = [], []
    money = _LIMIT * gross_value(weights.account, weights.quotes) + max(shortfall, 0.0)
    named = policy.eligible_assets is not None and "*" not in policy.eligible_assets
    for asset in _assets(weights, policy):
        debt = held(weights.account, asset, "owed") if weights.rules.borrows else 0.0
        if debt > 0 and weights.quotes.own(asset) > 0:
            moves.append(transfer_move("repay", asset, weights, debt, policy.asset_rule(asset)))
            if not weights.rules.debt_in_equity:  # a loan: what is owed cannot be collateral as well
                continue
        reason = weights.refusal(asset)
        if reason is None:
            moves.append(_top_up(asset, weights, money, policy))
        elif named:
            refused.append((transfer_move("top_up", asset, weights, 0.0, policy.asset_rule(asset)), reason))
    more, no = _position_moves(weights, policy, money)
    return moves + more, refused + no


def _top_up(asset: str, weights: Weights, money: float, policy: Policy) -> Move:
    limit = money / (weights.quotes.own(asset) * max(weights.first_ratio(asset), _LEAST_RATIO))
    agreed = delivery_grid(weights, asset)
    return transfer_move("top_up", asset, weights, limit, policy.asset_rule(asset), agreed=agreed)


def releasing_moves(weights: Weights, policy: Policy) -> list[Move]:
    """List what can be taken out: assets held that the policy lets move; under an agreement no more than is due.

    Parameters
    ----------
    weights : Weights
        The account with its rules and prices.
    policy : Policy
        What the desk may do.

    Returns
    -------
    list of Move
        One for each asset, limited to the balance.
    """
    outcome, moves = due(weights), []
    for asset in _assets(weights, policy):
        limit, agreed = held(weights.account, asset, collateral_side(weights)), return_grid(weights, asset)
        if limit <= 0 or weights.quotes.own(asset) <= 0:
            continue
        if outcome is not None and agreed is not None and agreed.per_unit > 0:
            limit = min(limit, outcome.amount / agreed.per_unit)
        moves.append(transfer_move("release", asset, weights, limit, policy.asset_rule(asset), agreed=agreed))
    return moves


def haircut_of(weights: Weights, move: Move, amount: float) -> float:
    """Part of the value moved that does not count as collateral.

    Parameters
    ----------
    weights : Weights
        The account before the move.
    move : Move
        What moves.
    amount : float
        Units of its asset.

    Returns
    -------
    float
        Account currency; 0 for what counts in full, for debts that are repaid and for positions.
    """
    if move.kind not in ("top_up", "release"):
        return 0.0
    before = held(weights.account, move.asset, collateral_side(weights))
    after = before + (amount if move.kind == "top_up" else -amount)
    counted = abs(weights.counted(move.asset, after) - weights.counted(move.asset, before))
    value = amount * move.price
    return value - counted if counted < value * (1.0 - _SAME) else 0.0


def collateral_side(weights: Weights) -> Side:
    """Say which balances are collateral: on a loan those that are supplied, elsewhere what is left of all.

    Parameters
    ----------
    weights : Weights
        The account with its rules and prices.

    Returns
    -------
    {"net", "supplied"}
        The side.
    """
    return "net" if weights.rules.debt_in_equity else "supplied"


def _assets(weights: Weights, policy: Policy) -> list[str]:
    account = weights.account
    own = [account.currency, *(item.asset for item in account.collateral)]
    listed = [] if account.csa is None else [line.asset for line in account.csa.eligible_collateral]
    own += [asset for asset in listed if weights.quotes.own(asset) > 0]
    if policy.eligible_assets is None:
        return list(dict.fromkeys(own))
    if "*" in policy.eligible_assets:
        return list(dict.fromkeys([*own, *weights.quotes.dollars]))
    return list(dict.fromkeys(policy.eligible_assets))


def gross_value(account: Account, quotes: Quotes) -> float:
    """Add up the notional of the positions and the value of the debts.

    Parameters
    ----------
    account : Account
        The account.
    quotes : Quotes
        Prices.

    Returns
    -------
    float
        Account currency.
    """
    total = sum(max(-item.quantity, 0.0) * quotes.own(item.asset) for item in account.collateral)
    for position in account.positions:
        instrument = parse_symbol(position.symbol)
        coin_margined = instrument.kind != "option" and not instrument.linear
        total += abs(position.quantity) * quotes.own(instrument.quote if coin_margined else instrument.base)
    return total


def _position_moves(weights: Weights, policy: Policy, money: float) -> tuple[list[Move], list[tuple[Move, str]]]:
    fee = weights.rules.taker_fee if policy.taker_fee is None else policy.taker_fee
    moves, refused = [], []
    for i, position in enumerate(weights.account.positions):
        if position.margin_mode == "isolated":
            asset = margin_asset(position, weights.account.currency)
            limit, rule = money / weights.quotes.own(asset), policy.asset_rule(asset)
            moves.append(transfer_move("add_margin", asset, weights, limit, rule, (i, position.symbol)))
        if not policy.reduce:
            continue
        if weights.account.csa is not None and policy.unwinds:
            found = _unwinding(weights, i, policy)
            moves += [found] if isinstance(found, Move) else []
            refused += [] if isinstance(found, Move) else [found]
        else:
            moves.append(reduce_move(weights, i, policy.lot(position.symbol), fee))
    return moves, refused


def _unwinding(weights: Weights, index: int, policy: Policy) -> Move | tuple[Move, str]:
    """The early termination of a trade by the policy's rule for it; or the reason why there is none."""
    account = weights.account
    position = account.positions[index]
    rule = policy.unwind(account, position.symbol)
    if rule is None:
        reason = f"The policy does not list {position.symbol} of {account.account_id} under unwinds."
        return reduce_move(weights, index, 0.0, 0.0), reason
    step = max(rule.step, policy.lot(position.symbol))
    move = reduce_move(weights, index, step, rule.half_spread)
    least = min(max(rule.min_trade, step), move.limit)  # what is left may always be closed
    return replace(move, smallest=least, lag_minutes=rule.lag_minutes)
