"""What added collateral is worth to each account, found on the full predictor and the exact engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.account import Account
from models.book import Book
from models.margin.levels import STATES
from models.rebalance.balances import held
from models.rebalance.closing import margin_asset
from models.rebalance.effects import apply_move
from models.rebalance.evaluate import Evaluation, Evaluator
from models.rebalance.joint.problem import Curves
from models.rebalance.limits import RiskLimits
from models.rebalance.moves import Move, transfer_move
from models.rebalance.options import gross_value
from models.rebalance.policy import AssetRule
from models.rebalance.target import Target
from models.rebalance.weights import Weights
from models.typing import FloatArray, IntArray

__all__ = ["Worth", "isolated_position", "liquidation_of", "loss_of", "measure", "money_move"]

_FIRST = 16
_NEXT = 8
_ROUNDS = 4
_SMALLEST = 1e-4
_LIMIT = 3.0
_SHAPE = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0])
_KEPT = np.array([1.0, 0.95, 0.9, 0.8, 0.7, 0.55, 0.4, 0.25, 0.1, 0.0])
_CALL, _LIQUIDATION = STATES.index("call"), len(STATES) - 1
_TAIL = {"expected": 1.0, "cvar90": 0.1, "cvar95": 0.05}


@dataclass(frozen=True, slots=True, eq=False)
class Worth:
    """Added equity and what it does, for m accounts; dollars.

    Parameters
    ----------
    owner : ndarray of int, shape (m,)
        Row of each account.
    curves : Curves
        Loss against added equity, and what is needed.
    value, p : tuple of ndarray
        For each account: added equity, rising, and P at the target's horizon there.
    reached : ndarray of bool, shape (m,)
        Whether added money can reach the target at all.
    """

    owner: IntArray
    curves: Curves
    value: tuple[FloatArray, ...]
    p: tuple[FloatArray, ...]
    reached: FloatArray

    def need_at(self, probability: float) -> FloatArray:
        """Added equity at which P falls to a probability, between the points measured; shape (m,)."""
        return np.array([_crossing(v, p, probability) for v, p in zip(self.value, self.p, strict=True)])

    def equivalent(self, i: int, p: float) -> float:
        """Added money that would give the same P, dollars."""
        return _crossing(self.value[i], self.p[i], p)


def _crossing(value: FloatArray, p: FloatArray, goal: float) -> float:
    """First value at which a falling curve is at most a goal, linear in log P between its points."""
    low = np.minimum.accumulate(p)
    at = int(np.argmax(low <= goal)) if bool(np.any(low <= goal)) else -1
    if at < 0:
        return float(value[-1])
    if at == 0 or low[at] >= low[at - 1]:
        return float(value[at])
    top, bottom, wanted = (float(np.log(max(x, 1e-15))) for x in (low[at - 1], low[at], goal))
    share = 1.0 if top == bottom else (top - wanted) / (top - bottom)
    return float(value[at - 1] + min(max(share, 0.0), 1.0) * (value[at] - value[at - 1]))


def money_move(weights: Weights, shortfall: float) -> Move:
    """Give the move by which added money is measured: the account currency, a debt in it, or the margin of a position.

    Parameters
    ----------
    weights : Weights
        An account with its rules and prices.
    shortfall : float
        What its equity lacks to the initial requirement, account currency.

    Returns
    -------
    Move
        A top-up or repayment, or margin added to the one isolated position, up to three times what is at risk.
    """
    account, rules = weights.account, weights.rules
    alone = isolated_position(account)
    if alone >= 0:
        position = account.positions[alone]
        asset = margin_asset(position, account.currency)
        limit = (_LIMIT * gross_value(account, weights.quotes) + max(shortfall, 0.0)) / max(
            weights.quotes.own(asset), 1e-300
        )
        return transfer_move("add_margin", asset, weights, limit, AssetRule(), (alone, position.symbol))
    debt = held(account, account.currency, "owed") if rules.borrows else 0.0
    if debt > 0 and not rules.debt_in_equity:
        return transfer_move("repay", account.currency, weights, debt, AssetRule())
    own = [account.currency, *(item.asset for item in account.collateral)]
    asset = next((a for a in own if weights.refusal(a) is None), account.currency)
    money = _LIMIT * gross_value(account, weights.quotes) + max(shortfall, 0.0)
    ratio = max(weights.first_ratio(asset), 0.05) * max(weights.quotes.own(asset), 1e-300)
    return transfer_move("top_up", asset, weights, money / ratio, AssetRule())


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


def measure(
    accounts: Sequence[Account],
    weights: Sequence[Weights | None],
    before: Evaluation,
    evaluate: Evaluator,
    target: Target,
    limits: RiskLimits,
    needy: IntArray,
    givers: IntArray,
) -> Worth:
    """Find needs, what can be spared, and the loss in between.

    Parameters
    ----------
    accounts : sequence of Account, length n
        The accounts.
    weights : sequence of Weights, length n
        The same with their rules and prices.
    before : Evaluation
        Where they stand.
    evaluate : Evaluator
        Predictor and engine.
    target : Target
        What is to be reached.
    limits : RiskLimits
        How losses are counted.
    needy, givers : ndarray of int
        Rows of the accounts that need collateral, and of those that may give some.

    Returns
    -------
    Worth
        Those accounts, the needy ones first.
    """
    owner = np.concatenate([needy, givers]).astype(np.int64)
    probe = _Probe(accounts, weights, before, evaluate, owner)
    needed, reached = _needed(probe, len(needy), target)
    spared = _spared(probe, len(needy), target)
    size = np.concatenate([needed, spared])
    shape = np.where((np.arange(len(owner)) < len(needy))[:, None], _SHAPE, -_KEPT)
    seen, value = probe.at(size[:, None] * shape)
    loss = loss_of(seen, liquidation_of(probe, size[:, None] * shape), target, limits) * probe.dollar[:, None]
    points = [np.argsort(np.concatenate([v, *w])) for v, w in zip(value, zip(*probe.values, strict=True), strict=True)]
    every = [np.concatenate([v, *w])[o] for v, w, o in zip(value, zip(*probe.values, strict=True), points, strict=True)]
    p = seen.p[:, target.column].reshape(value.shape)
    chances = [np.concatenate([q, *w])[o] for q, w, o in zip(p, zip(*probe.chances, strict=True), points, strict=True)]
    at = np.concatenate([np.full(len(needy), 4), np.zeros(len(givers), np.int64)])
    need = value[np.arange(len(owner)), at]
    curves = Curves(value, np.array([_hull(v, f) for v, f in zip(value, loss, strict=True)]).reshape(value.shape), need)
    return Worth(owner, curves, tuple(every), tuple(chances), np.concatenate([reached, np.ones(len(givers))]))


class _Probe:
    """Accounts with more or less money; amounts in units of `money_move`."""

    def __init__(
        self,
        accounts: Sequence[Account],
        weights: Sequence[Weights | None],
        before: Evaluation,
        evaluate: Evaluator,
        owner: IntArray,
    ) -> None:
        self.accounts, self.before, self.evaluate, self.owner = accounts, before, evaluate, owner
        own = [weights[i] for i in owner.tolist()]
        self.moves = [
            money_move(w, float(before.level[i, 3] - before.level[i, 0])) for i, w in zip(owner, own, strict=True) if w
        ]
        self.dollar = np.array([move.dollar for move in self.moves])
        self.values: list[FloatArray] = []
        self.chances: list[FloatArray] = []

    def candidates(self, amount: FloatArray) -> list[Account]:
        """Accounts with amounts added (taken out where below 0), row by row."""
        out = []
        for i, move, row in zip(self.owner.tolist(), self.moves, amount, strict=True):
            taking = replace(move, kind="release", position=-1)
            account = self.accounts[i]
            out += [apply_move(account, move, x) if x >= 0 else apply_move(account, taking, -x) for x in row.tolist()]
        return out

    def at(self, amount: FloatArray) -> tuple[Evaluation, FloatArray]:
        """Evaluate amounts of shape (m, k); what they add to equity less maintenance, dollars, of the same shape.

        Repaying a loan lowers what it requires, and adds nothing to its collateral: both sides count.
        """
        rows = np.repeat(self.owner, amount.shape[1])
        seen, before = self.evaluate(self.candidates(amount), rows), self.before.level[rows]
        free = (seen.level[:, 0] - seen.level[:, 1]) - (before[:, 0] - before[:, 1])
        added = free.reshape(amount.shape) * self.dollar[:, None]
        return seen, added

    def keep(self, seen: Evaluation, added: FloatArray, column: int) -> None:
        """Remember the points for the curve of P."""
        self.values.append(added)
        self.chances.append(np.where(np.isnan(seen.p[:, column]), 1.0, seen.p[:, column]).reshape(added.shape))

    def part(self, rows: slice) -> _Probe:
        """Some of the accounts, with a memory of their own."""
        out = object.__new__(_Probe)
        out.accounts, out.before, out.evaluate = self.accounts, self.before, self.evaluate
        out.owner, out.moves, out.dollar = self.owner[rows], self.moves[rows], self.dollar[rows]
        out.values, out.chances = [], []
        return out


def _needed(probe: _Probe, count: int, target: Target) -> tuple[FloatArray, FloatArray]:
    """Smallest amount of each needy account that reaches the target, and whether one does."""
    limit = np.array([move.limit for move in probe.moves])
    grid = limit[:, None] * np.geomspace(_SMALLEST, 1.0, _FIRST)
    low, high, found = np.zeros(len(limit)), limit.copy(), np.zeros(len(limit), np.bool_)
    for turn in range(_ROUNDS):
        seen, added = probe.at(grid)
        probe.keep(seen, added, target.column)
        good = ((seen.p[:, target.column] <= target.probability) & (seen.state < _CALL) & seen.good).reshape(grid.shape)
        hit, first = good.any(axis=1), np.argmax(good, axis=1)
        rows = np.arange(len(limit))
        below = np.where(first > 0, grid[rows, np.maximum(first - 1, 0)], low)
        low, high = np.where(hit, below, low), np.where(hit, grid[rows, first], high)
        found |= hit if turn == 0 else False
        grid = low[:, None] + (high - low)[:, None] * np.arange(1, _NEXT + 1) / _NEXT
    return high[:count], found[:count].astype(np.float64)


def _spared(probe: _Probe, first: int, target: Target) -> FloatArray:
    """Largest amount that each giver can spare: target, release level and state are kept."""
    part = probe.part(slice(first, None))
    if not len(part.owner):
        return np.zeros(0)
    before = probe.before
    excess = np.maximum(before.level[part.owner, 0] - before.level[part.owner, 4], 0.0)
    price = np.array([max(move.price, 1e-300) for move in part.moves])
    limit = excess / price
    grid = limit[:, None] * np.arange(_FIRST, -1, -1) / _FIRST
    seen, _ = part.at(-grid)
    kept = seen.level[:, 0] >= seen.level[:, 4] * (1 - 1e-12)
    good = ((seen.p[:, target.column] <= target.probability) & (seen.state < _CALL) & kept).reshape(grid.shape)
    return np.where(good.any(axis=1), grid[np.arange(len(limit)), np.argmax(good, axis=1)], 0.0)


def liquidation_of(probe: _Probe, amount: FloatArray) -> FloatArray:
    """P(liquidation) of candidates at the four horizons, shape (m k, 4)."""
    evaluate = probe.evaluate
    inner = evaluate.predict

    def predict(book: Book) -> FloatArray:
        return inner(replace(book, arrays=book.arrays._replace(account_call_factor=np.ones(len(book)))))

    rows = np.repeat(probe.owner, amount.shape[1])
    return replace(evaluate, predict=predict, certain_from=_LIQUIDATION)(probe.candidates(amount), rows).p


def loss_of(seen: Evaluation, liquidation: FloatArray, target: Target, limits: RiskLimits) -> FloatArray:
    """Expected loss, or CVaR, of each candidate by the target's horizon.

    Parameters
    ----------
    seen : Evaluation
        N candidates of m accounts, m rows of the same length.
    liquidation : ndarray, shape (N, 4)
        P(liquidation).
    target : Target
        Its horizon.
    limits : RiskLimits
        Cost of a call and of a liquidation.

    Returns
    -------
    ndarray, shape (m, N / m)
        Account currency; flat costs are taken as account currency as well.
    """
    call = np.nan_to_num(seen.p[:, target.column], nan=1.0)
    worst = np.minimum(np.nan_to_num(liquidation[:, target.column], nan=1.0), call)
    cost_call = limits.call_cost + limits.call_cost_rate * seen.level[:, 2]
    cost_worst = cost_call + limits.liquidation_cost + limits.liquidation_cost_rate * seen.level[:, 1]
    tail = _TAIL[limits.risk_measure]
    bad = np.minimum(worst, tail)
    mild = np.minimum(call, tail) - bad
    return np.asarray((bad * cost_worst + mild * cost_call) / tail).reshape(-1, len(_SHAPE))


def _hull(value: FloatArray, loss: FloatArray) -> FloatArray:
    """Largest convex falling curve that is nowhere above the points."""
    loss = np.minimum.accumulate(loss)
    kept: list[int] = []
    for i in range(len(value)):
        while len(kept) > 1 and _above(value, loss, kept[-2], kept[-1], i):
            kept.pop()
        if not kept or value[i] > value[kept[-1]]:
            kept.append(i)
    return np.interp(value, value[kept], loss[kept])


def _above(value: FloatArray, loss: FloatArray, a: int, b: int, c: int) -> bool:
    """Whether point b lies on or above the line from a to c."""
    return bool((loss[b] - loss[a]) * (value[c] - value[a]) >= (loss[c] - loss[a]) * (value[b] - value[a]))
