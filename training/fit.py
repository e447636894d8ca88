"""Fit the residual: LightGBM on the logit of the prior, monotone, early-stopped on a later window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from models.errors import InputError
from models.predictor.predictor import logit
from models.typing import BoolArray, Float32Array, FloatArray, IntArray

if TYPE_CHECKING:
    import lightgbm

    from training.dataset import Dataset

__all__ = ["FitParameters", "Fitted", "Rows", "fit_booster", "rows_of"]


@dataclass(frozen=True, slots=True)
class FitParameters:
    """Parameters of the residual model.

    Parameters
    ----------
    num_leaves : int
        Leaves of a tree, 2 to 255.
    learning_rate : float
        Shrinkage, in (0, 1].
    min_data_in_leaf : int
        Fewest rows in a leaf, at least 1.
    feature_fraction : float
        Share of features tried in a tree, in (0, 1].
    bagging_fraction : float
        Share of days drawn for a tree, in (0, 1]; a day is drawn or left out as a whole. 1 draws none.
    lambda_l2 : float
        Ridge on leaf values, at least 0.
    max_rounds : int
        Most trees, at least 1.
    patience : int
        Trees without gain on the validation window before stopping, at least 1.
    monotone_method : {"basic", "intermediate", "advanced"}
        How LightGBM keeps the constraints.
    quantized : bool
        Whether gradients are quantised (faster on millions of rows). Leaves are not renewed with exact gradients
        then, as LightGBM does that without regard to the constraints, and the method must be ``"basic"``, as the
        others can end in a failed check of LightGBM.
    num_threads : int
        Threads, at least 1.
    seed : int
        Seed of every draw.
    """

    num_leaves: int = 15
    learning_rate: float = 0.04
    min_data_in_leaf: int = 1000
    feature_fraction: float = 0.6
    bagging_fraction: float = 0.6
    lambda_l2: float = 20.0
    max_rounds: int = 500
    patience: int = 50
    monotone_method: Literal["basic", "intermediate", "advanced"] = "intermediate"
    quantized: bool = False
    num_threads: int = 2
    seed: int = 7

    def __post_init__(self) -> None:
        ranges = {
            "num_leaves": (2, 255),
            "learning_rate": (1e-6, 1.0),
            "min_data_in_leaf": (1, np.inf),
            "feature_fraction": (1e-6, 1.0),
            "bagging_fraction": (1e-6, 1.0),
            "lambda_l2": (0.0, np.inf),
            "max_rounds": (1, 100_000),
            "patience": (1, np.inf),
            "num_threads": (1, 1024),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(name, value, f"a value in [{low}, {high}]")
        if self.quantized and self.monotone_method != "basic":
            raise InputError("monotone_method", self.monotone_method, "'basic' where gradients are quantised")

    def lightgbm(self, monotone: Sequence[int]) -> dict[str, Any]:
        """Give LightGBM's parameters.

        Parameters
        ----------
        monotone : sequence of int
            -1, 0 or 1 for each feature.

        Returns
        -------
        dict
            What `lightgbm.train` takes.
        """
        out: dict[str, Any] = {
            "objective": "binary",
            "metric": "binary_logloss",
            "boost_from_average": False,
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
            "use_quantized_grad": self.quantized,
            "quant_train_renew_leaf": False,
            "num_grad_quant_bins": 16,
            "feature_pre_filter": False,
        }
        skipped = ("max_rounds", "patience", "monotone_method", "quantized")
        out.update({k: v for k, v in asdict(self).items() if k not in skipped})
        if any(monotone):
            out.update(monotone_constraints=list(monotone), monotone_constraints_method=self.monotone_method)
        if self.bagging_fraction < 1.0:
            out.update(bagging_by_query=True, bagging_freq=1)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Usable (account, level, horizon) rows, flat and in order of time.

    Parameters
    ----------
    index : ndarray of int64, shape (m,)
        Rows of the dataset's ``x``.
    y : ndarray of float, shape (m,)
        Outcomes.
    offset : ndarray of float, shape (m,)
        Logit of the prior.
    day : ndarray of int64, shape (m,)
        Day of the instant.
    """

    index: IntArray
    y: FloatArray
    offset: FloatArray
    day: IntArray

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fitted residual.

    Parameters
    ----------
    booster : str
        LightGBM's model text, cut at the best round.
    rounds : int
        Number of trees kept; 0 if no tree helped on the validation window (the text then holds a tree of zeros).
    history : ndarray of float, shape (rounds tried + 1,)
        Validation log loss after each round, the first without trees.
    base : float
        What to add to the trees where the prior was not the starting score.
    """

    booster: str
    rounds: int
    history: FloatArray
    base: float = 0.0


def rows_of(dataset: Dataset, mask: BoolArray) -> Rows:
    """Collect the usable rows of a part of the dataset.

    Parameters
    ----------
    dataset : Dataset
        n (account, level) pairs at four horizons.
    mask : ndarray of bool, shape (n,)
        The part.

    Returns
    -------
    Rows
        Flat rows, ordered by instant.
    """
    order = np.argsort(dataset.as_of, kind="stable")
    order = order[mask[order]]
    width = dataset.y.shape[1]
    flat = (order[:, None] * width + np.arange(width)).ravel()
    flat = flat[dataset.usable.ravel()[flat]]
    day = dataset.as_of[flat // width] // 86_400_000_000_000
    y = dataset.y.ravel()[flat].astype(np.float64)
    return Rows(flat, y, logit(dataset.prior.ravel()[flat]), np.asarray(day, np.int64))


def fit_booster(
    x: Float32Array,
    fit: Rows,
    valid: Rows,
    monotone: Sequence[int],
    parameters: FitParameters | None = None,
    use_prior: bool = True,
    columns: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
    rounds: int | None = None,
) -> Fitted:
    """Boost trees on the prior's logit until the validation window stops gaining.

    Parameters
    ----------
    x : ndarray of float32, shape (N, K)
        Features of all rows of the dataset.
    fit, valid : Rows
        Rows to learn from, and later rows to stop on.
    monotone : sequence of int, length K
        Constraint of each feature.
    parameters : FitParameters, optional
        Parameters.
    use_prior : bool
        Whether the prior's logit is the starting score; without it the base rate is.
    columns : sequence of int, optional
        Which features to use; all by default.
    progress : callable, optional
        Called with (round, most rounds).
    rounds : int, optional
        Keep exactly as many trees, instead of the best number on the validation window.

    Returns
    -------
    Fitted
        Trees up to the best round.

    Raises
    ------
    InputError
        If the rows to learn from hold one class only.
    """
    import lightgbm as lgb

    chosen = parameters or FitParameters()
    if len(fit) == 0 or fit.y.min() == fit.y.max():
        raise InputError("fit", f"{len(fit)} rows, {fit.y.sum():.0f} events", "rows with events and without")
    picked = np.arange(x.shape[1]) if columns is None else np.asarray(columns)
    settings = chosen.lightgbm([monotone[int(i)] for i in picked])
    base = float(np.log(fit.y.mean() / (1.0 - fit.y.mean())))
    start = (lambda rows: rows.offset) if use_prior else (lambda rows: np.full(len(rows), base))
    grouped = chosen.bagging_fraction < 1.0
    data = lgb.Dataset(
        x[np.ix_(fit.index, picked)] if columns is not None else x[fit.index],
        fit.y,
        init_score=start(fit),
        group=_day_counts(fit) if grouped else None,
        params=settings,
    )
    held = lgb.Dataset(
        x[np.ix_(valid.index, picked)] if columns is not None else x[valid.index],
        valid.y,
        init_score=start(valid),
        group=_day_counts(valid) if grouped else None,
        reference=data,
    )
    fitted = _boost(data, held, settings, chosen, _loss(start(valid), valid.y), progress, rounds)
    return fitted if use_prior else replace(fitted, base=base)


def _boost(
    data: lightgbm.Dataset,
    held: lightgbm.Dataset,
    settings: dict[str, Any],
    chosen: FitParameters,
    without: float,
    progress: Callable[[int, int], None] | None,
    rounds: int | None,
) -> Fitted:
    import lightgbm as lgb

    seen: dict[str, Any] = {}
    callbacks = [lgb.record_evaluation(seen)]
    if rounds is None:
        callbacks.append(lgb.early_stopping(chosen.patience, verbose=False))
    if progress is not None:
        callbacks.append(lambda env: progress(env.iteration + 1, chosen.max_rounds))
    booster = lgb.train(settings, data, chosen.max_rounds, valid_sets=[held], callbacks=callbacks)
    history = np.array([without, *seen["valid_0"]["binary_logloss"]])
    best = int(np.argmin(history)) if rounds is None else booster.current_iteration()
    if best == 0:
        flat = {**settings, "learning_rate": 1e-300, "use_quantized_grad": False}
        return Fitted(lgb.train(flat, data, 1).model_to_string(), 0, history)
    return Fitted(booster.model_to_string(num_iteration=best), best, history)


def _loss(score: FloatArray, y: FloatArray) -> float:
    return float((np.logaddexp(0.0, score) - y * score).mean()) if len(y) else float("inf")


def _day_counts(rows: Rows) -> IntArray:
    """Rows of each day, in order; LightGBM draws whole groups."""
    edges = np.flatnonzero(np.diff(rows.day, prepend=rows.day[0] - 1, append=rows.day[-1] + 1))
    return np.diff(edges)
