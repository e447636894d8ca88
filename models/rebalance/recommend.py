"""From accounts to recommendations: search on the predictor, re-price by the engine, refuse what is worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.account import Account
from models.errors import Failure, InputError, MissingMarketError
from models.margin.levels import STATES
from models.margin.rulesets import load_ruleset
from models.rebalance.evaluate import Evaluation, Evaluator, Predict
from models.rebalance.moves import Move, apply_move, round_amount
from models.rebalance.options import haircut_of, releasing_moves, saving_moves
from models.rebalance.plan import Action, Plan, Recommendation, Unreachable, last_safe_minute
from models.rebalance.policy import Policy
from models.rebalance.search import Found, Search, search_amounts
from models.rebalance.target import Target
from models.rebalance.wording import cannot_sentence, plan_sentence
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["recommend"]

_CHUNK = 64
_SAME = 1e-12


def recommend(
    accounts: Sequence[Account],
    assets: Sequence[str],
    prices: FloatArray,
    predict: Predict,
    target: Target,
    policy: Policy | None = None,
) -> tuple[list[Recommendation], list[Failure]]:
    """Recommend the smallest action that brings P(call) under the target, or what may be released.

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

    Returns
    -------
    tuple of (list of Recommendation, list of Failure)
        One recommendation for each good account in order, and the accounts that could not be computed.

    Raises
    ------
    InputError
        If `prices` has another shape.

    Notes
    -----
    Each plan is a single action that is enough by itself. A plan is returned only if the predictor, asked again
    about the rounded amount, gives P at or under the target, P is not above what it was at any horizon, and the
    engine's state is not worse (a release may raise P and lower the state, never past the target or the release level).

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
    matrix = np.asarray(prices, np.float64)
    if matrix.shape not in ((len(assets),), (len(accounts), len(assets))):
        raise InputError("prices", matrix.shape, f"shape ({len(assets)},) or ({len(accounts)}, {len(assets)})")
    matrix = np.broadcast_to(matrix, (len(accounts), len(assets)))
    results: list[Recommendation] = []
    failures: list[Failure] = []
    for first in range(0, len(accounts), _CHUNK):
        part = slice(first, first + _CHUNK)
        desk = _Desk(accounts[part], Evaluator(tuple(assets), matrix[part], predict), target, policy or Policy())
        found, bad = desk.run()
        results += found
        failures += [Failure(f.row + first, f.account_id, f.code, f.field, f.message) for f in bad]
    return results, failures


@dataclass(frozen=True, slots=True, eq=False)
class _Refused:
    owner: int
    move: Move
    reason: str


