"""Two models side by side on the same accounts."""

from __future__ import annotations

import numpy as np

from models.errors import InputError
from models.typing import HORIZONS, BoolArray
from training.evaluate.bootstrap import Skill, skill
from training.evaluate.metrics import losses
from training.evaluate.segments import SMALLEST, segments
from training.evaluate.table import horizon_name
from training.report.drawing import interval_chart
from training.report.drawing.charts import Look
from training.report.judged import Judged
from training.report.parts import Cell, Figure, Section, Table
from training.report.sections.headline import verdict
from training.report.text import percent_text

__all__ = ["compare"]


def compare(judged: Judged, other: Judged) -> Section:
    """Compare two models with paired intervals.

    Parameters
    ----------
    judged, other : Judged
        The model of the report, and the one beside it, on the same accounts.

    Returns
    -------
    Section
        Skill of the first over the second by horizon and by part, and the calibration of both.

    Raises
    ------
    InputError
        If they were not judged on the same accounts.
    """
    mine, theirs = judged.dataset, other.dataset
    if len(mine) != len(theirs) or not (np.array_equal(mine.as_of, theirs.as_of) and np.array_equal(mine.y, theirs.y)):
        raise InputError("compare", (len(mine), len(theirs)), "both models on the same accounts")
    whole = _over(judged, other, np.ones(len(mine), np.bool_))
    name = other.metrics["about"]["model"]
    words = (
        f"Beside model {name}, on the same accounts: over all horizons the model of this report is "
        f"{verdict(whole.as_dict())} it, {whole.value:+.2%} [{whole.low:+.2%}, {whole.high:+.2%}] in log loss. Weeks "
        f"are "
        "drawn for both together, so that what moves the market moves both.",
    )
    return Section(
        "compare",
        "Which of two models?",
        words,
        [_by_horizon(judged, other, whole)],
        [_both(judged, other), _by_part(judged, other)],
    )


def _over(judged: Judged, other: Judged, rows: BoolArray, horizon: int | None = None) -> Skill:
    data = judged.dataset
    use = data.usable & rows[:, None]
    if horizon is not None:
        use = use & (np.array(HORIZONS) == horizon)
    y = data.y[use].astype(np.float64)
    as_of = np.repeat(data.as_of[:, None], len(HORIZONS), axis=1)[use]
    pair = (model.forecasts["margincast"][use] for model in (judged, other))
    first, second = (losses(p, y) for p in pair)
    return skill(first, second, as_of)


def _by_horizon(judged: Judged, other: Judged, whole: Skill) -> Figure:
    every = np.ones(len(judged.dataset), np.bool_)
    found = {horizon_name(str(h)): _over(judged, other, every, h) for h in HORIZONS} | {"pooled": whole}
    title = "Log loss saved against the other model"
    says = f"{sum(s.low > 0 for s in found.values())} of {len(found)} intervals lie above zero."
    value, low, high = ([getattr(s, k) for s in found.values()] for k in ("value", "low", "high"))
    svg = interval_chart(title, says, list(found), value, low, high, Look("log loss saved", "", x_text=percent_text))
    rows = tuple((n, s.value, s.low, s.high) for n, s in found.items())
    return Figure(
        title,
        says,
        svg,
        Table("compare-horizons", title, ("horizon", "skill", "low", "high"), rows, ("", *["+.2%"] * 3)),
    )


def _both(judged: Judged, other: Judged) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, model in (("this model", judged), ("the other", other)):
        for horizon, score in model.metrics["horizons"].items():
            version = model.metrics["about"]["model"]
            rows.append((
                horizon_name(horizon), name, version, score["log_loss"], score["brier"], score["ece"],
                score["predicted_over_observed"], score["recall_at_budget"]["0.01"],
            ))  # fmt: skip
    columns = ("horizon", "model", "version", "log loss", "Brier", "ECE", "predicted / observed", "recall at 1%")
    formats = ("", "", "", ".5f", ".5f", ".4f", ".3f", ".1%")
    return Table("compare-scores", "Scores of both", columns, tuple(rows), formats)


def _by_part(judged: Judged, other: Judged) -> Table:
    data = judged.dataset
    rows: list[tuple[Cell, ...]] = []
    flagged = set()
    for (trait, part), whole in segments(judged.evaluation.dataset, judged.panel).items():
        chosen = whole[judged.calls]
        calls = int(data.y[data.usable & chosen[:, None]].sum())
        if calls < SMALLEST or trait == "ahead":
            continue
        seen = _over(judged, other, chosen)
        if seen.high < 0:
            flagged.add(len(rows))
        rows.append((f"{trait} {part}", calls, seen.value, seen.low, seen.high))
    columns = ("part", "calls", "skill over the other", "low", "high")
    caption = f"By part of the accounts with at least {SMALLEST} calls; marked where it is worse for sure"
    return Table("compare-parts", caption, columns, tuple(rows), ("", ",", "+.2%", "+.2%", "+.2%"), frozenset(flagged))
