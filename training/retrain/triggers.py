"""Is it time to retrain? By the calendar, by drift, by the loss seen, by rules that changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from models.errors import InputError
from models.typing import DAY_NS, FloatArray
from training.dataset import Dataset
from training.evaluate.bootstrap import skill
from training.evaluate.metrics import losses
from training.report.numbers.drift import MOVED, stability
from training.retrain.evidence import Shown
from training.retrain.gate import read_table

__all__ = ["Reason", "Triggers", "due", "load_triggers"]


@dataclass(frozen=True, slots=True)
class Triggers:
    """When a retraining is due; any one is enough.

    Parameters
    ----------
    every_days : float
        Age of the champion's training data at the newest bar; in [0, 3650], 0: at every run.
    moved_share : float
        Share of the columns whose stability index beside the training is 0.25 or more over the period judged; in
        (0, 1].
    novel_share : float
        Share of unusual inputs over the period judged; in (0, 1].
    least_skill : float
        Skill over the champion's own prior on matured outcomes: due where all of its interval lies below; in [-1, 1].
    expected_loss_ratio : float
        Expected log loss, before outcomes are known, over that of the period judged: due where the newest accounts have
        more; in [1, 100].
    rules : bool
        Whether a change of any ruleset makes it due.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    every_days: float = 7.0
    moved_share: float = 0.5
    novel_share: float = 0.1
    least_skill: float = 0.0
    expected_loss_ratio: float = 2.0
    rules: bool = True

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
                raise InputError(name, value, f"a number in [{low:g}, {high:g}]")
        if not isinstance(self.rules, bool):
            raise InputError("rules", self.rules, "true or false")


_RANGES: Mapping[str, tuple[float, float]] = {
    "every_days": (0.0, 3650.0),
    "moved_share": (1e-6, 1.0),
    "novel_share": (1e-6, 1.0),
    "least_skill": (-1.0, 1.0),
    "expected_loss_ratio": (1.0, 100.0),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One trigger and what it saw.

    Parameters
    ----------
    name : str
        Of the trigger.
    pulled : bool
        Whether it makes a retraining due.
    found : float
        What was found.
    words : str
        A sentence.
    """

    name: str
    pulled: bool
    found: float
    words: str


def load_triggers(path: str | Path) -> Triggers:
    """Read triggers from the ``[triggers]`` table of the gate's file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Triggers
        What the file does not name has its default.

    Raises
    ------
    InputError
        If the table names a trigger that there is not, or one outside its range.
    """
    table = read_table(path, "triggers")
    known = {f.name for f in fields(Triggers)}
    for name in table:
        if name not in known:
            raise InputError(f"triggers.{name}", table[name], f"one of {', '.join(sorted(known))}")
    return Triggers(**table)


def due(champion: Shown, newest: Dataset | None, end: int, rules: str, triggers: Triggers) -> list[Reason]:
    """Ask every trigger.

    Parameters
    ----------
    champion : Shown
        The champion and the matured rows of the period judged.
    newest : Dataset or None
        Rows after it, whose outcomes are not all known yet.
    end : int
        The newest bar's close, nanoseconds UTC.
    rules : str
        Digest of the rulesets now.
    triggers : Triggers
        The bounds.

    Returns
    -------
    list of Reason
        All of them, those that are pulled and those that are not.
    """
    data = champion.dataset.take(champion.dataset.level == 0)
    p = champion.predictor.predict(data.x, data.prior)
    found = [_calendar(champion, end, triggers), _measured(data, p, triggers), *_drift(champion, data, triggers)]
    if newest is not None and len(newest):
        found.append(_expected(champion, newest, p, triggers))
    if triggers.rules:
        known = champion.predictor.metadata.get("rules_digest")
        changed = known is not None and known != rules
        words = "A ruleset has changed since the champion was trained." if changed else "No ruleset has changed."
        found.append(Reason("rules", changed, float(changed), words))
    return found


def _calendar(champion: Shown, end: int, triggers: Triggers) -> Reason:
    until = champion.predictor.metadata.get("trained_until", champion.predictor.prior.fitted_until)
    days = (end - int(until)) / DAY_NS
    words = f"The champion's data end {days:.0f} days before the newest bar; due from {triggers.every_days:g}."
    return Reason("schedule", days >= triggers.every_days, days, words)


def _measured(data: Dataset, p: FloatArray, triggers: Triggers) -> Reason:
    use = data.usable
    y = data.y[use].astype(np.float64)
    as_of = np.repeat(data.as_of[:, None], p.shape[1], axis=1)[use]
    seen = skill(losses(p[use], y), losses(data.prior[use], y), as_of)
    words = (
        f"On matured outcomes its skill over its own prior is {seen.value:+.2%} [{seen.low:+.2%}, {seen.high:+.2%}]; "
        f"due where all of that is below {triggers.least_skill:+.2%}."
    )
    return Reason("loss", seen.high < triggers.least_skill, seen.value, words)


def _drift(champion: Shown, data: Dataset, triggers: Triggers) -> list[Reason]:
    novelty = champion.predictor.novelty
    if novelty is None:
        return []
    whole = data.take(np.ones(len(data), np.bool_))
    index = stability(_as_one(whole), novelty)[1]
    worst = np.array([float(np.nan_to_num(values).max(initial=0.0)) for values in index.values()])
    share = float((worst >= MOVED).mean()) if len(worst) else 0.0
    score = champion.predictor.novelty_of(data.x[:: data.prior.shape[1]])[0]
    novel = float((score > 1.0).mean()) if len(score) else 0.0
    return [
        Reason(
            "drift", share >= triggers.moved_share, share,
            f"{share:.0%} of the columns have moved since the training; due from {triggers.moved_share:.0%}.",
        ),
        Reason(
            "novelty", novel >= triggers.novel_share, novel,
            f"{novel:.1%} of the inputs are unusual; due from {triggers.novel_share:.0%}.",
        ),
    ]  # fmt: skip


def _expected(champion: Shown, newest: Dataset, p: FloatArray, triggers: Triggers) -> Reason:
    """Expected loss of calibrated forecasts is their entropy: it rises before outcomes are known."""
    rows = newest.take(newest.level == 0)
    ahead = _entropy(champion.predictor.predict(rows.x, rows.prior))
    before = _entropy(p)
    ratio = ahead / before if before > 0 else 1.0
    words = (
        f"The log loss to be expected of the newest accounts is {ratio:.2f} times that of the period judged; due from "
        f"{triggers.expected_loss_ratio:g}."
    )
    return Reason("expected loss", ratio >= triggers.expected_loss_ratio, ratio, words)


def _entropy(p: FloatArray) -> float:
    q = np.clip(p, 1e-9, 1 - 1e-9)
    return float(-(q * np.log(q) + (1 - q) * np.log1p(-q)).mean()) if p.size else 0.0


def _as_one(data: Dataset) -> Dataset:
    """The same rows with one instant, so that they count as one month."""
    from dataclasses import replace

    return replace(data, as_of=np.zeros(len(data), np.int64))
