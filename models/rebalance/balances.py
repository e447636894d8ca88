"""Balances of an account: what it holds of an asset, and the account with more or less of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from models.account import Account, Collateral

__all__ = ["Side", "changed", "held"]

Side = Literal["net", "supplied", "owed"]
"""Which balances of an asset: all together, those above zero, or those below."""
_SAME = 1e-12


def held(account: Account, asset: str, side: Side = "net") -> float:
    """Balance of an asset in the cross wallet.

    Parameters
    ----------
    account : Account
        The account.
    asset : str
        Asset code.
    side : {"net", "supplied", "owed"}
        All its balances together, those above zero, or those below: a loan may supply and owe the same asset.

    Returns
    -------
    float
        Units of the asset; > 0 also for what is owed, unless net.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> account = Account(account_id="a", as_of=datetime.now(timezone.utc), ruleset="aave-v3", currency="USDC",
    ...     collateral=(Collateral(asset="USDC", quantity=100.0), Collateral(asset="USDC", quantity=-30.0)))
    >>> held(account, "USDC"), held(account, "USDC", "supplied"), held(account, "USDC", "owed"), held(account, "BTC")
    (70.0, 100.0, 30.0, 0.0)
    """
    total = sum((item.quantity for item in account.collateral if _is_of(item, asset, side)), 0.0)
    return -total if side == "owed" else total


def changed(account: Account, asset: str, amount: float, side: Side = "net") -> Account:
    """Merge the balances of one side of an asset, and change them.

    Parameters
    ----------
    account : Account
        Before.
    asset : str
        Asset code.
    amount : float
        Units added (< 0: taken out).
    side : {"net", "supplied", "owed"}
        The balances that are merged into one; the others stay.

    Returns
    -------
    Account
        After.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> account = Account(account_id="a", as_of=datetime.now(timezone.utc), ruleset="r", currency="USDT")
    >>> changed(account, "USDT", 5.0).collateral
    (Collateral(asset='USDT', quantity=5.0),)
    """
    others = tuple(item for item in account.collateral if not _is_of(item, asset, side))
    before = -held(account, asset, side) if side == "owed" else held(account, asset, side)
    after = before + amount if abs(before + amount) > _SAME * abs(before) else 0.0
    return msgspec.structs.replace(account, collateral=(*others, Collateral(asset=asset, quantity=after)))


def _is_of(item: Collateral, asset: str, side: Side) -> bool:
    if item.asset != asset:
        return False
    return side == "net" or (item.quantity < 0) == (side == "owed")
