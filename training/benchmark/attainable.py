"""Which share of the attainable skill each forecast reaches, where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.typing import HORIZONS, BoolArray, FloatArray, IntArray
from training.benchmark.names import FILTER, OURS
from training.benchmark.truth import Truth, counted, counted_loss, expected_loss
from training.dataset import Dataset
from training.evaluate.bootstrap import share, skill
from training.evaluate.decisions import decision_curve
from training.evaluate.report import CONTESTED_SIGMA

__all__ = ["attainable", "contested"]


def attainable(
    dataset: Dataset, truth: Truth, forecasts: Mapping[str, FloatArray], filtered: Truth | None = None
) -> dict[str, Any]:
    """Compare the expected losses of forecasts with that of the truth.

    Parameters
    ----------
    dataset : Dataset
        2n pairs, call and liquidation of n accounts in turn; calls are compared.
    truth : Truth
        Of the same n accounts.
    forecasts : mapping of str to ndarray of float, shape (2n, 4)
        Predictions by name; ``"B0"`` and ``"margincast"`` must be among them.
    filtered : Truth, optional
        What a filter that knows the law counts for the same accounts; it stands among the forecasts then, its loss
        without the noise of the count.

    Returns
    -------
    dict
        For each part of the accounts (all, several positions, contested): bayes and B0 losses by horizon and pooled,
        and for each forecast its expected loss, predicted over true calls, expected cost by ratio, and share of
        the attainable skill, (B0 - forecast) / (B0 - Bayes), and the skill of margincast over it in expected loss,
        both with a 95% interval from drawing weeks.
    """
    calls = dataset.level == 0
    p, best = truth.p[:, 0], truth.bayes_loss()[:, 0]
    given = {name: q[calls] for name, q in forecasts.items()}
    loss = {name: expected_loss(q, p) for name, q in given.items()}
    if filtered is not None:
        start = dataset.prior[calls]
        given[FILTER], loss[FILTER] = counted(filtered, start), counted_loss(filtered, p, start)
    when = np.repeat(dataset.as_of[calls][:, None], len(HORIZONS), axis=1)
    parts = {
        "all": np.ones(p.shape, np.bool_),
        "several_positions": np.repeat((dataset.legs[calls] > 1)[:, None], len(HORIZONS), axis=1),
        "contested": contested(dataset)[calls],
    }
    out: dict[str, Any] = {}
    for part, rows in parts.items():
        entry = {}
        for horizon, use in _horizons(rows):
            if use.any():
                kept = {name: (given[name][use], v[use]) for name, v in loss.items()}
                entry[horizon] = _beside(kept, p[use], best[use], when[use])
        out[part] = entry
    return out


def _beside(
    kept: Mapping[str, tuple[FloatArray, FloatArray]], p: FloatArray, best: FloatArray, when: IntArray
) -> dict[str, Any]:
    """Forecasts and their losses on some rows, beside the truth and beside margincast."""
    worst, ours = kept["B0"][1], kept[OURS][1]
    return {
        "n": len(p),
        "p_call": float(p.mean()),
        "bayes_loss": float(best.mean()),
        "forecasts": {
            name: {
                "loss": float(loss.mean()),
                "predicted_over_true": float(q.sum() / max(p.sum(), 1e-300)),
                "expected_cost": decision_curve(q, p),
                "share": share(loss, worst, best, when).as_dict(),
                "skill_of_margincast": skill(ours, loss, when).as_dict(),
            }
            for name, (q, loss) in kept.items()
        },
    }


def contested(dataset: Dataset) -> BoolArray:
    """Mark the forecasts of accounts nearer to the level than two forecast deviations.

    Parameters
    ----------
    dataset : Dataset
        n pairs.

    Returns
    -------
    ndarray of bool, shape (n, 4)
        The contested band.
    """
    column = dataset.x[:, dataset.feature_names.index("distance_sigma")].reshape(-1, len(HORIZONS))
    return np.asarray(column < CONTESTED_SIGMA)


def _horizons(rows: BoolArray) -> list[tuple[str, BoolArray]]:
    """Rows of each horizon, and of all."""
    out = []
    for k, horizon in enumerate(HORIZONS):
        only = np.zeros_like(rows)
        only[:, k] = rows[:, k]
        out.append((str(horizon), only))
    return [*out, ("pooled", rows)]
