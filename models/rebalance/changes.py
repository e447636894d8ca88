"""What might be done to one account: balances moved, positions closed in part, others opened."""

from __future__ import annotations

import msgspec

from models.account import Account, Collateral, Position, validate_account
from models.errors import InputError
from models.margin.rulesets import load_ruleset
from models.rebalance.balances import changed
from models.rebalance.effects import apply_move
from models.rebalance.moves import reduce_move
from models.rebalance.quotes import Quotes
from models.rebalance.weights import Weights

__all__ = ["Changes", "Close", "apply_changes"]

_ROUNDING = 1e-12


class Close(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a position that is closed.

    Parameters
    ----------
    symbol : str
        Of a position of the account; of several, the first.
    quantity : float
        How much of it, > 0 and no more than there is, in the units of the position.
    """

    symbol: str
    quantity: float


class Changes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to one account, in this order.

    Parameters
    ----------
    collateral : tuple of Collateral
        Units of an asset that come (> 0) or go (< 0).
    close : tuple of Close
        Parts of positions that are closed at present prices.
    open : tuple of Position
        Positions that are added.
    fee : float
        Taker fee of what is closed, a fraction of its value, in [0, 0.1].
    prices : dict
        Relative move of an asset's price that comes with them: -0.1 is ten percent down. Above -1.
    """

    collateral: tuple[Collateral, ...] = ()
    close: tuple[Close, ...] = ()
    open: tuple[Position, ...] = ()
    fee: float = 0.0
    prices: dict[str, float] = {}


def apply_changes(account: Account, changes: Changes, quotes: Quotes) -> Account:
    """Give the account as it would be.

    Parameters
    ----------
    account : Account
        Before.
    changes : Changes
        What is done; ``prices`` has no say here.
    quotes : Quotes
        Present prices in its currency: what is closed pays its profit or loss at them.

    Returns
    -------
    Account
        After, checked.

    Raises
    ------
    InputError
        If a part is larger than its position, or the account would not be a valid one.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> account = Account(account_id="a", as_of=datetime(2025, 3, 1, tzinfo=timezone.utc), ruleset="generic-linear",
    ...     currency="USDT", collateral=(Collateral(asset="USDT", quantity=9000.0),),
    ...     positions=(Position(symbol="BTC/USDT:USDT", quantity=1.0, entry_price=84_000.0),))
    >>> half = Changes(close=(Close(symbol="BTC/USDT:USDT", quantity=0.5),))
    >>> after = apply_changes(account, half, Quotes("USDT", {"BTC": 86_000.0}, {}))
    >>> after.positions[0].quantity, after.collateral[0].quantity
    (0.5, 10000.0)
    """
    if not 0.0 <= changes.fee <= 0.1:
        raise InputError("changes.fee", changes.fee, "a fraction in [0, 0.1]")
    for item in changes.collateral:
        account = changed(account, item.asset, item.quantity)
    rules = load_ruleset(account.ruleset, account.as_of)
    for i, part in enumerate(changes.close):
        index = _index(account, part, f"changes.close[{i}]")
        move = reduce_move(Weights(account, rules, quotes), index, 0.0, changes.fee)
        account = apply_move(account, move, min(part.quantity, abs(account.positions[index].quantity)))
    account = msgspec.structs.replace(account, positions=(*account.positions, *changes.open))
    try:
        validate_account(account)
    except InputError as error:
        raise InputError("changes", str(error), "changes that leave a valid account") from None
    return account


def _index(account: Account, part: Close, path: str) -> int:
    """Position that a part is of."""
    symbols = [position.symbol for position in account.positions]
    if part.symbol not in symbols:
        raise InputError(f"{path}.symbol", part.symbol, f"a position of the account ({', '.join(symbols) or 'none'})")
    index = symbols.index(part.symbol)
    most = abs(account.positions[index].quantity)
    if not 0.0 < part.quantity <= most * (1.0 + _ROUNDING):
        raise InputError(f"{path}.quantity", part.quantity, f"> 0 and at most {most:g}, the size of the position")
    return index
