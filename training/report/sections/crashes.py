"""Crash days told as cases, and what the skill owes to each crash."""

from __future__ import annotations

import math

import numpy as np

from features.sources.times import iso
from models.typing import HORIZONS
from training.benchmark.crashes import leave_one_out
from training.evaluate.table import horizon_name
from training.report.drawing import Band, Series, fan_chart, line_chart
from training.report.drawing.charts import Look
from training.report.judged import Judged
from training.report.numbers import Case, crash_cases
from training.report.parts import Cell, Figure, Section, Table
from training.report.text import percent_text

__all__ = ["crashes"]


def crashes(judged: Judged) -> Section:
    """Tell up to three crashes by an account each, and judge with each crash left out.

    Parameters
    ----------
    judged : Judged
        The evaluation.

    Returns
    -------
    Section
        Two figures a crash, and a table of all.
    """
    seen = judged.evaluation
    cases = crash_cases(judged.panel, judged.predictor, seen.population, seen.schedule)
    table = _table(judged)
    if not table.rows:
        words = ("The mean asset did not lose a tenth within a day in this period: there is no crash to tell.",)
        return Section("crashes", "What happened in crashes?", words)
    words = (
        "A crash is a run of hours at which the mean asset has lost a tenth within a day. Each is told by one account: "
        "of those with linear or inverse contracts that were sampled at least 12 hours before the crash was there and "
        "called 6 to 72 hours later, the one with the median P(call within 72 hours), so it is not picked for being "
        "told well. It is held still. "
        "The fan is what the prior's paths expected at its instant (prices alone, no funding), the line what came.",
    )
    figures = [figure for case in cases for figure in (_fan(case), _said(case))]
    return Section("crashes", "What happened in crashes?", words, figures, [table])


def _fan(case: Case) -> Figure:
    when = iso(case.as_of)[:16].replace("T", " ")
    title = f"Crash of {iso(case.crash)[:10]}: {case.account} ({case.holds}, {case.ruleset}), from {when}"
    inside = np.isfinite(case.ratio) & (case.ratio >= case.fan[:, 0]) & (case.ratio <= case.fan[:, 4])
    known = int(np.isfinite(case.ratio).sum())
    says = (
        f"Called after {case.called:.0f} h{_liquidation(case)}; what came lay within the 90% band in "
        f"{int(inside.sum())} of {known} looks. Its worst day: {math.expm1(case.worst_day):.0%} for the mean asset."
    )
    bands = [
        Band("5 to 95%", case.hours.tolist(), case.fan[:, 0], case.fan[:, 4]),
        Band("25 to 75%", case.hours.tolist(), case.fan[:, 1], case.fan[:, 3]),
    ]
    series = [Series("what came", case.hours.tolist(), case.ratio)]
    look = Look(
        "hours ahead",
        "equity / maintenance",
        y_keep=(),
        across=((case.call_ratio, "margin call"), (1.0, "liquidation")),
    )
    rows = zip(case.hours.tolist(), *(v.tolist() for v in case.fan.T), case.ratio.tolist(), strict=True)
    columns = ("hours", "5%", "25%", "50%", "75%", "95%", "came")
    table = Table(
        f"crash-{iso(case.crash)[:10]}-fan", f"Equity over maintenance, crash of {iso(case.crash)[:10]}", columns,
        tuple(tuple[Cell, ...](r) for r in rows), (",", *[".3f"] * 6),
    )  # fmt: skip
    return Figure(title, says, fan_chart(title, says, bands, series, look), table)


def _liquidation(case: Case) -> str:
    return f", liquidated after {case.liquidated:.0f}" if np.isfinite(case.liquidated) else ", not liquidated within 72"


def _said(case: Case) -> Figure:
    title = f"Crash of {iso(case.crash)[:10]}: P(call) as it was said for {case.account}"
    day = case.said[:, HORIZONS.index(1440)]
    over = np.flatnonzero(day >= 0.5)
    ahead = (
        f"stood at 50% or more first {case.called - float(case.hours[over[0]]):.0f} h before the call"
        if len(over)
        else "never stood at 50% before the call"
    )
    says = f"P(call within 24 h) was {day[0]:.0%} at the beginning and {ahead}."
    series = [
        Series(f"within {horizon_name(str(h))}", case.hours.tolist(), case.said[:, k], marks=True)
        for k, h in enumerate(HORIZONS)
    ]
    look = Look("hours since the beginning", "probability said", "{:g}".format, percent_text, y_keep=(0.0, 1.0))
    rows = zip(case.hours.tolist(), *(v.tolist() for v in case.said.T), strict=True)
    day_of = iso(case.crash)[:10]
    columns = ("hours", *(horizon_name(str(h)) for h in HORIZONS))
    said = tuple(tuple[Cell, ...](r) for r in rows if r[1] == r[1])
    table = Table(f"crash-{day_of}-said", f"P(call) said, crash of {day_of}", columns, said, (",", *[".1%"] * 4))
    return Figure(title, says, line_chart(title, says, series, look), table)


def _table(judged: Judged) -> Table:
    seen = judged.evaluation
    reference = seen.baselines.get("B5", seen.dataset.prior)
    rows: list[tuple[Cell, ...]] = []
    for found in leave_one_out(seen.dataset, seen.p, reference, judged.panel):
        on, without = found["skill_on_it"], found["skill_without_it"]
        rows.append((
            found["crash"], math.expm1(found["worst_day"]), found["calls"], found["predicted_over_observed"],
            on["value"], without["value"], without["low"], without["high"],
        ))  # fmt: skip
    columns = ("crash", "worst day", "calls", "predicted / observed", "skill on it", "skill without it", "low", "high")
    caption = "Each crash judged alone (three days before to three after), and left out"
    return Table("crashes", caption, columns, tuple(rows), ("", ".1%", ",", ".3f", "+.2%", "+.2%", "+.2%", "+.2%"))
