"""Have the inputs moved away from the training?"""

from __future__ import annotations

import numpy as np

from training.report.drawing import Series, line_chart
from training.report.drawing.charts import Look
from training.report.judged import Judged
from training.report.numbers import monthly_novelty, stability
from training.report.numbers.drift import MOVED
from training.report.parts import Figure, Section, Table
from training.report.text import month_text, percent_text

__all__ = ["drift"]

_SHOWN = 12


def drift(judged: Judged) -> Section:
    """Draw the share of unusual inputs by month, and list the columns that moved most.

    Parameters
    ----------
    judged : Judged
        The evaluation.

    Returns
    -------
    Section
        One figure and one table; a sentence where the model does not know what is usual.
    """
    novelty = judged.predictor.novelty
    title = "Have the inputs moved since the training?"
    if novelty is None:
        return Section("drift", title, ("The model does not carry what its training looked like.",))
    months, share = monthly_novelty(judged.inputs, judged.predictor)
    _, index = stability(judged.inputs, novelty)
    worst = {name: float(np.nan_to_num(values).max()) for name, values in index.items()}
    moved = [name for name, value in worst.items() if value >= MOVED]
    name = "Accounts with an unusual input, by month"
    says = f"At most {np.nanmax(share):.1%} in a month; the training had {novelty.share:.1%}."
    x = np.arange(len(months), dtype=np.float64)
    look = Look(
        "month",
        "share of the accounts",
        month_text(months),
        percent_text,
        y_keep=(0.0,),
        across=((novelty.share, "training"),),
    )
    svg = line_chart(name, says, [Series("unusual", x, share, marks=True)], look)
    rows = tuple((m, float(s)) for m, s in zip(months, share, strict=True))
    figure = Figure(name, says, svg, Table("novelty-by-month", name, ("month", "unusual"), rows, ("", ".2%")))
    table = Table(
        "stability", f"Stability index by month, the {_SHOWN} columns that moved most", ("column", *months),
        tuple((n, *(float(v) for v in index[n])) for n in list(index)[:_SHOWN]), ("", *[".2f"] * len(months)),
        frozenset(i for i, n in enumerate(list(index)[:_SHOWN]) if worst[n] >= MOVED),
    )  # fmt: skip
    words = (
        f"The stability index compares a month's values of a column with those of the training; {MOVED:g} is commonly "
        f"taken as moved. {len(moved)} of {len(index)} columns reached it in some month: a single month of a market is "
        "rarely like all of its history, so the index says where to look, not that the model is wrong.",
    )
    return Section("drift", title, words, [figure], [table])
