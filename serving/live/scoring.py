"""Scoring of registered accounts: a shard at every bar, an account when it is told; one transaction each."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, update

from features.answer import Forecast
from features.moment import Moment
from models.book import Book
from models.rebalance import Policy
from serving.accounts import decode_body
from serving.accounts.changes import Change
from serving.answers import account_predictions
from serving.ledger import Said, append
from serving.live.alerts import AlertRules, Measure, steps
from serving.live.announced import Ahead, announced_books, changes_ahead
from serving.live.books import Held, ShardBook, book_of
from serving.live.measuring import DeskSettings, measured
from serving.live.telling import Scene, Told, end_of_deleted, open_alerts, tell
from serving.schemas import AccountPrediction
from serving.store import Store
from serving.store.tables import shards

__all__ = ["Outcome", "Scored", "Scorer", "ScoresChanges", "Scoring", "View"]

_ATTEMPTS = 5
_NOTHING = Told()


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The market that accounts are scored on.

    Parameters
    ----------
    moment : Moment
        The market.
    seq : int
        The newest stored bar that it knows.
    model_version : str
        Who says it.
    """

    moment: Moment
    seq: int
    model_version: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the scoring of a shard did.

    Parameters
    ----------
    what : str
        ``"scored"``, or ``"known"`` where it had been scored on this market or a later one.
    accounts : int
        How many were scored.
    failures : int
        How many could not be.
    told : Told
        Alerts.
    """

    what: str
    accounts: int = 0
    failures: int = 0
    told: Told = _NOTHING


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Accounts that were scored when they were told.

    Parameters
    ----------
    moment : Moment
        The market.
    book : Book
        n accounts.
    seen : Forecast
        What is predicted of them.
    """

    moment: Moment
    book: Book
    seen: Forecast


@dataclass(frozen=True, slots=True)
class _Shard:
    """What is kept of a shard between rounds; one round at a time."""

    kept: ShardBook
    ahead: Ahead
    lock: threading.Lock


class ScoresChanges(Protocol):
    """Scores accounts in the transaction that stores them."""

    def score_changes(self, connection: Connection, tenant: str, changes: Sequence[Change]) -> Scored | None:
        """Score what was written."""

    def told(self) -> None:
        """Pass on that something may have been told."""


