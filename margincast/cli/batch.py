"""Batches: every good account answered, every bad one listed, memory flat."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from margincast.cli.console import emit_json, note, progress, show_rows
from margincast.cli.files import failures_path, write_failures
from margincast.cli.guard import BAD_INPUT
from models.errors import Failure

if TYPE_CHECKING:
    from models.typing import IntArray

__all__ = ["Answer", "Columns", "in_order", "run_batch", "stamps", "write_answers"]

T = TypeVar("T")
R = TypeVar("R")
Columns = Mapping[str, Any]
SHOWN_ROWS = 200
SHOWN_FAILURES = 10


def stamps(nanoseconds: IntArray) -> Any:
    """Times for a result file: datetime64[us], which is written as UTC.

    Parameters
    ----------
    nanoseconds : ndarray of int64
        Since the epoch.

    Returns
    -------
    ndarray of datetime64[us]
        The same instants.
    """
    return nanoseconds.view("datetime64[ns]").astype("datetime64[us]")


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What came of one chunk.

    Parameters
    ----------
    columns : mapping
        Equal-length columns, the same names and types for every chunk.
    accounts : int
        Accounts that were answered.
    failures : sequence of Failure
        Those that were not.
    encoded : tuple of (bytes, int), optional
        The columns as a parquet file, and its rows, where whoever answered encoded them; then there are no columns.
    """

    columns: Columns
    accounts: int
    failures: Sequence[Failure]
    encoded: tuple[bytes, int] | None = None


@dataclass(slots=True)
class _Tally:
    """What has been done so far."""

    accounts: int = 0
    failed: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    first: list[Failure] = field(default_factory=list)

    def failure(self, failures: Iterable[Failure]) -> Iterator[Failure]:
        for failure in failures:
            self.failed += 1
            if len(self.first) < SHOWN_FAILURES:
                self.first.append(failure)
            yield failure


def run_batch(
    title: str,
    chunks: Iterable[T],
    answer: Callable[[T], Answer],
    out: Path | None,
    as_json: bool,
    shown: Sequence[str] = (),
    threads: int = 1,
) -> None:
    """Answer accounts chunk by chunk, into a file or on the console; list what failed.

    Parameters
    ----------
    title : str
        Heading of the table.
    chunks : iterable
        Accounts of a file, some at a time.
    answer : callable
        What a chunk gives.
    out : Path or None
        Result file; the console where None.
    as_json : bool
        Whether to print JSON.
    shown : sequence of str
        Columns of the console's table; all where empty.
    threads : int
        Chunks answered at the same time; they are written in their order.

    Raises
    ------
    typer.Exit
        With code 2 where no account could be answered.
    """
    write_answers(title, in_order(answer, chunks, threads), out, as_json, shown)


def write_answers(
    title: str, answers: Iterable[Answer], out: Path | None, as_json: bool, shown: Sequence[str] = ()
) -> None:
    """Write answers as they come into a file or on the console; list what failed.

    Parameters
    ----------
    title : str
        Heading of the table.
    answers : iterable of Answer
        Those of all chunks, in order.
    out : Path or None
        Result file; the console where None.
    as_json : bool
        Whether to print JSON.
    shown : sequence of str
        Columns of the console's table; all where empty.

    Raises
    ------
    typer.Exit
        With code 2 where no account could be answered.
    """
    from features.sources.parts import PartsWriter, encode_table, is_folder
    from features.sources.tables import TABLE_SUFFIXES, TableWriter

    writer: TableWriter | PartsWriter | None = None
    if out is not None:
        writer = PartsWriter(out) if is_folder(out, TABLE_SUFFIXES) else TableWriter(out)
    tally = _Tally()

    def failures() -> Iterator[Failure]:
        with progress() as bars:
            task = bars.add_task(title, total=None)
            with writer or nullcontext():
                for done in answers:
                    tally.accounts += done.accounts
                    if isinstance(writer, PartsWriter):
                        writer.write(*done.encoded or (encode_table(done.columns), _count(done.columns)))
                    elif writer is not None:
                        writer.write(done.columns)
                    else:
                        _keep(tally.rows, done.columns, None if as_json else SHOWN_ROWS)
                    bars.update(task, completed=tally.accounts + tally.failed)
                    yield from tally.failure(done.failures)

    if out is not None:
        write_failures(failures_path(out), failures())
    else:
        held = list(failures())
        if shown and not as_json:
            tally.rows = [{name: row[name] for name in shown} for row in tally.rows]
    _report(title, tally, out, as_json, [] if out is not None else held)


def in_order(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Apply a function to items in several threads, results in the order of the items.

    Parameters
    ----------
    function : callable
        Releases the GIL in its kernels, or nothing is gained.
    items : iterable
        Read one ahead of the threads, no further.
    threads : int
        At least 1; with 1 everything happens in the caller's thread.

    Yields
    ------
    object
        What the function returned.

    Examples
    --------
    >>> list(in_order(abs, [-1, 2, -3], threads=2))
    [1, 2, 3]
    """
    if threads <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _report(title: str, tally: _Tally, out: Path | None, as_json: bool, held: list[Failure]) -> None:
    if out is not None:
        summary = {"out": str(out), "accounts": tally.accounts, "failures": tally.failed}
        if tally.failed:
            summary["failures_file"] = str(failures_path(out))
        if as_json:
            emit_json(summary)
        else:
            note(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in summary.items()))
    elif as_json:
        emit_json({"rows": tally.rows, "failures": [_plain(failure) for failure in held]})
    else:
        show_rows(title, tally.rows, as_json=False)
        if tally.accounts > len(tally.rows):
            note("only the first rows are shown; --out FILE writes them all")
    for failure in tally.first:
        who = f" ({failure.account_id})" if failure.account_id else ""
        note(f"error: line {failure.row}{who}: {failure.message}")
    if tally.failed > len(tally.first):
        note(f"error: and {tally.failed - len(tally.first)} more")
    if tally.failed and not tally.accounts:
        raise typer.Exit(BAD_INPUT)


def _plain(failure: Failure) -> dict[str, Any]:
    return {name: getattr(failure, name) for name in ("row", "account_id", "code", "field", "message")}


def _count(columns: Columns) -> int:
    return len(next(iter(columns.values()), ()))


def _keep(rows: list[dict[str, Any]], columns: Columns, limit: int | None) -> None:
    count = _count(columns)
    room = count if limit is None else min(count, limit - len(rows))
    if room > 0:
        plain = {name: _list(values[:room]) for name, values in columns.items()}
        rows += [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


def _list(values: Any) -> list[Any]:
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    if kind == "M":
        return [f"{value}Z" for value in values.astype("datetime64[s]").astype(str).tolist()]
    return list(values.tolist()) if hasattr(values, "tolist") else list(values)
