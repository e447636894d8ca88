"""Skill against every baseline, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.evaluate.table import horizon_name
from training.report.drawing import interval_chart
from training.report.drawing.charts import Look
from training.report.judged import Judged, label_of, short
from training.report.parts import Cell, Figure, Section, Table
from training.report.text import percent_text

__all__ = ["skill"]

_LOOK = Look("log loss saved, with 95% interval", "", x_text=percent_text)
_COLUMNS = ("horizon", "forecasts", "called", "log loss", "Brier", "ECE", "AUC", "AP", "skill over B5", "low", "high")
_FORMATS = ("", ",", ".2%", ".5f", ".5f", ".4f", ".4f", ".4f", "+.2%", "+.2%", "+.2%")


def skill(judged: Judged) -> Section:
    """Compare with every baseline.

    Parameters
    ----------
    judged : Judged
        The evaluation.

    Returns
    -------
    Section
        Skill by horizon, over each baseline, in the contested band, and by regime.
    """
    metrics = judged.metrics
    words = (
        "Skill is the log loss saved against a baseline. Intervals come from drawing whole weeks with replacement, as "
        "forecasts of one week share their market.",
    )
    tables = [_scores(metrics), _band(metrics)] + ([_regimes(metrics)] if metrics.get("regimes") else [])
    return Section("skill", "Is it better than what it replaces?", words, [_horizons(metrics), _over(metrics)], tables)


def _horizons(metrics: Mapping[str, Any]) -> Figure:
    found = metrics["skill_vs_prior"]
    names = [*metrics["horizons"], "pooled"]
    return _figure(
        "Skill over B5, by horizon", "skill-by-horizon", [horizon_name(n) for n in names], [found[n] for n in names]
    )


def _over(metrics: Mapping[str, Any]) -> Figure:
    found = {name: part["skill_of_model"] for name, part in metrics["baselines"].items()}
    order = [n for n in found if n in ("B2", "B3", "B4", "B5", "B6", "B9", "P")] or list(found)
    return _figure(
        "Skill over each forecast worth the name",
        "skill-over-baselines",
        [short(n) for n in order],
        [found[n] for n in order],
    )


def _figure(title: str, name: str, rows: list[str], skills: list[Mapping[str, Any]]) -> Figure:
    value, low, high = ([_number(s[key]) for s in skills] for key in ("value", "low", "high"))
    sure = sum(v > 0 for v in low)
    says = f"{sure} of {len(rows)} intervals lie above zero; open marks are not told apart from it."
    svg = interval_chart(title, says, rows, value, low, high, _LOOK)
    cells = tuple(tuple[Cell, ...](row) for row in zip(rows, value, low, high, strict=True))
    table = Table(
        name,
        title,
        ("against" if "over" in name else "horizon", "skill", "low", "high"),
        cells,
        ("", "+.2%", "+.2%", "+.2%"),
    )
    return Figure(title, says, svg, table)


def _scores(metrics: Mapping[str, Any]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, score in [*metrics["horizons"].items(), ("pooled", metrics["pooled"])]:
        found = metrics["skill_vs_prior"][name]
        rows.append((horizon_name(name), *_of(score), found["value"], found["low"], found["high"]))
    for name, part in sorted(metrics["baselines"].items(), key=lambda item: item[1]["pooled"]["log_loss"]):
        rows.append((label_of(name), *_of(part["pooled"]), None, None, None))
    return Table(
        "scores", "Scores of the model by horizon, and of every baseline pooled", _COLUMNS, tuple(rows), _FORMATS
    )


def _of(score: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (
        score["n"], score["base_rate"], score["log_loss"], score["brier"], score["ece"], score["auc"],
        score["average_precision"],
    )  # fmt: skip


def _band(metrics: Mapping[str, Any]) -> Table:
    rows = [_compared(name.replace("_", " "), part) for name, part in metrics["segments"].items()]
    return Table(
        "segments-skill",
        "Near the threshold, and by kind of account (contested: call within two deviations)",
        _PAIR,
        tuple(rows),
        _PAIR_FORMATS,
    )


def _regimes(metrics: Mapping[str, Any]) -> Table:
    rows = [_compared(name, part) for name, part in metrics["regimes"].items()]
    return Table("regimes-skill", "By margin regime", _PAIR, tuple(rows), _PAIR_FORMATS)


_PAIR = ("accounts", "forecasts", "called", "predicted / observed", "log loss", "B5", "skill over B5", "low", "high")
_PAIR_FORMATS = ("", ",", ".2%", ".3f", ".5f", ".5f", "+.2%", "+.2%", "+.2%")


def _compared(name: str, part: Mapping[str, Any]) -> tuple[Cell, ...]:
    own, found = part["pooled"], part["skill_vs_prior"]
    head = (name, own["n"], own["base_rate"], own["predicted_over_observed"], own["log_loss"])
    return (*head, part["prior"]["log_loss"], found["value"], found["low"], found["high"])


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
