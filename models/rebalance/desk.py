"""Some accounts worked on together: search on the predictor, re-price by the engine, refuse what is worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from models.account import Account
from models.errors import Failure, MissingMarketError
from models.instrument import is_stable, parse_symbol
from models.margin.levels import STATES
from models.margin.rulesets import load_ruleset
from models.margin.rulesets.loader import ruleset_model
from models.rebalance.agreement import due
from models.rebalance.effects import apply_move, proceeds
from models.rebalance.evaluate import Evaluation, Evaluator
from models.rebalance.moves import TRADES, Move, round_amount
from models.rebalance.options import haircut_of, releasing_moves, saving_moves
from models.rebalance.plan import Action, Kind, Plan, Recommendation, Status, Unreachable, last_safe_minute
from models.rebalance.policy import Policy
from models.rebalance.quotes import Quotes
from models.rebalance.scenarios import assets_of, scenario_factors, worse_in_scenarios
from models.rebalance.search import Found, Search, search_amounts
from models.rebalance.substituting.plans import substitutions
from models.rebalance.target import Target
from models.rebalance.trading import trading_moves
from models.rebalance.weights import Weights
from models.rebalance.wording import cannot_sentence, plan_sentence
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["Desk"]

_SAME = 1e-12
_CENT = 1e-4
"""Amounts under an agreement are compared to a hundredth of a cent."""
_EQUITY, _INITIAL, _RELEASE = 0, 3, 4
"""Columns of `Evaluation.level`."""


@dataclass(frozen=True, slots=True, eq=False)
class _Refused:
    owner: int
    move: Move
    reason: str


class Desk:
    """A chunk of accounts worked on together, so that every round is one call of the predictor.

    Parameters
    ----------
    accounts : sequence of Account, length n
        The accounts.
    evaluate : Evaluator
        Predictor and engine, at the prices of these accounts.
    target : Target
        What a plan must reach.
    policy : Policy
        What may be done.
    kinds : frozenset of str, optional
        Kinds of actions that are looked for; all where None.
    now : datetime, optional
        When notices under an agreement would be given; the instant of each account where None.
    """

    def __init__(
        self,
        accounts: Sequence[Account],
        evaluate: Evaluator,
        target: Target,
        policy: Policy,
        kinds: frozenset[Kind] | None = None,
        now: datetime | None = None,
    ) -> None:
        self.accounts = accounts
        self.kinds = kinds
        self.now = now
        self.evaluate = evaluate
        self.target = target
        self.policy = policy
        self.before: Evaluation = evaluate(accounts, np.arange(len(accounts)))
        self.weights = [self._weights(i) if ok else None for i, ok in enumerate(self.before.good)]

    def _weights(self, i: int) -> Weights:
        account = self.accounts[i]
        quotes = Quotes(account.currency, self._known(self.evaluate.prices[i]), self._known(self._volatility(i)))
        return Weights(account, load_ruleset(account.ruleset, account.as_of), quotes)

    def _volatility(self, i: int) -> FloatArray:
        market = self.evaluate.volatility
        return np.full(len(self.evaluate.assets), np.nan) if market is None else market.level[i]

    def _known(self, row: FloatArray) -> dict[str, float]:
        return {a: float(x) for a, x in zip(self.evaluate.assets, row, strict=True) if np.isfinite(x)}

    def run(self) -> tuple[list[Recommendation], list[Failure]]:
        """One recommendation for each good account in order, and the accounts that could not be computed."""
        searches, refused = self._searches()
        found = search_amounts(searches, self.accounts, self.evaluate, self._enough, self.target.column)
        amounts = self._rounded(searches, found)
        after = self._after(searches, amounts)
        plans: dict[int, list[Plan]] = {}
        missed: dict[int, list[Unreachable]] = {}
        certified = self._enough(after, np.array([s.owner for s in searches], np.int64)) & (amounts > 0)
        stressed = self._stressed(searches, amounts, certified)
        certified[sorted(stressed)] = False
        for i, search in enumerate(searches):
            if certified[i]:
                plans.setdefault(search.owner, []).append(self._plan(search, float(amounts[i]), after, i))
            elif i in stressed:
                refused.append(_Refused(search.owner, search.move, _stress_words(search, self.accounts)))
            elif search.move.kind != "release":
                missed.setdefault(search.owner, []).append(self._miss(search, found, i))
        for item in refused:
            p = float(self.before.p[item.owner, self.target.column])
            missed.setdefault(item.owner, []).append(
                Unreachable(item.move.kind, item.move.asset, item.move.symbol, p, 0.0, item.reason)
            )
        self._substitute(plans, missed)
        good = np.flatnonzero(self.before.good)
        return [self._answer(int(i), plans.get(int(i), []), missed.get(int(i), [])) for i in good], self.failures()

    def _substitute(self, plans: dict[int, list[Plan]], missed: dict[int, list[Unreachable]]) -> None:
        """Add what accounts under the target may exchange under their agreements."""
        if not self.policy.substitutions or not (self.kinds is None or "substitute" in self.kinds):
            return
        found = substitutions(self)
        for i, more in found.plans.items():
            plans.setdefault(i, []).extend(more)
        for i, lost in found.unreachable.items():
            missed.setdefault(i, []).extend(lost)

    def _searches(self) -> tuple[list[Search], list[_Refused]]:
        searches: list[Search] = []
        refused: list[_Refused] = []
        for i, weights in enumerate(self.weights):
            if weights is None:
                continue
            if self.over(i):
                level = self.before.level[i]
                moves, no = saving_moves(weights, float(level[_INITIAL] - level[_EQUITY]), self.policy)
                refused += [_Refused(i, move, reason) for move, reason in no]
            else:
                moves = releasing_moves(weights, self.policy) if self._excess(i) else []
            searches += [Search(i, move) for move in moves if move.limit > 0 and self._asked(move)]
        trades, no_trades = self._trades()
        return searches + trades, refused + no_trades

    def _trades(self) -> tuple[list[Search], list[_Refused]]:
        """Swaps and hedges of the accounts over the target."""
        over = [i for i, own in enumerate(self.weights) if own is not None and self.over(i)]
        wanted = self.kinds is None or bool(self.kinds & set(TRADES))
        if not over or not wanted or not (self.policy.swaps or self.policy.hedges):
            return [], []
        rows = np.array(over, np.int64)
        accounts, weights = [self.accounts[i] for i in over], [own for i in over if (own := self.weights[i])]
        good, bad = trading_moves(accounts, weights, rows, self.policy, self.evaluate)
        searches = [Search(over[k], move) for k, move in good if self._asked(move)]
        return searches, [_Refused(over[k], move, reason) for k, move, reason in bad if self._asked(move)]

    def _stressed(self, searches: Sequence[Search], amounts: FloatArray, certified: BoolArray) -> set[int]:
        """Trades that some price scenario of the policy leaves in a worse state than with no action."""
        traded = [i for i, s in enumerate(searches) if certified[i] and s.move.kind in TRADES]
        if not traded:
            return set()
        rows = np.array([searches[i].owner for i in traded], np.int64)
        old = [self.accounts[i] for i in rows.tolist()]
        new = [apply_move(a, searches[i].move, float(amounts[i])) for a, i in zip(old, traded, strict=True)]
        used = assets_of([*old, *new], self.evaluate)
        factors = scenario_factors(self.policy.limits.stress, len(self.evaluate.assets), used)
        return {traded[k] for k in worse_in_scenarios(old, new, rows, self.evaluate, factors).tolist()}

    def _asked(self, move: Move) -> bool:
        return self.kinds is None or move.kind in self.kinds

    def over(self, i: int) -> bool:
        """Whether an account is called or its P is over the target."""
        called = self.before.state[i] >= STATES.index("call")
        return bool(called or self.before.p[i, self.target.column] > self.target.probability)

    def _excess(self, i: int) -> bool:
        weights = self.weights[i]
        outcome = None if weights is None else due(weights)
        level = self.before.level[i]
        excess = level[_EQUITY] > level[_RELEASE] if outcome is None else outcome.action == "RETURN"
        return bool(self.policy.release and excess)

    def _kept(self, seen: Evaluation, owner: IntArray) -> BoolArray:
        """Whether a release leaves enough: the release level; the collateral that an agreement asks for."""
        agreed = np.array([account.csa is not None for account in self.accounts])[owner]
        kept = np.where(agreed, seen.level[:, _INITIAL] - _CENT, seen.level[:, _RELEASE])
        return seen.level[:, _EQUITY] >= kept

    def _enough(self, seen: Evaluation, owner: IntArray) -> BoolArray:
        """Under the target, and no worse than doing nothing (for accounts at risk) or than the release level."""
        before = self.before
        over = np.array([self.over(i) if before.good[i] else False for i in range(len(self.accounts))])[owner]
        reached = seen.good & (seen.p[:, self.target.column] <= self.target.probability)
        lower = np.all(seen.p <= before.p[owner] + _SAME, axis=1) & (seen.state <= before.state[owner])
        uncalled = seen.state < STATES.index("call")
        return reached & uncalled & np.where(over, lower, self._kept(seen, owner))

    def _rounded(self, searches: Sequence[Search], found: Found) -> FloatArray:
        pairs = zip(searches, found.amount, strict=True)
        return np.array([0.0 if np.isnan(a) else round_amount(float(a), s.move) for s, a in pairs])

    def _after(self, searches: Sequence[Search], amounts: FloatArray) -> Evaluation:
        pairs = zip(searches, amounts, strict=True)
        changed = [apply_move(self.accounts[s.owner], s.move, float(a)) for s, a in pairs]
        return self.evaluate(changed, np.array([s.owner for s in searches], np.int64))

    def _plan(self, search: Search, amount: float, after: Evaluation, row: int) -> Plan:
        move, weights = search.move, self.weights[search.owner]
        assert weights is not None
        before, column = self.before, self.target.column
        sentence = plan_sentence(
            move, amount, self.target, float(before.p[search.owner, column]), float(after.p[row, column])
        )
        return Plan(
            actions=(_action(weights, move, amount),),
            p_before=before.probabilities(search.owner),
            p_after=after.probabilities(row),
            levels_before=before.levels(search.owner),
            levels_after=after.levels(row),
            cost=move.fee(amount),
            last_safe_minute=None if move.kind == "release" else self._last_safe(search.owner, move),
            sentence=sentence,
        )

    def _last_safe(self, i: int, move: Move | None = None) -> float | None:
        trades = move is not None and move.kind in ("reduce", *TRADES)
        lag = move.lag_minutes if move is not None and trades else self.policy.route_lag_minutes
        called = bool(self.before.state[i] >= STATES.index("call"))
        return last_safe_minute(self.before.p[i], self.target, called, lag)

    def _miss(self, search: Search, found: Found, i: int) -> Unreachable:
        p = float(self.before.p[search.owner, self.target.column])
        best = min(float(found.best_p[i]), p)
        amount = float(found.best_amount[i]) if best < p else 0.0
        sentence = cannot_sentence(search.move, self.target, p, best, amount)
        return Unreachable(search.move.kind, search.move.asset, search.move.symbol, best, amount, sentence)

    def _answer(self, i: int, plans: list[Plan], missed: list[Unreachable]) -> Recommendation:
        plans = sorted(_distinct(plans), key=_order)
        over = self.over(i)
        return Recommendation(
            account_id=self.accounts[i].account_id,
            currency=self.accounts[i].currency,
            target=self.target,
            status=_status(over, plans),
            p_before=self.before.probabilities(i),
            levels_before=self.before.levels(i),
            last_safe_minute=self._last_safe(i),
            plans=tuple(plans),
            unreachable=tuple(missed),
        )

    def failures(self) -> list[Failure]:
        """The accounts that could not be computed, and why."""
        known = {f.row for f in self.before.failures}
        unpriced = [int(i) for i in np.flatnonzero(~self.before.good) if int(i) not in known]
        extra = [Failure.from_error(self._missing(i), i, self.accounts[i].account_id) for i in unpriced]
        return sorted([*self.before.failures, *extra], key=lambda f: f.row)

    def _missing(self, i: int) -> MissingMarketError:
        """What the market lacks for an account."""
        account, price = self.accounts[i], self._known(self.evaluate.prices[i])
        bases = [parse_symbol(position.symbol).base for position in account.positions]
        needed = dict.fromkeys([account.currency, *(item.asset for item in account.collateral), *bases])
        lost = ", ".join(asset for asset in needed if not is_stable(asset) and asset not in price)
        if lost:
            return MissingMarketError(f"market: expected a price for every asset of the account, {lost} has none")
        if ruleset_model(account.ruleset) == "dynamic":
            return MissingMarketError("market: expected a margin rate for every asset: pass volatility.margin_rate")
        return MissingMarketError(
            "market: expected an implied volatility for every option: pass volatility, or implied_volatility of the "
            "positions"
        )


def _stress_words(search: Search, accounts: Sequence[Account]) -> str:
    name, move = accounts[search.owner].account_id, search.move
    return f"With this {move.kind} of {move.tag} {name} would be called in a price scenario in which it now is not."


def _order(plan: Plan) -> tuple[float, ...]:
    """Cheapest first; then substitutions, by what they save."""
    first, done = plan.actions[0], plan.substitution
    return (0.0, plan.cost, first.haircut, first.value) if done is None else (1.0, -done.saves)


def _status(over: bool, plans: Sequence[Plan]) -> Status:
    if over or not plans:
        return ("act" if plans else "cannot_reach") if over else "ok"
    return "substitute" if all(plan.substitution for plan in plans) else "release"


def _distinct(plans: list[Plan]) -> list[Plan]:
    """Drop the top-up of an asset that is owed where repaying it is enough: it is the same payment."""
    repaid = {plan.actions[0].asset for plan in plans if plan.actions[0].kind == "repay"}
    return [plan for plan in plans if plan.actions[0].kind != "top_up" or plan.actions[0].asset not in repaid]


def _action(weights: Weights, move: Move, amount: float) -> Action:
    value, swaps = amount * move.price, move.kind == "swap"
    return Action(
        kind=move.kind,
        asset=move.asset,
        symbol=move.symbol,
        amount=amount,
        value=value,
        value_usd=value * move.dollar,
        proceeds=proceeds(weights.account, move, amount),
        fee=move.fee(amount),
        haircut=haircut_of(weights, move, amount),
        into=move.trade.into if swaps and move.trade else None,
        received=move.buys(amount) if swaps else None,
        quantity=move.trade.side * amount if move.kind == "hedge" and move.trade else None,
    )
