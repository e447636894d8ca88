"""Fit the size and the time of a call: corrections of the prior on training calls, conformal on later weeks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from models.overshoot import AMOUNT_LEVELS
from models.predictor.amounts import BOOSTED, AmountModel, amount_scale, log_sizes, with_size
from models.predictor.timing import TIME_LEVELS, TimeModel, curve
from models.typing import DAY_NS, HORIZONS, Float32Array, FloatArray, IntArray
from training.dataset import Dataset
from training.fit import FitParameters
from training.simulated import SIZED

__all__ = ["Calls", "called", "calls_of", "fit_amounts", "fit_times", "reached", "sizes_of"]

_WIDTH: Final = len(HORIZONS)
_LEAST: Final = 200
_TRUST_WEEKS: Final = 26.0
"""A correction counted on W weeks is taken W / (W + 26): accounts of one week share their fate."""
_ROUNDS: Final = 30
_FOLDS: Final = 5
"""Constants are counted on calls of a fifth of the weeks by trees fitted on the others."""


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """Calls of a dataset, once for each horizon that they came within; m rows.

    Parameters
    ----------
    pair : ndarray of int64, shape (m,)
        Row of the dataset.
    horizon : ndarray of int64, shape (m,)
        Index of the horizon.
    log_ratio : ndarray of float, shape (m,)
        Log of the amount over `amount_scale`.
    week : ndarray of int64, shape (m,)
        Week of the instant.
    """

    pair: IntArray
    horizon: IntArray
    log_ratio: FloatArray
    week: IntArray

    def __len__(self) -> int:
        return len(self.pair)


def calls_of(dataset: Dataset) -> Calls:
    """Collect the margin calls whose amount is known.

    Parameters
    ----------
    dataset : Dataset
        Pairs with outcomes.

    Returns
    -------
    Calls
        In order of the pairs, then of the horizon.
    """
    scale = amount_scale(dataset.size_base, dataset.size_scale)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log(dataset.amount / scale)
    seen = dataset.y & dataset.usable & ((dataset.level == 0) & np.isfinite(ratio))[:, None]
    pair, horizon = np.nonzero(seen)
    return Calls(pair, horizon, ratio[pair], dataset.as_of[pair] // (7 * DAY_NS))


def columns_of(dataset: Dataset, calls: Calls) -> Float32Array:
    """Columns that the trees read, shape (m, K + 1)."""
    whole = with_size(dataset.x, dataset.size_base, dataset.size_scale)
    return whole[calls.pair * _WIDTH + calls.horizon]


def called(dataset: Dataset) -> Dataset:
    """The pairs whose margin call has a known amount, and one foretold by the prior where it foretells any."""
    keep = (dataset.level == 0) & np.isfinite(dataset.amount) & (dataset.y & dataset.usable).any(axis=1)
    sizes = sizes_of(dataset)
    return dataset.take(keep if sizes is None else keep & np.isfinite(sizes).all(axis=(1, 2)))


def sizes_of(dataset: Dataset) -> FloatArray | None:
    """The prior's quantiles of the call amount, shape (n, 4, 7); None where the dataset was built without them."""
    if not all(name in dataset.extra for name in SIZED):
        return None
    return np.stack([dataset.extra[name] for name in SIZED], axis=2)


def fit_amounts(
    learned: Dataset, held: Dataset, parameters: FitParameters | None = None, rounds: int = _ROUNDS
) -> AmountModel | None:
    """Fit the quantiles of the call amount.

    Parameters
    ----------
    learned : Dataset
        Rows to learn from, call level.
    held : Dataset
        Later rows, on whose weeks the constants are corrected.
    parameters : FitParameters, optional
        Seed and threads are used.
    rounds : int
        Trees of each boosted quantile.

    Returns
    -------
    AmountModel or None
        None with under 200 rows with a call; trees from 2000 on. It starts from the prior's quantiles where the dataset
        has them.
    """
    learned, held = called(learned), called(held)
    calls = calls_of(learned)
    if len(calls) < _LEAST:
        return None
    model = _fitted(learned, calls, rounds, parameters)
    away = _cross_fitted(model, learned, calls, rounds, parameters)
    constant = _constants(away, calls)
    later = calls_of(held)
    if len(later) >= _LEAST:
        weeks = len(np.unique(later.week))
        pooled = _pooled_gap(model, held, later, constant)
        constant = constant + pooled * weeks / (weeks + _TRUST_WEEKS)
    return replace(model, constant=np.maximum.accumulate(constant, axis=1))


def _fitted(learned: Dataset, calls: Calls, rounds: int, parameters: FitParameters | None) -> AmountModel:
    """Start and trees, with constants that say nothing yet."""
    sizes = sizes_of(learned)
    known = np.zeros((len(calls), len(BOOSTED)))
    if sizes is not None:
        known = log_sizes(sizes, learned.size_base, learned.size_scale)[calls.pair, calls.horizon]
    start = np.array([_quantiles(calls, k, known) for k in range(_WIDTH)])
    texts: tuple[str, ...] = ()
    if len(calls) >= 10 * _LEAST:
        x = columns_of(learned, calls)
        texts = tuple(
            _boost(x, calls.log_ratio, start[calls.horizon, i] + known[:, i], AMOUNT_LEVELS[q], rounds, parameters)
            for i, q in enumerate(BOOSTED)
        )
    neutral = np.tile(np.array(AMOUNT_LEVELS) - 0.5, (_WIDTH, 1))
    return AmountModel.from_texts(start, neutral, texts, sizes is not None)


