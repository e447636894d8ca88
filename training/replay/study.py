"""All rules at all their settings on the same accounts and draws, and what the comparison says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from models.account import Account
from models.errors import InputError
from models.rebalance.policy import Policy
from models.rebalance.replaying.check import violations
from models.rebalance.replaying.compare import Comparison, compare
from models.rebalance.replaying.foresight import foresight
from models.rebalance.replaying.ledger import Outcome
from models.rebalance.replaying.rules import AtTarget, Band, Dynamic, Nothing, Rule, Static
from models.rebalance.replaying.run import Stage, run_rule
from models.rebalance.replaying.worthwhile import Worthwhile
from models.typing import DAY_NS, IntArray

__all__ = ["FAMILIES", "Study", "against", "ran", "rules_of", "study", "weeks_of"]

Report = Callable[[str, int, int], None]
_RATIOS = (1.05, 1.2, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0)
_DEVIATIONS = (0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
_CHANCES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
_WORTH = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0)
_WIDTHS = (1.5, 2.5)
_WEEK_NS = 7 * DAY_NS
FAMILIES = ("static", "band", "dynamic", "target", "plan")
"""Rules with a knob."""


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What every rule did.

    Parameters
    ----------
    outcomes : tuple of Outcome
        Nothing first, then every rule at every setting, and perfect foresight.
    widths : tuple of float
        Width of the band of each, NaN where it has none.
    comparisons : tuple of Comparison
        Rules against the curve of the plan, or of another family.
    worsened : tuple of int
        Accounts of each outcome that were called or liquidated and would not have been without any action.
    broken : tuple of int
        Rules of the policy that its transfers broke.
    accounts : int
        Number of accounts.
    account_days : float
        Days for which they were watched, all together.
    days : float
        Days from the first decision to the last.
    """

    outcomes: tuple[Outcome, ...]
    widths: tuple[float, ...]
    comparisons: tuple[Comparison, ...]
    worsened: tuple[int, ...]
    broken: tuple[int, ...]
    accounts: int
    account_days: float
    days: float

    def rows(self) -> list[dict[str, Any]]:
        """One row for each outcome, for tables and files."""
        nothing = self.outcomes[0]
        best = next((o for o in self.outcomes if o.name == "foresight" and o.knob == 1.0), None)
        least = float("nan") if best is None else float(best.spent.sum() + best.losses.sum())
        return [self._row(k, outcome, nothing, least) for k, outcome in enumerate(self.outcomes)]

    def _row(self, k: int, o: Outcome, nothing: Outcome, least: float) -> dict[str, Any]:
        spent, losses, held = float(o.spent.sum()), float(o.losses.sum()), float(o.held_days.sum())
        return {
            "rule": o.name,
            "knob": o.knob,
            "width": self.widths[k],
            "called": int(o.called.sum()),
            "liquidated": int(o.liquidated.sum()),
            "calls_avoided": int(nothing.called.sum() - o.called.sum()),
            "liquidations_avoided": int(nothing.liquidated.sum() - o.liquidated.sum()),
            "fees": float(o.fees.sum()),
            "holding": float(o.holding.sum()),
            "spent": spent,
            "losses": losses,
            "total": spent + losses,
            "regret": spent + losses - least,
            "held_dollar_days": held,
            "idle_share": float(o.idle_days.sum()) / held if held > 0 else 0.0,
            "moves_per_day": float(o.moves.sum()) / self.days,
            "moves": int(o.moves.sum()),
            "refused": o.refused,
            "worsened": self.worsened[k],
            "broken": self.broken[k],
        }

    def compared(self) -> list[dict[str, Any]]:
        """One row for each setting that was compared with the plan."""
        return [asdict(one) for one in self.comparisons]


