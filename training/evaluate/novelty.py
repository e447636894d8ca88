"""How often inputs are flagged as unusual, and how good the forecasts are there."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.predictor.predictor import MarginCallPredictor
from models.typing import HORIZONS, FloatArray
from training.dataset import Dataset
from training.evaluate.report import scores, skills

__all__ = ["novelty_metrics"]


def novelty_metrics(dataset: Dataset, predictor: MarginCallPredictor, p: FloatArray) -> dict[str, Any]:
    """Score the forecasts whose input is flagged as unusual.

    Parameters
    ----------
    dataset : Dataset
        n pairs with outcomes.
    predictor : MarginCallPredictor
        The model.
    p : ndarray of float, shape (n, 4)
        Its forecasts.

    Returns
    -------
    dict
        ``share`` of the account rows that are flagged, ``training_share`` that the limit was set for; where any usable
        row is flagged, ``pooled`` scores there, those of the ``prior``, and ``skill_vs_prior``. Empty where the model
        does not know what is usual.
    """
    if predictor.novelty is None:
        return {}
    novel = predictor.novelty_of(dataset.x[:: len(HORIZONS)])[0] > 1.0
    calls = dataset.level == 0
    out: dict[str, Any] = {"share": float(novel[calls].mean()), "training_share": predictor.novelty.share}
    rows = np.asarray(novel & calls, np.bool_)
    if (dataset.usable & rows[:, None]).any():
        out["pooled"] = scores(dataset, p, rows)["pooled"]
        out["prior"] = scores(dataset, dataset.prior, rows)["pooled"]
        out["skill_vs_prior"] = skills(dataset, p, dataset.prior, rows)["pooled"]
    return out
