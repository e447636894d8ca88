"""What a person reads: tables on stdout, progress on stderr; or the same rows as JSON."""

from __future__ import annotations

import ctypes
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["emit_json", "iso", "money", "note", "percent", "progress", "show_rows", "solver_on_stderr", "stdout"]

Row = Mapping[str, Any]


def stdout() -> Console:
    """Return a console for results; as wide as the terminal, 180 columns where there is none."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else max(180, shutil.get_terminal_size((180, 40)).columns)
    return Console(width=width, highlight=False, soft_wrap=False)


def note(text: str) -> None:
    """Say something about the run on stderr, so that stdout stays clean for results.

    Parameters
    ----------
    text : str
        One line.
    """
    typer.echo(text, err=True)


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout; numbers that are not finite become null.

    Parameters
    ----------
    value : object
        Mappings, sequences, numbers, text, times, numpy scalars and arrays.
    """
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def show_rows(title: str, rows: Sequence[Row], as_json: bool, styles: Mapping[str, str] | None = None) -> None:
    """Print rows as a table, or as a JSON array.

    Parameters
    ----------
    title : str
        Heading of the table.
    rows : sequence of mapping
        One a line; the keys of the first row are the columns.
    as_json : bool
        Whether to print JSON.
    styles : mapping, optional
        A rich style for a column.
    """
    if as_json:
        emit_json(rows)
        return
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    names = list(rows[0]) if rows else []
    for name in names:
        number = isinstance(rows[0][name], int | float) and not isinstance(rows[0][name], bool)
        long = any(isinstance(row[name], str) and len(row[name]) > 40 for row in rows)
        table.add_column(
            name.replace("_", " "),
            justify="right" if number else "left",
            style=(styles or {}).get(name),
            no_wrap=not long,
        )
    for row in rows:
        table.add_row(*(_cell(row[name], name) for name in names))
    stdout().print(table if rows else f"{title}: nothing to show")


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress bars on stderr while the body runs; silent where stderr is no terminal.

    Yields
    ------
    rich.progress.Progress
        Where tasks are added.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    if not console.is_terminal:  # a disabled bar still ends with an empty line in older versions of rich
        yield bars
        return
    with bars:
        yield bars


def iso(nanoseconds: int) -> str:
    """Write a time as ISO 8601 UTC.

    Parameters
    ----------
    nanoseconds : int
        Since the epoch, UTC.

    Returns
    -------
    str
        Seconds resolution, with a Z.

    Examples
    --------
    >>> iso(1_740_830_400_000_000_000)
    '2025-03-01T12:00:00Z'
    """
    return datetime.fromtimestamp(int(nanoseconds) // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def money(value: float) -> str:
    """Write an amount for people.

    Parameters
    ----------
    value : float
        Account currency.

    Returns
    -------
    str
        Thousands separated, two decimals below 1000; a dash for NaN.

    Examples
    --------
    >>> money(1234.5), money(-3.456), money(float("nan"))
    ('1,234', '-3.46', '-')
    """
    if not math.isfinite(value):
        return "-"
    return f"{value:,.2f}" if abs(value) < 1000 else f"{value:,.0f}"


def percent(value: float) -> str:
    """Write a probability for people.

    Parameters
    ----------
    value : float
        In [0, 1].

    Returns
    -------
    str
        One decimal, more where it is small; a dash for NaN.

    Examples
    --------
    >>> percent(0.1234), percent(0.00042), percent(0.0)
    ('12.3%', '0.042%', '0.0%')
    """
    if not math.isfinite(value):
        return "-"
    return f"{value:.3%}" if 0 < value < 0.001 else f"{value:.1%}"


def _cell(value: Any, name: str) -> str:
    if isinstance(value, float) and (name == "prior" or name.startswith("p_")):
        return percent(value)
    if isinstance(value, float):
        return money(value) if abs(value) >= 10 or not math.isfinite(value) else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "-" if value is None else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int | str | bool) or value is None else str(value)


@contextmanager
def solver_on_stderr() -> Iterator[None]:
    """Send what compiled code writes to standard output to standard error: HiGHS sometimes prints a line of its own.

    Yields
    ------
    None
        Until the block ends.
    """
    library = ctypes.CDLL(None) if os.name == "posix" else None
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        if library is not None:
            library.fflush(None)  # what C still holds back
        os.dup2(kept, 1)
        os.close(kept)
