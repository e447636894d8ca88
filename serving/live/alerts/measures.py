"""From a forecast to levels: how bad each account is by each kind of alert, to begin one and to keep one.

Each kind gives two levels an account (`SEVERITIES`): ``enter`` by the thresholds, ``keep`` by those with hysteresis,
never below it. An alert begins or grows with ``enter`` and ends when ``keep`` is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from features.answer import BIT, Forecast
from models.margin.levels import MarginLevels
from models.typing import HORIZONS, FloatArray, IntArray
from serving.live.alerts.rules import AlertRules

__all__ = ["KINDS", "Measure", "last_safe_minutes", "measure"]

KINDS: Final = ("p_call", "level", "last_safe", "drift", "stale", "rule_change")
"""P(call) over the target, margin level crossed, last safe minute near, collateral away from exposure, old market,
announced rules; the last is measured by `serving.live.alerts.announced`."""
_OF_STATE: Final = np.array([0, 0, 1, 3, 4], np.int64)
"""Level by state: release, ok, below_initial, call, liquidation."""


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One kind of alert over n accounts.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    enter, keep : ndarray of int64, shape (n,)
        Levels to begin and to keep an alert, indices into `SEVERITIES`.
    value : ndarray, shape (n,)
        What was measured: P, state, minutes, cover, minutes.
    threshold : float
        What it was compared with for the lowest level; NaN for states.
    words : dict of int to str
        What to say of a row beside the value, where that does not tell all.
    """

    kind: str
    enter: IntArray
    keep: IntArray
    value: FloatArray
    threshold: float
    words: Mapping[int, str] = field(default_factory=dict)


def measure(
    seen: Forecast, levels: MarginLevels, rules: AlertRules, latest: Callable[[FloatArray], FloatArray] | None = None
) -> list[Measure]:
    """Measure every kind.

    Parameters
    ----------
    seen : Forecast
        Of n accounts.
    levels : MarginLevels
        Of the same accounts.
    rules : AlertRules
        The thresholds of the desk.
    latest : callable, optional
        Gives the latest minute at which a transfer can start from the one at which it must have arrived, shape (n,);
        NaN where the lag of the rules counts.

    Returns
    -------
    list of Measure
        In the order of `KINDS`, without the last. An account without a price begins nothing and keeps what it has.
    """
    unknown = levels.state < 0
    minutes = last_safe_minutes(seen, rules, latest)
    found = [_p_call(seen, rules), _level(levels, rules), _last_safe(minutes, rules), _drift(levels, rules)]
    found.append(_stale(seen))
    for one in found[:-1]:
        one.enter[unknown] = 0
        one.keep[unknown] = len(_OF_STATE) - 1
    return found


def _p_call(seen: Forecast, rules: AlertRules) -> Measure:
    goal = rules.goal
    p = seen.p_call[:, goal.column]
    steps = ((2, goal.probability), (3, rules.critical_probability))
    return Measure("p_call", _over(p, steps), _over(p, steps, rules.clear_ratio), p, goal.probability)


def _level(levels: MarginLevels, rules: AlertRules) -> Measure:
    enter = _OF_STATE[np.maximum(levels.state, 0)]
    near = levels.equity <= levels.initial * (1.0 + rules.level_clear)
    keep = np.where(near & (levels.initial > 0), np.maximum(enter, 1), enter)
    return Measure("level", enter, keep, levels.state.astype(np.float64), np.nan)


def _last_safe(minutes: FloatArray, rules: AlertRules) -> Measure:
    enter = np.where(minutes <= rules.warn_minutes, 2, 0) + (minutes <= 0.0)
    keep = np.where(minutes <= rules.warn_minutes / rules.clear_ratio, np.maximum(enter, 2), enter)
    return Measure("last_safe", enter, keep, minutes, rules.warn_minutes)


def last_safe_minutes(
    seen: Forecast, rules: AlertRules, latest: Callable[[FloatArray], FloatArray] | None = None
) -> FloatArray:
    """Latest minute at which a transfer can start and still arrive while P(call before) is at most the target's.

    Parameters
    ----------
    seen : Forecast
        Of n accounts.
    rules : AlertRules
        Its target's probability and its lag are used.
    latest : callable, optional
        See `measure`.

    Returns
    -------
    ndarray, shape (n,)
        Minutes from now, not below 0; infinite where P stays under the target; `models.rebalance.last_safe_minute` of
        each account where the lag of the rules counts.
    """
    goal = rules.goal.probability
    n = len(seen.p_call)
    times = np.array([0.0, *HORIZONS])
    curve = np.concatenate([np.zeros((n, 1)), seen.p_call], axis=1)
    over = curve[:, 1:] > goal
    k = over.argmax(axis=1)
    low, high = curve[np.arange(n), k], curve[np.arange(n), k + 1]
    with np.errstate(all="ignore"):
        crossing = times[k] + (goal - low) / (high - low) * (times[k + 1] - times[k])
    crossing = np.where(over.any(axis=1), crossing, np.inf)
    out = np.maximum(crossing - rules.lag_minutes, 0.0)
    if latest is not None:
        found = latest(crossing)
        out = np.where(np.isnan(found), out, found)
    out[(seen.flags & BIT["in_call"]) != 0] = 0.0
    return np.asarray(out, np.float64)


def _drift(levels: MarginLevels, rules: AlertRules) -> Measure:
    with np.errstate(divide="ignore", invalid="ignore"):
        cover = np.where(levels.initial > 0, levels.equity / levels.initial, np.nan)
    enter, keep = np.zeros((2, len(cover)), np.int64)
    low, high, inside = rules.cover_low, rules.cover_high, rules.cover_clear
    if low is not None:
        enter[cover < low] = 2
        keep[cover < low * (1.0 + inside)] = 2
    if high is not None:
        enter[cover > high] = 1
        keep[(cover > high * (1.0 - inside)) & (keep == 0)] = 1
    return Measure("drift", enter, keep, cover, low if low is not None else (high if high is not None else np.nan))


def _stale(seen: Forecast) -> Measure:
    bits = BIT["stale_market"] | BIT["stale_features"] | BIT["no_price"]
    enter = np.where((seen.flags & bits) != 0, 2, 0)
    return Measure("stale", enter, enter, seen.age_minutes, np.nan)


def _over(p: FloatArray, steps: tuple[tuple[int, float], ...], share: float = 1.0) -> IntArray:
    """The highest level whose threshold, times `share`, is exceeded."""
    out = np.zeros(len(p), np.int64)
    for level, threshold in steps:
        out[p > threshold * share] = level
    return out
