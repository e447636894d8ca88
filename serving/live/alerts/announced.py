"""Announced rules: who would be called, or near it, when they come into force, at present prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.margin.levels import STATES, MarginLevels
from models.typing import DAY_NS, IntArray
from serving.instants import instant
from serving.live.alerts.measures import Measure
from serving.live.alerts.rules import AlertRules

__all__ = ["Announced", "measure_announced"]

_CALL, _LIQUIDATION = STATES.index("call"), STATES.index("liquidation")
_WOULD = ("", "near a call", "called", "liquidated")
_UNKNOWN = 4


@dataclass(frozen=True, slots=True, eq=False)
class Announced:
    """Some accounts under rules that are still to come.

    Parameters
    ----------
    from_ns : int
        When the rules come into force, nanoseconds.
    rows : ndarray of int64, shape (m,)
        Rows of the accounts among those that are scored.
    rulesets : sequence of str, length m
        Names of their rules.
    levels : MarginLevels
        Of the m accounts under those rules.
    """

    from_ns: int
    rows: IntArray
    rulesets: Sequence[str]
    levels: MarginLevels


def measure_announced(
    levels: MarginLevels, announced: Sequence[Announced], rules: AlertRules, close_ns: int
) -> Measure:
    """Measure what announced rules would do; of several changes the worst, and of equal ones the first, counts.

    Parameters
    ----------
    levels : MarginLevels
        Of n accounts under present rules.
    announced : sequence of Announced
        By date.
    rules : AlertRules
        The thresholds of the desk.
    close_ns : int
        The present close.

    Returns
    -------
    Measure
        Level 1 near a call, 2 called, 3 liquidated, only where present rules are milder; the value is in days. It
        is kept for as long as announced rules lead near a call, by a margin that is wider by ``level_clear``.
    """
    n = len(levels.equity)
    enter, keep = np.zeros((2, n), np.int64)
    days, words = np.full(n, np.nan), dict[int, str]()
    near, wide = rules.rule_change_near, (1.0 + rules.rule_change_near) * (1.0 + rules.level_clear) - 1.0
    present = _stage(levels, near)
    for one in announced:
        then = _stage(one.levels, near)
        worse = (then > present[one.rows]) & (then > enter[one.rows]) & (levels.state[one.rows] >= 0)
        when = f"{instant(one.from_ns):%Y-%m-%d %H:%M} UTC"
        for i in np.flatnonzero(worse).tolist():
            words[int(one.rows[i])] = f"the rules of {one.rulesets[i]} from {when} would leave it {_WOULD[then[i]]}"
        days[one.rows[worse]] = (one.from_ns - close_ns) / DAY_NS
        enter[one.rows[worse]] = then[worse]
        keep[one.rows] = np.maximum(keep[one.rows], _stage(one.levels, wide))
        keep[one.rows[one.levels.state < 0]] = _UNKNOWN
    keep[levels.state < 0] = _UNKNOWN
    return Measure("rule_change", enter, np.maximum(enter, keep), days, near, words)


def _stage(levels: MarginLevels, near: float) -> IntArray:
    """Index into `_WOULD` of each account, 0 where all is well or nothing is known."""
    close = (levels.gap_call <= near * levels.call) & (levels.call > 0)
    found = np.where(levels.state >= _LIQUIDATION, 3, np.where(levels.state >= _CALL, 2, close.astype(np.int64)))
    return np.where(levels.state < 0, 0, found).astype(np.int64)
