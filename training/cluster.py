"""Workers of a Dask cluster (extra ``dask``): of a scheduler, or so many processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import re
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from logging import ERROR
from typing import TYPE_CHECKING, Any, Final, TypeVar

from models.errors import InputError
from models.typing import Float32Array, FloatArray

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster", "check_extra", "local_cluster", "remote_cluster"]

T = TypeVar("T")
_AHEAD: Final = 2
"""Items that wait for each worker, so that none is idle while the results of another are fetched."""
_SKLEARN: Final = {
    "min_data_in_leaf": "min_child_samples", "feature_fraction": "colsample_bytree", "bagging_fraction": "subsample",
    "bagging_freq": "subsample_freq", "lambda_l2": "reg_lambda", "seed": "random_state",
}  # fmt: skip
_OWN: Final = ("num_threads", "bagging_by_query")
_CONFIGURATION: Final = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**30,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**25,
    "distributed.nanny.pre-spawn-environ.MALLOC_ARENA_MAX": 1,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
}
"""Dask has glibc give back all memory at once, and every larger array then costs its pages anew; here up to a gigabyte
is kept from piece to piece. One thread works, so one arena is enough. Nobody looks at Dask's profiles of the workers,
and its event loops need not look at themselves 50 times a second: both take seconds of a processor in a minute."""
_LARGE: Final = {"distributed.admin.large-graph-warning-threshold": "10GB"}
"""A task carries its item, which is read once; Dask would advise against more than 10 MB, for what is used again."""
_ADDRESS: Final = re.compile(r"\[(machines|local_listen_port): [^\]]*\]")


class Cluster:
    """The workers that a client of Dask is connected to.

    Parameters
    ----------
    client : distributed.Client
        The connection.

    Raises
    ------
    InputError
        If there is no worker, or the workers have other code or other rulesets than this process.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        _check_same(client)

    @property
    def addresses(self) -> list[str]:
        """Addresses of the workers there are now."""
        return sorted(self.client.scheduler_info(n_workers=-1)["workers"])

    def __len__(self) -> int:
        return len(self.addresses)

    @property
    def grow(self) -> Callable[[dict[str, Any], Float32Array, FloatArray, FloatArray, int], str]:
        """LightGBM over all workers, each with its part of the rows."""
        return self._grow

    def share(self, value: Any) -> Any:
        """Send a value to every worker, once.

        Parameters
        ----------
        value : object
            Anything that can be pickled.

        Returns
        -------
        distributed.Future
            Stands for it in an item.
        """
        return self.client.scatter(value, broadcast=True, hash=False)

    def map(self, function: Callable[..., T], items: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """Call a function with the parts of each item, two items ahead of each worker.

        Parameters
        ----------
        function : callable
            A function of a module.
        items : iterable of tuple
            Arguments.

        Yields
        ------
        object
            What the function returned, in the order of the items.
        """
        import dask

        waiting: deque[Any] = deque()
        most = _AHEAD * max(len(self), 1)
        for item in items:
            with dask.config.set(_LARGE):
                waiting.append(self.client.submit(function, *item, pure=False))
            if len(waiting) >= most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _grow(self, settings: dict[str, Any], x: Float32Array, y: FloatArray, start: FloatArray, rounds: int) -> str:
        """Deal the rows to the workers in turn, so that each has some of every instant, and boost over all of them."""
        import dask.array as da
        from lightgbm import DaskLGBMRegressor  # the classifier fails where a worker has rows of one class only

        workers = self.addresses[: max(1, len(x) // 1000)]
        columns = []
        for whole in (x, y, start):
            parts = [whole[i :: len(workers)] for i in range(len(workers))]
            sent = [self.client.scatter(part, workers=[w], hash=False) for part, w in zip(parts, workers, strict=True)]
            blocks = [da.from_delayed(f, p.shape, dtype=p.dtype) for f, p in zip(sent, parts, strict=True)]
            columns.append(da.concatenate(blocks))
        self.client.gather([self.client.submit(_keep_quiet, workers=[w], pure=False) for w in workers])
        chosen = {_SKLEARN.get(k, k): v for k, v in settings.items() if k not in _OWN}
        model = DaskLGBMRegressor(client=self.client, n_estimators=rounds, tree_learner="data", **chosen)
        with warnings.catch_warnings(), redirect_stdout(StringIO()):  # it prints that it looks for ports
            warnings.filterwarnings("ignore", "Parameter n_jobs will be ignored")  # it is LightGBM's own default
            model.fit(columns[0], columns[1], init_score=columns[2])
        return _ADDRESS.sub(r"[\1: ]", model.booster_.model_to_string())


@contextmanager
def local_cluster(processes: int, imported: Sequence[str] = ()) -> Iterator[Cluster]:
    """Start so many worker processes on this machine, of one thread each.

    Parameters
    ----------
    processes : int
        At least 1.
    imported : sequence of str
        Modules that the workers will need. They are imported once, by the process that the workers are forked from,
        where the system can fork.

    Yields
    ------
    Cluster
        Ended with the block.

    Raises
    ------
    InputError
        If the extra is not installed, or the number is below one.
    """
    if processes < 1:
        raise InputError("workers", processes, "at least 1")
    check_extra()
    import dask
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        with dask.config.set(_making(imported)):
            cluster = LocalCluster(
                n_workers=processes, threads_per_worker=1, processes=True, silence_logs=ERROR,
                dashboard_address="127.0.0.1:0",  # any free port: two commands may run at the same time
            )  # fmt: skip
        stack.callback(cluster.close)
        client = Client(cluster, direct_to_workers=True)  # results do not go by way of the scheduler
        stack.callback(client.close)  # not its own block, which must be left in the thread that entered it
        client.run(os.dup2, 2, 1)  # what a worker prints is no part of this process's answer
        yield Cluster(client)


def _making(imported: Sequence[str]) -> dict[str, Any]:
    """How worker processes are made: forks of a process without threads that has imported what they need."""
    import dask
    from distributed.utils import get_mp_context

    chosen: dict[str, Any] = dict(_CONFIGURATION)
    if "forkserver" in multiprocessing.get_all_start_methods():
        chosen["distributed.worker.multiprocessing-method"] = "forkserver"
        with dask.config.set(chosen):
            get_mp_context().set_forkserver_preload(["distributed", *imported])
    return chosen


@contextmanager
def remote_cluster(address: str, wait_seconds: float = 30.0) -> Iterator[Cluster]:
    """Connect to a cluster that runs already.

    Parameters
    ----------
    address : str
        Of its scheduler, for example ``tcp://10.0.0.5:8786``.
    wait_seconds : float
        How long to wait for an answer.

    Yields
    ------
    Cluster
        Left running after the block.

    Raises
    ------
    InputError
        If the extra is not installed, nobody answers, or the workers differ from this process.
    """
    check_extra()
    from distributed import Client

    try:
        client = Client(address, timeout=wait_seconds)
    except (OSError, ValueError) as error:
        raise InputError("scheduler", address, f"the address of a running Dask scheduler ({error})") from None
    with client:
        yield Cluster(client)


def check_extra() -> None:
    """Ask for the extra ``dask``, without importing it.

    Raises
    ------
    InputError
        If it is not installed.
    """
    missing = [name for name in ("dask", "distributed") if find_spec(name) is None]
    if missing:
        raise InputError("workers", f"without {missing[0]}", "the extra dask: pip install 'margincast[dask]'")


def _keep_quiet() -> None:
    """In the thread of a worker: what LightGBM says of its network goes to a log."""
    import logging

    import lightgbm

    lightgbm.register_logger(logging.getLogger("lightgbm"))


def _about() -> tuple[str, str, str]:
    """What must be the same everywhere: version, columns, rulesets."""
    from importlib.metadata import version

    from features.build import FEATURE_SCHEMA_HASH
    from models.margin.rulesets.loader import ruleset_digest, ruleset_names
    from training.dataset import fingerprint

    rules = fingerprint(*((name, ruleset_digest(name)) for name in sorted(ruleset_names())))
    return version("margincast"), FEATURE_SCHEMA_HASH, rules


def _check_same(client: Client) -> None:
    found = client.run(_about)
    if not found:
        raise InputError("scheduler", client.scheduler.address, "a cluster with at least one worker")
    mine = _about()
    for worker, theirs in found.items():
        for name, own, other in zip(("version", "feature schema", "rulesets"), mine, theirs, strict=True):
            if own != other:
                raise InputError(f"{worker}.{name}", other, f"that of this process, {own}")
