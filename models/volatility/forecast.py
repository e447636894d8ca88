"""Forecasts of variance over the horizon grid: HAR on realised ranges, and EWMA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.errors import InputError
from models.market import MarketPanel
from models.typing import HORIZONS, HOUR_NS, FloatArray
from models.volatility.realised import bar_variance, forward_mean, trailing_mean
from models.volatility.seasonality import HourOfWeek, hour_of_week

__all__ = ["HORIZON_HOURS", "HarModel", "VolatilityKind"]

HORIZON_HOURS = np.array([h // 60 for h in HORIZONS])
_WINDOWS = (1, 6, 24, 168, 720)
_EWMA_LAMBDA = 0.97
VolatilityKind = Literal["harx", "har", "ewma"]


@dataclass(frozen=True, slots=True, eq=False)
class HarModel:
    """Log-HAR of hourly variance with hour-of-week seasonality, one regression a horizon.

    Parameters
    ----------
    kind : {"har", "ewma"}
        Both are baselines: ``"har"`` behind B5, ``"ewma"``, without season and term structure (decay 0.97 an hour),
        behind B3 and B4. What the prior starts from is `models.volatility.harx.HarXModel`.
    season : HourOfWeek
        Seasonal factors.
    coefficient : ndarray, shape (4, 6)
        Intercept and slopes on the log mean of deseasonalised variance over the last 1, 6, 24, 168, 720 hours.

    References
    ----------
    Corsi (2009), "A Simple Approximate Long-Memory Model of Realized Volatility", J. Financial Econometrics 7(2).
    """

    kind: Literal["har", "ewma"]
    season: HourOfWeek
    coefficient: FloatArray

    @classmethod
    def fit(cls, panel: MarketPanel, kind: Literal["har", "ewma"] = "har") -> HarModel:
        """Fit on hourly bars, all assets pooled.

        Parameters
        ----------
        panel : MarketPanel
            Hourly bars; only what is in it is used.
        kind : {"har", "ewma"}
            Kind of forecast.

        Returns
        -------
        HarModel
            The fitted model.

        Raises
        ------
        InputError
            If the panel is not hourly or has under 60 days.
        """
        if panel.bar_minutes != 60:
            raise InputError("panel.bar_minutes", panel.bar_minutes, "60 (use models.market.to_hourly)")
        if kind == "ewma":
            return cls(kind, HourOfWeek.flat(), np.zeros((4, 1 + len(_WINDOWS))))
        if panel.n_bars < 60 * 24:
            raise InputError("panel", f"{panel.n_bars} bars", "at least 60 days of hourly bars to fit volatility")
        variance = bar_variance(panel.open, panel.high, panel.low, panel.close)
        season = HourOfWeek.fit(variance, panel.start)
        plain = variance / season.factor[hour_of_week(panel.times())]
        x = _regressors(plain)
        rows = [_solve(x, np.log(forward_mean(plain, int(h)))) for h in HORIZON_HOURS]
        return cls(kind, season, np.stack(rows))

    def total_variance(self, panel: MarketPanel) -> FloatArray:
        """Forecast the variance from the close of each bar to each horizon.

        Parameters
        ----------
        panel : MarketPanel
            Hourly bars.

        Returns
        -------
        ndarray, shape (A, T, 4)
            Variance of the log price over the next 1, 4, 24, 72 hours, known at the close of bar t. NaN until
            half of the longest window is there.
        """
        variance = bar_variance(panel.open, panel.high, panel.low, panel.close)
        if self.kind == "ewma":
            return _ewma(variance)[:, :, None] * HORIZON_HOURS
        plain = variance / self.season.factor[hour_of_week(panel.times())]
        x = _regressors(plain)
        level = np.exp(np.einsum("atk,hk->ath", x, self.coefficient))
        ahead = self.season.ahead(HORIZON_HOURS)[hour_of_week(panel.times() + HOUR_NS)]
        out: FloatArray = level * ahead[None]
        return np.maximum.accumulate(out, axis=2)


def _regressors(plain: FloatArray) -> FloatArray:
    x = [np.ones_like(plain)]
    x += [np.log(np.maximum(trailing_mean(plain, w), 1e-12)) for w in _WINDOWS]
    # the last hour may be missing: fall back on the six-hour mean, as the longer ones do
    for k in range(1, len(x)):
        longer = x[k + 1] if k + 1 < len(x) else x[k]
        x[k] = np.where(np.isfinite(x[k]), x[k], longer)
    return np.stack(x, axis=2)


def _solve(x: FloatArray, y: FloatArray) -> FloatArray:
    there = np.isfinite(y) & np.isfinite(x).all(axis=2)
    a, b = x[there], y[there]
    gram = a.T @ a + 1e-6 * len(b) * np.diag([0.0] + [1.0] * (a.shape[1] - 1))
    return np.asarray(np.linalg.solve(gram, a.T @ b), np.float64)


def _ewma(variance: FloatArray) -> FloatArray:
    out = np.full_like(variance, np.nan)
    for a in range(variance.shape[0]):
        level, seen = 0.0, 0
        for t, v in enumerate(variance[a].tolist()):
            if v == v:
                seen += 1
                weight = max(1.0 - _EWMA_LAMBDA, 1.0 / seen)
                level += weight * (v - level)
            if seen >= 24:
                out[a, t] = level
    return out
