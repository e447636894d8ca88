"""Scores of the size and the time of calls, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from models.overshoot import AMOUNT_LEVELS
from training.evaluate.table import horizon_name, markdown_of, table_of

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["amount_rows", "markdown_sizes", "size_tables", "time_rows"]

_MIDDLE, _HIGH = AMOUNT_LEVELS.index(0.5), AMOUNT_LEVELS.index(0.9)
_NAMES = {
    "model": "margincast",
    "tabulated": "prior, tabulated",
    "prior": "prior, simulated",
    "overshoot": "room plus overshoot",
}
_AMOUNT_COLUMNS = (
    "call amount", "n", "pinball", "q50", "q90", *(f"below q{round(100 * level)}" for level in AMOUNT_LEVELS),
)  # fmt: skip
_TIME_COLUMNS = (
    "time to a call within", "n", "mean error, minutes", "prior's", "a constant's", "bias", "interval", "adaptive",
)  # fmt: skip


def amount_rows(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Text of the scores of the call amount's quantiles.

    Parameters
    ----------
    metrics : mapping
        With the key ``call_amount``.

    Returns
    -------
    list of tuple of str
        One row each: name, rows, pinball loss of the log amount (mean of all levels; at 0.5; at 0.9), and the share of
        amounts at or below each quantile; a dash where a method does not give it. The first rows are the methods on the
        same calls, then margincast alone with adaptive constants, by horizon and by regime.
    """
    found = metrics.get("call_amount", {})
    rows = []
    for key, name in _NAMES.items():
        if key in found:
            loss = [float("nan") if x is None else x for x in found[key]["pinball"]]
            figures = (sum(loss) / len(loss), loss[_MIDDLE], loss[_HIGH])
            rows.append((name, f"{found['n_compared']:,}", *map(_loss, figures), *map(_share, found[key]["coverage"])))
    if "adaptive" in found:
        rows.append(("margincast, adaptive", f"{found['n']:,}", "-", "-", "-", *map(_share, found["adaptive"])))
    for name, part in sorted(found.get("by_horizon", {}).items(), key=lambda entry: int(entry[0])):
        rows.append(_part(f"margincast, within {horizon_name(name)}", part))
    regimes = found.get("by_regime", {})
    return rows + [_part(f"margincast, {name}", part) for name, part in regimes.items() if len(regimes) > 1]


def time_rows(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Text of the scores of the time to a call.

    Parameters
    ----------
    metrics : mapping
        With the key ``time_to_call``.

    Returns
    -------
    list of tuple of str
        One row a horizon.
    """
    return [
        (
            horizon_name(name),
            f"{part['n']:,}",
            *(f"{part[key]:.0f}" for key in ("mean_absolute_error", "prior", "constant", "bias")),
            _share(part["coverage"]),
            _share(part["adaptive"]),
        )
        for name, part in metrics.get("time_to_call", {}).items()
        if name.isdigit()
    ]


def size_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """Scores of the size and the time of calls for the console.

    Parameters
    ----------
    metrics : mapping
        With the keys ``call_amount`` and ``time_to_call``.

    Returns
    -------
    list of rich.table.Table
        Two tables; none where there was no call.
    """
    parts = ((_AMOUNT_COLUMNS, amount_rows(metrics)), (_TIME_COLUMNS, time_rows(metrics)))
    return [table_of(columns, rows, "") for columns, rows in parts if rows]


def markdown_sizes(metrics: Mapping[str, Any]) -> str:
    """Scores of the size and the time of calls as markdown tables.

    Parameters
    ----------
    metrics : mapping
        With the keys ``call_amount`` and ``time_to_call``.

    Returns
    -------
    str
        Lines of the tables.
    """
    parts = ((_AMOUNT_COLUMNS, amount_rows(metrics)), (_TIME_COLUMNS, time_rows(metrics)))
    return "\n".join(markdown_of(columns, rows) for columns, rows in parts if rows)


def _part(name: str, part: Mapping[str, Any]) -> tuple[str, ...]:
    return (name, f"{part['n']:,}", "-", "-", "-", *map(_share, part["coverage"]))


def _loss(value: float) -> str:
    return "-" if value != value else f"{value:.4f}"


def _share(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.1%}"
