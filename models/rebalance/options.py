"""Which moves an account has: what its ruleset accepts and its policy allows."""

from __future__ import annotations

from collections.abc import Mapping

from models.account import Account
from models.errors import MargincastError
from models.instrument import is_stable, parse_symbol
from models.margin.rulesets import Ruleset
from models.rebalance.evaluate import Evaluation
from models.rebalance.moves import Move, held, reduce_move, transfer_move
from models.rebalance.policy import Policy

__all__ = ["PriceOf", "haircut_of", "releasing_moves", "saving_moves"]

PriceOf = Mapping[str, float]
"""Present price of each asset that has one, account currency."""

_LIMIT = 3.0


def saving_moves(
    account: Account, seen: Evaluation, row: int, rules: Ruleset, policy: Policy, price_of: PriceOf
) -> tuple[list[Move], list[tuple[Move, str]]]:
    """List what can lower P, and what the policy wants but the ruleset or the market refuses.

    Parameters
    ----------
    account : Account
        The account.
    seen : Evaluation
        Its state now.
    row : int
        Its row in `seen`.
    rules : Ruleset
        Its ruleset.
    policy : Policy
        What the desk may do.
    price_of : mapping
        Present prices.

    Returns
    -------
    tuple of list
        Moves to search, and moves that are refused with the reason.
    """
    moves, refused = [], []
    money = _LIMIT * _gross(account, price_of) + max(float(seen.level[row, 3] - seen.level[row, 0]), 0.0)
    for asset in _assets(account, policy, price_of):
        reason = _refusal(asset, account, rules, price_of)
        price = _price(asset, price_of)
        move = transfer_move("top_up", asset, price, 0.0, policy.asset_rule(asset))
        if reason is None:
            limit = money / (price * max(_first_ratio(asset, account, rules), 0.05))
            moves.append(transfer_move("top_up", asset, price, limit, policy.asset_rule(asset)))
        elif policy.eligible_assets is not None and "*" not in policy.eligible_assets:
            refused.append((move, reason))
    moves += _position_moves(account, rules, policy, price_of, money)
    return moves, refused


def releasing_moves(account: Account, policy: Policy, price_of: PriceOf) -> list[Move]:
    """List what can be taken out: assets held that the policy lets move.

    Parameters
    ----------
    account : Account
        The account.
    policy : Policy
        What the desk may do.
    price_of : mapping
        Present prices.

    Returns
    -------
    list of Move
        One for each asset, limited to the balance.
    """
    allowed = _assets(account, policy, price_of)
    return [
        transfer_move("release", asset, _price(asset, price_of), held(account, asset), policy.asset_rule(asset))
        for asset in allowed
        if held(account, asset) > 0 and _price(asset, price_of) > 0
    ]


def haircut_of(account: Account, move: Move, amount: float, rules: Ruleset) -> float:
    """Part of the value moved that does not count as collateral.

    Parameters
    ----------
    account : Account
        Before the move.
    move : Move
        What moves.
    amount : float
        Units of its asset.
    rules : Ruleset
        The account's ruleset.

    Returns
    -------
    float
        Account currency, 0 for the account currency and for positions.
    """
    if move.kind not in ("top_up", "release") or move.asset == account.currency:
        return 0.0
    schedule, before = rules.haircut(move.asset), held(account, move.asset) * move.price
    change = amount * move.price if move.kind == "top_up" else -amount * move.price
    counted = abs(float(schedule(before + change)) - float(schedule(before)))
    return abs(change) - counted


def _assets(account: Account, policy: Policy, price_of: PriceOf) -> list[str]:
    own = [account.currency, *(item.asset for item in account.collateral)]
    if policy.eligible_assets is None:
        return list(dict.fromkeys(own))
    if "*" in policy.eligible_assets:
        return list(dict.fromkeys([*own, *price_of]))
    return list(dict.fromkeys(policy.eligible_assets))


def _price(asset: str, price_of: PriceOf) -> float:
    return 1.0 if is_stable(asset) else price_of.get(asset, 0.0)


def _refusal(asset: str, account: Account, rules: Ruleset, price_of: PriceOf) -> str | None:
    if asset == account.currency:
        return None
    if _price(asset, price_of) <= 0:
        return f"The market has no price for {asset}."
    try:
        rules.haircut(asset)
    except MargincastError:
        return f"{rules.name} does not accept {asset} as collateral."
    return None


def _first_ratio(asset: str, account: Account, rules: Ruleset) -> float:
    return 1.0 if asset == account.currency else float(rules.haircut(asset).rate[0])


def _gross(account: Account, price_of: PriceOf) -> float:
    return sum(abs(p.quantity) * price_of.get(parse_symbol(p.symbol).base, 0.0) for p in account.positions)


def _position_moves(account: Account, rules: Ruleset, policy: Policy, price_of: PriceOf, money: float) -> list[Move]:
    fee = rules.taker_fee if policy.taker_fee is None else policy.taker_fee
    moves = []
    for i, position in enumerate(account.positions):
        if position.margin_mode == "isolated":
            rule = policy.asset_rule(account.currency)
            moves.append(transfer_move("add_margin", account.currency, 1.0, money, rule, (i, position.symbol)))
        if policy.reduce:
            price = price_of[parse_symbol(position.symbol).base]
            moves.append(reduce_move(account, i, price, policy.lot(position.symbol), fee))
    return moves
