"""Workers of a Dask cluster (extra ``dask``): of a scheduler, or so many processes of this machine."""

from __future__ import annotations

import os
import re
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from io import StringIO
from logging import ERROR
from typing import TYPE_CHECKING, Any, Final, TypeVar

from models.errors import InputError
from models.typing import Float32Array, FloatArray

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster", "local_cluster", "remote_cluster"]

T = TypeVar("T")
_AHEAD: Final = 2
"""Items that wait for each worker, so that none is idle while the results of another are fetched."""
_SKLEARN: Final = {
    "min_data_in_leaf": "min_child_samples", "feature_fraction": "colsample_bytree", "bagging_fraction": "subsample",
    "bagging_freq": "subsample_freq", "lambda_l2": "reg_lambda", "seed": "random_state",
}  # fmt: skip
_OWN: Final = ("num_threads", "bagging_by_query")
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
        waiting: deque[Any] = deque()
        most = _AHEAD * max(len(self), 1)
        for item in items:
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
def local_cluster(processes: int) -> Iterator[Cluster]:
    """Start so many worker processes on this machine, of one thread each.

    Parameters
    ----------
    processes : int
        At least 1.

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
    _check_extra()
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        cluster = stack.enter_context(
            LocalCluster(
                n_workers=processes, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=ERROR
            )
        )
        client = stack.enter_context(Client(cluster))
        client.run(os.dup2, 2, 1)  # what a worker prints is no part of this process's answer
        yield Cluster(client)


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
    _check_extra()
    from distributed import Client

    try:
        client = Client(address, timeout=wait_seconds)
    except (OSError, ValueError) as error:
        raise InputError("scheduler", address, f"the address of a running Dask scheduler ({error})") from None
    with client:
        yield Cluster(client)


def _check_extra() -> None:
    try:
        import dask.array  # noqa: F401
        import distributed  # noqa: F401
    except ImportError as error:
        raise InputError("workers", str(error), "the extra dask: pip install 'margincast[dask]'") from None


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
