"""Where in the period the gain came from."""

from __future__ import annotations

import numpy as np

from training.report.drawing import Series, line_chart
from training.report.drawing.charts import Look
from training.report.judged import Judged
from training.report.numbers import cumulative_gain
from training.report.parts import Figure, Section, Table
from training.report.text import percent_text

__all__ = ["course"]


def course(judged: Judged) -> Section:
    """Draw the loss saved against B5 as the period went on.

    Parameters
    ----------
    judged : Judged
        The evaluation.

    Returns
    -------
    Section
        One figure.
    """
    data = judged.dataset
    weeks, gain = cumulative_gain(judged.forecasts["margincast"], judged.reference, data.y, data.usable, data.as_of)
    steps = np.diff(gain, prepend=0.0)
    best = float(np.sort(steps)[-max(1, len(steps) // 20) :].sum()) if len(steps) else float("nan")
    title = "Log loss saved against B5, week by week"
    says = (
        f"At the end {gain[-1]:+.2%}; {int((steps > 0).sum())} of {len(steps)} weeks gained, and the best twentieth of "
        f"them brought {best:+.2%}."
    )
    days = weeks.astype("datetime64[ns]").astype("datetime64[D]")
    x = (days - days[0]).astype(np.float64)
    look = Look(
        "days since " + str(days[0]),
        "share of B5's loss saved so far",
        "{:g}".format,
        percent_text,
        y_keep=(0.0,),
    )
    svg = line_chart(title, says, [Series("margincast over B5", x, gain)], look)
    rows = tuple((str(d), float(s), float(g)) for d, s, g in zip(days, steps, gain, strict=True))
    table = Table("gain-by-week", title, ("week from", "saved in it", "saved so far"), rows, ("", "+.3%", "+.3%"))
    words = ("A gain that comes from one week is luck; one that grows through the period is skill.",)
    return Section("course", "Did it gain all along?", words, [Figure(title, says, svg, table)])
