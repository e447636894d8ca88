"""Log-HAR with further regressors: the size of recent moves, how unsteady volatility is, and funding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.errors import InputError
from models.first_passage import running_extremes
from models.market import MarketPanel
from models.typing import HOUR_NS, FloatArray
from models.volatility.forecast import HORIZON_HOURS
from models.volatility.realised import bar_variance, forward_mean
from models.volatility.regressors import MEANS, N_REGRESSORS, regressors
from models.volatility.seasonality import HourOfWeek, hour_of_week

__all__ = ["HarXModel"]

_RIDGE: Final = 0.01
_LEAST_MOVE: Final = 1e-4
_FLAT: Final = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class HarXModel:
    """Log-HAR with exogenous regressors and the hour-of-week season of the last year, one regression a horizon.

    Parameters
    ----------
    season : HourOfWeek
        Seasonal factors.
    centre, scale : ndarray, shape (K,)
        Mean and deviation of each regressor over the hours fitted on; the mean stands in where one is not known.
    coefficient : ndarray, shape (4, 1 + K)
        Intercept, and slopes on the standardised regressors of `models.volatility.regressors.regressors`.

    Notes
    -----
    The slopes answer to the logarithm of the largest move inside the horizon, up or down: it is what decides a breach,
    and there is one such figure for every start. The level is that of the variance: over the hours fitted on, the
    mean logarithm of the forecast is that of the realised variance, as for `HarModel`.

    References
    ----------
    Corsi (2009), J. Financial Econometrics 7(2), for the windows; Corsi and Reno (2012), J. Business & Economic
    Statistics 30(3), for returns as regressors; Bollerslev, Patton and Quaedvlieg (2016), J. Econometrics 192(1), for
    the reliability of the variances themselves.
    """

    season: HourOfWeek
    centre: FloatArray
    scale: FloatArray
    coefficient: FloatArray

    @property
    def kind(self) -> str:
        """Name of the kind of forecast."""
        return "harx"

    @classmethod
    def fit(cls, panel: MarketPanel, used: int = N_REGRESSORS, season_days: int = 365) -> HarXModel:
        """Fit on hourly bars, all assets pooled.

        Parameters
        ----------
        panel : MarketPanel
            Hourly bars; only what is in it is used.
        used : int
            How many of the regressors have a slope, from the first on; for comparisons.
        season_days : int
            Days before the end of the panel that the season is taken from.

        Returns
        -------
        HarXModel
            The fitted model.

        Raises
        ------
        InputError
            If the panel is not hourly or has under 60 days.
        """
        if panel.bar_minutes != 60:
            raise InputError("panel.bar_minutes", panel.bar_minutes, "60 (use models.market.to_hourly)")
        if panel.n_bars < 60 * 24:
            raise InputError("panel", f"{panel.n_bars} bars", "at least 60 days of hourly bars to fit volatility")
        first = max(0, panel.n_bars - season_days * 24)
        recent = panel.slice(first, panel.n_bars)
        season = HourOfWeek.fit(bar_variance(recent.open, recent.high, recent.low, recent.close), recent.start)
        plain = _plain(panel, season)
        x = regressors(panel, plain)
        centre, scale = _moments(x)
        z = (_known(x, centre) - centre) / scale
        z[..., used:] = 0.0
        rows = [
            _solve(z, target, np.log(forward_mean(plain, int(hours))))
            for hours, target in zip(HORIZON_HOURS, _moves(panel, season), strict=True)
        ]
        return cls(season, centre, scale, np.stack(rows))

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
        x = _known(regressors(panel, _plain(panel, self.season)), self.centre)
        slope = self.coefficient[:, 1:] / self.scale
        level = self.coefficient[:, 0] - slope @ self.centre
        ahead = self.season.ahead(HORIZON_HOURS)[hour_of_week(panel.times() + HOUR_NS)]
        out: FloatArray = np.exp(x @ slope.T + level) * ahead[None]
        return np.maximum.accumulate(out, axis=2)


def _plain(panel: MarketPanel, season: HourOfWeek) -> FloatArray:
    """Hourly variance without its season, shape (A, T)."""
    variance = bar_variance(panel.open, panel.high, panel.low, panel.close)
    return np.asarray(variance / season.factor[hour_of_week(panel.times())])


def _moves(panel: MarketPanel, season: HourOfWeek) -> FloatArray:
    """Log square of the largest move inside each horizon, for an hour without season; shape (4, A, T)."""
    extremes = [
        running_extremes(panel.high[a], panel.low[a], panel.close[a], HORIZON_HOURS).max(axis=0)
        for a in range(len(panel.assets))
    ]
    ahead = season.ahead(HORIZON_HOURS)[hour_of_week(panel.times() + HOUR_NS)]
    largest = np.maximum(np.stack(extremes, axis=1), _LEAST_MOVE)
    return np.asarray(2.0 * np.log(largest) - np.log(ahead.T[:, None]))


def _moments(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation of each column over the hours that have it; 0 and 1 where none has."""
    flat = x.reshape(-1, x.shape[2])
    there = np.isfinite(flat)
    count = np.maximum(there.sum(axis=0), 1)
    centre = np.where(there, flat, 0.0).sum(axis=0) / count
    variance = np.where(there, (flat - centre) ** 2, 0.0).sum(axis=0) / count
    return centre, np.where(variance > _FLAT, np.sqrt(variance), 1.0)


def _known(x: FloatArray, centre: FloatArray) -> FloatArray:
    """The columns with the mean where one is not known; those of variance are left as they are."""
    return np.where(np.isnan(x) & (np.arange(N_REGRESSORS) >= MEANS), centre, x)


def _solve(z: FloatArray, y: FloatArray, level: FloatArray) -> FloatArray:
    """Coefficients of a ridge on `y`, with the intercept that brings the forecast to the mean of `level`."""
    whole = np.isfinite(z).all(axis=2)
    there = whole & np.isfinite(y)
    a, b = z[there], y[there]
    a = a - a.mean(axis=0)
    slope = np.linalg.solve(a.T @ a + _RIDGE * len(b) * np.eye(a.shape[1]), a.T @ (b - b.mean()))
    seen = whole & np.isfinite(level)
    return np.concatenate([[float((level[seen] - z[seen] @ slope).mean())], slope])