class _Desk:
    """A chunk of accounts worked on together, so that every round is one call of the predictor."""

    def __init__(self, accounts: Sequence[Account], evaluate: Evaluator, target: Target, policy: Policy) -> None:
        self.accounts = accounts
        self.evaluate = evaluate
        self.target = target
        self.policy = policy
        self.before: Evaluation = evaluate(accounts, np.arange(len(accounts)))
        good = zip(accounts, self.before.good, strict=True)
        self.rules = [load_ruleset(account.ruleset, account.as_of) if ok else None for account, ok in good]

    def run(self) -> tuple[list[Recommendation], list[Failure]]:
        searches, refused = self._searches()
        found = search_amounts(searches, self.accounts, self.evaluate, self._enough, self.target.column)
        amounts = self._rounded(searches, found)
        after = self._after(searches, amounts)
        plans: dict[int, list[Plan]] = {}
        missed: dict[int, list[Unreachable]] = {}
        certified = self._enough(after, np.array([s.owner for s in searches], np.int64)) & (amounts > 0)
        for i, search in enumerate(searches):
            if certified[i]:
                plans.setdefault(search.owner, []).append(self._plan(search, float(amounts[i]), after, i))
            elif search.move.kind != "release":
                missed.setdefault(search.owner, []).append(self._miss(search, found, i))
        for item in refused:
            p = float(self.before.p[item.owner, self.target.column])
            missed.setdefault(item.owner, []).append(
                Unreachable(item.move.kind, item.move.asset, item.move.symbol, p, 0.0, item.reason)
            )
        good = np.flatnonzero(self.before.good)
        return [self._answer(int(i), plans.get(int(i), []), missed.get(int(i), [])) for i in good], self._failures()

    def _searches(self) -> tuple[list[Search], list[_Refused]]:
        searches: list[Search] = []
        refused: list[_Refused] = []
        for i, (account, rules) in enumerate(zip(self.accounts, self.rules, strict=True)):
            if rules is None:
                continue
            row = self.evaluate.prices[i]
            price_of = {a: float(x) for a, x in zip(self.evaluate.assets, row, strict=True) if np.isfinite(x)}
            if self._over(i):
                moves, no = saving_moves(account, self.before, i, rules, self.policy, price_of)
                refused += [_Refused(i, move, reason) for move, reason in no]
            else:
                moves = releasing_moves(account, self.policy, price_of) if self._excess(i) else []
            searches += [Search(i, move) for move in moves if move.limit > 0]
        return searches, refused

    def _over(self, i: int) -> bool:
        called = self.before.state[i] >= STATES.index("call")
        return bool(called or self.before.p[i, self.target.column] > self.target.probability)

    def _excess(self, i: int) -> bool:
        return bool(self.policy.release and self.before.level[i, 0] > self.before.level[i, 4])

    def _enough(self, seen: Evaluation, owner: IntArray) -> BoolArray:
        """Under the target, and no worse than doing nothing (for accounts at risk) or than the release level."""
        before = self.before
        over = np.array([self._over(i) if before.good[i] else False for i in range(len(self.accounts))])[owner]
        reached = seen.good & (seen.p[:, self.target.column] <= self.target.probability)
        lower = np.all(seen.p <= before.p[owner] + _SAME, axis=1) & (seen.state <= before.state[owner])
        uncalled = seen.state < STATES.index("call")
        return reached & uncalled & np.where(over, lower, seen.level[:, 0] >= seen.level[:, 4])

    def _rounded(self, searches: Sequence[Search], found: Found) -> FloatArray:
        pairs = zip(searches, found.amount, strict=True)
        return np.array([0.0 if np.isnan(a) else round_amount(float(a), s.move) for s, a in pairs])

    def _after(self, searches: Sequence[Search], amounts: FloatArray) -> Evaluation:
        pairs = zip(searches, amounts, strict=True)
        changed = [apply_move(self.accounts[s.owner], s.move, float(a)) for s, a in pairs]
        return self.evaluate(changed, np.array([s.owner for s in searches], np.int64))

    def _plan(self, search: Search, amount: float, after: Evaluation, row: int) -> Plan:
        move, account, rules = search.move, self.accounts[search.owner], self.rules[search.owner]
        assert rules is not None
        fee, haircut = move.fee(amount), haircut_of(account, move, amount, rules)
        before, column = self.before, self.target.column
        sentence = plan_sentence(
            move, amount, self.target, float(before.p[search.owner, column]), float(after.p[row, column])
        )
        return Plan(
            actions=(Action(move.kind, move.asset, move.symbol, amount, amount * move.price, fee, haircut),),
            p_before=before.probabilities(search.owner),
            p_after=after.probabilities(row),
            levels_before=before.levels(search.owner),
            levels_after=after.levels(row),
            cost=fee,
            last_safe_minute=None if move.kind == "release" else self._last_safe(search.owner, move),
            sentence=sentence,
        )

    def _last_safe(self, i: int, move: Move | None = None) -> float | None:
        lag = 0.0 if move is not None and move.kind == "reduce" else self.policy.route_lag_minutes
        called = bool(self.before.state[i] >= STATES.index("call"))
        return last_safe_minute(self.before.p[i], self.target, called, lag)

    def _miss(self, search: Search, found: Found, i: int) -> Unreachable:
        p = float(self.before.p[search.owner, self.target.column])
        best = min(float(found.best_p[i]), p)
        amount = float(found.best_amount[i]) if best < p else 0.0
        sentence = cannot_sentence(search.move, self.target, p, best, amount)
        return Unreachable(search.move.kind, search.move.asset, search.move.symbol, best, amount, sentence)

    def _answer(self, i: int, plans: list[Plan], missed: list[Unreachable]) -> Recommendation:
        plans.sort(key=lambda plan: (plan.cost, plan.actions[0].haircut, plan.actions[0].value))
        over = self._over(i)
        return Recommendation(
            account_id=self.accounts[i].account_id,
            target=self.target,
            status=("act" if plans else "cannot_reach") if over else ("release" if plans else "ok"),
            p_before=self.before.probabilities(i),
            levels_before=self.before.levels(i),
            last_safe_minute=self._last_safe(i),
            plans=tuple(plans),
            unreachable=tuple(missed),
        )

    def _failures(self) -> list[Failure]:
        known = {f.row for f in self.before.failures}
        unpriced = [int(i) for i in np.flatnonzero(~self.before.good) if int(i) not in known]
        error = MissingMarketError("market: expected a price for every asset of the account, one is missing")
        extra = [Failure.from_error(error, i, self.accounts[i].account_id) for i in unpriced]
        return sorted([*self.before.failures, *extra], key=lambda f: f.row)
