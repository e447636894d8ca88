"""What a training run can be told, and how it tells of its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from models.errors import InputError
from models.market import MarketPanel
from models.typing import IntArray
from training.build import BuildSettings
from training.fit import FitParameters

__all__ = ["Stage", "TrainSettings", "instants_between", "say", "stage"]

Stage = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a model is trained.

    Parameters
    ----------
    ruleset : str
        Ruleset of the sampled accounts, or ``"mixed"``: accounts of every regime.
    every_minutes : int
        Minutes between two instants; 300 (five hours) passes through all hours of the week.
    per_instant : int
        Accounts sampled at an instant.
    seed : int
        Seed of the population and of the trees.
    warmup_days : int
        Days of history before the first instant, at least 61 (the prior is fitted on them).
    one_prior : bool
        Whether one prior, fitted on all of the training period, stands behind all of its instants: the trees then
        learn to correct the prior that they will be served with, not the poorer ones of the first months. Otherwise
        it is fitted anew every ``build.refit_days``. Evaluation always lies after the prior's data.
    build : BuildSettings
        How the training set is built.
    fit : FitParameters
        Parameters of the trees.
    baselines : bool
        Whether the fitted baselines of the report are trained too.
    """

    ruleset: str = "binance-usdm"
    every_minutes: int = 300
    per_instant: int = 28
    seed: int = 7
    warmup_days: int = 180
    one_prior: bool = True
    build: BuildSettings = field(default_factory=BuildSettings)
    fit: FitParameters = field(default_factory=FitParameters)
    baselines: bool = True

    def __post_init__(self) -> None:
        for name, least in (("every_minutes", 1), ("per_instant", 1), ("warmup_days", 61), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(name, getattr(self, name), f"at least {least}")


def instants_between(panel: MarketPanel, start: int, end: int, every_minutes: int) -> IntArray:
    """Instants on the bar grid, from ``start`` to before ``end``.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    start, end : int
        Nanoseconds UTC.
    every_minutes : int
        Distance; rounded up to whole bars.

    Returns
    -------
    ndarray of int64
        Nanoseconds UTC, inside the panel.
    """
    bars = max(1, -(-every_minutes // panel.bar_minutes))
    first = max(int(panel.row_after(start)), 1)
    stop = min(int(panel.row_after(end)), panel.n_bars)
    return panel.start + np.arange(first, stop, bars, dtype=np.int64) * panel.step


def stage(progress: Stage | None, name: str) -> Callable[[int, int], None] | None:
    """Turn a callback for all stages into one for a stage.

    Parameters
    ----------
    progress : callable or None
        Called with (stage, done, in all).
    name : str
        Name of the stage.

    Returns
    -------
    callable or None
        Called with (done, in all).
    """
    return None if progress is None else lambda done, total: progress(name, done, total)


def say(progress: Stage | None, name: str, done: int, total: int) -> None:
    """Report one step, if anyone listens.

    Parameters
    ----------
    progress : callable or None
        Called with (stage, done, in all).
    name : str
        Name of the stage.
    done, total : int
        How much is done, and how much there is.
    """
    if progress is not None:
        progress(name, done, total)
