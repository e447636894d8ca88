"""How closely assets move together: a forecast of what is an asset's own, by log-HAR on one less the correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from models.errors import InputError
from models.market import MarketPanel
from models.typing import FloatArray
from models.volatility.realised import forward_mean, trailing_mean

__all__ = ["AHEAD_HOURS", "ComovementModel", "separation"]

AHEAD_HOURS: Final = 24
"""Hours ahead that the forecast is about."""
_WINDOWS: Final = (6, 24, 72, 168, 720)
_LEAST: Final = 0.01
_MOST: Final = 0.95
_RIDGE: Final = 0.001


@dataclass(frozen=True, slots=True, eq=False)
class ComovementModel:
    """Forecast of the share of each asset's variance over the next day that is its own, not the market's.

    The market is the mean of all assets, each in its own deviations.

    Parameters
    ----------
    count : int
        Assets fitted on, 2 or more.
    coefficient : ndarray, shape (11,)
        Intercept, then slopes on the log separation of the asset over the last 6, 24, 72, 168, 720 hours, and on that
        of the mean asset over the same.

    References
    ----------
    Corsi (2009), J. Financial Econometrics 7(2), for the windows; Audrino and Corsi (2010), Computational Statistics &
    Data Analysis 54(11), for realised correlation in such a regression.
    """

    count: int
    coefficient: FloatArray

    @classmethod
    def fit(cls, panel: MarketPanel) -> ComovementModel | None:
        """Fit on hourly bars, all assets pooled.

        Parameters
        ----------
        panel : MarketPanel
            Hourly bars; only what is in it is used.

        Returns
        -------
        ComovementModel or None
            None for a single asset, and where no hour has all windows.

        Raises
        ------
        InputError
            If the panel is not hourly.
        """
        if panel.bar_minutes != 60:
            raise InputError("panel.bar_minutes", panel.bar_minutes, "60 (use models.market.to_hourly)")
        x = _regressors(panel)
        y = np.log(separation(panel, AHEAD_HOURS, ahead=True))
        there = np.isfinite(x).all(axis=2) & np.isfinite(y)
        if not there.any():
            return None
        a, b = x[there], y[there]
        centre = a.mean(axis=0)
        a = a - centre
        slope = np.linalg.solve(a.T @ a + _RIDGE * len(b) * np.eye(a.shape[1]), a.T @ (b - b.mean()))
        count = int(there.any(axis=1).sum())
        return cls(count, np.concatenate([[b.mean() - centre @ slope], slope]))

    def forecast(self, panel: MarketPanel) -> FloatArray:
        """Forecast at the close of each bar.

        Parameters
        ----------
        panel : MarketPanel
            Hourly bars.

        Returns
        -------
        ndarray, shape (A, T)
            In (0, 1); NaN until half of the longest window is there, and where there is no second asset. Of `count`
            assets with equal correlation c, (1 - c) (1 - 1 / count) of each one's variance is its own.
        """
        apart = np.exp(_regressors(panel) @ self.coefficient[1:] + self.coefficient[0])
        return np.clip(apart * (1.0 - 1.0 / self.count), _LEAST, _MOST)


def separation(panel: MarketPanel, hours: int, ahead: bool = False) -> FloatArray:
    """One less the mean correlation of an asset's hourly returns with those of the others.

    Parameters
    ----------
    panel : MarketPanel
        A assets, T hourly bars.
    hours : int
        Length of the window.
    ahead : bool
        Over the next hours instead of the last; for fitting only.

    Returns
    -------
    ndarray, shape (A, T)
        At least 0.01, at most 2: 0 where all move as one, 1 where nothing is common. NaN where too little is there.

    Examples
    --------
    >>> rng = np.random.default_rng(7)
    >>> price = np.exp(np.cumsum(rng.normal(size=(3, 500)), axis=1) * 0.01)
    >>> panel = MarketPanel(("A", "B", "C"), 60, 0, price, price, price, price, price, 0 * price, ("mark",) * 3)
    >>> separation(panel, 400)[:, -1].round(1).tolist()
    [1.0, 1.0, 1.0]
    """
    mean = forward_mean if ahead else trailing_mean
    a_n, t_n = panel.close.shape
    moves = np.full((a_n, t_n), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        moves[:, 1:] = np.log(panel.close[:, 1:] / panel.close[:, :-1])
        deviation = np.sqrt(mean(moves**2, hours))
        total, count = np.zeros((a_n, t_n)), np.zeros((a_n, t_n))
        for a in range(a_n - 1):
            shared = mean(moves[a] * moves[a + 1 :], hours) / (deviation[a] * deviation[a + 1 :])
            there = np.isfinite(shared)
            shared = np.where(there, shared, 0.0)
            total[a] += shared.sum(axis=0)
            total[a + 1 :] += shared
            count[a] += there.sum(axis=0)
            count[a + 1 :] += there
        return np.clip(1.0 - total / np.where(count > 0, count, np.nan), _LEAST, 2.0)


def _regressors(panel: MarketPanel) -> FloatArray:
    """Log separation of each asset over the windows, then of the mean asset; shape (A, T, 10)."""
    own = np.stack([separation(panel, w) for w in _WINDOWS], axis=2)
    there = np.isfinite(own)
    shared = np.where(there, own, 0.0).sum(axis=0) / np.where(there.any(axis=0), there.sum(axis=0), np.nan)
    return np.log(np.concatenate([own, np.broadcast_to(shared, own.shape)], axis=2))
