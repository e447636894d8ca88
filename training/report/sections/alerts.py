"""What alerts would have caught."""

from __future__ import annotations

from itertools import pairwise

from training.report.drawing import Series, line_chart
from training.report.drawing.charts import Look
from training.report.judged import Judged, short
from training.report.numbers.alerts import BUDGETS, LEADS, alert_curve, caught_by_lead
from training.report.parts import Cell, Figure, Section, Table
from training.report.text import percent_text

__all__ = ["alerts"]

_SHOWN = ("margincast", "B5", "B3", "B8", "B1")
_DAY = 1440


def alerts(judged: Judged) -> Section:
    """Draw the share of calls caught by the budget of alerts, and by how far ahead they were.

    Parameters
    ----------
    judged : Judged
        The evaluation.

    Returns
    -------
    Section
        Two figures, about calls within a day.
    """
    words = (
        "A desk can look at so many accounts. The first chart says how many of the calls of the next day were among "
        "them; the second, how many were while the call was still so far ahead.",
    )
    names = [n for n in _SHOWN if n in judged.forecasts]
    return Section("alerts", "What would alerts have caught?", words, [_budget(judged, names), _leads(judged, names)])


def _budget(judged: Judged, names: list[str]) -> Figure:
    curves = {n: alert_curve(*judged.at(_DAY, n)[:2]) for n in names}
    title = "Calls within a day that were alerted, by budget"
    at = BUDGETS.index(0.01)
    others = [n for n in names if n != "margincast"]
    best = max(others, key=lambda n: curves[n][at]) if others else None
    than = "" if best is None else f", the best baseline ({short(best)}) {curves[best][at]:.1%}"
    says = f"With 1% of the accounts alerted the model finds {curves['margincast'][at]:.1%} of the calls{than}."
    look = Look(
        "share of accounts alerted", "share of calls caught", percent_text, percent_text, x_log=True, y_keep=(0.0,)
    )
    series = [Series(short(n), BUDGETS, curves[n], marks=True) for n in names]
    rows = tuple((b, *(float(curves[n][i]) for n in names)) for i, b in enumerate(BUDGETS))
    table = Table("alerts-by-budget", title, ("budget", *names), rows, (".1%", *[".1%"] * len(names)))
    return Figure(title, says, line_chart(title, says, series, look), table)


def _leads(judged: Judged, names: list[str]) -> Figure:
    found = {}
    for n in names:
        p, y, _, minutes = judged.at(_DAY, n)
        found[n] = caught_by_lead(p, y, minutes)
    title = "Calls caught with 1% alerted, by hours ahead"
    far = float(found["margincast"][-1])
    says = f"Of the calls 16 to 24 hours ahead, {far:.0%} were among the 1% of accounts alerted."
    middle = [(a + b) / 120 for a, b in pairwise(LEADS)]
    look = Look("hours until the call", "share of calls caught", "{:g}".format, percent_text, y_keep=(0.0,))
    series = [Series(short(n), middle, found[n], marks=True) for n in names]
    rows = tuple(
        tuple[Cell, ...]((f"{a // 60} to {b // 60} h", *(float(found[n][i]) for n in names)))
        for i, (a, b) in enumerate(pairwise(LEADS))
    )
    table = Table("alerts-by-lead", title, ("ahead", *names), rows, ("", *[".1%"] * len(names)))
    return Figure(title, says, line_chart(title, says, series, look), table)
