"""From accounts, a market and a policy to what every rule is run on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.moment import Moment, moment_at
from models.account import Account
from models.errors import Failure, InputError, MissingMarketError
from models.market import MarketPanel
from models.predictor.predictor import MarginCallPredictor
from models.prior import PriorModel
from models.rebalance.policy import Policy
from models.rebalance.replaying.dispatch import Serving
from models.rebalance.replaying.levers import Levers, lever_moves, levers_of
from models.rebalance.replaying.run import Stage
from models.rebalance.replaying.terms import way_table
from models.rebalance.replaying.watch import Watch, join_watches, watch
from models.typing import IntArray
from training.replay.epochs import Asked, decisions

__all__ = ["Built", "Setting", "build_stage"]

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """How a replay is run.

    Parameters
    ----------
    every_minutes : int
        Minutes from one decision to the next, a multiple of the bars.
    stay_minutes : int
        How long each account is watched, at least one bar.
    seed : int
        Of lags and failed transfers, >= 0.
    serving : {"urgent", "first"}
        Who is served first at a decision where not all can be.

    Raises
    ------
    InputError
        If a number is outside its range.
    """

    every_minutes: int = 240
    stay_minutes: int = 4320
    seed: int = 0
    serving: Serving = "urgent"

    def __post_init__(self) -> None:
        for name, least in (("every_minutes", 1), ("stay_minutes", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(name, getattr(self, name), f"at least {least}")


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """Accounts that begin with the same bar."""

    rows: IntArray
    moment: Moment


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A stage, and what it was made of.

    Parameters
    ----------
    stage : Stage
        What every rule is run on.
    accounts : list of Account, length n
        Its accounts in order.
    asked : Asked
        The same in columns, with the market and the predictor: for rules that ask anew.
    failures : list of Failure
        The accounts that could not be computed.
    """

    stage: Stage
    accounts: list[Account]
    asked: Asked
    failures: list[Failure]


def build_stage(
    accounts: Sequence[Account],
    panel: MarketPanel,
    policy: Policy,
    prior: PriorModel,
    predictor: MarginCallPredictor | None = None,
    setting: Setting | None = None,
    report: Report = lambda name, done, total: None,
) -> Built:
    """Walk accounts, ask the predictor at every decision, and lay out the terms of the policy.

    Parameters
    ----------
    accounts : sequence of Account, length n
        The accounts, each from its own instant on.
    panel : MarketPanel
        The market, with the history that the predictor needs before the first of them.
    policy : Policy
        Places, routes, limits.
    prior : PriorModel
        The physics, fitted before the first account.
    predictor : MarginCallPredictor, optional
        The full predictor, trained before; the prior answers where None.
    setting : Setting, optional
        How often is decided, and for how long.
    report : callable
        Told what is done: a name, how much of it, and how much there is.

    Returns
    -------
    Built
        The stage, its accounts in order, and the accounts that could not be computed.

    Raises
    ------
    InputError
        If the policy has no routes, a time is no multiple of the bars, or no account can be computed.
    """
    setting = setting or Setting()
    bar = panel.bar_minutes
    if setting.every_minutes % bar or setting.stay_minutes < bar:
        raise InputError("every_minutes", setting.every_minutes, f"a multiple of the bars of {bar} minutes")
    if not policy.routes:
        raise InputError("policy.routes", 0, "at least one route that brings collateral to accounts")
    entries, failures = _entries(accounts, panel, prior, predictor)
    kept = [i for entry in entries for i in entry.rows.tolist()]
    levers, watched, accounts, more = _watched([accounts[i] for i in kept], entries, panel, setting.stay_minutes)
    failures += [replace(f, row=kept[f.row]) for f in more]
    if not accounts:
        reason = f"; {failures[0].message}" if failures else ""
        raise InputError("accounts", 0, f"at least one account that the market can value{reason}")
    table = way_table(accounts, levers.assets, policy)
    every = setting.every_minutes // bar
    asked = Asked(levers, watched, panel, prior, predictor)
    last = int((watched.first + watched.stay).max())
    epochs = []
    for epoch in decisions(asked, every):
        epochs.append(epoch)
        report("decisions", len(epochs), -(-(last - int(watched.first.min())) // every))
    stage = Stage(watched, table, policy, epochs, [], every, panel.start, bar, setting.seed, setting.serving)
    terms = [table.terms(e.rows, e.price, stage.when(e.bar), setting.every_minutes) for e in epochs]
    return Built(replace(stage, terms=terms), accounts, asked, failures)


def _entries(
    accounts: Sequence[Account], panel: MarketPanel, prior: PriorModel, predictor: MarginCallPredictor | None
) -> tuple[list[_Entry], list[Failure]]:
    """Accounts by the bar with which they begin, and those outside of the market."""
    as_of = np.array([int(a.as_of.timestamp()) * 1_000_000_000 for a in accounts], np.int64)
    first = panel.row_after(as_of)
    bad = (as_of < panel.start + panel.step) | (first >= panel.n_bars)
    failures = [_outside(i, accounts[i]) for i in np.flatnonzero(bad).tolist()]
    out = []
    for bar in np.unique(first[~bad]).tolist():
        rows = np.flatnonzero((first == bar) & ~bad)
        out.append(_Entry(rows, moment_at(panel, panel.start + bar * panel.step, prior, predictor)))
    return out, failures


def _outside(row: int, account: Account) -> Failure:
    error = MissingMarketError(f"market: expected bars before and after {account.as_of.isoformat()}, there are none")
    return Failure.from_error(error, row, account.account_id)


def _watched(
    accounts: list[Account], entries: list[_Entry], panel: MarketPanel, stay_minutes: int
) -> tuple[Levers, Watch, list[Account], list[Failure]]:
    """Walk the accounts of each entry; accounts in the order of their entries."""
    size = np.array([len(entry.rows) for entry in entries])
    of_entry = np.repeat(np.arange(len(entries)), size)
    prices = np.array([entries[k].moment.price for k in of_entry]).reshape(len(accounts), len(panel.assets))
    implied = np.array([entries[k].moment.implied for k in of_entry]).reshape(prices.shape)
    moves = lever_moves(accounts, panel.assets, prices, implied)
    levers, failures = levers_of(accounts, panel.assets, moves)
    good = np.delete(np.arange(len(accounts)), [f.row for f in failures])
    parts = []
    for k, entry in enumerate(entries):
        part = levers.part(np.flatnonzero(of_entry[good] == k))
        if len(part.book):
            parts.append(watch(part, entry.moment.valued(part.book), panel, stay_minutes))
    if not parts:
        return levers, watch(levers, levers.book, panel, stay_minutes), [], failures
    seen = join_watches(parts)
    known = np.flatnonzero(np.isfinite(seen.equity[:, 0]) & np.isfinite(seen.maintenance[:, 0]) & (seen.stay > 0))
    lost = np.setdiff1d(np.arange(len(seen)), known)
    failures += [_unvalued(int(good[i]), accounts[int(good[i])]) for i in lost.tolist()]
    chosen = [accounts[int(good[i])] for i in known.tolist()]
    return levers.part(known), seen.part(known), chosen, failures


def _unvalued(row: int, account: Account) -> Failure:
    text = f"market: expected a price of everything that {account.account_id} holds at {account.as_of.isoformat()}"
    return Failure.from_error(MissingMarketError(f"{text}, there is none"), row, account.account_id)
