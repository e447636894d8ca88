"""Joint plans against rules that decide account by account, all on the same short inventory, week by week."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.rebalance.joint import Weighing
from models.rebalance.replaying.desk import Joint, Told
from models.rebalance.replaying.ledger import Outcome
from models.rebalance.replaying.rules import Rule
from models.rebalance.replaying.together import Chosen, Together
from training.replay.scenes import MarketScenes
from training.replay.stage import Built
from training.replay.study import Report, Study, against, ran

__all__ = [
    "DESK_TARGETS",
    "URGENT",
    "WORTH_KNOBS",
    "DeskWeek",
    "desk_rules",
    "desk_week",
    "join_weeks",
    "recommend_rules",
    "worth_rules",
]

DESK_TARGETS = (0.2, 0.1, 0.05, 0.02)
"""Settings of the rule `desk` where none are given."""
WORTH_KNOBS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Settings of the rule `worth` where none are given."""
URGENT = " (urgent first)"
"""What is added to the name of a rule whose accounts are served in the order of their urgency."""


@dataclass(frozen=True, slots=True, eq=False)
class DeskWeek:
    """What every rule did with the accounts of one week, and what the joint plans took.

    Parameters
    ----------
    study : Study
        Nothing, the rules served first come first, the same with the most urgent first, the joint plans by target, what
        is recommended by worth, what the rule by worth chooses, foresight.
    told : tuple of tuple of (str, float, Told)
        Every joint plan, with the name and the setting of its rule.
    chosen : tuple of tuple of (float, Chosen)
        Every decision of the rule `worth`, with its knob.
    """

    study: Study
    told: tuple[tuple[str, float, Told], ...]
    chosen: tuple[tuple[float, Chosen], ...] = ()


def desk_rules(built: Built, targets: Sequence[float], seconds: float) -> list[Joint]:
    """Give the rule `desk` at some targets.

    Parameters
    ----------
    built : Built
        The stage that it is to be run on.
    targets : sequence of float
        P(call within a day) that every account is to reach.
    seconds : float
        That the solver may take for one decision, >= 0.

    Returns
    -------
    list of Joint
        One for each target.
    """
    scenes = MarketScenes(built.asked, built.accounts)
    return [Joint(p, built.asked.levers.moves, built.stage.policy, scenes, seconds) for p in targets]


def worth_rules(built: Built, knobs: Sequence[float], seconds: float, **changes: Any) -> list[Together]:
    """Give the rule `worth` at some settings.

    Parameters
    ----------
    built : Built
        The stage that it is to be run on.
    knobs : sequence of float
        Dollars that may be spent to avoid a dollar of expected loss.
    seconds : float
        That the solver may take for one decision, >= 0.
    **changes
        Other settings of `Together`.

    Returns
    -------
    list of Together
        One for each setting.
    """
    stage = built.stage
    every = float(stage.every_bars * stage.bar_minutes)
    return [Together(x, stage.table, stage.policy, stage.when, every, seconds=seconds, **changes) for x in knobs]


def recommend_rules(built: Built, knobs: Sequence[float], seconds: float, **changes: Any) -> list[Joint]:
    """Give the rule `recommend` at some settings: what ``recommend --desk --worth`` says, taken back as `worth` does.

    Parameters
    ----------
    built : Built
        The stage that it is to be run on.
    knobs : sequence of float
        Dollars that may be spent to avoid a dollar of expected loss.
    seconds : float
        That the solver may take for one decision, >= 0.
    **changes
        Other settings of `Weighing`.

    Returns
    -------
    list of Joint
        One for each setting.
    """
    scenes, stage = MarketScenes(built.asked, built.accounts), built.stage
    return [
        Joint(
            rule.knob, built.asked.levers.moves, stage.policy, scenes, seconds, 0.001,
            back=rule.back, weighing=Weighing(rule.knob, **changes), every=rule.every, name="recommend",
        )
        for rule in worth_rules(built, knobs, seconds, **changes)
    ]  # fmt: skip


