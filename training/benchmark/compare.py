"""Forecasts side by side on the same rows: scores, decisions, paired differences, calibration by part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from models.market import MarketPanel
from models.typing import HORIZONS, BoolArray, FloatArray
from training.benchmark.attainable import contested
from training.benchmark.names import OURS
from training.dataset import Dataset
from training.evaluate.decisions import RATIOS
from training.evaluate.metrics import median_lead_minutes, recall_at_budget
from training.evaluate.report import scores, skills
from training.evaluate.segments import segment_table

__all__ = ["compare", "least_cost"]

_ALERT: Final = "B8"


def compare(dataset: Dataset, forecasts: Mapping[str, FloatArray], panel: MarketPanel) -> dict[str, Any]:
    """Score forecasts on the margin calls of a dataset.

    Parameters
    ----------
    dataset : Dataset
        n pairs with outcomes.
    forecasts : mapping of str to ndarray of float, shape (n, 4)
        Predictions by name; ``"margincast"`` must be among them.
    panel : MarketPanel
        The market.

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
        "skill": _skills(dataset, ours, forecasts, calls),
        "contested": {
            "scores": {name: scores(dataset, p, near) for name, p in forecasts.items()},
            "skill": _skills(dataset, ours, forecasts, near),
        },
        "best_cost": {h: least_cost({n: s[h]["expected_cost"] for n, s in found.items()}) for h in found[OURS]},
        "equal_alerts": _equal_alerts(dataset, forecasts, calls) if _ALERT in forecasts else {},
        "calibration": segment_table(dataset, ours, panel),
    }


def _skills(dataset: Dataset, ours: FloatArray, forecasts: Mapping[str, FloatArray], rows: BoolArray) -> dict[str, Any]:
    return {name: skills(dataset, ours, p, rows) for name, p in forecasts.items() if name != OURS}


def least_cost(costs: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Find the forecast with the least expected cost at each ratio.

    Parameters
    ----------
    costs : mapping
        Cost by forecast and ratio (as text).

    Returns
    -------
    dict of str to str
        Name by ratio; of equal ones the first.

    Examples
    --------
    >>> least_cost({name: {str(r): cost for r in RATIOS} for name, cost in (("a", 0.2), ("b", 0.1))})["0.05"]
    'b'
    """
    return {str(r): min(costs, key=lambda name: costs[name][str(r)]) for r in RATIOS}


def _equal_alerts(dataset: Dataset, forecasts: Mapping[str, FloatArray], rows: BoolArray) -> dict[str, Any]:
    """Recall of every forecast at as many alerts as the static one raises, at its upper level and at both."""
    out: dict[str, Any] = {}
    for k, horizon in enumerate(HORIZONS):
        use = rows & dataset.usable[:, k]
        y, minutes = dataset.y[use, k].astype(np.float64), dataset.minutes[use]
        here = {name: p[use, k] for name, p in forecasts.items()}
        static = here[_ALERT]
        raised = {"upper": static == static.max(initial=0.0), "both": static > static.min(initial=1.0)}
        out[str(horizon)] = {level: _at_equal(here, mask, y, minutes) for level, mask in raised.items()}
    return out


def _at_equal(here: Mapping[str, FloatArray], raised: BoolArray, y: FloatArray, minutes: FloatArray) -> dict[str, Any]:
    """Recall and lead at the share of accounts that is raised; empty where that is none or all."""
    budget = float(raised.mean()) if len(raised) else 0.0
    if not 0.0 < budget < 1.0 or not y.sum():
        return {}
    order = {name: raised.astype(np.float64) if name == _ALERT else p for name, p in here.items()}
    return {
        "share_alerted": budget,
        "recall": {name: recall_at_budget(p, y, budget) for name, p in order.items()},
        "lead_minutes": {name: median_lead_minutes(p, y, minutes, budget) for name, p in order.items()},
    }
