"""Parameters and metrics of an MLflow run, many at a time: a tracking server is asked over the network."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["log_figures"]

_METRICS_AT_ONCE: Final = 500
_PARAMETERS_AT_ONCE: Final = 100


def log_figures(client: MlflowClient, run_id: str, parameters: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    """Log parameters and metrics.

    Parameters
    ----------
    client : MlflowClient
        Where the run is.
    run_id : str
        The run.
    parameters : mapping
        Stored as text, cut at 500 characters.
    metrics : mapping
        Numbers, nested; they get dots between the keys. NaN and text are left out.
    """
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    told = [Param(key, str(value)[:500]) for key, value in parameters.items()]
    measured = [Metric(key, number, now, 0) for key, number in _flat(metrics).items()]
    for first in range(0, len(told), _PARAMETERS_AT_ONCE):
        client.log_batch(run_id, params=told[first : first + _PARAMETERS_AT_ONCE])
    for first in range(0, len(measured), _METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=measured[first : first + _METRICS_AT_ONCE])


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers of a nested mapping, with dots between the keys; NaN and text are left out."""
    out: dict[str, float] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            out.update(_flat(value, f"{name}."))
        elif isinstance(value, bool | int | float) and value == value:
            out[name] = float(value)
    return out