def rules_of(families: Sequence[str] = FAMILIES) -> list[Rule]:
    """List rules with all their settings.

    Parameters
    ----------
    families : sequence of str
        Names of `FAMILIES`.

    Returns
    -------
    list of Rule
        Knobs rising; bands in two widths.

    Raises
    ------
    InputError
        If a family is unknown.

    Examples
    --------
    >>> [rule.knob for rule in rules_of(["target"])]
    [0.5, 0.2, 0.1, 0.05, 0.02, 0.01]
    """
    for name in families:
        if name not in FAMILIES:
            raise InputError("rules", name, f"some of {', '.join(FAMILIES)}")
    every: dict[str, list[Rule]] = {
        "static": [Static(k) for k in _RATIOS],
        "band": [Band(k, w) for w in _WIDTHS for k in _RATIOS],
        "dynamic": [Dynamic(k, w) for w in _WIDTHS for k in _DEVIATIONS],
        "target": [AtTarget(k) for k in _CHANCES],
        "plan": [Worthwhile(k) for k in _WORTH],
    }
    return [rule for name in families for rule in every[name]]


def study(
    stage: Stage,
    accounts: Sequence[Account],
    rules: Sequence[Rule],
    report: Report = lambda name, done, total: None,
    draws: int = 2000,
) -> Study:
    """Run rules, check what they moved, and compare them with the plan.

    Parameters
    ----------
    stage : Stage
        What they are run on.
    accounts : sequence of Account, length n
        The accounts of the stage.
    rules : sequence of Rule
        The rules.
    report : callable
        Told what is done.
    draws : int
        Bootstrap draws of weeks in which accounts began.

    Returns
    -------
    Study
        Everything.
    """
    found = ran(stage, accounts, rules, report)
    return against(found, "plan", weeks_of(stage), draws)


def ran(
    stage: Stage,
    accounts: Sequence[Account],
    rules: Sequence[Rule],
    report: Report = lambda name, done, total: None,
) -> Study:
    """Run rules and check what they moved.

    Parameters
    ----------
    stage, accounts, rules, report
        As `study`.

    Returns
    -------
    Study
        Without comparisons.
    """
    outcomes, widths = [run_rule(stage, Nothing())], [float("nan")]
    for k, rule in enumerate(rules):
        outcomes.append(run_rule(stage, rule))
        widths.append(float(getattr(rule, "width", np.nan)))
        report("rules", k + 1, len(rules))
    for knob in (0.1, 1.0, 10.0):
        outcomes.append(foresight(stage, knob))
        widths.append(float("nan"))
    nothing = outcomes[0]
    worsened = [int(((o.called & ~nothing.called) | (o.liquidated & ~nothing.liquidated)).sum()) for o in outcomes]
    broken = [_broken(stage, accounts, stage.policy, o) for o in outcomes]
    watched = float(stage.watch.stay.sum()) * stage.bar_minutes / 1440.0
    span = (stage.epochs[-1].bar - stage.epochs[0].bar + stage.every_bars) * stage.bar_minutes / 1440.0
    return Study(tuple(outcomes), tuple(widths), (), tuple(worsened), tuple(broken), len(accounts), watched, span)


def against(found: Study, family: str, block: IntArray, draws: int = 2000) -> Study:
    """Compare all rules with the curve of one family.

    Parameters
    ----------
    found : Study
        What every rule did.
    family : str
        Name of the family that the others are compared with.
    block : ndarray of int, shape (n,)
        Block of each account; whole blocks are drawn.
    draws : int
        Bootstrap draws.

    Returns
    -------
    Study
        With comparisons, unless the family is not among the rules.
    """
    curve = [found.outcomes[0], *(o for o in found.outcomes if o.name == family)]
    others = [o for o in found.outcomes if o.name not in ("nothing", "foresight", family)]
    return replace(found, comparisons=tuple(compare(curve, others, block, draws)) if len(curve) > 1 else ())


def weeks_of(stage: Stage) -> IntArray:
    """Say in which week each account begins.

    Parameters
    ----------
    stage : Stage
        n accounts.

    Returns
    -------
    ndarray of int, shape (n,)
        Weeks, counted from 0.
    """
    when = stage.start + stage.watch.first * stage.bar_minutes * 60_000_000_000
    return np.unique(when // _WEEK_NS, return_inverse=True)[1].astype(np.int64)


def _broken(stage: Stage, accounts: Sequence[Account], policy: Policy, outcome: Outcome) -> int:
    watch = stage.watch
    end = np.where(outcome.liquidated, outcome.liquidated_bar, watch.stay) + watch.first
    closed = [(stage.when(int(bar)), bool(lost)) for bar, lost in zip(end, outcome.liquidated, strict=True)]
    return len(violations(outcome.ledger, accounts, policy, closed))
