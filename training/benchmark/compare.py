"""Forecasts side by side on the same rows: scores, decisions, paired differences, calibration by part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from models.market import MarketPanel
from models.typing import HORIZONS, BoolArray, FloatArray
from training.benchmark.attainable import contested
from training.dataset import Dataset
from training.evaluate.decisions import RATIOS
from training.evaluate.metrics import median_lead_minutes, recall_at_budget
from training.evaluate.report import scores, skills
from training.evaluate.segments import segment_table

__all__ = ["OURS", "compare"]

OURS: Final = "margincast"
_ALERT: Final = "B8"


def compare(
    dataset: Dataset, forecasts: Mapping[str, FloatArray], panel: MarketPanel, draws: int = 2000
) -> dict[str, Any]:
    """Score forecasts on the margin calls of a dataset.

    Parameters
    ----------
    dataset : Dataset
        n pairs with outcomes.
    forecasts : mapping of str to ndarray of float, shape (n, 4)
        Predictions by name; ``"margincast"`` must be among them.
    panel : MarketPanel
        The market.
    draws : int
        Bootstrap draws of the intervals.

    Returns
    -------
    dict
        ``scores`` by forecast and horizon (`training.evaluate.metrics.summary`); ``skill`` of margincast over each
        other, by horizon; ``contested``, the same two on the accounts near their level; ``best_cost``, the forecast
        with the least expected cost by horizon and ratio; ``equal_alerts``, beside the static alert; ``calibration``
        of margincast by part.
    """
    calls = dataset.level == 0
    near = contested(dataset) & calls[:, None]
    ours = forecasts[OURS]
    found = {name: scores(dataset, p, calls) for name, p in forecasts.items()}
    return {
        "scores": found,
        "skill": _skills(dataset, ours, forecasts, calls, draws),
        "contested": {
            "scores": {name: scores(dataset, p, near) for name, p in forecasts.items()},
            "skill": _skills(dataset, ours, forecasts, near, draws),
        },
        "best_cost": {h: _best(found, h) for h in found[OURS]},
        "equal_alerts": _equal_alerts(dataset, forecasts, calls) if _ALERT in forecasts else {},
        "calibration": segment_table(dataset, ours, panel),
    }


def _skills(
    dataset: Dataset, ours: FloatArray, forecasts: Mapping[str, FloatArray], rows: BoolArray, draws: int
) -> dict[str, Any]:
    return {name: skills(dataset, ours, p, rows, draws) for name, p in forecasts.items() if name != OURS}


def _best(found: Mapping[str, Any], horizon: str) -> dict[str, str]:
    """Name of the forecast with the least expected cost at each ratio; of equal ones the first."""
    costs = {name: scored[horizon]["expected_cost"] for name, scored in found.items()}
    return {str(r): min(costs, key=lambda name: costs[name][str(r)]) for r in RATIOS}


def _equal_alerts(dataset: Dataset, forecasts: Mapping[str, FloatArray], rows: BoolArray) -> dict[str, Any]:
    """Recall of every forecast at as many alerts as the static one raises (accounts in its upper state)."""
    out = {}
    for k, horizon in enumerate(HORIZONS):
        use = rows & dataset.usable[:, k]
        y, minutes = dataset.y[use, k].astype(np.float64), dataset.minutes[use]
        static = forecasts[_ALERT][use, k]
        raised = static == static.max(initial=0.0)
        budget = float(raised.mean()) if len(raised) else 0.0
        if not 0.0 < budget < 1.0 or not y.sum():
            continue
        order = {n: raised.astype(np.float64) if n == _ALERT else p[use, k] for n, p in forecasts.items()}
        out[str(horizon)] = {
            "share_alerted": budget,
            "recall": {name: recall_at_budget(p, y, budget) for name, p in order.items()},
            "lead_minutes": {name: median_lead_minutes(p, y, minutes, budget) for name, p in order.items()},
        }
    return out
