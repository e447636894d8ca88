"""What is margined apart inside an account: its cross wallet, and each isolated position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from models.account import Account
from models.rebalance.weights import Weights

__all__ = ["Pocket", "cross_pocket", "isolated_position", "named", "pockets_of"]


@dataclass(frozen=True, slots=True)
class Pocket:
    """One margin unit of an account.

    Parameters
    ----------
    row : int
        Row of the account.
    position : int
        Index of the isolated position in the account, -1 for the cross wallet.
    weights : Weights
        An account that holds this unit alone, with its rules and prices.
    """

    row: int
    position: int
    weights: Weights

    @property
    def account(self) -> Account:
        """The unit as an account."""
        return self.weights.account

    @property
    def place(self) -> int:
        """Index of the isolated position in `account`, -1 for the cross wallet."""
        return -1 if self.position < 0 else 0


def isolated_position(account: Account) -> int:
    """Find the isolated position of an account that has no other.

    Parameters
    ----------
    account : Account
        The account.

    Returns
    -------
    int
        Its index; -1 where the account has another position as well, or its position is not isolated.
    """
    return 0 if len(account.positions) == 1 and account.positions[0].margin_mode == "isolated" else -1


def pockets_of(row: int, weights: Weights) -> list[Pocket]:
    """Take an account apart.

    Parameters
    ----------
    row : int
        Its row.
    weights : Weights
        The account with its rules and prices.

    Returns
    -------
    list of Pocket
        The whole account where all of it is margined together or it has one position; else the cross wallet, where it
        holds positions or owes something, and each isolated position without the collateral of the others.
    """
    account = weights.account
    alone = [k for k, position in enumerate(account.positions) if position.margin_mode == "isolated"]
    if not alone or len(account.positions) == 1:
        return [Pocket(row, isolated_position(account), weights)]
    out = [cross_pocket(row, weights)] if len(alone) < len(account.positions) or _owes(account) else []
    for k in alone:
        part = msgspec.structs.replace(account, positions=(account.positions[k],), collateral=())
        out.append(Pocket(row, k, replace(weights, account=part)))
    return out


def cross_pocket(row: int, weights: Weights) -> Pocket:
    """Give the cross wallet of an account.

    Parameters
    ----------
    row : int
        Its row.
    weights : Weights
        The account with its rules and prices.

    Returns
    -------
    Pocket
        Without the isolated positions.
    """
    account = weights.account
    cross = tuple(position for position in account.positions if position.margin_mode == "cross")
    return Pocket(row, -1, replace(weights, account=msgspec.structs.replace(account, positions=cross)))


def named(pockets: Sequence[Pocket], accounts: Sequence[Account]) -> tuple[str, ...]:
    """Name pockets for people.

    Parameters
    ----------
    pockets : sequence of Pocket
        The pockets.
    accounts : sequence of Account
        All accounts.

    Returns
    -------
    tuple of str
        The account; with the symbol, for an isolated position beside others.
    """
    names = []
    for pocket in pockets:
        account = accounts[pocket.row]
        beside = pocket.position >= 0 and len(account.positions) > 1
        symbol = f" {account.positions[pocket.position].symbol}" if beside else ""
        names.append(f"{account.account_id}{symbol}")
    return tuple(names)


def _owes(account: Account) -> bool:
    return any(item.quantity < 0 for item in account.collateral)
