"""Accounts laid out as the columns that a book is built from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.account import Account
from models.typing import IntArray, ObjectArray

__all__ = ["account_columns"]


def account_columns(accounts: Sequence[Account]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Lay accounts out in the three column tables of the parquet twins.

    Parameters
    ----------
    accounts : sequence of Account
        The accounts.

    Returns
    -------
    tuple of three dict
        Accounts, positions and collateral; the latter two carry ``row``, the index of their account.
    """
    pos = [(i, p) for i, account in enumerate(accounts) for p in account.positions]
    coll = [(i, c) for i, account in enumerate(accounts) for c in account.collateral]
    return (
        {
            "account_id": _objects([a.account_id for a in accounts]),
            "as_of": _times(accounts),
            "ruleset": _objects([a.ruleset for a in accounts]),
            "currency": _objects([a.currency for a in accounts]),
            "csa": _objects([a.csa for a in accounts]),
        },
        {
            "row": np.array([i for i, _ in pos], np.int64),
            "symbol": _objects([p.symbol for _, p in pos]),
            "quantity": np.array([p.quantity for _, p in pos], np.float64),
            "entry_price": np.array([p.entry_price for _, p in pos], np.float64),
            "margin_mode": _objects([p.margin_mode for _, p in pos]),
            "isolated_margin": np.array([p.isolated_margin for _, p in pos], np.float64),
            "leverage": np.array([p.leverage for _, p in pos], np.float64),
            "implied_volatility": np.array([p.implied_volatility for _, p in pos], np.float64),
        },
        {
            "row": np.array([i for i, _ in coll], np.int64),
            "asset": _objects([c.asset for _, c in coll]),
            "quantity": np.array([c.quantity for _, c in coll], np.float64),
        },
    )


def _times(accounts: Sequence[Account]) -> IntArray:
    """Nanoseconds; equal neighbours, as in a snapshot of many accounts, are converted once."""
    out, last, ns = np.empty(len(accounts), np.int64), None, 0
    for i, account in enumerate(accounts):
        if account.as_of != last:
            last, ns = account.as_of, _nanoseconds(account)
        out[i] = ns
    return out


def _nanoseconds(account: Account) -> int:
    """Exact nanoseconds; the smallest int64 marks a time without a zone (refused by the builder)."""
    if account.as_of.tzinfo is None:
        return int(np.iinfo(np.int64).min)
    seconds = int(account.as_of.replace(microsecond=0).timestamp())
    return (seconds * 1_000_000 + account.as_of.microsecond) * 1000


def _objects(values: list[Any]) -> ObjectArray:
    out = np.empty(len(values), object)
    out[:] = values
    return out
