"""Price scenarios of the certificate, and whom an action would leave worse in one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.account import Account
from models.margin.levels import STATES, margin_levels
from models.rebalance.evaluate import Evaluator
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["assets_of", "equities", "scenario_factors", "worse_in_scenarios"]

_CALL = STATES.index("call")


def scenario_factors(stress: Sequence[float], n_assets: int, used: IntArray) -> FloatArray:
    """List the price factors of the certificate: now, all assets together, and each used asset alone.

    Parameters
    ----------
    stress : sequence of float
        Price factors.
    n_assets : int
        Assets of the market.
    used : ndarray of int
        Assets that the desk holds or moves.

    Returns
    -------
    ndarray, shape (S, A)
        One row for each scenario.

    Examples
    --------
    >>> scenario_factors((0.8,), 2, np.array([1])).tolist()
    [[1.0, 1.0], [0.8, 0.8], [1.0, 0.8]]
    """
    rows = [np.ones(n_assets)]
    for factor in stress:
        rows.append(np.full(n_assets, factor))
        for asset in used.tolist():
            row = np.ones(n_assets)
            row[asset] = factor
            rows.append(row)
    return np.array(rows)


def worse_in_scenarios(
    before: Sequence[Account], after: Sequence[Account], rows: IntArray, evaluate: Evaluator, factors: FloatArray
) -> IntArray:
    """Find accounts that some scenario leaves in a call or liquidation that doing nothing would not.

    Parameters
    ----------
    before, after : sequence of Account, length m
        Accounts without and with the plan.
    rows : ndarray of int, shape (m,)
        Their rows in the evaluator.
    evaluate : Evaluator
        The exact engine and its prices.
    factors : ndarray, shape (S, A)
        Price factors.

    Returns
    -------
    ndarray of int
        Positions in `before`.
    """
    both = [*before, *after]
    owner = np.concatenate([rows, rows])
    worse = np.zeros(len(before), np.bool_)
    plain, _ = evaluate.book(both)
    for factor in factors:
        shifted = replace(evaluate, prices=evaluate.prices * factor)
        book = shifted.valued_at(plain, both, owner)
        state = margin_levels(book, np.ascontiguousarray(shifted.prices[owner])).state
        worse |= (state[len(before) :] > state[: len(before)]) & (state[len(before) :] >= _CALL)
    return np.flatnonzero(worse)


def assets_of(accounts: Sequence[Account], evaluate: Evaluator) -> IntArray:
    """Find the assets that some accounts depend on.

    Parameters
    ----------
    accounts : sequence of Account
        The accounts.
    evaluate : Evaluator
        With the assets of the market.

    Returns
    -------
    ndarray of int
        Columns of the market.
    """
    names = {item.asset for account in accounts for item in account.collateral}
    book, _ = evaluate.book(accounts)
    used: BoolArray = np.array([a in names for a in evaluate.assets], np.bool_)
    used[book.arrays.leg_asset] = True
    if book.blocks is not None:
        used[book.blocks.block_asset] = True
    return np.flatnonzero(used)


def equities(
    accounts: Sequence[Account], rows: IntArray, evaluate: Evaluator, factors: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Equity and maintenance of accounts at some prices, by the exact engine alone.

    Parameters
    ----------
    accounts : sequence of Account, length m
        The accounts.
    rows : ndarray of int, shape (m,)
        Their rows in the evaluator.
    evaluate : Evaluator
        The exact engine and its prices.
    factors : ndarray, shape (A,)
        Price factors.

    Returns
    -------
    tuple of ndarray, shape (m,)
        Account currency; NaN for an account that cannot be valued.
    """
    shifted = replace(evaluate, prices=evaluate.prices * factors)
    book, failures = shifted.book(accounts)
    good = np.setdiff1d(np.arange(len(accounts)), np.array([f.row for f in failures], np.int64))
    equity, maintenance = np.full(len(accounts), np.nan), np.full(len(accounts), np.nan)
    if len(good):
        book = shifted.valued_at(book, [accounts[i] for i in good.tolist()], rows[good])
        levels = margin_levels(book, np.ascontiguousarray(shifted.prices[rows[good]]))
        equity[good], maintenance[good] = levels.equity, levels.maintenance
    return equity, maintenance
