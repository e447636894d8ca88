"""Swaps and hedges inside the accounts of a desk, as links beside the transfers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from models.account import Account
from models.instrument import parse_symbol
from models.margin.levels import STATES
from models.rebalance.effects import apply_move
from models.rebalance.evaluate import Evaluation, Evaluator
from models.rebalance.joint.network import Link, Refusal
from models.rebalance.joint.pockets import Pocket
from models.rebalance.joint.probe import Probe
from models.rebalance.joint.split import crossing
from models.rebalance.joint.worth import Worth, needed_money
from models.rebalance.limits import CollateralLine
from models.rebalance.moves import Move
from models.rebalance.places import Place, Route, leads_to
from models.rebalance.policy import Policy
from models.rebalance.recommend import market_part
from models.rebalance.search import Search, search_amounts
from models.rebalance.target import Target
from models.rebalance.trading import alone_refusal, trading_moves
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["trade_links"]

_CALL = STATES.index("call")
_INSIDE = Place()


def trade_links(
    worth: Worth,
    accounts: Sequence[Account],
    policy: Policy,
    target: Target,
    evaluate: Evaluator,
    age: Mapping[str, float],
) -> tuple[list[Link], list[Refusal]]:
    """List the swaps and hedges that lower what needy pockets need.

    Parameters
    ----------
    worth : Worth
        The pockets, and what they need; trades are made in cross wallets.
    accounts : sequence of Account
        All accounts of the desk.
    policy : Policy
        Its swaps and hedges.
    target : Target
        What is to be reached.
    evaluate : Evaluator
        Predictor and engine.
    age : mapping of str to float
        Minutes since each price was known.

    Returns
    -------
    tuple of list
        Links, each with the dollars of need that one unit takes the place of, and what cannot be done, with the reason.

    Notes
    -----
    Where a trade is enough by itself, a unit is worth the need over the smallest size that is enough; elsewhere, what
    the largest size takes off the need, over that size. Neither is more than what a smaller trade is worth where its
    effect falls with size, as that of a hedge does; where it is, the plan is refuted by the predictor and made larger.
    """
    places = [k for k in range(worth.count) if worth.pockets[k].position < 0 and worth.reached[k]]
    lone = _lone(worth, accounts, policy)
    if not places or not (policy.swaps or policy.hedges):
        return [], lone
    part = [worth.pockets[k] for k in places]
    rows: IntArray = np.array([pocket.row for pocket in part], np.int64)
    inner = [pocket.account for pocket in part]
    found, refused = trading_moves(inner, [pocket.weights for pocket in part], rows, policy, evaluate)
    words = lone + [Refusal(_rule(move), inner[i].account_id, move.asset, reason) for i, move, reason in refused]
    old = [_refusal(part[i], accounts[part[i].row], move, age) for i, move in found]
    words += [
        Refusal(_rule(m), inner[i].account_id, m.asset, text) for (i, m), text in zip(found, old, strict=True) if text
    ]
    moves = [one for one, text in zip(found, old, strict=True) if not text]
    goal = target.probability * worth.share[places]
    need = worth.curves.need[places]
    value = _values(part, moves, goal, need, target, evaluate)
    links = []
    for (i, move), unit in zip(moves, value.tolist(), strict=True):
        if unit > 0:
            links.append(_link(part[i], move, unit))
        else:
            text = f"It does not lower what {inner[i].account_id} needs."
            words.append(Refusal(_rule(move), inner[i].account_id, move.asset, text))
    return links, words


def _lone(worth: Worth, accounts: Sequence[Account], policy: Policy) -> list[Refusal]:
    """Why the isolated positions that need something are not hedged."""
    out = []
    for pocket in worth.pockets[: worth.count]:
        for rule in policy.hedges if pocket.position >= 0 else ():
            reason = alone_refusal(pocket.account, rule) if leads_to(rule.to, accounts[pocket.row]) else None
            if reason is not None:
                base = parse_symbol(rule.symbol).base
                out.append(Refusal(rule.name, accounts[pocket.row].account_id, base, reason))
    return out


def _rule(move: Move) -> str:
    return "" if move.trade is None else move.trade.rule


def _refusal(pocket: Pocket, account: Account, move: Move, age: Mapping[str, float]) -> str:
    """Why a trade cannot be made: beside an isolated position of its symbol, or on old prices; empty where it can."""
    assert move.trade is not None
    if any(p.symbol == move.symbol and p.margin_mode == "isolated" for p in account.positions):
        return f"{move.symbol} of {account.account_id} has isolated margin: the cross wallet cannot be hedged with it."
    names = (move.asset, move.trade.into)
    late = [name for name in names if age.get(name, 0.0) > pocket.weights.rules.stale_after_minutes]
    return f"The price of {late[0]} is {age[late[0]]:.0f} minutes old." if late else ""


def _values(
    pockets: Sequence[Pocket],
    moves: Sequence[tuple[int, Move]],
    goal: FloatArray,
    need: FloatArray,
    target: Target,
    evaluate: Evaluator,
) -> FloatArray:
    """Dollars of need that one unit of each trade takes the place of, shape (number of moves,)."""
    if not moves:
        return np.zeros(0)
    rows: IntArray = np.array([pocket.row for pocket in pockets], np.int64)
    market = None if evaluate.volatility is None else market_part(evaluate.volatility, rows)
    part = replace(evaluate, prices=evaluate.prices[rows], volatility=market)

    def enough(seen: Evaluation, owner: IntArray) -> BoolArray:
        return seen.good & (seen.state < _CALL) & (seen.p[:, target.column] <= goal[owner])

    searches = [Search(i, move) for i, move in moves]
    alone = search_amounts(searches, [p.account for p in pockets], part, enough, target.column).amount
    owner = np.array([i for i, _ in moves], np.int64)
    out = need[owner] / np.where(np.isnan(alone), np.inf, alone)
    lacking = np.flatnonzero(np.isnan(alone)).tolist()
    if lacking:
        left = _left(pockets, [moves[k] for k in lacking], goal, target, evaluate)
        size = np.array([moves[k][1].limit for k in lacking])
        out[lacking] = (need[owner[lacking]] - left) / size
    return out


def _left(
    pockets: Sequence[Pocket],
    moves: Sequence[tuple[int, Move]],
    goal: FloatArray,
    target: Target,
    evaluate: Evaluator,
) -> FloatArray:
    """Dollars that pockets still need after the largest trade."""
    after = []
    for i, move in moves:
        own = pockets[i].weights
        after.append(replace(pockets[i], weights=replace(own, account=apply_move(own.account, move, move.limit))))
    before = evaluate([pocket.account for pocket in after], np.array([pocket.row for pocket in after], np.int64))
    probe, goals = Probe(after, before, evaluate), goal[[i for i, _ in moves]]
    _, reached = needed_money(probe, goals, target)
    found = [crossing(*probe.curve(k), float(p)) for k, p in enumerate(goals)]
    return np.where(reached > 0, found, np.inf)


def _link(pocket: Pocket, move: Move, value: float) -> Link:
    assert move.trade is not None
    name, dollars = pocket.account.account_id, move.price * move.dollar
    route = Route(
        name=move.trade.rule,
        source=name,
        to=(name,),
        assets=(move.asset,),
        fee_rate=max(move.fee_rate, 0.0),
        impact=move.trade.impact,
        needs_approval=move.trade.needs_approval,
    )
    sizes = move.smallest, move.limit, move.step, 0.0, False
    return Link(
        route, _INSIDE, pocket.row, -1, move.asset, move.kind, dollars, value / dollars, CollateralLine(), *sizes,
        -1, move,
    )  # fmt: skip
