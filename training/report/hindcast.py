"""The hindcast: what a server said while it ran, against what came, week by week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from training.report.drawing import Series, line_chart
from training.report.drawing.charts import Look
from training.report.parts import Cell, Figure, Report, Section, Table
from training.report.text import hours_text

__all__ = ["build_hindcast"]

_COLUMNS = ("week", "predictions", "expected", "called", "ratio", "log loss", "skill over the prior", "ECE", "censored")
_KEYS = ("week", "n", "expected", "called", "ratio", "log_loss", "skill", "ece", "censored")
_FORMATS = ("", ",", ",.1f", ",", ".2f", ".5f", "+.2%", ".4f", ",")
_TOO_FEW = 5
Row = Mapping[str, Any]


def build_hindcast(horizons: Sequence[Row], weeks: Sequence[Row], about: str) -> Report:
    """Turn the ledger's calibration into words, figures and tables.

    Parameters
    ----------
    horizons : sequence of mapping
        One for each horizon over the whole time: horizon_minutes, n, called, expected, ratio, log_loss, prior_log_loss,
        ece, censored, skill, blocks, and ratio_low, ratio_high, skill_low, skill_high (None where not known).
    weeks : sequence of mapping
        One for each week and horizon: week (ISO, ``2025-W09``) and the same figures without intervals.
    about : str
        Which ledger, since when.

    Returns
    -------
    Report
        For `training.report.write_page` and `training.report.write_twins`.

    Examples
    --------
    >>> build_hindcast([], [], "an empty ledger").headline
    ['Nothing that was said has matured yet.']
    """
    judged = [row for row in horizons if row["n"]]
    headline = [_says(row) for row in judged] or ["Nothing that was said has matured yet."]
    sections = [_over_all(judged)] if judged else []
    for row in judged:
        minutes = int(row["horizon_minutes"])
        sections.append(_by_week(minutes, [w for w in weeks if w["horizon_minutes"] == minutes]))
    return Report("What was said, and what came", about, headline, [*sections, _limits()])


def _says(row: Row) -> str:
    within, expected = hours_text(row["horizon_minutes"]), f"{row['expected']:,.1f}"
    text = f"Within {within}: {expected} calls were expected, {row['called']:,} came"
    if row["ratio"] is not None:
        text += f" (expected over called {row['ratio']:.2f}{_ends(row, 'ratio', '.2f')})"
    if row["skill"] is not None:
        text += f"; the skill over the prior was {row['skill']:+.2%}{_ends(row, 'skill', '+.2%')}"
    return f"{text}, over {row['n']:,} predictions."


def _ends(row: Row, name: str, form: str) -> str:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    if low is None or high is None:
        return ", no interval"
    return f", 95% {format(low, form)} to {format(high, form)}"


def _over_all(rows: Sequence[Row]) -> Section:
    columns = (
        "horizon", "predictions", "expected", "called", "ratio", "low", "high", "skill over the prior", "low", "high",
        "log loss", "ECE", "censored", "blocks",
    )  # fmt: skip
    keys = (
        "n", "expected", "called", "ratio", "ratio_low", "ratio_high", "skill", "skill_low", "skill_high", "log_loss",
        "ece", "censored", "blocks",
    )  # fmt: skip
    cells: list[tuple[Cell, ...]] = [
        (hours_text(row["horizon_minutes"]), *(row.get(key) for key in keys)) for row in rows
    ]
    formats = ("", ",", ",.1f", ",", *[".2f"] * 3, *["+.2%"] * 3, ".5f", ".4f", ",", ",")
    flagged = frozenset(i for i, row in enumerate(rows) if _apart(row))
    words = [
        "Marked are horizons whose ratio is told apart from 1. Intervals are drawn over blocks of four days, as the "
        "predictions of one hour depend on each other; with few blocks they say little."
    ]
    table = Table("hindcast", "Everything that has matured, by horizon", columns, tuple(cells), formats, flagged)
    return Section("all", "Over the whole time", words, (), [table])


def _apart(row: Row) -> bool:
    low, high = row.get("ratio_low"), row.get("ratio_high")
    return low is not None and high is not None and not low <= 1.0 <= high


def _by_week(minutes: int, rows: Sequence[Row]) -> Section:
    name = hours_text(minutes)
    title = f"Calls expected and calls that came, within {name}"
    told = [row for row in rows if row["called"] >= _TOO_FEW]
    worst = max(told, key=lambda row: abs(row["ratio"] - 1.0), default=None)
    says = f"{len(rows)} weeks; none had {_TOO_FEW} calls."
    if worst is not None:
        says = (
            f"{len(rows)} weeks; of those with {_TOO_FEW} calls or more, {worst['week']} was furthest off: "
            f"{worst['expected']:,.1f} expected, {worst['called']:,} came."
        )
    first = _monday(rows[0]["week"])
    x = [float((_monday(row["week"]) - first).days) for row in rows]
    series = [
        Series("expected", x, [float(row["expected"]) for row in rows], marks=True),
        Series("came", x, [float(row["called"]) for row in rows], marks=True),
    ]
    look = Look(f"days since {first}", "calls in the week", "{:g}".format, "{:,.0f}".format, y_keep=(0.0,))
    cells = tuple(tuple(row[key] for key in _KEYS) for row in rows)
    table = Table(f"hindcast-{minutes}-minutes", title, _COLUMNS, cells, _FORMATS)
    return Section(
        f"within-{minutes}", f"Within {name}", (), [Figure(title, says, line_chart(title, says, series, look), table)]
    )


def _monday(week: str) -> date:
    year, _, number = week.partition("-W")
    return date.fromisocalendar(int(year), int(number), 1)


def _limits() -> Section:
    words = [
        "Only what a server said of registered accounts counts, each row once, as the ledger holds it; "
        "`margincast ledger verify` tells whether it is as it was written.",
        "Where the owner acted before the horizon and before a call, the prediction is not judged (censored). Accounts "
        "in a call already, without positions or without a price are left out.",
        "An account held through many bars is many predictions of nearly the same thing: read their number as less.",
    ]
    return Section("limits", "What it does not say", words)
