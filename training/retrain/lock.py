"""One retraining at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import BusyError

__all__ = ["only_one"]


@contextmanager
def only_one(folder: str | Path) -> Iterator[None]:
    """Hold the lock of a folder.

    Parameters
    ----------
    folder : str or Path
        Created if it is not there; the lock is the file ``retrain.lock`` in it. The system frees it when the process
        ends, however it ends.

    Yields
    ------
    None
        While the lock is held.

    Raises
    ------
    BusyError
        If another process holds it.
    """
    from filelock import FileLock, Timeout

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target / "retrain.lock", timeout=0)
    try:
        with lock:
            yield
    except Timeout:
        raise BusyError(f"{target}: another retraining is at work; wait for it, or give another --work") from None
