"""The list of rows that failed, kept beside the result file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from models.errors import Failure

__all__ = ["failures_path", "write_failures"]


def failures_path(out: Path) -> Path:
    """Say where the rows that failed are listed.

    Parameters
    ----------
    out : Path
        The result file.

    Returns
    -------
    Path
        Beside it.

    Examples
    --------
    >>> failures_path(Path("calls.parquet")).name
    'calls.failures.jsonl'
    """
    return out.with_name(f"{out.stem}.failures.jsonl")


def write_failures(path: Path, failures: Iterable[Failure]) -> int:
    """Write one line for each row that failed; an older list is removed when there is none.

    Parameters
    ----------
    path : Path
        Where to.
    failures : iterable of Failure
        What went wrong, row by row; may be a generator, nothing is kept.

    Returns
    -------
    int
        How many.
    """
    import msgspec

    from features.sources.tables import atomic_path

    count = 0
    with atomic_path(path) as part, part.open("wb") as file:
        for count, failure in enumerate(failures, 1):  # noqa: B007 - the count is the result
            file.write(msgspec.json.encode(failure) + b"\n")
    if not count:
        path.unlink(missing_ok=True)
    return count