def desk_week(
    built: Built,
    rules: Sequence[Rule],
    targets: Sequence[float],
    seconds: float,
    knobs: Sequence[float] = (),
    asked: Sequence[float] = (),
    report: Report = lambda name, done, total: None,
    **changes: Any,
) -> DeskWeek:
    """Run everything on the accounts of one week, which share the places of the policy.

    Parameters
    ----------
    built : Built
        Accounts that begin together.
    rules : sequence of Rule
        Rules that decide account by account.
    targets : sequence of float
        Settings of the rule `desk`.
    seconds : float
        That the solver may take for one decision.
    knobs : sequence of float
        Settings of the rule `worth`.
    asked : sequence of float
        Settings of the rule `recommend`.
    report : callable
        Told what is done.
    **changes
        Other settings of the rules `worth` and `recommend`.

    Returns
    -------
    DeskWeek
        Without the ledgers, which were checked.
    """
    desks = [*desk_rules(built, targets, seconds), *recommend_rules(built, asked, seconds, **changes)]
    first = replace(built.stage, serving="first")
    worths = worth_rules(built, knobs, seconds, **changes)
    found = ran(first, built.accounts, [*rules, *desks, *worths], report)
    other = ran(replace(first, serving="urgent"), built.accounts, rules)
    at = 1 + len(rules)
    renamed = [replace(o, name=o.name + URGENT) for o in other.outcomes[1:at]]
    outcomes = (*found.outcomes[:at], *renamed, *found.outcomes[at:])
    study = replace(
        found,
        outcomes=tuple(replace(o, ledger=()) for o in outcomes),
        widths=(*found.widths[:at], *other.widths[1:at], *found.widths[at:]),
        worsened=(*found.worsened[:at], *other.worsened[1:at], *found.worsened[at:]),
        broken=(*found.broken[:at], *other.broken[1:at], *found.broken[at:]),
    )
    chosen = tuple((rule.knob, one) for rule in worths for one in rule.told)
    return DeskWeek(study, tuple((desk.name, desk.knob, one) for desk in desks for one in desk.told), chosen)


def join_weeks(weeks: Sequence[DeskWeek], draws: int = 2000, family: str = "desk") -> DeskWeek:
    """Put weeks together, and compare every rule with the curve of one family.

    Parameters
    ----------
    weeks : sequence of DeskWeek
        At least one, all with the same rules.
    draws : int
        Bootstrap draws of whole weeks.
    family : str
        Name of the family that the others are compared with.

    Returns
    -------
    DeskWeek
        All accounts of all weeks, and all joint plans.
    """
    studies = [week.study for week in weeks]
    block = np.repeat(np.arange(len(weeks)), [study.accounts for study in studies])
    outcomes = tuple(_joined(same) for same in zip(*(study.outcomes for study in studies), strict=True))
    worsened, broken = (
        tuple(sum(counts) for counts in zip(*(getattr(study, name) for study in studies), strict=True))
        for name in ("worsened", "broken")
    )
    whole = replace(
        studies[0],
        outcomes=outcomes,
        worsened=worsened,
        broken=broken,
        accounts=sum(study.accounts for study in studies),
        account_days=sum(study.account_days for study in studies),
        days=sum(study.days for study in studies),
    )
    told, chosen = (tuple(one for week in weeks for one in getattr(week, name)) for name in ("told", "chosen"))
    return DeskWeek(against(whole, family, block, draws), told, chosen)


def _joined(same: Sequence[Outcome]) -> Outcome:
    """One rule at one setting on all weeks."""
    arrays = ("called", "liquidated", "liquidated_bar", "fees", "holding", "losses", "held_days", "idle_days", "moves")
    columns = {name: np.concatenate([getattr(o, name) for o in same]) for name in arrays}
    return Outcome(same[0].name, same[0].knob, **columns, ledger=(), refused=sum(o.refused for o in same))
