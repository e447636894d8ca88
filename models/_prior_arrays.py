"""Parts of the prior as arrays of a bundle, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.scenarios import ScenarioPool
from models.volatility.comovement import ComovementModel
from models.volatility.forecast import HarModel
from models.volatility.harx import HarXModel
from models.volatility.seasonality import HourOfWeek

__all__ = ["pool_arrays", "pool_of", "volatility_arrays", "volatility_of"]


def pool_arrays(pool: ScenarioPool, comovement: ComovementModel | None) -> dict[str, Any]:
    """Entries of the windows, and of the forecast of co-movement where there is one."""
    windows = {
        "assets": np.array(pool.assets),
        "proxy": np.array(pool.proxy, dtype=np.str_),
        "low": pool.low,
        "high": pool.high,
        "close": pool.close,
        "correlation": pool.correlation,
    }
    if comovement is None:
        return windows
    forecast = {"comovement": comovement.coefficient, "comovement_count": np.array(comovement.count)}
    return {**windows, **forecast, "market": pool.market, "own_share": pool.own_share}


def pool_of(arrays: Mapping[str, Any]) -> tuple[ScenarioPool, ComovementModel | None]:
    """Read the entries of `pool_arrays`; those of before have no forecast of co-movement."""
    assets, proxy = (tuple(str(a) for a in arrays[name]) for name in ("assets", "proxy"))
    low, high, close, correlation = (arrays[name] for name in ("low", "high", "close", "correlation"))
    if "comovement" not in arrays:
        return ScenarioPool(assets, low, high, close, correlation, proxy), None
    market, own = arrays["market"], arrays["own_share"]
    comovement = ComovementModel(int(arrays["comovement_count"]), arrays["comovement"])
    return ScenarioPool(assets, low, high, close, correlation, proxy, market, own), comovement


def volatility_arrays(model: HarXModel | HarModel) -> dict[str, Any]:
    """Entries of the forecast of volatility."""
    out = {"kind": np.array(model.kind), "season": model.season.factor, "coefficient": model.coefficient}
    return {**out, "centre": model.centre, "scale": model.scale} if isinstance(model, HarXModel) else out


def volatility_of(arrays: Mapping[str, Any]) -> HarXModel | HarModel:
    """Read the entries of `volatility_arrays`."""
    season, coefficient = HourOfWeek(arrays["season"]), arrays["coefficient"]
    if str(arrays["kind"]) == "harx":
        return HarXModel(season, arrays["centre"], arrays["scale"], coefficient)
    return HarModel("ewma" if str(arrays["kind"]) == "ewma" else "har", season, coefficient)
