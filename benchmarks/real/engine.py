"""Where the engine places real accounts: at their liquidations, and at quiet hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from benchmarks.real.accounts import Snapshots, snapshots
from benchmarks.real.prices import BarPrices, LegPrices, VenuePrices, by_state, hours_between, notional, price_table
from benchmarks.real.records import Records
from models.margin.levels import STATES, margin_levels
from models.margin.rulesets import load_ruleset
from models.typing import HOUR_NS, BoolArray, FloatArray, IntArray

FRESH_SECONDS = 300.0
AGREE = 0.02
LIQUIDATION, CALL = STATES.index("liquidation"), STATES.index("call")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the engine says of n accounts; NaN and -1 where it was not asked.

    Parameters
    ----------
    state : ndarray of int, shape (n,)
        Index into `STATES`.
    equity, maintenance, notional : ndarray, shape (n,)
        In dollars.
    age_seconds : ndarray, shape (n,)
        Age of the oldest price.
    reason : list of str
        Why an account was not valued; empty where it was.
    """

    state: IntArray
    equity: FloatArray
    maintenance: FloatArray
    notional: FloatArray
    age_seconds: FloatArray
    reason: list[str]

    @property
    def valued(self) -> BoolArray:
        """Accounts that the engine was asked about."""
        return np.array([not r for r in self.reason], bool)


def judge(states: Snapshots, legs: LegPrices) -> Verdict:
    """Ask the engine, under the rules of each instant, about the accounts whose positions all have a price."""
    assets = tuple(sorted(set(states.coin)))
    reason = ["" if n else "no position" for n in states.legs]
    for i in np.flatnonzero(~states.every(np.isfinite(legs.price))):
        coins = sorted({str(c) for c in states.coin[(states.row == i) & ~np.isfinite(legs.price)]})
        reason[i] = f"no price of {', '.join(coins)}"
    book, failures = states.book(assets)
    for failure in failures:
        reason[failure.row] = failure.message
    kept = np.setdiff1d(np.arange(len(states)), [f.row for f in failures])
    levels = margin_levels(book, price_table(states, legs, assets)[kept])
    state, equity, maintenance = np.full(len(states), -1), np.full(len(states), np.nan), np.full(len(states), np.nan)
    state[kept], equity[kept], maintenance[kept] = levels.state, levels.equity, levels.maintenance
    gone = np.array([bool(r) for r in reason], bool)
    state[gone], equity[gone], maintenance[gone] = -1, np.nan, np.nan
    return Verdict(state, equity, maintenance, notional(states, legs), by_state(states, legs.age_seconds), reason)


def recorded_prices(states: Snapshots, recorded: FloatArray) -> LegPrices:
    """The venue's mark where its record gives it away: recorded notional / size of accounts with one position."""
    single = states.legs[states.row] == 1
    price = np.where(single, recorded[states.row] / np.abs(states.quantity), np.nan)
    return LegPrices(price, np.zeros(len(price)))


@dataclass(frozen=True, slots=True)
class AtLiquidation:
    """The accounts just before each recorded liquidation, and the verdicts under each way of pricing."""

    states: Snapshots
    known: BoolArray
    cross: BoolArray
    recorded_notional: FloatArray
    recorded_value: FloatArray
    verdicts: dict[str, Verdict]
    own_fills: int
    closed_flat: int


def at_liquidations(records: Records, venue: VenuePrices, bars: BarPrices) -> AtLiquidation:
    """Value the accounts before the fills of their liquidation."""
    events = records.liquidations
    users, times = events["user"].to_numpy(object), events["time"].to_numpy(np.int64)
    states = snapshots(records, users, times, inclusive=False)
    after = snapshots(records, users, times, inclusive=True)
    recorded = events["notional"].to_numpy(np.float64)
    priced = {"venue": venue.at(states), "bars": bars.at(states), "recorded": recorded_prices(states, recorded)}
    verdicts = {name: judge(states, legs) for name, legs in priced.items()}
    known = np.isin(users, records.customers)
    keys = set(zip(users, times, strict=True))
    own = sum(k in keys for k in zip(records.fills["user"], records.fills["time"], strict=True))
    return AtLiquidation(
        states=states,
        known=np.asarray(known, bool),
        cross=(events["mode"] == "Cross").to_numpy(bool),
        recorded_notional=recorded,
        recorded_value=events["value"].to_numpy(np.float64),
        verdicts=verdicts,
        own_fills=own,
        closed_flat=len(states.row) - len(after.row),
    )


def rules_check(found: AtLiquidation) -> dict[str, int]:
    """The ruleset alone: the recorded account value against the engine's maintenance of the recorded notional."""
    out = {"cross": 0, "cross_below_maintenance": 0, "isolated": 0, "isolated_below_maintenance": 0}
    for i in range(len(found.states)):
        coins = found.states.coin[found.states.row == i]
        rules = load_ruleset("hyperliquid", datetime.fromtimestamp(found.states.time[i] / 1e9, UTC))
        tiers = [rules.tier(f"{coin}/USDC:USDC") for coin in coins]
        # one rate for every coin in those months, so the sum over positions is that of the sum
        need = max(float(np.asarray(tier(found.recorded_notional[i]))) for tier in tiers)
        mode = "cross" if found.cross[i] else "isolated"
        out[mode] += 1
        out[f"{mode}_below_maintenance"] += int(found.recorded_value[i] < need)
    return out


