"""``--workers`` and ``--scheduler``: the same commands on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from models.errors import InputError

if TYPE_CHECKING:
    from training.cluster import Cluster
    from training.workers import Grow, Workers

__all__ = ["Processes", "Scheduler", "open_workers"]

T = TypeVar("T")
_IMPORTED: Final = ("training.build", "margincast.cli.worker_predictions", "features.forecast")
"""What the work on accounts needs."""

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
        with _started_beside(processes) as starting:
            yield starting
    else:
        yield None


@contextmanager
def _started_beside(processes: int) -> Iterator[Workers]:
    """Worker processes that start while this process goes on, until it needs them."""
    from training.cluster import check_extra, local_cluster

    check_extra()
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        starting = pool.submit(stack.enter_context, local_cluster(processes, _IMPORTED))
        yield _Starting(starting)


class _Starting:
    """Workers that are waited for when they are first asked for something."""

    def __init__(self, starting: Future[Cluster]) -> None:
        self._starting = starting

    @property
    def grow(self) -> Grow | None:
        return self._starting.result().grow

    def share(self, value: Any) -> Any:
        return self._starting.result().share(value)

    def map(self, function: Callable[..., T], items: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        return self._starting.result().map(function, items)
