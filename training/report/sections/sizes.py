"""How large, and when: coverage of the amounts and times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.typing import HORIZONS
from training.evaluate.table import horizon_name
from training.report.drawing import Series, line_chart
from training.report.drawing.charts import Look
from training.report.judged import Judged
from training.report.parts import Cell, Figure, Section, Table
from training.report.text import percent_text

__all__ = ["sizes"]

_NAMES = {
    "model": "margincast",
    "tabulated": "prior, tabulated",
    "prior": "prior, simulated",
    "overshoot": "room plus overshoot",
}


def sizes(judged: Judged) -> Section:
    """Judge the quantiles of the call amount and of the time to a call.

    Parameters
    ----------
    judged : Judged
        The evaluation.

    Returns
    -------
    Section
        Coverage drawn, and both tables.
    """
    amounts, times = judged.metrics.get("call_amount", {}), judged.metrics.get("time_to_call", {})
    words = (
        "Given that a call came: a quantile of 90% should have been enough for nine of ten. The adaptive coverage is "
        "that of constants which follow the calls as they become known.",
    )
    figures = [_coverage(amounts)] if amounts.get("n") else []
    tables = ([_losses(amounts)] if amounts.get("n") else []) + [_times(times)]
    return Section("sizes", "How large is the call, and when?", words, figures, tables)


def _coverage(found: Mapping[str, Any]) -> Figure:
    levels = [float(v) for v in found["levels"]]
    shown = {_NAMES[k]: found[k]["coverage"] for k in _NAMES if k in found}
    shown |= {
        f"within {horizon_name(h)}": found["by_horizon"][h]["coverage"]
        for h in map(str, HORIZONS)
        if h in found.get("by_horizon", {})
    }
    title = "Share of the calls at or below each quantile of the amount"
    middle = [float(v) for v in found["model"]["coverage"]]
    worst = max(abs(a - b) for a, b in zip(levels, middle, strict=True))
    says = f"The model's quantiles are off by at most {100 * worst:.1f} points."
    look = Look("quantile said", "share at or below", percent_text, percent_text, diagonal=True)
    first = [Series(n, levels, _numbers(v), line=False, marks=True) for n, v in list(shown.items())[:3]]
    rows = tuple(tuple[Cell, ...]((n, *_numbers(v))) for n, v in shown.items())
    table = Table(
        "amount-coverage", title, ("method", *(f"q{100 * v:g}" for v in levels)), rows, ("", *[".1%"] * len(levels))
    )
    return Figure(title, says, line_chart(title, says, first, look), table)


def _losses(found: Mapping[str, Any]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for key, name in _NAMES.items():
        if key in found:
            known = [v for v in _numbers(found[key]["pinball"]) if v == v]
            rows.append((name, found["n_compared"], sum(known) / len(known) if known else None))
    return Table(
        "amount-loss", "Mean pinball loss of the log amount", ("method", "calls", "loss"), tuple(rows), ("", ",", ".4f")
    )


def _times(found: Mapping[str, Any]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for horizon in map(str, HORIZONS):
        part = found.get(horizon)
        if part:
            rows.append((
                horizon_name(horizon), part["n"], part["mean_absolute_error"], part["prior"], part["constant"],
                part["coverage"], part["adaptive"],
            ))  # fmt: skip
    columns = (
        "within",
        "calls",
        "mean error, minutes",
        "prior's",
        "a constant's",
        "inside the 80% interval",
        "adaptive",
    )
    return Table(
        "time-to-call", "Expected time to the call", columns, tuple(rows), ("", ",", ".0f", ".0f", ".0f", ".1%", ".1%")
    )


def _numbers(values: list[float | None]) -> list[float]:
    return [float("nan") if v is None else float(v) for v in values]