def summary(found: AtLiquidation, name: str, rows: BoolArray | None = None) -> dict[str, Any]:
    """Counts of one way of pricing, over all liquidations or some of them.

    Equity agrees where it is within 1% of the recorded notional (the maintenance rate) of the recorded value.
    """
    v = found.verdicts[name]
    among = np.ones(len(v.state), bool) if rows is None else rows
    valued = v.valued & found.known & among
    ratio = v.equity[valued] / v.maintenance[valued]
    state = v.state[valued]
    off = np.abs(v.notional[valued] / found.recorded_notional[valued] - 1)
    error = (v.equity[valued] - found.recorded_value[valued]) / found.recorded_notional[valued]
    missed, agree = state < CALL, np.abs(error) <= 0.01
    return {
        "events": int(among.sum()),
        "valued": int(valued.sum()),
        "liquidation": int((state == LIQUIDATION).sum()),
        "call": int((state == CALL).sum()),
        "beyond_call": int(missed.sum()),
        "ratio_of_missed": quantiles(ratio[missed]),
        "ratio_of_all": quantiles(ratio),
        "notional_within_2pct": int((off <= AGREE).sum()),
        "equity_agrees": int(agree.sum()),
        "equity_agrees_liquidation": int((agree & (state == LIQUIDATION)).sum()),
        "equity_agrees_call": int((agree & (state == CALL)).sum()),
        "equity_too_high": int((error > 0.01).sum()),
        "equity_too_low": int((error < -0.01).sum()),
        "price_age_minutes": quantiles(v.age_seconds[valued] / 60),
    }


def quantiles(values: FloatArray) -> list[float]:
    """Least, quartiles and most; empty without values."""
    return [] if not len(values) else [float(x) for x in np.quantile(values, (0, 0.25, 0.5, 0.75, 1))]


def refusals(found: AtLiquidation, name: str) -> dict[str, int]:
    """Why liquidations were not valued."""
    out: dict[str, int] = {}
    for known, reason in zip(found.known, found.verdicts[name].reason, strict=True):
        text = reason if known else "no deposit of the user on record"
        if text:
            out[text] = out.get(text, 0) + 1
    return dict(sorted(out.items(), key=lambda item: -item[1]))


def account_hours(records: Records) -> Snapshots:
    """States at every whole hour at which a customer's account holds a position; from the first fill to the last."""
    last = int(records.fills["time"].max())
    first = records.fills.groupby("user")["time"].min().to_dict()
    users, times = [], []
    for user in records.customers:
        hours = hours_between(int(first[user]), last)
        users.append(np.full(len(hours), user, object))
        times.append(hours)
    if not users:
        return snapshots(records, np.empty(0, object), np.empty(0, np.int64), inclusive=True)
    states = snapshots(records, np.concatenate(users), np.concatenate(times), inclusive=True)
    return states.take(states.legs > 0)


def minutes_to_event(records: Records, states: Snapshots) -> FloatArray:
    """Minutes from each state to the next liquidation of its user; infinite where none follows. Shape (n,)."""
    out = np.full(len(states), np.inf)
    for user, part in records.liquidations.groupby("user"):
        when = np.sort(part["time"].to_numpy(np.int64))
        rows = np.flatnonzero(states.user == user)
        found = np.searchsorted(when, states.time[rows], side="right")
        ahead = found < len(when)
        out[rows[ahead]] = (when[found[ahead]] - states.time[rows[ahead]]) / (HOUR_NS / 60)
    return out


def quiet_hours(
    states: Snapshots, minutes: FloatArray, verdict: Verdict, rows: BoolArray | None = None
) -> dict[str, Any]:
    """How often the engine says liquidation though none came within the hour.

    Equity at or below zero at a quiet hour cannot be on the venue: such an account lacks a deposit, or a transfer, in
    the files. These are counted apart.
    """
    use = verdict.valued & ~(minutes <= 60.0)
    use = use if rows is None else use & rows
    said = use & (verdict.state == LIQUIDATION)
    faulty = use & (verdict.equity <= 0)
    users, counts = np.unique(states.user[said].astype(str), return_counts=True)
    return {
        "account_hours": int(use.sum()),
        "accounts": len(set(states.user[use])),
        "liquidation": int(said.sum()),
        "accounts_said": len(users),
        "equity_not_positive": int((said & faulty).sum()),
        "accounts_not_positive": len(set(states.user[said & faulty])),
        "liquidation_positive_equity": int((said & ~faulty).sum()),
        "accounts_positive_equity": len(set(states.user[said & ~faulty])),
        "hours_positive_equity": int((use & ~faulty).sum()),
        "call_positive_equity": int((use & ~faulty & (verdict.state == CALL)).sum()),
        "largest_share_of_one_account": float(counts.max() / counts.sum()) if len(counts) else 0.0,
    }
