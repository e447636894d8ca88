"""Accounts in columns, and the way between them and account values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np

from models.account import Account, Collateral, Position
from models.typing import IntArray, ObjectArray

__all__ = ["Columns", "Tables", "accounts_of", "columns_of", "objects"]

Columns = dict[str, Any]
Tables = tuple[Columns, Columns, Columns]

_OPTIONAL: Final = ("margin_mode", "isolated_margin", "leverage", "implied_volatility")
_MAY_LACK: Final = ("isolated_margin", "leverage", "implied_volatility")


def columns_of(accounts: Sequence[Account]) -> Tables:
    """Columns of accounts, for `Book.from_columns`.

    Parameters
    ----------
    accounts : sequence of Account
        Times must carry a zone.

    Returns
    -------
    tuple of three dict
        Accounts, positions, collateral; the latter two carry ``row``, the position of their account.
    """
    positions = list(chain.from_iterable([a.positions for a in accounts]))
    held = list(chain.from_iterable([a.collateral for a in accounts]))
    n = np.arange(len(accounts))
    return (
        {
            "account_id": objects([a.account_id for a in accounts]),
            "as_of": _times(accounts),
            "ruleset": objects([a.ruleset for a in accounts]),
            "currency": objects([a.currency for a in accounts]),
            "csa": objects([a.csa for a in accounts]),
        },
        {
            "row": np.repeat(n, [len(a.positions) for a in accounts]),
            "symbol": objects([p.symbol for p in positions]),
            "quantity": np.array([p.quantity for p in positions], np.float64),
            "entry_price": np.array([p.entry_price for p in positions], np.float64),
            "margin_mode": objects([p.margin_mode for p in positions]),
            "isolated_margin": np.array([p.isolated_margin for p in positions], np.float64),
            "leverage": np.array([p.leverage for p in positions], np.float64),
            "implied_volatility": np.array([p.implied_volatility for p in positions], np.float64),
        },
        {
            "row": np.repeat(n, [len(a.collateral) for a in accounts]),
            "asset": objects([c.asset for c in held]),
            "quantity": np.array([c.quantity for c in held], np.float64),
        },
    )


def _times(accounts: Sequence[Account]) -> IntArray:
    """Nanoseconds; equal neighbours, as in a snapshot of many accounts, are converted once."""
    out, last, ns = np.empty(len(accounts), np.int64), None, 0
    for i, account in enumerate(accounts):
        if account.as_of != last:
            last = account.as_of
            ns = (int(last.replace(microsecond=0).timestamp()) * 1_000_000 + last.microsecond) * 1000
        out[i] = ns
    return out


def objects(values: Sequence[Any]) -> ObjectArray:
    """An object array of the values as they are."""
    out = np.empty(len(values), object)
    out[:] = values
    return out


def accounts_of(accounts: Columns, positions: Columns, collateral: Columns) -> list[Account]:
    """Account values of columns that carry ``row``; the reverse of `columns_of`.

    Parameters
    ----------
    accounts, positions, collateral : dict
        Columns as `columns_of` returns them.

    Returns
    -------
    list of Account
        In the order of the columns.
    """
    from datetime import UTC, datetime, timedelta

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    n = len(accounts["account_id"])
    agreements = accounts.get("csa", [None] * n)
    legs: list[list[Position]] = [[] for _ in range(n)]
    held: list[list[Collateral]] = [[] for _ in range(n)]
    for row, values in _records(positions, ("symbol", "quantity", "entry_price", *_OPTIONAL)):
        legs[row].append(Position(**{k: v for k, v in values.items() if v is not None}))
    for row, values in _records(collateral, ("asset", "quantity")):
        held[row].append(Collateral(**values))
    return [
        Account(
            account_id=accounts["account_id"][i],
            as_of=epoch + timedelta(microseconds=int(accounts["as_of"][i]) // 1000),
            ruleset=accounts["ruleset"][i],
            currency=accounts["currency"][i],
            collateral=tuple(held[i]),
            positions=tuple(legs[i]),
            csa=agreements[i],
        )
        for i in range(n)
    ]


def _records(columns: Columns, names: Sequence[str]) -> list[tuple[int, Columns]]:
    held = [name for name in names if name in columns]
    lists = [_plain(name, columns[name]) for name in held]
    rows = np.asarray(columns["row"]).tolist()
    return [(row, dict(zip(held, values, strict=True))) for row, *values in zip(rows, *lists, strict=True)]


def _plain(name: str, values: Any) -> list[Any]:
    plain: list[Any] = np.asarray(values).tolist()
    return [None if v != v else v for v in plain] if name in _MAY_LACK else plain
