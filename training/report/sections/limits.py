"""What the report does not say, and where its numbers come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.sources.times import iso
from training.report.judged import Judged
from training.report.parts import Cell, Section, Table

__all__ = ["limits"]


def limits(judged: Judged) -> Section:
    """State the limits of the evaluation and its provenance.

    Parameters
    ----------
    judged : Judged
        The evaluation.

    Returns
    -------
    Section
        Words and two tables.
    """
    metrics = judged.metrics
    words = (
        "Accounts are held still from their instant: no owner tops up, closes or opens. Where accounts are sampled, "
        "their mixture is an assumption, so the shares called say nothing about a venue's clients.",
        "A breach inside a bar counts at its close; how the extremes of several assets in one bar met is not known. "
        "Venues that stopped, or prices that jumped between bars, are in the data only as far as the bars show them. "
        "Rules are those of the rulesets named, with their dates; fills, liquidation engines and the fees of a "
        "liquidation are not part of a forecast.",
        "Baselines and model are judged on the same rows. The period lies after the data of the training.",
    )
    about, data = metrics["about"], judged.predictor.metadata
    rows: list[tuple[Cell, ...]] = [
        ("model", str(about["model"])),
        ("trained on", _span(data)),
        ("data of the training (SHA-256)", str(data.get("data_fingerprint", "–"))),
        ("rows judged (SHA-256)", str(judged.evaluation.dataset.fingerprint or "–")),
        ("period judged", f"{iso(about['from'])} to {iso(about['until'])}"),
        ("accounts", f"{about['accounts']:,}, {about['ruleset']}"),
        ("market", f"{', '.join(judged.panel.assets)}; bars of {judged.panel.bar_minutes} minutes"),
    ]
    left = tuple((reason.replace("_", " "), count) for reason, count in metrics["counts"].items())
    tables = [
        Table("provenance", "Where the numbers come from", ("what", "value"), tuple(rows), ("", "")),
        Table("left-out", "Accounts and rows left out, by reason", ("reason", "count"), left, ("", ",")),
    ]
    return Section("limits", "What this report does not say", words, tables=tables)


def _span(data: Mapping[str, Any]) -> str:
    first, last = data.get("trained_from"), data.get("trained_until")
    return f"{iso(first)} to {iso(last)}" if isinstance(first, int) and isinstance(last, int) else "–"
