"""Scores as a table for the console and as rows for a markdown page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from training.baselines import NAMES

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "baseline_table",
    "horizon_table",
    "markdown_baselines",
    "markdown_horizons",
    "markdown_of",
    "markdown_regimes",
    "regime_table",
    "table_of",
]

_COLUMNS = (
    "horizon",
    "n",
    "base rate",
    "log loss",
    "Brier",
    "ECE",
    "AUC",
    "recall@1%",
    "pred/obs",
    "skill vs B5 [95%]",
)


def horizon_rows(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Text of the scores by horizon.

    Parameters
    ----------
    metrics : mapping
        From `evaluate_predictions`.

    Returns
    -------
    list of tuple of str
        One row a horizon, the last one pooled.
    """
    rows: list[tuple[str, ...]] = []
    for name, score in [*metrics["horizons"].items(), ("pooled", metrics["pooled"])]:
        rows.append(
            (
                horizon_name(name),
                f"{score['n']:,}",
                f"{score['base_rate']:.2%}",
                f"{score['log_loss']:.5f}",
                f"{score['brier']:.5f}",
                f"{score['ece']:.4f}",
                f"{score['auc']:.4f}",
                f"{score['recall_at_budget']['0.01']:.1%}",
                f"{score['predicted_over_observed']:.3f}",
                interval(metrics["skill_vs_prior"][name]),
            )
        )
    return rows


def baseline_rows(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Text of the pooled scores of the model and of every baseline, the best log loss first.

    Parameters
    ----------
    metrics : mapping
        From `evaluate_predictions`.

    Returns
    -------
    list of tuple of str
        One row each: name, log loss, Brier, ECE, AUC, average precision, skill of the model over it.
    """
    entries = [("margincast", metrics["pooled"], "")]
    for name, part in metrics["baselines"].items():
        entries.append((f"{name} {NAMES.get(name, '')}".strip(), part["pooled"], interval(part["skill_of_model"])))
    entries.sort(key=lambda entry: entry[1]["log_loss"])
    return [
        (
            name,
            f"{score['log_loss']:.5f}",
            f"{score['brier']:.5f}",
            f"{score['ece']:.4f}",
            f"{score['auc']:.4f}",
            f"{score['average_precision']:.4f}",
            ahead,
        )
        for name, score, ahead in entries
    ]


_BASELINE_COLUMNS = ("forecast", "log loss", "Brier", "ECE", "AUC", "AP", "skill of margincast over it [95%]")


def horizon_table(metrics: Mapping[str, Any], title: str = "") -> Table:
    """Scores by horizon for the console.

    Parameters
    ----------
    metrics : mapping
        From `evaluate_predictions`.
    title : str
        Title of the table.

    Returns
    -------
    rich.table.Table
        The table.
    """
    return table_of(_COLUMNS, horizon_rows(metrics), title)


def baseline_table(metrics: Mapping[str, Any], title: str = "") -> Table:
    """Pooled scores of model and baselines for the console.

    Parameters
    ----------
    metrics : mapping
        From `evaluate_predictions`.
    title : str
        Title of the table.

    Returns
    -------
    rich.table.Table
        The table.
    """
    return table_of(_BASELINE_COLUMNS, baseline_rows(metrics), title)


REGIME_BASELINES = ("B0", "B1", "B2", "B3", "B4", "B6", "B9")


def regime_rows(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Text of the scores of each margin regime, beside the log loss of the baselines.

    Parameters
    ----------
    metrics : mapping
        From `evaluate_predictions`.

    Returns
    -------
    list of tuple of str
        One row a regime: name, forecasts, share called, predicted over observed, log loss of the model, of the prior,
        skill over the prior, log loss of the other baselines.
    """
    rows = []
    for name, part in metrics.get("regimes", {}).items():
        own = part["pooled"]
        others = (f"{part['baselines'][b]:.5f}" if b in part["baselines"] else "-" for b in REGIME_BASELINES)
        rows.append(
            (
                name,
                f"{own['n']:,}",
                f"{own['base_rate']:.4f}",
                f"{own['predicted_over_observed']:.3f}",
                f"{own['log_loss']:.5f}",
                f"{part['prior']['log_loss']:.5f}",
                interval(part["skill_vs_prior"]),
                *others,
            )
        )
    return rows


_REGIME_COLUMNS = (
    "regime", "forecasts", "called", "predicted / observed", "log loss", "B5", "skill over B5 [95%]",
    *REGIME_BASELINES,
)  # fmt: skip


def regime_table(metrics: Mapping[str, Any], title: str = "") -> Table:
    """Scores by margin regime for the console.

    Parameters
    ----------
    metrics : mapping
        From `evaluate_predictions`.
    title : str
        Title of the table.

    Returns
    -------
    rich.table.Table
        The table.
    """
    return table_of(_REGIME_COLUMNS, regime_rows(metrics), title)


def markdown_regimes(metrics: Mapping[str, Any]) -> str:
    """Scores by margin regime as a markdown table.

    Parameters
    ----------
    metrics : mapping
        From `evaluate_predictions`.

    Returns
    -------
    str
        Lines of the table.
    """
    return markdown_of(_REGIME_COLUMNS, regime_rows(metrics))


def markdown_horizons(metrics: Mapping[str, Any]) -> str:
    """Scores by horizon as a markdown table.

    Parameters
    ----------
    metrics : mapping
        From `evaluate_predictions`.

    Returns
    -------
    str
        Lines of the table.
    """
    return markdown_of(_COLUMNS, horizon_rows(metrics))


def markdown_baselines(metrics: Mapping[str, Any]) -> str:
    """Pooled scores of model and baselines as a markdown table.

    Parameters
    ----------
    metrics : mapping
        From `evaluate_predictions`.

    Returns
    -------
    str
        Lines of the table.
    """
    return markdown_of(_BASELINE_COLUMNS, baseline_rows(metrics))


def horizon_name(minutes: str) -> str:
    """Write minutes in hours or days.

    Parameters
    ----------
    minutes : str
        Minutes, or another word that stays as it is.

    Returns
    -------
    str
        For example ``"4 h"``.

    Examples
    --------
    >>> horizon_name("240"), horizon_name("pooled")
    ('4 h', 'pooled')
    """
    return f"{int(minutes) // 60} h" if minutes.isdigit() else minutes


def interval(skill: Mapping[str, float]) -> str:
    """Write a skill with its interval in percent.

    Parameters
    ----------
    skill : mapping
        value, low, high.

    Returns
    -------
    str
        For example ``"+0.31% [+0.10, +0.52]"``.

    Examples
    --------
    >>> interval({"value": 0.0031, "low": 0.001, "high": 0.0052})
    '+0.31% [+0.10, +0.52]'
    """
    return f"{skill['value']:+.2%} [{100 * skill['low']:+.2f}, {100 * skill['high']:+.2f}]"


def table_of(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> Table:
    """Lay out rows for the console; the first column is a name, pooled and margincast stand out.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : sequence of sequence of str
        Cells.
    title : str
        Title of the table.

    Returns
    -------
    rich.table.Table
        The table.
    """
    from rich.table import Table

    table = Table(title=title or None)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*row, style="bold" if row[0] in ("pooled", "margincast") else None)
    return table


def markdown_of(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows as a markdown table.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : sequence of sequence of str
        Cells.

    Returns
    -------
    str
        Lines of the table.

    Examples
    --------
    >>> print(markdown_of(("a", "b"), [("x", "1")]), end="")
    | a | b |
    | --- | ---: |
    | x | 1 |
    """
    lines = [columns, ["---" if i == 0 else "---:" for i in range(len(columns))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
