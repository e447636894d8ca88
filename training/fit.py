"""Fit the residual: LightGBM on the logit of the prior, monotone, early-stopped on a later window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from features.build import FEATURE_NAMES
from models.errors import InputError
from models.predictor.predictor import logit
from models.typing import BoolArray, Float32Array, FloatArray, IntArray
from training.workers import Grow

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
        Share of rows, or of blocks of days, drawn for a tree, in (0, 1].
    bagging_days : int
        Length of the blocks that are drawn or left out as a whole; 0 draws single rows. Blocks need one thread, as
        LightGBM's draw of groups is not reproducible with more.
    lambda_l2 : float
        Ridge on leaf values, at least 0.
    max_rounds : int
        Most trees, at least 1.
    patience : int
        Trees without gain on the validation window before stopping; 0 keeps all `max_rounds` trees, and the
        validation window is learned from.
    monotone_method : {"basic", "intermediate", "advanced"}
        How LightGBM keeps the constraints.
    quantized : bool
        Whether gradients are quantised (faster on millions of rows). Leaves are not renewed with exact gradients
        then, as LightGBM does that without regard to the constraints, and the method must be ``"basic"``, as the
        others can end in a failed check of LightGBM.
    num_threads : int
        Threads, at least 1.
    shrink : float
        What the leaf values are multiplied by in the end, in (0, 1]; below 1 the model stays nearer to the prior.
    excluded : tuple of str
        Features that the trees may not split on; they stay columns of the matrix.
    seed : int
        Seed of every draw.

    Notes
    -----
    The defaults are the best of 30 trials of ``python -m benchmarks.tree_choices``, searched on 2021/22 and 2022/23
    (July to June), rounded, with 100 trees instead of the 76 found; 2023/24 and the simulated market, which the search
    has not seen, agree with it.
    Accounts of one instant share their fate, so the effective sample is the number of weeks, not of accounts, and what
    the trees find in three years is partly chance: unshrunk trees lose to the prior, a quarter of the correction gains
    in every year (`docs/results.md` has its limits). A validation window of some months is too short to stop on.
    """

    num_leaves: int = 4
    learning_rate: float = 0.09
    min_data_in_leaf: int = 325
    feature_fraction: float = 0.65
    bagging_fraction: float = 0.95
    bagging_days: int = 0
    lambda_l2: float = 4.0
    max_rounds: int = 100
    patience: int = 0
    monotone_method: Literal["basic", "intermediate", "advanced"] = "basic"
    quantized: bool = False
    num_threads: int = 2
    shrink: float = 0.25
    excluded: tuple[str, ...] = ()
    seed: int = 7

    def __post_init__(self) -> None:
        ranges = {
            "num_leaves": (2, 255),
            "learning_rate": (1e-6, 1.0),
            "min_data_in_leaf": (1, np.inf),
            "feature_fraction": (1e-6, 1.0),
            "bagging_fraction": (1e-6, 1.0),
            "bagging_days": (0, np.inf),
            "shrink": (1e-6, 1.0),
            "lambda_l2": (0.0, np.inf),
            "max_rounds": (1, 100_000),
            "patience": (0, np.inf),
            "num_threads": (1, 1024),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(name, value, f"a value in [{low}, {high}]")
        if self.bagging_days and self.num_threads > 1:
            raise InputError("num_threads", self.num_threads, "1 where bagging_days is set")
        if self.quantized and self.monotone_method != "basic":
            raise InputError("monotone_method", self.monotone_method, "'basic' where gradients are quantised")

    def lightgbm(self, monotone: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
        """Give LightGBM's parameters.

        Parameters
        ----------
        monotone : sequence of int
            -1, 0 or 1 for each feature.
        names : sequence of str
            Name of each feature.

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
            "force_col_wise": self.feature_fraction < 1.0,
            "force_row_wise": self.feature_fraction >= 1.0,  # twice as fast where every feature is asked
            "verbosity": -1,
            "use_quantized_grad": self.quantized,
            "quant_train_renew_leaf": False,
            "num_grad_quant_bins": 16,
            "feature_pre_filter": False,
        }
        skipped = ("max_rounds", "patience", "monotone_method", "quantized", "bagging_days", "shrink", "excluded")
        out.update({k: v for k, v in asdict(self).items() if k not in skipped})
        if any(monotone):
            out.update(monotone_constraints=list(monotone), monotone_constraints_method=self.monotone_method)
        if self.excluded:
            out.update(feature_contri=[0.0 if name in self.excluded else 1.0 for name in names])
        if self.bagging_fraction < 1.0:
            out.update(bagging_freq=1, bagging_by_query=self.bagging_days > 0)
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
        Validation log loss after each round, the first without trees; empty where the number was given.
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
    names: Sequence[str] = FEATURE_NAMES,
    grow: Grow | None = None,
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
        Keep exactly as many trees, without a look at the validation window.
    names : sequence of str, length K
        Name of each feature.
    grow : callable, optional
        Who grows the trees where their number is given; this process by default.

    Returns
    -------
    Fitted
        Trees up to the best round.

    Raises
    ------
    InputError
        If the rows to learn from hold one class only, there are no rows to stop on, an excluded feature is unknown, or
        others are to grow trees in a way that they cannot.
    """
    import lightgbm as lgb

    chosen = parameters or FitParameters()
    _check(fit, valid, rounds, chosen, names)
    picked = np.arange(x.shape[1]) if columns is None else np.asarray(columns)
    settings = chosen.lightgbm([monotone[int(i)] for i in picked], [names[int(i)] for i in picked])
    base = 0.0 if use_prior else float(np.log(fit.y.mean() / (1.0 - fit.y.mean())))
    if grow is not None:
        _check_grown(chosen, rounds)
        start = fit.offset if use_prior else np.full(len(fit), base)
        text = grow(settings, x[fit.index[:, None], picked], fit.y, start, rounds or 0)
        return _fitted(lgb.Booster(model_str=text), chosen.shrink, rounds or 0, base)

    def data(rows: Rows, reference: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
        part = x[rows.index] if columns is None else x[np.ix_(rows.index, picked)]
        start = rows.offset if use_prior else np.full(len(rows), base)
        groups = _block_counts(rows, chosen.bagging_days) if chosen.bagging_days else None
        return lgb.Dataset(part, rows.y, init_score=start, group=groups, reference=reference, params=settings)

    learned = data(fit)
    if rounds is not None:
        return _fitted(lgb.train(settings, learned, rounds), chosen.shrink, rounds, base)
    without = _loss(valid.offset if use_prior else np.full(len(valid), base), valid.y)
    return _boost(learned, data(valid, learned), settings, chosen, without, base, progress)


def _fitted(booster: lightgbm.Booster, shrink: float, rounds: int, base: float) -> Fitted:
    """All trees of a booster, without a look at the validation window."""
    return Fitted(_text(booster, shrink, rounds), booster.current_iteration(), np.empty(0), base)


def _boost(
    learned: lightgbm.Dataset,
    held: lightgbm.Dataset,
    settings: dict[str, Any],
    chosen: FitParameters,
    without: float,
    base: float,
    progress: Callable[[int, int], None] | None,
) -> Fitted:
    """Boost until the held rows stop gaining, and cut at the best round."""
    import lightgbm as lgb

    seen: dict[str, Any] = {}
    callbacks = [lgb.record_evaluation(seen), lgb.early_stopping(chosen.patience, verbose=False)]
    if progress is not None:
        callbacks.append(lambda env: progress(env.iteration + 1, chosen.max_rounds))
    booster = lgb.train(settings, learned, chosen.max_rounds, valid_sets=[held], callbacks=callbacks)
    if progress is not None:
        progress(chosen.max_rounds, chosen.max_rounds)
    history = np.array([without, *seen["valid_0"]["binary_logloss"]])
    best = int(np.argmin(history))
    if history[best] > history[0] - 1e-9:
        return Fitted(_text(booster, 0.0, 1), 0, history, base)
    return Fitted(_text(booster, chosen.shrink, best), best, history, base)


def _text(booster: lightgbm.Booster, shrink: float, rounds: int) -> str:
    """Text of the first trees, with their leaf values multiplied by ``shrink``."""
    import lightgbm as lgb

    cut = lgb.Booster(model_str=booster.model_to_string(num_iteration=rounds))
    if shrink != 1.0:
        for tree, leaves in enumerate(_leaf_counts(cut)):
            for leaf in range(leaves):
                cut.set_leaf_output(tree, leaf, shrink * cut.get_leaf_output(tree, leaf))
    return str(cut.model_to_string())


def _leaf_counts(booster: lightgbm.Booster) -> list[int]:
    return [
        int(line.partition("=")[2]) for line in booster.model_to_string().splitlines() if line.startswith("num_leaves=")
    ]


def _check(fit: Rows, valid: Rows, rounds: int | None, chosen: FitParameters, names: Sequence[str]) -> None:
    if len(fit) == 0 or fit.y.min() == fit.y.max():
        raise InputError("fit", f"{len(fit)} rows, {fit.y.sum():.0f} events", "rows with events and without")
    if rounds is None and len(valid) == 0:
        raise InputError("valid", 0, "rows to stop on (a longer training period)")
    unknown = [name for name in chosen.excluded if name not in names]
    if unknown:
        raise InputError("excluded", unknown, "names of features")


def _check_grown(chosen: FitParameters, rounds: int | None) -> None:
    """LightGBM over several processes: no draw of blocks, no other method for constraints, no stopping."""
    if rounds is None:
        raise InputError("patience", chosen.patience, "0 where workers grow the trees")
    if chosen.bagging_days:
        raise InputError("bagging_days", chosen.bagging_days, "0 where workers grow the trees")
    if chosen.monotone_method != "basic":
        raise InputError("monotone_method", chosen.monotone_method, "'basic' where workers grow the trees")


def _loss(score: FloatArray, y: FloatArray) -> float:
    return float((np.logaddexp(0.0, score) - y * score).mean())


def _block_counts(rows: Rows, days: int) -> IntArray:
    """Rows of each block of days, in order; LightGBM draws whole groups."""
    block = rows.day // days
    edges = np.flatnonzero(np.diff(block, prepend=block[0] - 1, append=block[-1] + 1))
    return np.diff(edges)
