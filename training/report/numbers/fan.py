"""Crash days as cases: what was expected of one account, what was said hour by hour, and what happened to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from features.moment import Moment, moment_at
from models.book import Book
from models.margin.levels import margin_levels
from models.margin.replay import replay as walk
from models.margin.rulesets.loader import ruleset_model
from models.market import MarketPanel
from models.predictor.predictor import MarginCallPredictor
from models.typing import HOUR_NS, FloatArray, IntArray
from training.benchmark.crashes import find_crashes
from training.build import PriorSchedule
from training.population import Population

__all__ = ["FAN_LEVELS", "Case", "crash_cases"]

FAN_LEVELS: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of the fan."""
_HOURS: Final = np.arange(0, 73, 3)
_PATHS: Final = 512
_MODELS: Final = ("linear", "inverse")
_BEFORE: Final = 12 * HOUR_NS
_SOONEST: Final = 6 * 60  # minutes; who was called sooner was called before the crash


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One account in one crash, held still from its instant.

    Parameters
    ----------
    crash : int
        First hour at which the mean asset had lost a tenth within a day, nanoseconds UTC.
    worst_day : float
        Log return of the worst day of the crash.
    account, holds, ruleset : str
        Name, positions in words, and ruleset.
    as_of : int
        Its instant, nanoseconds UTC.
    hours : ndarray, shape (h,)
        Hours since then.
    fan : ndarray, shape (h, 5)
        Quantiles `FAN_LEVELS` of equity over maintenance as expected at the instant.
    ratio : ndarray, shape (h,)
        Equity over maintenance as it came, on closes; NaN after the data end.
    said : ndarray, shape (h, 4)
        P(call) as said at each hour; NaN once it was called.
    called, liquidated : float
        Hours to the call and to the liquidation; NaN where none came within 72 hours.
    call_ratio : float
        Equity over maintenance at which it is called.
    chosen_from : int
        Accounts called in the crash that it is the median of, by what was said.
    """

    crash: int
    worst_day: float
    account: str
    holds: str
    ruleset: str
    as_of: int
    hours: IntArray
    fan: FloatArray
    ratio: FloatArray
    said: FloatArray
    called: float
    liquidated: float
    call_ratio: float
    chosen_from: int


def crash_cases(
    panel: MarketPanel,
    predictor: MarginCallPredictor,
    population: Population,
    schedule: PriorSchedule,
    limit: int = 3,
) -> list[Case]:
    """Tell the worst crashes of a period by an account each.

    Parameters
    ----------
    panel : MarketPanel
        Bars of the period.
    predictor : MarginCallPredictor
        The model.
    population : Population
        The accounts that were scored.
    schedule : PriorSchedule
        The prior of each instant.
    limit : int
        Crashes to tell, the worst first.

    Returns
    -------
    list of Case
        In order of time; none where no sampled account was called in a crash.

    Notes
    -----
    The account is not picked for being told well: among those with linear or inverse contracts in one margin unit that
    were sampled at the last instant at least 12 hours before the crash was there, and that were called 6 to 72 hours
    later, it is the one with the median P(call within 72 hours).
    """
    as_of = np.unique(population.accounts["as_of"])
    if not len(as_of):
        return []
    found = find_crashes(panel, int(as_of[0]), int(as_of[-1]) + 72 * HOUR_NS)
    worst = sorted(found, key=lambda crash: crash[2])
    cases: list[Case] = []
    for first, _, day in worst:
        before = as_of[as_of <= first - _BEFORE]
        if len(before) and len(cases) < limit:
            case = _case(panel, predictor, population, schedule, (first, day), int(before[-1]))
            cases += [] if case is None else [case]
    return sorted(cases, key=lambda case: case.crash)


def _case(
    panel: MarketPanel,
    predictor: MarginCallPredictor,
    population: Population,
    schedule: PriorSchedule,
    crash: tuple[int, float],
    as_of: int,
) -> Case | None:
    here = population.take(np.flatnonzero(population.accounts["as_of"] == as_of))
    book, _ = Book.from_columns(here.accounts, here.positions, here.collateral, panel.assets)
    plain = _plain(book)
    book = book.take(plain)
    if not len(book):
        return None
    moment = moment_at(panel, as_of, schedule.at(as_of), predictor)
    seen = walk(book, panel)
    hit = np.flatnonzero(np.isfinite(seen.minutes_to_call) & (seen.minutes_to_call >= _SOONEST) & ~seen.gap)
    if not len(hit):
        return None
    said = moment.p_call(book)[:, -1]
    row = int(hit[np.argsort(said[hit], kind="stable")[len(hit) // 2]])
    one = book.take(np.array([row]))
    called = float(seen.minutes_to_call[row]) / 60
    return Case(
        crash=crash[0],
        worst_day=crash[1],
        account=str(one.account_id[0]),
        holds=", ".join(
            f"{q:+,.4g} {s.partition('/')[0]}" for q, s in zip(one.arrays.leg_quantity, one.leg_symbol, strict=True)
        ),
        ruleset=str(one.ruleset[0]),
        as_of=as_of,
        hours=_HOURS,
        fan=_fan(one, moment),
        ratio=_came(one, panel, moment),
        said=_said(one, panel, predictor, schedule, called),
        called=called,
        liquidated=float(seen.minutes_to_liquidation[row]) / 60,
        call_ratio=float(one.arrays.account_call_factor[0]),
        chosen_from=len(hit),
    )


def _plain(book: Book) -> IntArray:
    """Accounts in one unit whose margin is a share of what linear or inverse contracts are worth."""
    one = (np.diff(book.arrays.account_unit) == 1) & book.holds_positions()
    one &= np.array([ruleset_model(name) in _MODELS for name in book.ruleset.tolist()], np.bool_)
    if book.blocks is not None:
        one[book.unit_account()[book.blocks.block_unit]] = False
    return np.flatnonzero(one)


def _ratio(book: Book, prices: FloatArray) -> FloatArray:
    """Equity over maintenance of one account at each row of prices."""
    many = book.take(np.zeros(len(prices), np.int64))
    seen = margin_levels(many, prices)
    return np.asarray(seen.equity / seen.maintenance, np.float64)


def _fan(book: Book, moment: Moment) -> FloatArray:
    close = moment.state.scenarios.close[:_PATHS].astype(np.float64)
    out = np.empty((len(_HOURS), len(FAN_LEVELS)))
    for i, hour in enumerate(_HOURS):
        ratio = np.ones(close.shape[:2]) if hour == 0 else close[:, :, hour - 1]
        out[i] = np.quantile(_ratio(book, np.ascontiguousarray(ratio * moment.price)), FAN_LEVELS)
    return out


def _came(book: Book, panel: MarketPanel, moment: Moment) -> FloatArray:
    closes = [moment.as_of + int(h) * HOUR_NS for h in _HOURS]
    known = [t for t in closes if t <= panel.end]
    prices = np.array([panel.snapshot(t).price for t in known])
    out = np.full(len(_HOURS), np.nan)
    out[: len(known)] = _ratio(book, prices)
    return out


def _said(
    book: Book, panel: MarketPanel, predictor: MarginCallPredictor, schedule: PriorSchedule, called: float
) -> FloatArray:
    out = np.full((len(_HOURS), 4), np.nan)
    start = int(book.as_of[0])
    for i, hour in enumerate(_HOURS):
        now = start + int(hour) * HOUR_NS
        if hour >= called or now > panel.end:
            break
        moment = moment_at(panel, now, schedule.at(now), predictor)
        out[i] = moment.p_call(replace(book, as_of=np.array([now], np.int64)))[0]
    return out
