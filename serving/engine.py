"""Accounts in, answers out: the predictor and the recommender on one market, kernels warm."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from features.answer import Forecast
from features.forecast import Moment, moment_at
from models.account import Account, Collateral, Position
from models.book import Book
from models.book_small import BookMaker
from models.errors import Failure, InputError, MargincastError, MissingMarketError
from models.instrument import parse_symbol
from models.margin.rulesets.loader import ruleset_model
from models.market import MarketPanel
from models.predictor.fallback import Fallback
from models.prior import PriorModel
from models.rebalance import Policy, Recommendation, Target, recommend
from models.rebalance.joint import DeskRun
from models.typing import MINUTE_NS, BoolArray
from serving.answers import account_predictions
from serving.decode import Accounts
from serving.instants import instant
from serving.model_source import Model
from serving.problems import ProblemError
from serving.schemas import AccountPrediction, DeskResponse, Market, PredictionResponse, RecommendationResponse
from serving.tracing import span

__all__ = ["Engine", "Observer", "unpriced"]

Observer = Callable[[Moment, Book, Forecast], None]

_MOMENTS = 16
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
        self._clock = clock
        self._skew = int(skew_seconds * 1e9)
        self.prior = prior or PriorModel.fit(panel) if model.predictor is None else model.predictor.prior
        self._maker = BookMaker(panel.assets)
        self._lock = threading.Lock()
        self._moments: OrderedDict[int, Moment] = OrderedDict()
        self._fallback = fallback or Fallback()
        self._newest = newest or self._moment_at(panel.end)
        self._sources, self._behind = sorted(set(panel.source)), _behind(self._newest)

    def _moment_at(self, as_of: int) -> Moment:
        return moment_at(self.panel, as_of, self.prior, self.model.predictor, self._fallback)

    @property
    def newest(self) -> Moment:
        """The newest market."""
        return self._newest

    def moment_of(self, account: Account) -> Moment:
        """Give the market that an account is answered on, see `moment_at`."""
        return self._moment(account, self._clock() + self._skew)

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
        return self._at(self._past(as_of, self._clock() + self._skew))

    def warm(self) -> None:
        """Compile the kernels, so that the first request is as fast as the next."""
        now = instant(self._newest.as_of)
        priced = [a for a, p in zip(self.panel.assets, self._newest.price, strict=True) if math.isfinite(p)][:2]
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
        end = self._newest.as_of
        age = (self._clock() - end) / MINUTE_NS
        return Market(as_of=instant(end), age_minutes=round(age, 3), sources=self._sources, behind_minutes=self._behind)

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
        latest = self._clock() + self._skew
        for row, account in enumerate(accounts):
            if row not in found:
                try:
                    self._instant(account, latest)
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
        self, request: Accounts, target: Target | None, policy: Policy, front: Sequence[float] = ()
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
        run = DeskRun(*known, policy, target, volatility=market, age_minutes=ages)
        plan = run.plan(DESK_SECONDS, reduce=request.reduce, release=request.release)
        failures += [_at(f, parts[0].rows[f.row]) for f in run.failures]
        return DeskResponse(
            model_version=self.model.version,
            market=self.market(),
            plan=plan,
            front=run.front(front),
            failures=sorted(failures, key=lambda f: f.row),
        )

    def _parts(self, request: Accounts, failures: list[Failure]) -> list[_Part]:
        latest = self._clock() + self._skew
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

    def _instant(self, account: Account, latest: int) -> int:
        if account.as_of.tzinfo is None:
            raise InputError("as_of", account.as_of.isoformat(), "a time with a zone, for example 2025-03-01T12:00:00Z")
        return self._past(int(account.as_of.timestamp() * 1e6) * 1000, latest)

    def _past(self, as_of: int, latest: int) -> int:
        if as_of > latest:
            now = instant(latest - self._skew).isoformat(timespec="seconds")
            raise InputError("as_of", instant(as_of).isoformat(), f"a time that is not in the future (now {now})")
        return as_of

    def _moment(self, account: Account, latest: int) -> Moment:
        return self._at(self._instant(account, latest))

    def _at(self, as_of: int) -> Moment:
        if as_of >= self._newest.as_of:
            return self._newest
        row = int(self.panel.row_closed(as_of))
        with self._lock:
            moment = self._moments.get(row)
            if moment is None:
                moment = self._moments[row] = self._moment_at(as_of)
                while len(self._moments) > _MOMENTS:
                    self._moments.popitem(last=False)
            self._moments.move_to_end(row)
        return moment

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


def _behind(moment: Moment) -> dict[str, float | None]:
    """Assets whose last bar is older than the newest one, and by how many minutes; None where there is none."""
    late = dict(zip(moment.assets, ((moment.as_of - moment.closed) / MINUTE_NS).tolist(), strict=True))
    return {asset: round(m, 3) if math.isfinite(m) else None for asset, m in late.items() if not m < 1e-6}


def _at(failure: Failure, row: int) -> Failure:
    return Failure(row, failure.account_id, failure.code, failure.field, failure.message)


def unpriced(book: Book, i: int, row: int, moment: Moment) -> Failure:
    """Say which prices an account lacks.

    Parameters
    ----------
    book : Book
        Accounts.
    i : int
        Which of them.
    row : int
        Its position in the request.
    moment : Moment
        The market.

    Returns
    -------
    Failure
        With the names of the assets.
    """
    b = book.arrays
    legs = b.leg_asset[b.unit_leg[b.account_unit[i]] : b.unit_leg[b.account_unit[i + 1]]].tolist()
    held = b.coll_asset[b.unit_coll[b.account_unit[i]] : b.unit_coll[b.account_unit[i + 1]]].tolist()
    k = book.blocks
    unit = book.unit_account()
    under = [] if k is None else k.block_asset[unit[k.block_unit] == i].tolist()
    missing = sorted({moment.assets[a] for a in legs + held + under if a >= 0 and not math.isfinite(moment.price[a])})
    at = instant(moment.as_of).isoformat()
    error = MissingMarketError(f"market: expected a price of {', '.join(missing)} at {at}, there is none")
    return Failure.from_error(error, row, str(book.account_id[i]))
