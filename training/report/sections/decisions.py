"""What the forecast is worth to somebody who acts on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.report.drawing import Series, line_chart
from training.report.drawing.charts import Look
from training.report.judged import Judged, short
from training.report.parts import Figure, Section, Table
from training.report.text import percent_text

__all__ = ["decisions", "value_of"]

_SHOWN = ("margincast", "B5", "B3", "B8")


def value_of(cost: Mapping[str, float], base_rate: float) -> list[float]:
    """Share of what perfect knowledge would save that a forecast saves, at every ratio of cost to loss.

    Parameters
    ----------
    cost : mapping of str to float
        Expected cost by ratio, from `training.evaluate.decisions.decision_curve`.
    base_rate : float
        Share of the accounts called.

    Returns
    -------
    list of float
        1: as good as knowing; 0: no better than always or never acting, whichever is cheaper.

    References
    ----------
    Richardson (2000), "Skill and relative economic value of the ECMWF ensemble prediction system", Quarterly Journal of
    the Royal Meteorological Society 126(563).

    Examples
    --------
    >>> [round(v, 6) for v in value_of({"0.1": 0.004}, 0.02)]
    [0.888889]
    """
    out = []
    for text, mean in cost.items():
        ratio = float(text)
        blind, knowing = min(ratio, base_rate), base_rate * ratio
        out.append((blind - mean) / (blind - knowing) if blind > knowing else float("nan"))
    return out


def decisions(judged: Judged) -> Section:
    """Draw the value of acting on the forecast against the ratio of cost to loss.

    Parameters
    ----------
    judged : Judged
        The evaluation.

    Returns
    -------
    Section
        One figure, for calls within a day.
    """
    metrics = judged.metrics
    pooled: dict[str, Any] = {"margincast": metrics["horizons"]["1440"]}
    pooled |= {n: part["horizons"]["1440"] for n, part in metrics["baselines"].items()}
    names = [n for n in _SHOWN if n in pooled]
    ratios = [float(r) for r in pooled["margincast"]["expected_cost"]]
    value = {n: value_of(pooled[n]["expected_cost"], pooled[n]["base_rate"]) for n in names}
    title = "Value of acting where P(call within a day) exceeds cost over loss"
    most, at = max((v, r) for v, r in zip(value["margincast"], ratios, strict=True) if v == v)
    says = f"The model saves up to {most:.0%} of what perfect knowledge would, at a ratio of {at:g}."
    look = Look(
        "cost of acting / loss it prevents",
        "share of the possible saving",
        "{:g}".format,
        percent_text,
        x_log=True,
        y_keep=(0.0,),
    )
    svg = line_chart(title, says, [Series(short(n), ratios, value[n], marks=True) for n in names], look)
    rows = tuple((r, *(value[n][i] for n in names)) for i, r in enumerate(ratios))
    table = Table("decision-value", title, ("cost / loss", *names), rows, ("g", *[".1%"] * len(names)))
    words = (
        "Acting costs something (moving collateral, closing a part), a call that was not prevented costs more. Whoever "
        "acts on a calibrated probability above the ratio of the two does best; a score without calibration cannot be "
        "used so, which is why an uncalibrated alert may fall below zero here.",
    )
    return Section("decisions", "What is it worth to act on it?", words, [Figure(title, says, svg, table)])
