"""Peers: what else one would fit on the same features, the prior's logit among them.

Each learns from the rows that B9 learns from and, where it has rounds, stops on the same later window; both levels are
pooled, and the horizon is a feature. Nothing is calibrated afterwards. Peers whose package is not installed are left
out with a line that says how to install it.

============  =======================================================================================================
histgb        scikit-learn's HistGradientBoostingClassifier, 15 leaves, rate 0.05, at most 200 rounds
logistic      scikit-learn's LogisticRegression by horizon on standardised features clipped at six deviations
xgboost       depth 4, rate 0.05, histogram method, at most 200 rounds
catboost      depth 4, rate 0.05, at most 200 rounds
============  =======================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from models.errors import InputError
from models.typing import HORIZONS, FloatArray
from training.dataset import Dataset
from training.evaluate.metrics import log_loss
from training.fit import Rows, rows_of
from training.settings import Stage, say
from training.splits import Split

__all__ = ["PEERS", "Peer", "fit_peers", "peer_names"]

Peer = Callable[[Dataset], FloatArray]
"""Gives probabilities of shape (n, 4) for a dataset of n pairs."""
PEERS: Final = {"histgb": "sklearn", "logistic": "sklearn", "xgboost": "xgboost", "catboost": "catboost"}
"""Name of each peer, and the package it needs."""
_RATE: Final = 0.05
_LEAST_ROWS: Final = 500
_WIDTH: Final = len(HORIZONS)


def peer_names(names: Sequence[str] | None) -> tuple[str, ...]:
    """Check names of peers.

    Parameters
    ----------
    names : sequence of str or None
        Which of `PEERS`; all where None.

    Returns
    -------
    tuple of str
        The names.

    Raises
    ------
    InputError
        If a name is unknown.
    """
    chosen = tuple(PEERS) if names is None else tuple(names)
    unknown = [name for name in chosen if name not in PEERS]
    if unknown:
        raise InputError("peers", ", ".join(unknown), f"names out of {', '.join(PEERS)}")
    return chosen


def fit_peers(
    dataset: Dataset,
    parts: Split,
    names: Sequence[str] | None = None,
    rounds: int = 200,
    seed: int = 7,
    num_threads: int = 2,
    progress: Stage | None = None,
) -> tuple[dict[str, Peer], list[str]]:
    """Fit the peers that are installed.

    Parameters
    ----------
    dataset : Dataset
        The training set.
    parts : Split
        Its windows: peers learn from ``fit`` and stop on ``valid``.
    names : sequence of str, optional
        Which of `PEERS`; all by default.
    rounds : int
        Most rounds of the boosted ones.
    seed : int
        Seed of each.
    num_threads : int
        Threads of each, as far as it can be told.
    progress : callable, optional
        Called with (stage, done, in all).

    Returns
    -------
    tuple of (dict of str to callable, list of str)
        The fitted peers, and a line for each that is not installed.

    Raises
    ------
    InputError
        If a name is unknown.
    """
    chosen = peer_names(names)
    fitted: dict[str, Peer] = {}
    notes = []
    fit, valid = rows_of(dataset, parts.fit), rows_of(dataset, parts.valid)
    for i, name in enumerate(chosen):
        say(progress, "peers", i, len(chosen))
        if find_spec(PEERS[name]) is None:
            notes.append(f"{name} is left out: it is not installed; pip install '.[peers]' in the checkout adds it")
        elif name == "logistic":
            fitted[name] = _logistic(dataset, fit)
        else:
            fitted[name] = _BOOSTED[name](dataset, fit, valid, rounds, seed, num_threads)
    say(progress, "peers", len(chosen), len(chosen))
    return fitted, notes


def _flat(predict: Callable[[Any], Any]) -> Peer:
    """Probabilities of a model that takes the rows of all horizons at once."""
    return lambda dataset: np.asarray(predict(dataset.x), np.float64).reshape(-1, _WIDTH)


def _histgb(dataset: Dataset, fit: Rows, valid: Rows, rounds: int, seed: int, num_threads: int) -> Peer:
    from sklearn.ensemble import HistGradientBoostingClassifier

    def fitted(most: int) -> Any:
        model = HistGradientBoostingClassifier(
            learning_rate=_RATE, max_iter=most, max_leaf_nodes=15, min_samples_leaf=_LEAST_ROWS, early_stopping=False,
            random_state=seed,
        )  # fmt: skip
        return model.fit(dataset.x[fit.index], fit.y)

    first, held = fitted(rounds), dataset.x[valid.index]
    losses = [log_loss(p[:, 1], valid.y) for p in first.staged_predict_proba(held)]
    best = int(np.argmin(losses)) + 1
    model = first if best == rounds else fitted(best)
    return _flat(lambda x: model.predict_proba(x)[:, 1])


def _xgboost(dataset: Dataset, fit: Rows, valid: Rows, rounds: int, seed: int, num_threads: int) -> Peer:
    import xgboost as xgb

    settings = {
        "objective": "binary:logistic", "eta": _RATE, "max_depth": 4, "min_child_weight": 20, "tree_method": "hist",
        "nthread": num_threads, "seed": seed,
    }  # fmt: skip
    learned = xgb.QuantileDMatrix(dataset.x[fit.index], fit.y, nthread=num_threads)
    held = xgb.QuantileDMatrix(dataset.x[valid.index], valid.y, ref=learned, nthread=num_threads)
    model = xgb.train(settings, learned, rounds, evals=[(held, "valid")], early_stopping_rounds=30, verbose_eval=False)
    last = (0, int(model.best_iteration) + 1)
    return _flat(lambda x: model.inplace_predict(x, iteration_range=last))


def _catboost(dataset: Dataset, fit: Rows, valid: Rows, rounds: int, seed: int, num_threads: int) -> Peer:
    from catboost import CatBoostClassifier, Pool

    model = CatBoostClassifier(
        iterations=rounds, learning_rate=_RATE, depth=4, random_seed=seed, thread_count=num_threads, verbose=False,
        allow_writing_files=False, early_stopping_rounds=30, use_best_model=True,
    )  # fmt: skip
    model.fit(Pool(dataset.x[fit.index], fit.y), eval_set=Pool(dataset.x[valid.index], valid.y))
    return _flat(lambda x: model.predict_proba(x)[:, 1])


_BOOSTED: Final = {"histgb": _histgb, "xgboost": _xgboost, "catboost": _catboost}


def _logistic(dataset: Dataset, fit: Rows) -> Peer:
    x = dataset.x[fit.index].astype(np.float64)
    centre = np.array([np.nanmean(c) if np.isfinite(c).any() else 0.0 for c in x.T])
    spread = np.array([max(np.nanstd(c), 1e-9) if np.isfinite(c).any() else 1.0 for c in x.T])
    z = _standardised(x, centre, spread)
    models = [_solved(z[fit.index % _WIDTH == k], fit.y[fit.index % _WIDTH == k]) for k in range(_WIDTH)]

    def predict(held: Dataset) -> FloatArray:
        out = np.empty((len(held), _WIDTH))
        for k, model in enumerate(models):
            out[:, k] = model(_standardised(held.x[k::_WIDTH].astype(np.float64), centre, spread))
        return out

    return predict


def _solved(z: FloatArray, y: FloatArray) -> Callable[[FloatArray], Any]:
    """Fit one horizon; where it has one class only, the rate with half an event added to each."""
    from sklearn.linear_model import LogisticRegression

    if not 0.0 < y.sum() < len(y):
        return lambda rows: (y.sum() + 0.5) / (len(y) + 1.0)
    model = LogisticRegression(C=1.0, max_iter=500).fit(z, y)
    return lambda rows: model.predict_proba(rows)[:, 1]


def _standardised(x: FloatArray, centre: FloatArray, spread: FloatArray) -> FloatArray:
    return np.nan_to_num(np.clip((x - centre) / spread, -6.0, 6.0), nan=0.0)
