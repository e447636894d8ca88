"""What one action does to an account: pure functions from account and amount to account."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from models.account import Account, Collateral, Position
from models.instrument import parse_symbol
from models.rebalance.plan import Kind
from models.rebalance.policy import AssetRule

__all__ = ["Move", "apply_move", "held", "reduce_move", "round_amount", "transfer_move"]

_SNAP = 1e-9


@dataclass(frozen=True, slots=True)
class Move:
    """One kind of action on one asset or position, its amount still open.

    Parameters
    ----------
    kind : {"top_up", "add_margin", "reduce", "release"}
        The action.
    asset : str
        What moves.
    position : int
        Index of the position in the account, -1 for the cross wallet.
    symbol : str or None
        Symbol of the position.
    price : float
        Present price of one unit of `asset` in account currency.
    limit : float
        Largest amount, units of `asset`.
    step : float
        Amounts are multiples of it, 0 where any amount will do.
    smallest : float
        Smallest amount allowed.
    fee_rate : float
        Fee per unit of value traded.
    flat_fee : float
        Fee of one transfer, units of `asset`.
    """

    kind: Kind
    asset: str
    position: int
    symbol: str | None
    price: float
    limit: float
    step: float = 0.0
    smallest: float = 0.0
    fee_rate: float = 0.0
    flat_fee: float = 0.0

    @property
    def tag(self) -> str:
        """What moves, in words for a sentence."""
        return self.symbol or self.asset

    def fee(self, amount: float) -> float:
        """Fee in account currency."""
        return self.flat_fee * self.price + self.fee_rate * amount * self.price


def held(account: Account, asset: str) -> float:
    """Balance of an asset in the cross wallet.

    Parameters
    ----------
    account : Account
        The account.
    asset : str
        Asset code.

    Returns
    -------
    float
        Units of the asset, summed over its balances.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> held(Account(account_id="a", as_of=datetime.now(timezone.utc), ruleset="r", currency="USDT"), "BTC")
    0.0
    """
    return sum((item.quantity for item in account.collateral if item.asset == asset), 0.0)


def round_amount(amount: float, move: Move) -> float:
    """Round to the move's step: up for what is needed, down for a release.

    Parameters
    ----------
    amount : float
        Amount found by the search.
    move : Move
        Its step, smallest and largest amount.

    Returns
    -------
    float
        A multiple of the step within [smallest, limit]; 0 where a release is below the smallest.

    Examples
    --------
    >>> move = Move("top_up", "USDT", -1, None, 1.0, 1000.0, step=10.0, smallest=50.0)
    >>> round_amount(101.0, move), round_amount(3.0, move)
    (110.0, 50.0)
    """
    if move.kind == "release":
        rounded = _on_step(amount, move.step, math.floor)
        return rounded if rounded >= move.smallest else 0.0
    return min(_on_step(max(amount, move.smallest), move.step, math.ceil), move.limit)


def _on_step(amount: float, step: float, towards: Callable[[float], int]) -> float:
    if step <= 0:
        return amount
    ratio = amount / step
    near = round(ratio)
    if abs(ratio - near) > _SNAP * max(1.0, abs(ratio)):
        near = towards(ratio)
    return float(f"{near * step:.12g}")


def apply_move(account: Account, move: Move, amount: float) -> Account:
    """Give the account as it is after the action.

    Parameters
    ----------
    account : Account
        Before.
    move : Move
        The action.
    amount : float
        Units of the move's asset, >= 0.

    Returns
    -------
    Account
        After. The flat fee of a transfer is paid outside the account, the taker fee inside it.

    Notes
    -----
    Reducing a position realises its profit or loss at `move.price` into the account currency. Reducing an
    isolated position also sets free its margin in proportion, as the large venues do: its leverage stays the
    same, and only closing it removes its risk.
    """
    if move.kind == "reduce":
        return _reduce(account, move, amount)
    if move.kind == "add_margin":
        position = account.positions[move.position]
        more = msgspec.structs.replace(position, isolated_margin=(position.isolated_margin or 0.0) + amount)
        return _with_position(account, move.position, more)
    return _add(account, move.asset, -amount if move.kind == "release" else amount)


def _add(account: Account, asset: str, amount: float) -> Account:
    others = tuple(item for item in account.collateral if item.asset != asset)
    merged = Collateral(asset=asset, quantity=held(account, asset) + amount)
    return msgspec.structs.replace(account, collateral=(*others, merged))


def _reduce(account: Account, move: Move, amount: float) -> Account:
    position = account.positions[move.position]
    size = abs(position.quantity)
    share = min(amount / size, 1.0)
    freed = share * position.quantity * (move.price - position.entry_price)
    if position.margin_mode == "isolated":
        freed = max(freed + share * (position.isolated_margin or 0.0), 0.0)
    account = _add(account, account.currency, freed - move.fee_rate * share * size * move.price)
    if share >= 1.0 - _SNAP:
        return _with_position(account, move.position, None)
    margin = position.isolated_margin
    left = msgspec.structs.replace(
        position,
        quantity=position.quantity * (1.0 - share),
        isolated_margin=None if margin is None else margin * (1.0 - share),
    )
    return _with_position(account, move.position, left)


def _with_position(account: Account, index: int, position: Position | None) -> Account:
    before, after = account.positions[:index], account.positions[index + 1 :]
    middle = () if position is None else (position,)
    return msgspec.structs.replace(account, positions=before + middle + after)


def transfer_move(
    kind: Kind, asset: str, price: float, limit: float, rule: AssetRule, position: tuple[int, str | None] = (-1, None)
) -> Move:
    """Build a move of collateral from the policy's rule for its asset.

    Parameters
    ----------
    kind : {"top_up", "add_margin", "release"}
        The action.
    asset : str
        What moves.
    price : float
        Account currency per unit.
    limit : float
        Largest amount that makes sense; the rule's cap applies to what is added.
    rule : AssetRule
        Steps, smallest amount and fee.
    position : tuple of int and str or None
        Index and symbol of the isolated position, for ``"add_margin"``.

    Returns
    -------
    Move
        The move.
    """
    most = limit if rule.cap is None or kind == "release" else min(limit, rule.cap)
    return Move(kind, asset, *position, price, most, rule.step, rule.min_transfer, 0.0, rule.fee)


def reduce_move(account: Account, index: int, price: float, lot: float, fee_rate: float) -> Move:
    """Build the move that reduces one position.

    Parameters
    ----------
    account : Account
        The account.
    index : int
        Index of the position.
    price : float
        Present price of the base.
    lot : float
        Orders are multiples of it.
    fee_rate : float
        Taker fee rate.

    Returns
    -------
    Move
        The move, limited to the whole position.
    """
    position = account.positions[index]
    base = parse_symbol(position.symbol).base
    size = abs(position.quantity)
    return Move("reduce", base, index, position.symbol, price, size, lot, lot, fee_rate)