def _cross_fitted(
    model: AmountModel, learned: Dataset, calls: Calls, rounds: int, parameters: FitParameters | None
) -> FloatArray:
    """What each training call reached by trees that have not seen its weeks, where there are trees; shape (m,)."""
    away = reached(model, learned, calls)
    week = learned.as_of // (7 * DAY_NS)
    weeks = np.unique(week)
    fold = np.searchsorted(weeks, week) * _FOLDS // len(weeks)
    for own in np.unique(fold) if model.texts else ():
        rest, part = learned.take(fold != own), learned.take(fold == own)
        known = calls_of(rest)
        if len(known) >= _LEAST:
            other = _fitted(rest, known, rounds, parameters)
            away[fold[calls.pair] == own] = reached(other, part, calls_of(part))
    return away


def reached(model: AmountModel, dataset: Dataset, calls: Calls, wider: FloatArray | None = None) -> FloatArray:
    """Distance of each amount from the middle, in spreads below or above it; shape (m,)."""
    columns = with_size(dataset.x, dataset.size_base, dataset.size_scale) if model.texts else None
    sizes = sizes_of(dataset)
    prior = None if sizes is None else log_sizes(sizes, dataset.size_base, dataset.size_scale)
    parts = model.log_parts(columns, len(dataset), prior)
    middle, below, above = (part[calls.pair, calls.horizon] for part in parts)
    away = calls.log_ratio - middle
    factor = 1.0 if wider is None else wider[calls.pair]
    return np.asarray(away / (np.where(away < 0.0, below, above) * factor), np.float64)


def fit_times(held: Dataset, p: FloatArray) -> TimeModel:
    """Choose the levels between which four of five calls come.

    Parameters
    ----------
    held : Dataset
        Rows with outcomes that the forecast was not fitted on.
    p : ndarray of float, shape (n, 4)
        Their forecasts.

    Returns
    -------
    TimeModel
        The stated levels, drawn to those counted.
    """
    low, high = [], []
    seen = held.y & held.usable & (held.level == 0)[:, None]
    grid = curve(p) if len(held) else np.empty((0, 1))
    for k in range(_WIDTH):
        rows = np.flatnonzero(seen[:, k] & (p[:, k] > 0) & np.isfinite(held.minutes))
        weeks = len(np.unique(held.as_of[rows] // (7 * DAY_NS)))
        trust = weeks / (weeks + _TRUST_WEEKS) if len(rows) >= _LEAST else 0.0
        step = np.ceil(held.minutes[rows] / 60.0).astype(np.int64)
        whole = p[rows, k]
        first = _level(grid[rows, np.minimum(step, HORIZONS[k] // 60)] / whole, TIME_LEVELS[0], 0.0, 0.4)
        last = _level(grid[rows, step - 1] / whole, TIME_LEVELS[1], 0.6, 1.0)
        low.append((1 - trust) * TIME_LEVELS[0] + trust * first)
        high.append((1 - trust) * TIME_LEVELS[1] + trust * last)
    return TimeModel(tuple(low), tuple(high))


def _level(values: FloatArray, level: float, least: float, most: float) -> float:
    """Quantile of the levels reached; held apart from the middle, as whole hours are coarse at the short horizons."""
    return float(np.clip(np.quantile(values, level), least, most)) if len(values) else level


def _quantiles(calls: Calls, k: int, known: FloatArray) -> FloatArray:
    """Quantiles 0.1, 0.5, 0.9 of a horizon beyond the known ones; of all horizons where it has few calls."""
    rows = calls.horizon == k
    rows = rows if rows.sum() >= _LEAST else np.ones(len(calls), np.bool_)
    return np.array(
        [np.quantile((calls.log_ratio - known[:, i])[rows], AMOUNT_LEVELS[q]) for i, q in enumerate(BOOSTED)]
    )


def _boost(
    x: Float32Array, y: FloatArray, start: FloatArray, level: float, rounds: int, parameters: FitParameters | None
) -> str:
    """Trees of one quantile, as text."""
    import lightgbm as lgb

    chosen = parameters or FitParameters()
    settings: dict[str, Any] = {
        "objective": "quantile",
        "alpha": level,
        "num_leaves": 8,
        "learning_rate": 0.1,
        "min_data_in_leaf": 400 if len(y) >= 8000 else 50,
        "lambda_l2": 10.0,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.6,
        "bagging_freq": 1,
        "boost_from_average": False,
        "deterministic": True,
        "force_col_wise": True,
        "feature_pre_filter": False,
        "verbosity": -1,
        "num_threads": chosen.num_threads,
        "seed": chosen.seed,
    }
    return str(lgb.train(settings, lgb.Dataset(x, y, init_score=start, params=settings), rounds).model_to_string())


def _constants(away: FloatArray, calls: Calls) -> FloatArray:
    """Quantiles of what was reached, by horizon; shape (4, 7)."""
    rows = [away[calls.horizon == k] for k in range(_WIDTH)]
    return np.array([np.quantile(own if len(own) >= _LEAST else away, AMOUNT_LEVELS) for own in rows])


def _pooled_gap(model: AmountModel, dataset: Dataset, calls: Calls, constant: FloatArray) -> FloatArray:
    """What the held weeks ask to be added to the constants, all horizons together; shape (7,)."""
    away = reached(model, dataset, calls)
    gaps = away[:, None] - constant[calls.horizon]
    return np.array([np.quantile(gaps[:, i], level) for i, level in enumerate(AMOUNT_LEVELS)])