class Scorer:
    """Scores what is registered.

    Parameters
    ----------
    store : Store
        The store.
    policy : Policy, optional
        That of the server: for desks that have none.
    threads : int
        Threads of the trees, for each shard.
    """

    def __init__(self, store: Store, policy: Policy | None = None, threads: int = 1) -> None:
        self.store = store
        self._policy = policy
        self._threads = threads
        self._shards: dict[tuple[str, int], _Shard] = {}
        self._adding = threading.Lock()

    def score(self, tenant: str, shard: int, view: View, now_ns: int) -> Outcome:
        """Score all accounts of a shard and commit: ledger, alerts, events and the mark that it is done.

        Parameters
        ----------
        tenant : str
            Whose accounts.
        shard : int
            The shard.
        view : View
            The market.
        now_ns : int
            The present.

        Returns
        -------
        Outcome
            What was done. Where it was done before on this market or a later one, nothing.

        Raises
        ------
        StoreError
            If the database cannot take it; nothing is kept then, and the same call may be made again.

        Notes
        -----
        The accounts are computed before the lock is taken; where one changed in between, they are computed again.
        """
        one = self._shard(tenant, shard, view.moment.assets)
        with one.lock:
            for attempt in range(_ATTEMPTS):
                desk, known = self.store.query(lambda c: self._look(c, one.kept, view))
                if known:
                    return Outcome("known")
                held, seen, measures = self._measured(one, view, desk)
                last = attempt == _ATTEMPTS - 1

                def work(
                    connection: Connection, held: Held = held, seen: Forecast = seen,
                    measures: list[Measure] = measures, desk: DeskSettings = desk, last: bool = last,
                ) -> Outcome | None:  # fmt: skip
                    return self._commit(connection, one, held, seen, measures, desk, view, now_ns, last)

                outcome = self.store.run(work, idempotent=True)
                if outcome is not None:
                    return outcome
        raise AssertionError("the last attempt commits")

    def score_changes(
        self, connection: Connection, tenant: str, changes: Sequence[Change], view: View, now_ns: int
    ) -> Scored | None:
        """Score accounts that were just told, in the transaction that stores them.

        Parameters
        ----------
        connection : Connection
            In the transaction, with their shards locked.
        tenant : str
            Whose accounts.
        changes : sequence of Change
            What was written.
        view : View
            The market.
        now_ns : int
            The present.

        Returns
        -------
        Scored or None
            What is predicted of those that can be scored; None where there is none.
        """
        changed = [one for one in changes if one.was in ("created", "changed")]
        if not changed:
            return None
        by_name = {one.entry.account_id: one for one in changed}
        accounts = [decode_body(one.entry.body) for one in changed]
        book, _ = book_of(accounts, view.moment.assets, view.moment.as_of)
        desk, names = DeskSettings.of(connection, tenant, self._policy), book.account_id.tolist()
        rulesets = {one.account_id: one.ruleset for one in accounts}
        ahead = changes_ahead(rulesets.values(), view.moment.as_of, desk.rules.rule_change_days)
        under = announced_books(ahead, accounts, names, view.moment.assets)
        own = [rulesets[name] for name in names]
        seen, measures = measured(book, own, view.moment, desk, under, self._threads)
        found = [by_name[name] for name in names]
        for shard in sorted({one.shard for one in found}):
            rows = np.array([i for i, one in enumerate(found) if one.shard == shard], np.int64)
            head = self.store.lock_shard(connection, tenant, shard)
            mine = [found[i] for i in rows.tolist()]
            told = [one.entry.account_id for one in mine]
            part = _take(seen, rows)
            version = np.array([one.version for one in mine], np.int64)
            digest = [one.entry.digest for one in mine]
            said = _said(tenant, shard, "account", view, now_ns, told, version, digest, part)
            self._say(connection, head, said, [_rows(m, rows) for m in measures], desk.rules, told)
        return Scored(view.moment, book, seen)

    def _shard(self, tenant: str, shard: int, assets: tuple[str, ...]) -> _Shard:
        with self._adding:
            found = self._shards.get((tenant, shard))
            if found is None or found.kept.assets != assets:
                found = self._shards[tenant, shard] = _Shard(
                    ShardBook(tenant, shard, assets), Ahead(), threading.Lock()
                )
            return found

    def _look(self, connection: Connection, kept: ShardBook, view: View) -> tuple[DeskSettings, bool]:
        own = (shards.c.tenant_id == kept.tenant) & (shards.c.shard == kept.shard)
        head = connection.execute(shards.select().where(own)).mappings().one()
        known = _is_known(head, view)
        if not known:
            kept.refresh(connection)
        return DeskSettings.of(connection, kept.tenant, self._policy), known

    def _measured(self, one: _Shard, view: View, desk: DeskSettings) -> tuple[Held, Forecast, list[Measure]]:
        """What is held, as it stands at the close, and what is found of it."""
        held = one.kept.at(view.moment.as_of)
        under = one.ahead.books(one.kept, held, view.moment.as_of, desk.rules.rule_change_days)
        return held, *measured(held.book, held.ruleset, view.moment, desk, under, self._threads)

    def _commit(
        self, connection: Connection, one: _Shard, held: Held, seen: Forecast, measures: list[Measure],
        desk: DeskSettings, view: View, now_ns: int, last: bool,
    ) -> Outcome | None:  # fmt: skip
        kept = one.kept
        head = self.store.lock_shard(connection, kept.tenant, kept.shard)
        if _is_known(head, view):
            return Outcome("known")
        if int(head["accounts_version"]) != held.accounts_version:
            if not last:
                return None
            kept.refresh(connection)  # under the lock nothing can change any more
            held, seen, measures = self._measured(one, view, desk)
        names = held.book.account_id.tolist()
        said = _said(kept.tenant, kept.shard, "round", view, now_ns, names, held.version, held.digest, seen)
        told = self._say(connection, head, said, measures, desk.rules)
        end_of_deleted(connection, kept.tenant, kept.shard, now_ns)
        mark = {"scored_close_ns": view.moment.as_of, "scored_market_seq": view.seq}
        own = (shards.c.tenant_id == kept.tenant) & (shards.c.shard == kept.shard)
        connection.execute(update(shards).where(own).values(mark))
        return Outcome("scored", len(names), len(held.failures), told)

    def _say(
        self, connection: Connection, head: Any, said: Said, measures: Sequence[Measure],
        rules: AlertRules, only: Sequence[str] | None = None,
    ) -> Told:  # fmt: skip
        """The ledger's page, and the alerts."""
        append(connection, head, said)
        before = open_alerts(connection, said.tenant, said.shard, only)
        at = (said.close_ns, said.market_seq)
        raised = steps(said.tenant, said.account_id, measures, before, *at, said.version)
        p, names = said.seen.p_call, said.account_id
        scene = Scene(said.tenant, said.close_ns, said.said_ns, said.model_version, names, p)
        return tell(self.store, connection, scene, raised, rules)


def _is_known(head: Any, view: View) -> bool:
    """Whether the shard was scored on this market or a later one."""
    close, seq = head["scored_close_ns"], head["scored_market_seq"]
    return close is not None and (close, seq or 0) >= (view.moment.as_of, view.seq)


def _said(
    tenant: str, shard: int, kind: str, view: View, now_ns: int, names: list[str], version: Any, digest: Any,
    seen: Forecast,
) -> Said:  # fmt: skip
    head = (tenant, shard, kind, view.moment.as_of, now_ns, view.seq, view.model_version)
    return Said(*head, account_id=names, version=version, digest=digest, seen=seen)


def _take(seen: Forecast, rows: Any) -> Forecast:
    cut: dict[str, Any] = {f.name: getattr(seen, f.name) for f in fields(seen)}
    for name, value in cut.items():
        cut[name] = None if value is None else value[rows]
    return Forecast(**cut)


def _rows(one: Measure, rows: Any) -> Measure:
    words = {i: one.words[row] for i, row in enumerate(rows.tolist()) if row in one.words}
    return Measure(one.kind, one.enter[rows], one.keep[rows], one.value[rows], one.threshold, words)


class Scoring:
    """Scores the accounts of one request inside the transaction that stores them, and keeps the last try's result.

    Parameters
    ----------
    live : ScoresChanges or None
        None: nothing is scored.
    """

    def __init__(self, live: ScoresChanges | None) -> None:
        self._live = live
        self._scored: Scored | None = None

    def __call__(self, connection: Connection, tenant: str, changes: Sequence[Change]) -> None:
        """Score what was written."""
        self._scored = None if self._live is None else self._live.score_changes(connection, tenant, changes)

    def committed(self) -> None:
        """Pass on what was told: the transaction is through."""
        if self._live is not None and self._scored is not None:
            self._live.told()

    def prediction(self) -> AccountPrediction | UnsetType:
        """What is predicted of the one account; UNSET where it was not scored."""
        found = self._scored
        if found is None or not len(found.book):
            return UNSET
        return account_predictions(found.moment, found.book, found.seen)[0] or UNSET
