"""``--workers`` and ``--scheduler``: the same commands on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import InputError

if TYPE_CHECKING:
    from training.workers import Workers

__all__ = ["Processes", "Scheduler", "open_workers"]

Processes = Annotated[
    int | None,
    typer.Option("--workers", help="Worker processes on this machine; this process alone where left out.", min=1),
]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", help="A running Dask cluster, for example tcp://10.0.0.5:8786.")
]


@contextmanager
def open_workers(processes: int | None, scheduler: str | None) -> Iterator[Workers | None]:
    """Open the workers that two options name.

    Parameters
    ----------
    processes : int or None
        Of ``--workers``.
    scheduler : str or None
        Of ``--scheduler``.

    Yields
    ------
    Workers or None
        None where neither is given.

    Raises
    ------
    InputError
        If both are given, the extra is missing, or the cluster is not there.
    """
    if processes is not None and scheduler is not None:
        raise InputError("--workers", processes, "either --workers or --scheduler")
    if scheduler is not None:
        from training.cluster import remote_cluster

        with remote_cluster(scheduler) as found:
            yield found
    elif processes is not None:
        from training.cluster import local_cluster

        with local_cluster(processes) as found:
            yield found
    else:
        yield None
