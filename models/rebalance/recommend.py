"""From accounts to recommendations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.account import Account
from models.book_small import BookMaker
from models.errors import Failure, InputError
from models.margin.valuation import Volatility
from models.rebalance.desk import Desk
from models.rebalance.evaluate import Evaluator, Predict
from models.rebalance.plan import Recommendation
from models.rebalance.policy import Policy
from models.rebalance.target import Target
from models.typing import FloatArray, IntArray

__all__ = ["market_part", "market_rows", "price_rows", "recommend"]

_CHUNK = 64


def recommend(
    accounts: Sequence[Account],
    assets: Sequence[str],
    prices: FloatArray,
    predict: Predict,
    target: Target,
    policy: Policy | None = None,
    volatility: Volatility | FloatArray | None = None,
) -> tuple[list[Recommendation], list[Failure]]:
    """Recommend the smallest action that brings P(call) under the target, or what may be released or exchanged.

    Parameters
    ----------
    accounts : sequence of Account, length n
        The accounts.
    assets : sequence of str, length A
        Assets of the market.
    prices : ndarray, shape (A,) or (n, A)
        Present mark prices, one row for all accounts or one for each; NaN where none is known.
    predict : callable
        The full predictor: a book of m accounts to P(call), shape (m, 4).
    target : Target
        P(call by horizon) to reach.
    policy : Policy, optional
        What the desk may do; by default the account currency and the assets held, and every reduction.
    volatility : Volatility or ndarray, optional
        30-day implied volatility of each asset, level of the shape of `prices`: what options that state no volatility
        are valued with; and the margin rates of accounts under dynamic margin. Without them such accounts are failures.

    Returns
    -------
    tuple of (list of Recommendation, list of Failure)
        One recommendation for each good account in order, and the accounts that could not be computed.

    Raises
    ------
    InputError
        If `prices` or `volatility` has another shape.

    Notes
    -----
    Each plan is a single action that is enough by itself. A plan is returned only if the predictor, asked again
    about the rounded amount, gives P at or under the target, P is not above what it was at any horizon, and the
    engine's state is not worse (a release may raise P and lower the state, never past the target or the release level;
    under a credit support annex no more comes back than is due, or than a substitute is worth). Amounts are in account
    currency, whatever that is.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> from models.account import Collateral, Position
    >>> account = Account(account_id="a", as_of=datetime(2025, 3, 1, tzinfo=timezone.utc), ruleset="generic-linear",
    ...     currency="USDT", collateral=(Collateral(asset="USDT", quantity=9000.0),),
    ...     positions=(Position(symbol="BTC/USDT:USDT", quantity=1.0, entry_price=84_000.0),))
    >>> def predict(book):  # a toy: one P for every horizon, falling in cash
    ...     return np.repeat(np.exp(-book.arrays.unit_cash[book.arrays.account_unit[:-1]] / 5e3)[:, None], 4, axis=1)
    >>> found, _ = recommend([account], ["BTC"], np.array([84_000.0]), predict, Target(0.05, 1440))
    >>> round(found[0].plans[0].actions[0].amount, -1)
    5980.0
    """
    shape = (len(accounts), len(assets))
    matrix, market = price_rows("prices", prices, shape), market_rows(volatility, shape)
    maker = BookMaker(assets)
    results: list[Recommendation] = []
    failures: list[Failure] = []
    for first in range(0, len(accounts), _CHUNK):
        part = slice(first, first + _CHUNK)
        seen = Evaluator(tuple(assets), matrix[part], predict, market_part(market, part), maker=maker)
        desk = Desk(accounts[part], seen, target, policy or Policy())
        found, bad = desk.run()
        results += found
        failures += [Failure(f.row + first, f.account_id, f.code, f.field, f.message) for f in bad]
    return results, failures


def price_rows(name: str, values: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """One row for each account."""
    found = np.asarray(values, np.float64)
    if found.shape not in (shape[1:], shape):
        raise InputError(name, found.shape, f"shape {shape[1:]} or {shape}")
    return np.ascontiguousarray(np.broadcast_to(found, shape))


def market_rows(volatility: Volatility | FloatArray | None, shape: tuple[int, int]) -> Volatility:
    """Implied volatility and margin rates of each account, NaN where none is given."""
    unknown = np.full(shape, np.nan)
    if volatility is None:
        return Volatility(unknown, margin_rate=unknown)
    given = volatility if isinstance(volatility, Volatility) else Volatility(volatility)
    rate = unknown if given.margin_rate is None else price_rows("volatility.margin_rate", given.margin_rate, shape)
    return replace(given, level=price_rows("volatility", given.level, shape), margin_rate=rate)


def market_part(market: Volatility, part: slice | IntArray) -> Volatility:
    """Implied volatility and margin rates of some accounts."""
    assert market.margin_rate is not None
    return replace(market, level=market.level[part], margin_rate=market.margin_rate[part])
