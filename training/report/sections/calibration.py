"""Do the probabilities mean what they say?"""

from __future__ import annotations

import numpy as np

from models.typing import HORIZONS
from training.evaluate.table import horizon_name
from training.report.drawing import Series, line_chart
from training.report.drawing.charts import Look
from training.report.judged import Judged, label_of, short
from training.report.numbers import decompose, monthly_ratio, reliability_curve
from training.report.parts import Cell, Figure, Section, Table
from training.report.text import month_text, percent_text

__all__ = ["calibration"]

_TAKEN_APART = ("margincast", "B5", "B4", "B3", "B9")


def calibration(judged: Judged) -> Section:
    """Draw reliability by horizon, take the loss apart, and follow calibration by month.

    Parameters
    ----------
    judged : Judged
        The evaluation.

    Returns
    -------
    Section
        Four diagrams, a decomposition, and a line by month.
    """
    words = (
        "On the diagonal, as many accounts were called as was said. Each mark holds the same number of expected calls, "
        "so the axes are logarithmic; whiskers are 95% intervals over weeks.",
        "Log loss = miscalibration − discrimination + uncertainty: the first is what a perfect relabelling of the "
        "forecasts would gain, the second what the forecasts know beyond the base rate.",
    )
    figures = [*(_reliability(judged, h) for h in HORIZONS), _months(judged)]
    return Section("calibration", "Do the probabilities mean what they say?", words, figures, [_decomposition(judged)])


def _reliability(judged: Judged, horizon: int) -> Figure:
    p, y, as_of, _ = judged.at(horizon)
    found = reliability_curve(p, y, as_of)
    title = f"Within {horizon_name(str(horizon))}"
    inside = int(((found.low <= found.predicted) & (found.predicted <= found.high)).sum())
    says = f"{inside} of {len(found.count)} marks have the diagonal within their interval."
    said, called, low, high = (_positive(v) for v in (found.predicted, found.observed, found.low, found.high))
    look = Look("probability said", "share called", percent_text, percent_text, True, True, diagonal=True)
    svg = line_chart(title, says, [Series("margincast", said, called, low, high, line=False, marks=True)], look)
    rows = zip(
        *(v.tolist() for v in (found.predicted, found.observed, found.low, found.high, found.count)), strict=True
    )
    table = Table(
        f"reliability-{horizon // 60}h", title, ("said", "called", "low", "high", "forecasts"),
        tuple(tuple[Cell, ...](r) for r in rows), (".3%", ".3%", ".3%", ".3%", ",.0f"),
    )  # fmt: skip
    return Figure(title, says, svg, table)


def _decomposition(judged: Judged) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for horizon in HORIZONS:
        for name in _TAKEN_APART:
            if name in judged.forecasts:
                parts = decompose(*judged.at(horizon, name)[:2])
                rows.append((horizon_name(str(horizon)), label_of(name), *parts))
    columns = ("horizon", "forecast", "log loss", "miscalibration", "discrimination", "uncertainty")
    return Table("decomposition", "Where the log loss comes from", columns, tuple(rows), ("", "", *[".5f"] * 4))


def _months(judged: Judged) -> Figure:
    data = judged.dataset
    names = [n for n in ("margincast", "B5") if n in judged.forecasts]
    months, ratio, calls = monthly_ratio({n: judged.forecasts[n] for n in names}, data.y, data.usable, data.as_of)
    title = "Predicted over observed calls, by month"
    mine = ratio["margincast"][np.isfinite(ratio["margincast"])]
    span = f"from {mine.min():.2f} to {mine.max():.2f}" if len(mine) else "unknown"
    says = f"By month the model's ratio goes {span}; single months hang on one or two moves of the market."
    x = np.arange(len(months), dtype=np.float64)
    look = Look(
        "month",
        "predicted / observed",
        month_text(months),
        y_keep=(),
        y_log=True,
        y_text="{:g}".format,
        across=((1.0, ""),),
    )
    series = [Series(short(n), x, ratio[n], marks=True) for n in names]
    table = Table(
        "calibration-by-month", title, ("month", "calls", *names),
        tuple((m, int(calls[i]), *(float(ratio[n][i]) for n in names)) for i, m in enumerate(months)),
        ("", ",", *[".3f"] * len(names)),
    )  # fmt: skip
    return Figure(title, says, line_chart(title, says, series, look), table)


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)
