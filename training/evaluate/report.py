"""Everything that ``metrics.json`` holds, from predictions and outcomes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.market import MarketPanel
from models.typing import HORIZONS, BoolArray, FloatArray
from training.dataset import Dataset
from training.evaluate.bootstrap import skill
from training.evaluate.metrics import log_loss, losses, summary
from training.evaluate.segments import segment_table
from training.population import TYPES

__all__ = ["CONTESTED_SIGMA", "evaluate_predictions", "scores", "skills", "write_metrics"]

CONTESTED_SIGMA = 2.0


def scores(dataset: Dataset, p: FloatArray, rows: BoolArray | None = None) -> dict[str, Any]:
    """Scores by horizon and pooled.

    Parameters
    ----------
    dataset : Dataset
        n pairs with outcomes.
    p : ndarray of float, shape (n, 4)
        Predictions.
    rows : ndarray of bool, shape (n,) or (n, 4), optional
        Which rows count; all usable ones by default.

    Returns
    -------
    dict
        One entry a horizon in minutes (as text), and ``"pooled"``.
    """
    mask = _mask(dataset, rows)
    out: dict[str, Any] = {}
    for k, horizon in enumerate(HORIZONS):
        use = mask[:, k]
        out[str(horizon)] = summary(p[use, k], dataset.y[use, k].astype(np.float64), dataset.minutes[use])
    return {**out, "pooled": _pooled(dataset, p, mask)}


def _pooled(dataset: Dataset, p: FloatArray, mask: BoolArray) -> dict[str, Any]:
    """Scores over all horizons of the rows of a mask of shape (n, 4)."""
    every = np.broadcast_to(dataset.minutes[:, None], mask.shape)
    return summary(p[mask], dataset.y[mask].astype(np.float64), every[mask])


def skills(dataset: Dataset, p: FloatArray, reference: FloatArray, rows: BoolArray | None = None) -> dict[str, Any]:
    """Log-loss skill over a reference with block-bootstrap intervals, by horizon and pooled.

    Parameters
    ----------
    dataset : Dataset
        n pairs with outcomes.
    p, reference : ndarray of float, shape (n, 4)
        Predictions and those to beat.
    rows : ndarray of bool, optional
        Which rows count.

    Returns
    -------
    dict
        value, low, high, blocks for each horizon and ``"pooled"``.
    """
    mask = _mask(dataset, rows)
    y = dataset.y.astype(np.float64)
    mine, theirs = losses(p, y), losses(reference, y)
    out: dict[str, Any] = {}
    for k, horizon in enumerate(HORIZONS):
        use = mask[:, k]
        out[str(horizon)] = skill(mine[use, k], theirs[use, k], dataset.as_of[use]).as_dict()
    return {**out, "pooled": _skill(dataset, mine, theirs, mask)}


def _skill(dataset: Dataset, mine: FloatArray, theirs: FloatArray, mask: BoolArray) -> dict[str, Any]:
    """Skill over all horizons of the rows of a mask, from losses of shape (n, 4)."""
    as_of = np.broadcast_to(dataset.as_of[:, None], mask.shape)
    return skill(mine[mask], theirs[mask], as_of[mask]).as_dict()


def evaluate_predictions(
    dataset: Dataset,
    p: FloatArray,
    baselines: Mapping[str, FloatArray],
    about: Mapping[str, Any] | None = None,
    panel: MarketPanel | None = None,
) -> dict[str, Any]:
    """Compute the content of ``metrics.json``.

    Parameters
    ----------
    dataset : Dataset
        n pairs with outcomes; margin calls (level 0) are the headline, liquidations a segment.
    p : ndarray of float, shape (n, 4)
        The model's predictions.
    baselines : mapping of str to ndarray of float, shape (n, 4)
        Predictions of the baselines; skill is over ``"B5"``, or over the dataset's prior where it is absent.
    about : mapping, optional
        What the report should say of model, data and period.
    panel : MarketPanel, optional
        The market, for the calibration of parts.

    Returns
    -------
    dict
        Keys: about, counts, horizons (by minutes), pooled, skill_vs_prior, baselines, segments, regimes (each beside
        the log loss of every baseline; only where accounts of several are there), calibration (see
        `training.evaluate.segments.segment_table`; only with a panel).
    """
    calls = dataset.level == 0
    prior = baselines.get("B5", dataset.prior)
    y = dataset.y.astype(np.float64)
    own_loss, prior_loss = losses(p, y), losses(prior, y)
    mine = scores(dataset, p, calls)
    out: dict[str, Any] = {
        "about": dict(about or {}),
        "counts": dict(dataset.counts),
        "horizons": {str(h): mine[str(h)] for h in HORIZONS},
        "pooled": mine["pooled"],
        "skill_vs_prior": skills(dataset, p, prior, calls),
        "baselines": {},
        "segments": {},
    }
    for name, other in baselines.items():
        theirs = scores(dataset, other, calls)
        out["baselines"][name] = {
            "horizons": {str(h): theirs[str(h)] for h in HORIZONS},
            "pooled": theirs["pooled"],
            "skill_of_model": _skill(dataset, own_loss, losses(other, y), _mask(dataset, calls)),
        }
    for name, rows in _segments(dataset).items():
        mask = _mask(dataset, rows)
        if mask.any():
            out["segments"][name] = {
                "pooled": _pooled(dataset, p, mask),
                "prior": _pooled(dataset, prior, mask),
                "skill_vs_prior": _skill(dataset, own_loss, prior_loss, mask),
            }
    regimes = _regimes(dataset)
    out["regimes"] = {} if len(regimes) < 2 else {r: _beside(dataset, p, baselines, rows) for r, rows in regimes}
    if panel is not None:
        out["calibration"] = segment_table(dataset, p, panel)
    return out


def _regimes(dataset: Dataset) -> list[tuple[str, BoolArray]]:
    """Margin regimes that have a usable call row, and their rows."""
    of_kind = {kind.name: kind.regime for kind in TYPES}
    regime = np.array([of_kind.get(name, "other") for name in dataset.kinds], object)[dataset.kind]
    calls = dataset.level == 0
    found = [(str(name), calls & (regime == name)) for name in dict.fromkeys(regime.tolist())]
    return [(name, rows) for name, rows in found if _mask(dataset, rows).any()]


def _beside(dataset: Dataset, p: FloatArray, baselines: Mapping[str, FloatArray], rows: BoolArray) -> dict[str, Any]:
    """Scores of some rows, with the log loss of every baseline on them."""
    prior, mask = baselines.get("B5", dataset.prior), _mask(dataset, rows)
    y = dataset.y.astype(np.float64)
    return {
        "pooled": _pooled(dataset, p, mask),
        "prior": _pooled(dataset, prior, mask),
        "skill_vs_prior": _skill(dataset, losses(p, y), losses(prior, y), mask),
        "baselines": {name: log_loss(q[mask], y[mask]) for name, q in baselines.items()},
    }


def write_metrics(metrics: Mapping[str, Any], path: str | Path) -> Path:
    """Write ``metrics.json``; what is undefined becomes null.

    Parameters
    ----------
    metrics : mapping
        From :func:`evaluate_predictions`.
    path : str or Path
        The file; replaced if it is there.

    Returns
    -------
    Path
        The file.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(plain(metrics), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return target


def plain(value: Any) -> Any:
    """Turn numpy values into JSON's, and NaN into null.

    Parameters
    ----------
    value : object
        Nested mappings, sequences and numbers.

    Returns
    -------
    object
        The same in plain Python.

    Examples
    --------
    >>> plain({"a": np.float64("nan"), "b": (1, np.int64(2))})
    {'a': None, 'b': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _segments(dataset: Dataset) -> dict[str, BoolArray]:
    calls = dataset.level == 0
    one = dataset.legs == 1
    out: dict[str, BoolArray] = {"liquidation": dataset.level == 1, "one_position": calls & one}
    out["several_positions"] = calls & ~one
    for code, name in enumerate(dataset.kinds):
        out[f"type_{name}"] = calls & (dataset.kind == code)
    if "distance_sigma" in dataset.feature_names:
        column = dataset.x[:, dataset.feature_names.index("distance_sigma")].reshape(-1, len(HORIZONS))
        out["contested"] = calls[:, None] & (column < CONTESTED_SIGMA)
    return out


def _mask(dataset: Dataset, rows: BoolArray | None) -> BoolArray:
    if rows is None:
        return dataset.usable
    return np.asarray(dataset.usable & (rows if rows.ndim == 2 else rows[:, None]), np.bool_)
