"""Accounts in, answers out: the predictor and the recommender on one market, kernels warm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from features.answer import Forecast
from features.moment import Moment
from models.account import Account, Collateral, Position
from models.book import Book
from models.book_small import BookMaker
from models.errors import Failure, InputError, MargincastError
from models.instrument import parse_symbol
from models.margin.rulesets.loader import ruleset_model
from models.market import MarketPanel
from models.predictor.fallback import Fallback
from models.prior import PriorModel
from models.rebalance import Policy, Recommendation, Target, recommend
from models.rebalance.joint import DeskRun, Weighing
from models.typing import MINUTE_NS, BoolArray
from serving.answers import account_predictions
from serving.decode import Accounts
from serving.instants import instant, nanoseconds
from serving.model_source import Model
from serving.moments import Moments
from serving.problems import ProblemError
from serving.schemas import AccountPrediction, DeskResponse, Market, PredictionResponse, RecommendationResponse
from serving.tracing import span
from serving.unpriced import unpriced

__all__ = ["Engine", "Observer"]

Observer = Callable[[Moment, Book, Forecast], None]

_SMALL = 16
DESK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Part:
    """Accounts of one request that share a moment; `rows` are their positions in the request."""

    moment: Moment
    accounts: list[Account]
    rows: list[int]


class Engine:
    """The model on one market.

    Parameters
    ----------
    panel : MarketPanel
        The market.
    model : Model
        The model; the prior is fitted on the panel where it has none.
    clock : callable
        Nanoseconds since the epoch now.
    skew_seconds : float
        How far ahead of the clock an account may be.
    fallback : Fallback, optional
        When the prior answers in place of the model.
    prior : PriorModel, optional
        The physics where the model has none; fitted on the panel where None.
    newest : Moment, optional
        The newest moment of the panel where it is at hand.

    Notes
    -----
    An account is answered on the market that was known at its ``as_of``: on the newest bar, or on an earlier one. Where
    ``observer`` is set, it is told of every forecast that was answered.
    """

    def __init__(
        self,
        panel: MarketPanel,
        model: Model,
        clock: Callable[[], int],
        skew_seconds: float = 60.0,
        fallback: Fallback | None = None,
        prior: PriorModel | None = None,
        newest: Moment | None = None,
    ) -> None:
        self.panel = panel
        self.model = model
        self.observer: Observer | None = None
        self.prior = prior or PriorModel.fit(panel) if model.predictor is None else model.predictor.prior
        self._maker = BookMaker(panel.assets)
        self._moments = Moments(panel, model, self.prior, clock, skew_seconds, fallback or Fallback(), newest)

    @property
    def newest(self) -> Moment:
        """The newest market."""
        return self._moments.newest

    def moment_of(self, account: Account) -> Moment:
        """Give the market that an account is answered on, see `moment_at`."""
        return self._moment(account, self._moments.latest())

    def moment_at(self, as_of: int) -> Moment:
        """Give the market that was known at an instant.

        Parameters
        ----------
        as_of : int
            Nanoseconds since the epoch, not in the future.

        Returns
        -------
        Moment
            The newest, or an earlier one; the last few are kept.

        Raises
        ------
        MargincastError
            If the instant is in the future, or before the market.
        """
        return self._moments.at(self._moments.past(as_of, self._moments.latest()))

    def standing(self, account: Account) -> Account:
        """Give an account that is held still, as it stands on the newest bar.

        Parameters
        ----------
        account : Account
            As it was told.

        Returns
        -------
        Account
            As of the newest close, or of when it was told where that is later; as rounds score it.
        """
        told = nanoseconds(account.as_of)
        return replace(account, as_of=instant(min(max(told, self.newest.as_of), self._moments.latest())))

    def warm(self) -> None:
        """Compile the kernels, so that the first request is as fast as the next."""
        now = instant(self.newest.as_of)
        priced = [a for a, p in zip(self.panel.assets, self.newest.price, strict=True) if math.isfinite(p)][:2]
        legs = tuple(Position(symbol=f"{a}/USDT:USDT", quantity=1.0, entry_price=1.0) for a in priced)
        cash = (Collateral(asset="USDT", quantity=1e9),)
        account = Account(
            account_id="warm", as_of=now, ruleset="generic-linear", currency="USDT", collateral=cash, positions=legs[:1]
        )
        both = Account(
            account_id="warm", as_of=now, ruleset="generic-linear", currency="USDT", collateral=cash, positions=legs
        )
        for accounts in ([account], [account, both] * _SMALL):
            self.predict(Accounts(accounts, list(range(len(accounts))), [], False))
        self.recommend(Accounts([account], [0], [], False), Target(), Policy())

    def market(self) -> Market:
        """The newest market, as answers name it."""
        return self._moments.market()

    def refused(self, accounts: Sequence[Account]) -> list[Failure]:
        """Tell which accounts the rules or the market do not know, or that come from the future.

        Parameters
        ----------
        accounts : sequence of Account
            Valid accounts.

        Returns
        -------
        list of Failure
            Their rows are positions in `accounts`; each account is named once.
        """
        _, bad = Book.from_accounts(accounts, self.panel.assets)
        found = {failure.row: failure for failure in bad}
        latest = self._moments.latest()
        for row, account in enumerate(accounts):
            if row not in found:
                try:
                    self._moments.instant(account, latest)
                except InputError as error:
                    found[row] = Failure.from_error(error, row, account.account_id)
        return [found[row] for row in sorted(found)]

    def predict(self, request: Accounts) -> PredictionResponse:
        """Predict for every account that can be computed.

        Parameters
        ----------
        request : Accounts
            The accounts.

        Returns
        -------
        PredictionResponse
            In the order of the request.

        Raises
        ------
        ProblemError
            If the request is a single account and it is wrong.
        """
        failures = list(request.failures)
        parts = self._parts(request, failures)
        found: list[tuple[int, AccountPrediction]] = []
        for part in parts:
            book, rows = self._book(part, failures)
            if len(book):
                found += self._answers(book, rows, part, failures, request.explain)
        self._refuse_single(request, failures)
        if len(parts) > 1:
            found.sort(key=lambda pair: pair[0])
        return PredictionResponse(
            model_version=self.model.version,
            market=self.market(),
            predictions=[answer for _, answer in found],
            failures=sorted(failures, key=lambda f: f.row),
        )

    def predict_each(self, requests: Sequence[Accounts]) -> list[PredictionResponse | ProblemError]:
        """Predict single accounts by one call, each as `predict` would.

        Parameters
        ----------
        requests : sequence of Accounts
            Each a single account; none asks for an explanation.

        Returns
        -------
        list of PredictionResponse or ProblemError
            In their order; the problem where an account is wrong.
        """
        accounts = [request.accounts[0] for request in requests]
        found = self.predict(Accounts(accounts, list(range(len(accounts))), [], False))
        bad = {one.row: ProblemError(422, one.code, one.message, one.field) for one in found.failures}
        good = iter(found.predictions)

        def alone(row: int) -> PredictionResponse | ProblemError:
            return bad.get(row) or replace(found, predictions=[next(good)], failures=[])

        return [alone(row) for row in range(len(accounts))]

    def recommend(self, request: Accounts, target: Target, policy: Policy) -> RecommendationResponse:
        """Recommend for every account that can be computed.

        Parameters
        ----------
        request : Accounts
            The accounts.
        target : Target
            What a plan must reach.
        policy : Policy
            What the desk may do.

        Returns
        -------
        RecommendationResponse
            In the order of the request.

        Raises
        ------
        ProblemError
            If the request is a single account and it is wrong.
        """
        failures = list(request.failures)
        found: list[tuple[int, Recommendation]] = []
        for part in self._parts(request, failures):
            moment = part.moment
            market = moment.volatility(_dynamic(part.accounts, moment.assets))
            known = (part.accounts, moment.assets, moment.price, moment.p_call)
            with span("recommend"):
                results, bad = recommend(*known, target, policy, market)
            wrong = {f.row for f in bad}
            failures += [_at(f, part.rows[f.row]) for f in bad]
            good = [row for i, row in enumerate(part.rows) if i not in wrong]
            found += zip(good, results, strict=True)
        self._refuse_single(request, failures)
        return RecommendationResponse(
            model_version=self.model.version,
            market=self.market(),
            recommendations=[result for _, result in sorted(found, key=lambda pair: pair[0])],
            failures=sorted(failures, key=lambda f: f.row),
        )

    def recommend_desk(
        self,
        request: Accounts,
        target: Target | None,
        policy: Policy,
        front: Sequence[float] = (),
        weighing: Weighing | None = None,
        every_minutes: float = 480.0,
    ) -> DeskResponse:
        """Plan all accounts together, on the market that was known at their latest instant.

        Parameters
        ----------
        request : Accounts
            The accounts.
        target : Target or None
            What every account is to reach; that of the policy where None.
        policy : Policy
            Places, routes and limits.
        front : sequence of float
            Other probabilities at the same horizon for which the cost is asked.
        weighing : Weighing, optional
            Where given, accounts over the target are weighed, and the plan is what is worth sending now.
        every_minutes : float
            Minutes to the next decision, for what is weighed.

        Returns
        -------
        DeskResponse
            The plan, and the accounts that could not be computed.

        Raises
        ------
        ProblemError
            If the accounts are on more than one bar of the market.
        """
        failures = list(request.failures)
        parts = self._parts(request, failures)
        if len(parts) != 1:
            detail = f"as_of: expected the accounts of a desk on one bar of the market, was {len(parts)}"
            raise ProblemError(422, "invalid_input", detail, "as_of")
        moment, accounts = parts[0].moment, parts[0].accounts
        market = moment.volatility(_dynamic(accounts, moment.assets))
        known = (accounts, moment.assets, moment.price, moment.p_call)
        ages = (moment.as_of - moment.closed) / MINUTE_NS
        run = DeskRun(*known, policy, target, volatility=market, age_minutes=ages, scenarios=moment.breaches)
        if weighing is None:
            plan = run.plan(DESK_SECONDS, reduce=request.reduce, release=request.release, substitute=request.substitute)
        else:
            plan = run.weigh(weighing, every_minutes, DESK_SECONDS)
        failures += [_at(f, parts[0].rows[f.row]) for f in run.failures]
        return DeskResponse(
            model_version=self.model.version,
            market=self.market(),
            plan=plan,
            front=run.front(front),
            failures=sorted(failures, key=lambda f: f.row),
        )

    def _parts(self, request: Accounts, failures: list[Failure]) -> list[_Part]:
        latest = self._moments.latest()
        parts: dict[int, _Part] = {}
        for account, row in zip(request.accounts, request.rows, strict=True):
            try:
                moment = self._moment(account, latest)
            except MargincastError as error:
                failures.append(Failure.from_error(error, row, account.account_id))
                continue
            part = parts.get(moment.as_of)
            if part is None:
                part = parts[moment.as_of] = _Part(moment, [], [])
            part.accounts.append(account)
            part.rows.append(row)
        return list(parts.values())

    def _moment(self, account: Account, latest: int) -> Moment:
        return self._moments.at(self._moments.instant(account, latest))

    def _book(self, part: _Part, failures: list[Failure]) -> tuple[Book, list[int]]:
        if len(part.accounts) <= _SMALL:
            try:
                return self._maker(part.accounts), part.rows
            except MargincastError:
                pass
        book, bad = Book.from_accounts(part.accounts, self.panel.assets)
        wrong = {f.row for f in bad}
        failures += [_at(f, part.rows[f.row]) for f in bad]
        return book, [row for i, row in enumerate(part.rows) if i not in wrong]

    def _answers(
        self, book: Book, rows: list[int], part: _Part, failures: list[Failure], explain: bool
    ) -> list[tuple[int, AccountPrediction]]:
        moment = part.moment
        with span("predict"):
            seen = moment.outlook(book, explain=explain)
        if self.observer is not None:
            self.observer(moment, book, seen)
        answers = []
        for i, (row, answer) in enumerate(zip(rows, account_predictions(moment, book, seen), strict=True)):
            if answer is None:
                failures.append(unpriced(book, i, row, moment))
            else:
                answers.append((row, answer))
        return answers

    def _refuse_single(self, request: Accounts, failures: Sequence[Failure]) -> None:
        if request.single and failures:
            first = failures[0]
            raise ProblemError(422, first.code, first.message, first.field)


def _dynamic(accounts: Sequence[Account], assets: tuple[str, ...]) -> BoolArray:
    """Assets on which some account is margined at a rate that follows volatility, shape (A,)."""
    held = [a for a in accounts if ruleset_model(a.ruleset) == "dynamic"]
    bases = {parse_symbol(p.symbol).base for a in held for p in a.positions}
    return np.array([a in bases for a in assets], np.bool_)


def _at(failure: Failure, row: int) -> Failure:
    return Failure(row, failure.account_id, failure.code, failure.field, failure.message)
