"""The baselines that every report carries.

====  ==============================================================================================================
B0    base rate of each horizon
B1    distance to the level in log price only, logistic by horizon
B2    reflection principle with 30-day volatility (delta-normal distance where several assets matter)
B3    reflection principle with EWMA volatility
B4    filtered historical simulation with EWMA volatility: the prior without HAR and season
B5    filtered historical simulation with HAR and hour-of-week season
B6    logistic regression on the features (without those that hold the prior), by horizon
B7    last call flag: base rate by whether the account as it stands would have breached during the day before
B8    static two-level alert: base rate by requirement over equity below 0.5, below 0.8, above
B9    LightGBM on the features without those that hold the prior, started from the base rate
P     the model's own prior, before the trees
====  ==============================================================================================================

B0, B1, B6, B7, B8 and B9 are fitted on the rows the model is fitted on; both levels are pooled, as for the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.predictor.logistic import fit_logistic, sigmoid
from models.typing import HORIZONS, BoolArray, FloatArray

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.fit import FitParameters

__all__ = ["NAMES", "PRIOR_FEATURES", "Baselines", "fit_baselines"]

NAMES: Final = {
    "B0": "base rate",
    "B1": "distance only",
    "B2": "reflection, 30-day volatility",
    "B3": "reflection, EWMA volatility",
    "B4": "filtered historical simulation, EWMA",
    "B5": "filtered historical simulation, HAR",
    "B6": "logistic regression",
    "B7": "last call flag",
    "B8": "static two-level alert",
    "B9": "LightGBM without prior",
    "P": "prior of the model",
}
PRIOR_FEATURES: Final = ("prior_logit", "sigma", "distance_sigma")
ALERT: Final = (0.5, 0.8)
_WIDTH: Final = len(HORIZONS)
_EXTRA: Final = {"B2": "reflection_30d", "B3": "reflection_ewma", "B4": "prior_ewma", "B5": "prior_har"}
_LEAST: Final = 1e-5
_RAW_LEAF: Final = 2000
_RAW_TREES: Final[dict[str, Any]] = {
    "num_leaves": 8, "learning_rate": 0.05, "feature_fraction": 0.4, "bagging_fraction": 0.5, "lambda_l2": 50.0,
    "shrink": 1.0, "max_rounds": 300, "excluded": (),
}  # fmt: skip
"""Settings of B9, which do not move with those of margincast."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """Fitted baselines, as plain numbers and LightGBM's text.

    Parameters
    ----------
    rate : list of float
        B0 by horizon.
    distance : list of list of float
        B1: three coefficients by horizon.
    centre, spread : list of float
        B6: mean and deviation of each feature.
    logistic : list of list of float
        B6: coefficients by horizon, the intercept last.
    flag, alert : list of list of float
        B7 and B8: rate by state and horizon.
    columns : list of str
        Features of B6; B9 has the horizon as well.
    trees : str
        B9's trees; empty if it was not fitted.
    trees_base : float
        B9's starting logit.
    """

    rate: list[float]
    distance: list[list[float]]
    centre: list[float]
    spread: list[float]
    logistic: list[list[float]]
    flag: list[list[float]]
    alert: list[list[float]]
    columns: list[str]
    trees: str = ""
    trees_base: float = 0.0
    notes: dict[str, str] = field(default_factory=dict)

    def predict(self, dataset: Dataset) -> dict[str, FloatArray]:
        """Predict with every baseline that the dataset has the columns for.

        Parameters
        ----------
        dataset : Dataset
            n pairs.

        Returns
        -------
        dict of str to ndarray of float, shape (n, 4)
            Probabilities by baseline name.
        """
        out = {
            "B0": np.tile(np.asarray(self.rate), (len(dataset), 1)),
            "B1": _by_horizon(_distance(dataset), self.distance),
            **{name: np.asarray(dataset.extra[key]) for name, key in _EXTRA.items() if key in dataset.extra},
            "P": dataset.prior,
            "B6": self._logistic(dataset),
            "B7": np.asarray(self.flag)[_flag(dataset)],
            "B8": np.asarray(self.alert)[_alert(dataset)],
        }
        if self.trees:
            out["B9"] = self._trees(dataset)
        return {name: out[name] for name in NAMES if name in out}

    def as_dict(self) -> dict[str, Any]:
        """Give the fields for JSON; ``Baselines(**fields)`` is the inverse."""
        return asdict(self)

    def _logistic(self, dataset: Dataset) -> FloatArray:
        out = np.empty((len(dataset), _WIDTH))
        for k in range(_WIDTH):
            z = _standardised(_features(dataset, self.columns, k), np.asarray(self.centre), np.asarray(self.spread))
            out[:, k] = sigmoid(z @ np.asarray(self.logistic[k]))
        return out

    def _trees(self, dataset: Dataset) -> FloatArray:
        import lightgbm as lgb

        picked = [i for i, name in enumerate(dataset.feature_names) if name not in PRIOR_FEATURES]
        raw = lgb.Booster(model_str=self.trees).predict(dataset.x[:, picked], raw_score=True)
        return sigmoid(np.asarray(raw, np.float64) + self.trees_base).reshape(-1, _WIDTH)


def fit_baselines(
    dataset: Dataset,
    fit: BoolArray,
    valid: BoolArray,
    monotone: tuple[int, ...],
    parameters: FitParameters | None = None,
    trees: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Baselines:
    """Fit the baselines that need data.

    Parameters
    ----------
    dataset : Dataset
        All pairs.
    fit, valid : ndarray of bool, shape (n,)
        Pairs to learn from, and later pairs on which B9 stops.
    monotone : tuple of int
        Constraint of each feature.
    parameters : FitParameters, optional
        Of B9.
    trees : bool
        Whether B9 is fitted.
    progress : callable, optional
        Called with (round, most rounds) of B9.

    Returns
    -------
    Baselines
        The fitted baselines.
    """
    part = dataset.take(fit)
    columns = [n for n in dataset.feature_names if n not in PRIOR_FEATURES and n != "horizon"]
    first = _features(part, columns, 0)
    centre, spread = np.nanmean(first, axis=0), np.maximum(np.nanstd(first, axis=0), 1e-9)
    base = Baselines(
        rate=[float(v) for v in _rates(part, np.zeros(len(part), np.int64), 1)[0]],
        distance=_fit_by_horizon(part, lambda k: _distance(part)),
        centre=centre.tolist(),
        spread=spread.tolist(),
        logistic=_fit_by_horizon(part, lambda k: _standardised(_features(part, columns, k), centre, spread)),
        flag=_rates(part, _flag(part), 2).tolist(),
        alert=_rates(part, _alert(part), len(ALERT) + 1).tolist(),
        columns=columns,
    )
    return _with_trees(base, dataset, fit, valid, monotone, parameters, progress) if trees else base


def _with_trees(
    base: Baselines,
    dataset: Dataset,
    fit: BoolArray,
    valid: BoolArray,
    monotone: tuple[int, ...],
    parameters: FitParameters | None,
    progress: Callable[[int, int], None] | None,
) -> Baselines:
    from training.fit import FitParameters, fit_booster, rows_of

    names = [n for n in dataset.feature_names if n not in PRIOR_FEATURES]
    picked = [dataset.feature_names.index(n) for n in names]
    given = parameters or FitParameters()
    fit_rows, valid_rows = rows_of(dataset, fit), rows_of(dataset, valid)
    least = max(1, min(_RAW_LEAF, len(fit_rows) // 50))
    own = replace(given, **_RAW_TREES, min_data_in_leaf=least, patience=given.patience or 30)
    found = fit_booster(dataset.x, fit_rows, valid_rows, monotone, own, False, picked, progress)
    return Baselines(**{**base.as_dict(), "trees": found.booster, "trees_base": found.base})


def _features(dataset: Dataset, columns: list[str], horizon: int) -> FloatArray:
    picked = [dataset.feature_names.index(name) for name in columns]
    return dataset.x[horizon::_WIDTH][:, picked].astype(np.float64)


def _standardised(x: FloatArray, centre: FloatArray, spread: FloatArray) -> FloatArray:
    """Standardise, clip at six deviations, put unknown figures at the mean, and append an intercept."""
    z = np.clip((x - centre) / spread, -6.0, 6.0)
    return np.column_stack([np.where(np.isfinite(z), z, 0.0), np.ones(len(z))])


def _distance(dataset: Dataset) -> FloatArray:
    d = dataset.x[::_WIDTH, dataset.feature_names.index("distance_price")].astype(np.float64)
    log = np.log(np.clip(np.nan_to_num(d, nan=0.1), 1e-4, None))
    return np.column_stack([log, log**2, np.ones(len(log))])


def _flag(dataset: Dataset) -> Any:
    return np.asarray(dataset.extra["last_call"], np.float64).astype(np.int64)


def _alert(dataset: Dataset) -> Any:
    usage = dataset.x[::_WIDTH, dataset.feature_names.index("margin_usage")]
    return np.searchsorted(ALERT, np.nan_to_num(usage, nan=0.0), side="right")


def _rates(dataset: Dataset, state: Any, states: int) -> FloatArray:
    """Share of events by state and horizon, half an event added towards the rate of all."""
    out = np.empty((states, _WIDTH))
    for k in range(_WIDTH):
        known = dataset.usable[:, k]
        y, s = dataset.y[known, k].astype(np.float64), state[known]
        mean = max(float(y.mean()), _LEAST) if len(y) else _LEAST
        events, rows = np.bincount(s, y, states), np.bincount(s, minlength=states)
        out[:, k] = (events + 20.0 * mean) / (rows + 20.0)
    return out


def _fit_by_horizon(dataset: Dataset, columns: Callable[[int], FloatArray]) -> list[list[float]]:
    out = []
    for k in range(_WIDTH):
        known = dataset.usable[:, k]
        x = columns(k)[known]
        y = dataset.y[known, k].astype(np.float64)
        out.append([float(v) for v in fit_logistic(x, y, np.zeros(x.shape[1]), ridge=1.0)])
    return out


def _by_horizon(x: FloatArray, coefficients: list[list[float]]) -> FloatArray:
    return np.column_stack([sigmoid(x @ np.asarray(row)) for row in coefficients])
