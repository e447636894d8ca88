"""Accounts with more or less money: what the predictor and the engine say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.account import Account
from models.rebalance.balances import held
from models.rebalance.closing import margin_asset
from models.rebalance.effects import apply_move
from models.rebalance.evaluate import Evaluation, Evaluator
from models.rebalance.joint.pockets import Pocket, isolated_position
from models.rebalance.moves import Move, transfer_move
from models.rebalance.options import gross_value
from models.rebalance.policy import AssetRule
from models.rebalance.weights import Weights
from models.typing import FloatArray, IntArray

__all__ = ["Probe", "money_move"]

_LIMIT = 3.0


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


class Probe:
    """Pockets with more or less money; amounts in units of `money_move`.

    Parameters
    ----------
    pockets : sequence of Pocket, length m
        The pockets.
    before : Evaluation
        Where each of them stands, m rows.
    evaluate : Evaluator
        Predictor and engine.
    """

    def __init__(self, pockets: Sequence[Pocket], before: Evaluation, evaluate: Evaluator) -> None:
        self.pockets, self.before, self.evaluate = pockets, before, evaluate
        self.owner: IntArray = np.array([pocket.row for pocket in pockets], np.int64)
        short = np.nan_to_num(before.level[:, 3] - before.level[:, 0])
        self.moves = [money_move(p.weights, lack) for p, lack in zip(pockets, short.tolist(), strict=True)]
        self.dollar = np.array([move.dollar for move in self.moves])
        self.values: list[FloatArray] = []
        self.chances: list[FloatArray] = []

    def candidates(self, amount: FloatArray) -> list[Account]:
        """Accounts with amounts added (taken out where below 0), row by row."""
        out = []
        for pocket, move, row in zip(self.pockets, self.moves, amount, strict=True):
            taking = replace(move, kind="release", position=-1)
            account = pocket.account
            out += [apply_move(account, move, x) if x >= 0 else apply_move(account, taking, -x) for x in row.tolist()]
        return out

    def at(self, amount: FloatArray) -> tuple[Evaluation, FloatArray]:
        """Evaluate amounts of shape (m, k); what they add to equity less maintenance, dollars, of the same shape.

        Repaying a loan lowers what it requires, and adds nothing to its collateral: both sides count.
        """
        rows = np.repeat(self.owner, amount.shape[1])
        seen, before = self.evaluate(self.candidates(amount), rows), np.repeat(self.before.level, amount.shape[1], 0)
        free = (seen.level[:, 0] - seen.level[:, 1]) - (before[:, 0] - before[:, 1])
        added = free.reshape(amount.shape) * self.dollar[:, None]
        return seen, added

    def keep(self, seen: Evaluation, added: FloatArray, column: int) -> None:
        """Remember the points for the curve of P."""
        self.values.append(added)
        self.chances.append(np.where(np.isnan(seen.p[:, column]), 1.0, seen.p[:, column]).reshape(added.shape))

    def curve(self, k: int) -> tuple[FloatArray, FloatArray]:
        """What was remembered of one pocket: added equity, rising, and P there."""
        value, chance = (np.concatenate([x[k] for x in kept]) for kept in (self.values, self.chances))
        order = np.argsort(value, kind="stable")
        return value[order], chance[order]

    def curves(self) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
        """What was remembered of each pocket."""
        every = [self.curve(k) for k in range(len(self.owner))]
        return tuple(value for value, _ in every), tuple(chance for _, chance in every)

    def part(self, rows: slice) -> Probe:
        """Some of the pockets, with a memory of their own."""
        out = object.__new__(Probe)
        out.evaluate, out.pockets, old = self.evaluate, self.pockets[rows], self.before
        out.before = replace(old, p=old.p[rows], level=old.level[rows], gap=old.gap[rows], state=old.state[rows])
        out.owner, out.moves, out.dollar = self.owner[rows], self.moves[rows], self.dollar[rows]
        out.values, out.chances = [], []
        return out
