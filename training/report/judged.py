"""What a report is about: an evaluation, the market it ran on, and the model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from models.market import MarketPanel
from models.predictor.predictor import MarginCallPredictor
from models.typing import HORIZONS, BoolArray, FloatArray, IntArray
from training.baselines import NAMES
from training.dataset import Dataset
from training.report.numbers.drift import Inputs
from training.scoring import Evaluation

__all__ = ["Judged", "label_of", "short"]


@dataclass(frozen=True, eq=False)
class Judged:
    """An evaluation with what stands behind it.

    Parameters
    ----------
    evaluation : Evaluation
        Metrics, rows, forecasts and accounts.
    panel : MarketPanel
        The market.
    predictor : MarginCallPredictor
        The model.
    """

    evaluation: Evaluation
    panel: MarketPanel
    predictor: MarginCallPredictor

    @property
    def metrics(self) -> dict[str, Any]:
        """Content of ``metrics.json``."""
        return self.evaluation.metrics

    @cached_property
    def calls(self) -> BoolArray:
        """Rows about margin calls, shape (n,)."""
        return np.asarray(self.evaluation.dataset.level == 0, np.bool_)

    @cached_property
    def dataset(self) -> Dataset:
        """The rows about margin calls, without their features."""
        return self.evaluation.dataset.bare().take(self.calls)

    @cached_property
    def inputs(self) -> Inputs:
        """Features of the margin calls, as known whatever the horizon."""
        whole = self.evaluation.dataset
        rows = np.flatnonzero(self.calls) * len(HORIZONS)
        return Inputs(whole.x[rows], whole.feature_names, whole.as_of[self.calls])

    @cached_property
    def forecasts(self) -> dict[str, FloatArray]:
        """Forecasts of the calls by name, the model's first; shape (n, 4) each."""
        found = {"margincast": self.evaluation.p, **self.evaluation.baselines}
        return {name: p[self.calls] for name, p in found.items()}

    @property
    def reference(self) -> FloatArray:
        """Forecasts of B5, or of the prior where it is not there; shape (n, 4)."""
        return self.forecasts.get("B5", self.dataset.prior)

    def at(self, horizon: int, name: str = "margincast") -> tuple[FloatArray, FloatArray, IntArray, FloatArray]:
        """Give the usable rows of one horizon.

        Parameters
        ----------
        horizon : int
            Minutes.
        name : str
            Whose forecasts.

        Returns
        -------
        p, y, as_of, minutes : ndarray, shape (m,)
            Forecasts, outcomes, instants, and minutes to the call.
        """
        k = HORIZONS.index(horizon)
        use = self.dataset.usable[:, k]
        y = self.dataset.y[use, k].astype(np.float64)
        return self.forecasts[name][use, k], y, self.dataset.as_of[use], self.dataset.minutes[use]


def label_of(name: str) -> str:
    """Name a forecast in full.

    Parameters
    ----------
    name : str
        ``"margincast"`` or the code of a baseline.

    Returns
    -------
    str
        Code and words.

    Examples
    --------
    >>> label_of("B5")
    'B5 filtered historical simulation, HAR'
    """
    return f"{name} {NAMES[name]}" if name in NAMES else name


def short(name: str) -> str:
    """Name a forecast in few letters, for a legend.

    Parameters
    ----------
    name : str
        ``"margincast"`` or the code of a baseline.

    Returns
    -------
    str
        At most three words.

    Examples
    --------
    >>> short("B8")
    'B8 static alert'
    """
    words = {
        "B0": "base rate", "B1": "distance", "B2": "reflection 30 d", "B3": "reflection EWMA", "B4": "FHS EWMA",
        "B5": "FHS HAR", "B6": "logistic", "B7": "last flag", "B8": "static alert", "B9": "plain LightGBM",
        "P": "prior",
    }  # fmt: skip
    return f"{name} {words[name]}" if name in words else name
