"""Several reductions together: isolated positions closed, and one more position reduced.

Reducing an isolated position sets its margin free in proportion: its leverage stays what it is, and so does its risk of
a call. Only closing it helps. An account with two such positions at risk, or with one beside a cross wallet at risk,
needs several orders at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations

import numpy as np

from models.account import Account
from models.margin.levels import STATES
from models.rebalance.effects import apply_move
from models.rebalance.evaluate import Evaluation, Evaluator
from models.rebalance.joint.pockets import pockets_of
from models.rebalance.moves import Move, reduce_move, round_amount
from models.rebalance.policy import Policy
from models.rebalance.recommend import market_part
from models.rebalance.search import Enough, Search, search_amounts
from models.rebalance.target import Target
from models.rebalance.weights import Weights
from models.typing import BoolArray, IntArray

__all__ = ["CloseOut", "Order", "close_outs"]

_MOST = 5
"""Isolated positions of which every combination is tried; of more, the ones most at risk."""
_KEPT, _ROUNDS = 8, 2
"""Ways of which each order in turn is taken back for the smallest one that is then enough, and how often."""
_SAME = 1e-12
_CALL = STATES.index("call")


@dataclass(frozen=True, slots=True)
class Order:
    """One reduction among several.

    Parameters
    ----------
    account : Account
        The account before it.
    move : Move
        The reduction.
    amount : float
        Units of its asset.
    """

    account: Account
    move: Move
    amount: float


@dataclass(frozen=True, slots=True)
class CloseOut:
    """Reductions that are enough together.

    Parameters
    ----------
    orders : tuple of Order
        One or more, in the order in which they are made.
    account : Account
        The account after them.
    cost : float
        Fees, account currency.
    """

    orders: tuple[Order, ...]
    account: Account
    cost: float


def close_outs(own: Weights, row: int, evaluate: Evaluator, target: Target, policy: Policy) -> list[CloseOut]:
    """Find reductions of an account with isolated positions that bring it under the target.

    Parameters
    ----------
    own : Weights
        The account with its rules and prices.
    row : int
        Its row in the evaluator.
    evaluate : Evaluator
        Predictor and engine.
    target : Target
        What is to be reached.
    policy : Policy
        Fees and lots.

    Returns
    -------
    list of CloseOut
        The cheapest first: every combination of isolated positions closed, of five at most, alone or with the smallest
        reduction of one other position that is then enough; of the cheapest, each order is then made as small as the
        others let it be, or exchanged for one of another position. No horizon's P and no state is worse than before.
        Empty where there are not several positions, or none is isolated. Positions whose symbol another one has are
        left.
    """
    rows = np.array([row], np.int64)
    market = None if evaluate.volatility is None else market_part(evaluate.volatility, rows)
    part = replace(evaluate, prices=evaluate.prices[rows], volatility=market)
    alone = _isolated(own, part, target)
    if not alone or len(own.account.positions) < 2:
        return []
    sets = chain.from_iterable(combinations(alone, n) for n in range(len(alone) + 1))
    tried = [_closed(own, chosen, policy) for chosen in sets]
    before = part([own.account], np.zeros(1, np.int64))

    def enough(seen: Evaluation, owner: IntArray) -> BoolArray:
        lower = np.all(seen.p <= before.p[0] + _SAME, axis=1) & (seen.state <= before.state[0])
        return lower & seen.good & (seen.p[:, target.column] <= target.probability) & (seen.state < _CALL)

    owner = np.zeros(len(tried), np.int64)
    good = enough(part([one.account for one in tried], owner), owner)
    out = [one for one, ok in zip(tried, good.tolist(), strict=True) if ok]
    rest = [one for one, ok in zip(tried, good.tolist(), strict=True) if not ok]
    out = sorted([*out, *_with_one_more(own, rest, part, enough, target, policy)], key=_cost)
    for _ in range(_ROUNDS):
        bases = [_without(own, one, j, policy) for one in out[:_KEPT] for j in range(len(one.orders))]
        out = sorted([*out, *_with_one_more(own, bases, part, enough, target, policy)], key=_cost)
    return out


def _cost(one: CloseOut) -> tuple[float, int]:
    return one.cost, len(one.orders)


def _without(own: Weights, one: CloseOut, j: int, policy: Policy) -> CloseOut:
    """The same orders but one."""
    out = CloseOut((), own.account, 0.0)
    for order in (*one.orders[:j], *one.orders[j + 1 :]):
        symbols = [position.symbol for position in out.account.positions]
        move = _reduction(own, out.account, symbols.index(order.move.symbol or ""), policy)
        out = _after(out, move, order.amount)
    return out


def _isolated(own: Weights, evaluate: Evaluator, target: Target) -> list[int]:
    """Isolated positions whose symbol no other position has, in order; of many those most at risk."""
    account = own.account
    found = [k for k in _named(account) if account.positions[k].margin_mode == "isolated"]
    if len(found) <= _MOST:
        return found
    parts = [pocket for pocket in pockets_of(0, own) if pocket.position in found]
    seen = evaluate([pocket.account for pocket in parts], np.zeros(len(parts), np.int64))
    p = np.where(seen.good & (seen.state < _CALL), seen.p[:, target.column], 1.0)
    return sorted(parts[k].position for k in np.argsort(-p, kind="stable")[:_MOST].tolist())


def _named(account: Account) -> list[int]:
    """Positions whose symbol no other position has."""
    symbols = [position.symbol for position in account.positions]
    return [k for k, symbol in enumerate(symbols) if symbols.count(symbol) == 1]


def _closed(own: Weights, positions: Sequence[int], policy: Policy) -> CloseOut:
    """Close positions, the last one first so that the others keep their places."""
    out = CloseOut((), own.account, 0.0)
    for k in sorted(positions, reverse=True):
        move = _reduction(own, out.account, k, policy)
        out = _after(out, move, move.limit)
    return out


def _reduction(own: Weights, account: Account, k: int, policy: Policy) -> Move:
    fee = own.rules.taker_fee if policy.taker_fee is None else policy.taker_fee
    return reduce_move(replace(own, account=account), k, policy.lot(account.positions[k].symbol), fee)


def _after(before: CloseOut, move: Move, amount: float) -> CloseOut:
    order = Order(before.account, move, amount)
    return CloseOut((*before.orders, order), apply_move(before.account, move, amount), before.cost + move.fee(amount))


def _with_one_more(
    own: Weights, tried: Sequence[CloseOut], evaluate: Evaluator, enough: Enough, target: Target, policy: Policy
) -> list[CloseOut]:
    """Reduce one of the positions that are left, by the smallest amount that is enough."""
    pairs = [(i, k) for i, one in enumerate(tried) for k in _named(one.account)]
    if not pairs:
        return []
    moves = [_reduction(own, tried[i].account, k, policy) for i, k in pairs]
    searches = [Search(i, move) for (i, _), move in zip(pairs, moves, strict=True)]
    every = replace(
        evaluate,
        prices=np.repeat(evaluate.prices, len(tried), axis=0),
        volatility=None
        if evaluate.volatility is None
        else market_part(evaluate.volatility, np.zeros(len(tried), np.int64)),
    )
    found = search_amounts(searches, [one.account for one in tried], every, enough, target.column).amount
    kept = np.flatnonzero(np.isfinite(found)).tolist()
    out = [_after(tried[pairs[j][0]], moves[j], round_amount(float(found[j]), moves[j])) for j in kept]
    owner = np.zeros(len(out), np.int64)
    good = enough(evaluate([one.account for one in out], owner), owner) if out else np.zeros(0, np.bool_)
    return [one for one, ok in zip(out, good.tolist(), strict=True) if ok]
