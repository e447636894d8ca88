"""What an action does to an account: pure functions from account and amount to account."""

from __future__ import annotations

import msgspec

from models.account import Account, Position
from models.instrument import parse_symbol
from models.rebalance.balances import changed, held
from models.rebalance.closing import Closing
from models.rebalance.moves import Move, Trade

__all__ = ["apply_move", "delivered", "proceeds"]

_SNAP = 1e-9


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
    Reducing a position pays what `Move.closing` says into its settlement asset: realised profit or loss, the premium
    of an option. What that balance lacks, and may not owe, is paid in account currency. Under a credit support annex
    the parties settle outside of the posted collateral. Reducing an isolated position also sets free its margin in
    proportion, as the large venues do: its leverage stays the same, and only closing it removes its risk. A swap buys
    what is left of its value after fee and slippage; a hedge opens at the present price, and pays both. A substitution
    is done when what is asked back has come back.
    """
    if move.kind == "reduce":
        return _reduce(account, move, amount)
    if move.kind == "swap":
        return _swap(account, move, amount)
    if move.kind == "hedge":
        return _hedge(account, move, amount)
    if move.kind == "substitute":
        return changed(delivered(account, move, amount), move.asset, -amount, "supplied")
    if move.kind == "add_margin":
        position = account.positions[move.position]
        more = msgspec.structs.replace(position, isolated_margin=(position.isolated_margin or 0.0) + amount)
        return _with_position(account, move.position, more)
    if move.kind == "release":
        return changed(account, move.asset, -amount, "supplied")
    return changed(account, move.asset, amount, "owed" if move.kind == "repay" else "net")


def delivered(account: Account, move: Move, amount: float) -> Account:
    """Give the account as it is when the substitute has arrived, and nothing has come back yet.

    Parameters
    ----------
    account : Account
        Before.
    move : Move
        A substitution.
    amount : float
        Units of what is asked back, >= 0.

    Returns
    -------
    Account
        With both.
    """
    assert move.substitute is not None
    return changed(account, move.substitute.asset, move.substitute.needs(amount))


def proceeds(account: Account, move: Move, amount: float) -> float:
    """What an action pays to the account's owner (< 0: costs), after its fee; transfers only cost theirs.

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
    float
        Account currency.
    """
    if move.closing is None:
        return 0.0 - move.fee(amount)
    return _paid(account.positions[move.position], move, move.closing, amount) * move.closing.rate


def _paid(position: Position, move: Move, closing: Closing, amount: float) -> float:
    """Units of the settlement asset that reducing pays, with the margin that it sets free."""
    size = abs(position.quantity)
    share = min(amount / size, 1.0)
    freed = share * size * closing.pays
    if position.margin_mode == "isolated":
        freed = max(freed + share * (position.isolated_margin or 0.0) * closing.margin, 0.0)
    return freed - move.fee_rate * share * size * move.price / closing.rate


def _reduce(account: Account, move: Move, amount: float) -> Account:
    closing, position = move.closing, account.positions[move.position]
    assert closing is not None
    if not closing.outside:
        paid = _paid(position, move, closing, amount)
        account = _receive(account, closing.settle, closing.rate, closing.owed, paid)
    share = min(amount / abs(position.quantity), 1.0)
    if share >= 1.0 - _SNAP:
        return _with_position(account, move.position, None)
    margin = position.isolated_margin
    left = msgspec.structs.replace(
        position,
        quantity=position.quantity * (1.0 - share),
        isolated_margin=None if margin is None else margin * (1.0 - share),
    )
    return _with_position(account, move.position, left)


def _receive(account: Account, settle: str, rate: float, owed: bool, paid: float) -> Account:
    """Settle: what the balance of the settlement asset lacks, and may not owe, is taken in account currency."""
    lowest = -float("inf") if owed else min(held(account, settle), 0.0)
    missing = min(held(account, settle) + paid - lowest, 0.0)
    account = changed(account, settle, paid - missing)
    return account if missing == 0.0 else changed(account, account.currency, missing * rate)


def _swap(account: Account, move: Move, amount: float) -> Account:
    assert move.trade is not None
    account = changed(account, move.asset, -amount, "supplied")
    return changed(account, move.trade.into, move.buys(amount), "owed" if move.trade.owed else "net")


def _hedge(account: Account, move: Move, amount: float) -> Account:
    trade = move.trade
    assert trade is not None
    account = _receive(account, trade.into, trade.rate, trade.owed, -move.fee(amount) / trade.rate)
    mine = [i for i, p in enumerate(account.positions) if p.symbol == move.symbol and p.margin_mode == "cross"]
    index = mine[0] if mine else -1
    if index < 0:
        assert move.symbol is not None
        new = Position(symbol=move.symbol, quantity=trade.side * amount, entry_price=trade.entry)
        return msgspec.structs.replace(account, positions=(*account.positions, new))
    return _with_position(account, index, _larger(account.positions[index], trade, amount))


def _larger(position: Position, trade: Trade, amount: float) -> Position:
    """A position with more of the same side, its entry price the mean in what its profit is linear in."""
    size = abs(position.quantity)
    if parse_symbol(position.symbol).linear:
        entry = (size * position.entry_price + amount * trade.entry) / (size + amount)
    else:
        entry = (size + amount) / (size / position.entry_price + amount / trade.entry)
    return msgspec.structs.replace(position, quantity=trade.side * (size + amount), entry_price=entry)


def _with_position(account: Account, index: int, position: Position | None) -> Account:
    before, after = account.positions[:index], account.positions[index + 1 :]
    middle = () if position is None else (position,)
    return msgspec.structs.replace(account, positions=before + middle + after)
