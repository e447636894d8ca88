"""The physics prior: the probability of a breach before any learning.

Volatility by an extended HAR on realised ranges with hour-of-week seasonality; running extremes and joint paths by
filtered historical simulation; the gap by the exact engine. One price: a table. Several: scenario paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models._breach_kernels import first_curved, first_straight
from models._path_kernels import Paths
from models._prior_arrays import pool_arrays, pool_of, volatility_arrays, volatility_of
from models._prior_kernels import count_curved_accounts, count_straight, look_up
from models.book import Book, require_sheets
from models.errors import InputError, SchemaMismatchError
from models.first_passage import ExtremeTable
from models.market import MarketPanel, to_hourly
from models.overshoot import OvershootTable
from models.scenarios import ScenarioPool, step_deviation
from models.typing import HORIZONS, HOUR_NS, FloatArray, Int32Array
from models.volatility.comovement import ComovementModel
from models.volatility.forecast import HORIZON_HOURS, HarModel, VolatilityKind
from models.volatility.harx import HarXModel
from models.volatility.seasonality import hour_of_week
from models.volatility.trend import recent_trend

__all__ = ["PriorModel", "PriorState"]

WARMUP_HOURS = 800
"""Hours of history from which `PriorModel.state` is the same as from all of it."""


@dataclass(frozen=True, slots=True, eq=False)
class PriorState:
    """What the prior knows at one instant.

    Parameters
    ----------
    as_of : int
        Close of the last hour used, nanoseconds.
    assets : tuple of str
        Base codes.
    total_variance : ndarray, shape (A, 4)
        Forecast variance of the log price to each horizon.
    scenarios : Paths
        Joint paths from here.
    correlation : ndarray, shape (A, A)
        Correlation of daily moves.
    survival : ndarray, shape (A, 2, 4, 601)
        Law of the standardised running extremes of each asset.
    """

    as_of: int
    assets: tuple[str, ...]
    total_variance: FloatArray
    scenarios: Paths
    correlation: FloatArray
    survival: FloatArray

    @property
    def sigma(self) -> FloatArray:
        """Forecast volatility of the log price to each horizon, shape (A, 4)."""
        return np.sqrt(self.total_variance)


@dataclass(frozen=True, slots=True, eq=False)
class PriorModel:
    """First-passage probability of margin levels.

    Parameters
    ----------
    volatility : HarXModel or HarModel
        The volatility forecast.
    extremes : ExtremeTable
        Standardised running extremes of one price.
    pool : ScenarioPool
        Standardised joint windows.
    fitted_until : int
        Close of the last bar used in fitting, nanoseconds.
    overshoot : OvershootTable, optional
        How far beyond a barrier the price goes; none in baselines and in bundles of before.
    comovement : ComovementModel, optional
        How closely assets will move together; none in baselines, in bundles of before, and for one asset.

    Notes
    -----
    Not modelled: funding inside the horizon, and prices that stop (a halt) or jump between bars of all history.
    """

    volatility: HarXModel | HarModel
    extremes: ExtremeTable
    pool: ScenarioPool
    fitted_until: int
    overshoot: OvershootTable | None = None
    comovement: ComovementModel | None = None

    @classmethod
    def fit(
        cls,
        panel: MarketPanel,
        until: int | None = None,
        volatility: VolatilityKind = "harx",
        paths: int = 2048,
        pool_days: int = 1095,
    ) -> PriorModel:
        """Fit on what was closed at `until`.

        Parameters
        ----------
        panel : MarketPanel
            Bars of up to an hour.
        until : int, optional
            Nanoseconds; all of the panel where None.
        volatility : {"harx", "har", "ewma"}
            Kind of forecast; ``"har"`` (B5) and ``"ewma"`` (B4) are baselines.
        paths : int
            Scenario windows kept, 64 to 16384.
        pool_days : int
            Scenario windows are taken from the last so many days, 30 to 3650.

        Returns
        -------
        PriorModel
            The fitted prior.

        Raises
        ------
        InputError
            If a parameter is out of range or there is too little history.
        """
        if not 64 <= paths <= 16384:
            raise InputError("paths", paths, "64 to 16384")
        if not 30 <= pool_days <= 3650:
            raise InputError("pool_days", pool_days, "30 to 3650")
        hourly = to_hourly(panel)
        hourly = hourly if until is None else hourly.between(hourly.start, until)
        model = HarXModel.fit(hourly) if volatility == "harx" else HarModel.fit(hourly, volatility)
        total = model.total_variance(hourly)
        trend = recent_trend(hourly) if volatility == "harx" else None
        extremes = ExtremeTable.fit(hourly, total, HORIZON_HOURS, trend)
        overshoot = OvershootTable.fit(hourly, total, HORIZON_HOURS) if volatility == "harx" else None
        first = max(0, hourly.n_bars - pool_days * 24)
        recent = hourly.slice(first, hourly.n_bars)
        hours = hour_of_week(recent.times())
        comovement = ComovementModel.fit(hourly) if volatility == "harx" else None
        own_share = None if comovement is None else comovement.forecast(hourly)[:, first:]
        pool = ScenarioPool.fit(recent, total[:, first:], model.season.factor, hours, paths, own_share)
        return cls(model, extremes, pool, hourly.end, overshoot, comovement)

    def total_variance(self, panel: MarketPanel) -> FloatArray:
        """Forecast variance at the close of each hourly bar.

        Parameters
        ----------
        panel : MarketPanel
            Bars of up to an hour.

        Returns
        -------
        ndarray, shape (A, T, 4)
            T hours; see `HarModel.total_variance`.
        """
        return self.volatility.total_variance(to_hourly(panel))

    def own_share(self, panel: MarketPanel) -> FloatArray | None:
        """Forecast the share of each asset's variance that is its own, not the market's, at each hourly close.

        Parameters
        ----------
        panel : MarketPanel
            Bars of up to an hour.

        Returns
        -------
        ndarray, shape (A, T), or None
            See `models.volatility.comovement`; NaN for assets that the pool has no windows of. None where the prior
            does not forecast it.
        """
        if self.comovement is None:
            return None
        hourly = to_hourly(panel)
        known = [a for a in hourly.assets if a in self.pool.assets and a not in self.pool.proxy]
        out = np.full(hourly.close.shape, np.nan)
        if len(known) > 1:
            out[[hourly.column(a) for a in known]] = self.comovement.forecast(hourly.select(known))
        return out

    def state(self, panel: MarketPanel, as_of: int) -> PriorState:
        """Compute the state from the history before `as_of`.

        Parameters
        ----------
        panel : MarketPanel
            Bars of up to an hour, at least 800 hours before `as_of` for a full forecast.
        as_of : int
            Nanoseconds.

        Returns
        -------
        PriorState
            The state at the last full hour.
        """
        hourly = to_hourly(panel.between(as_of - (WARMUP_HOURS + 1) * HOUR_NS, as_of))
        if hourly.n_bars == 0:
            raise InputError("as_of", as_of, "an instant with at least one closed hourly bar before it")
        total = self.volatility.total_variance(hourly)[:, -1]
        own = self.own_share(hourly)
        now = None if own is None else own[:, -1]
        return self.state_from(hourly.assets, total, hourly.end, recent_trend(hourly)[:, -1], now)

    def state_from(
        self,
        assets: tuple[str, ...],
        total_variance: FloatArray,
        as_of: int,
        trend: FloatArray | None = None,
        own_share: FloatArray | None = None,
    ) -> PriorState:
        """Build a state from forecasts that are already computed.

        Parameters
        ----------
        assets : tuple of str
            Base codes of the rows.
        total_variance : ndarray, shape (A, 4)
            Forecast at `as_of`; NaN where there is too little history (the median of the others is used).
        as_of : int
            Close of the hour, nanoseconds.
        trend : ndarray, shape (A,), optional
            `models.volatility.trend.recent_trend` at `as_of`; none where None.
        own_share : ndarray, shape (A,), optional
            `own_share` at `as_of`; paths move together as in their windows where None.

        Returns
        -------
        PriorState
            The state.
        """
        pool = self.pool if assets == self.pool.assets else self.pool.for_assets(assets)
        total = np.where(np.isfinite(total_variance), total_variance, np.nan)
        if np.isnan(total).any():
            middle = np.nanmedian(total, axis=0) if np.isfinite(total).any() else np.full(4, 1e-4) * HORIZON_HOURS
            total = np.where(np.isnan(total), middle, total)
        hour = np.full(len(assets), hour_of_week(as_of))
        scenarios = pool.at(step_deviation(total, self.volatility.season.factor, hour), own_share)
        survival = self.extremes.at(np.zeros(len(assets)) if trend is None else trend)
        correlation, survival = np.ascontiguousarray(pool.correlation), np.ascontiguousarray(survival)
        return PriorState(as_of, assets, total, scenarios, correlation, survival)

    def correlation(self, assets: tuple[str, ...]) -> FloatArray:
        """Correlation of daily moves for an order of assets, shape (A, A)."""
        return self.pool.correlation if assets == self.pool.assets else self.pool.for_assets(assets).correlation

    def probability(self, book: Book, price: FloatArray, state: PriorState, factor: FloatArray) -> FloatArray:
        """Probability that each account breaches a level by each horizon.

        Parameters
        ----------
        book : Book
            n accounts, on the assets of `state`.
        price : ndarray, shape (A,)
            Prices now.
        state : PriorState
            From `state` or `state_from`.
        factor : ndarray, shape (n,) or (n, L)
            Levels as multiples of maintenance: the call factor for a call, 1 for liquidation. Several levels are
            quickest in falling order.

        Returns
        -------
        ndarray, shape (n, 4) or (n, L, 4)
            In [0, 1], non-decreasing over the horizons; 1 for accounts that are in breach now.

        Raises
        ------
        InputError
            If book and state disagree on the assets, or the book has options without sheets.
        """
        _require_fit(book, state)
        factors = np.ascontiguousarray(factor if np.ndim(factor) == 2 else np.asarray(factor)[:, None], np.float64)
        out = np.empty((*factors.shape, len(HORIZONS)))
        prices, paths = np.ascontiguousarray(price, np.float64), state.scenarios
        tables = (state.sigma, state.correlation, state.survival, len(paths.low))
        joint = look_up(book.arrays, prices, factors, *tables, out)
        if len(book.arrays.sheet_asset):
            count_curved_accounts(book.arrays, prices, factors, paths, joint, out)
        if joint.any():
            count_straight(book.arrays, prices, factors, paths, joint, out)
        np.maximum.accumulate(out, axis=2, out=out)
        for level in range(1, factors.shape[1]):  # what breaches a level breaches the ones above
            lower = factors[:, level] <= factors[:, level - 1]
            out[lower, level] = np.minimum(out[lower, level], out[lower, level - 1])
        return out if np.ndim(factor) == 2 else out[:, 0]

    def breaches(self, book: Book, price: FloatArray, state: PriorState, factor: FloatArray) -> Int32Array:
        """First hour at which each account breaches a level on each joint path: the same paths for all accounts.

        Parameters
        ----------
        book : Book
            n accounts, on the assets of `state`.
        price : ndarray, shape (A,)
            Prices now.
        state : PriorState
            From `state` or `state_from`.
        factor : ndarray, shape (n, L)
            Levels as multiples of maintenance, in falling order.

        Returns
        -------
        ndarray of int32, shape (n, L, S)
            Full hours from now on each of S paths, 1,000,000 where there is no breach within 72 hours. The share of
            paths is near `probability`, and not the same: what hangs on one price is looked up there in a finer table.

        Raises
        ------
        InputError
            If book and state disagree on the assets, or the book has options without sheets.
        """
        _require_fit(book, state)
        prices, paths = np.ascontiguousarray(price, np.float64), state.scenarios
        out = np.empty((*factor.shape, len(paths.low)), np.int32)
        factors = np.ascontiguousarray(factor, np.float64)
        first_straight(book.arrays, prices, factors, paths, out)
        if len(book.arrays.sheet_asset):
            first_curved(book.arrays, prices, factors, paths, out)
        return out

    def to_arrays(self) -> dict[str, Any]:
        """Everything as arrays, for a bundle; `from_arrays` is the inverse."""
        return {
            **volatility_arrays(self.volatility),
            **pool_arrays(self.pool, self.comovement),
            "survival": self.extremes.survival,
            "fitted_until": np.array(self.fitted_until, np.int64),
            **({} if self.overshoot is None else {"overshoot": self.overshoot.quantile}),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> PriorModel:
        """Rebuild a prior from `to_arrays`.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            For example an open ``.npz`` file.

        Returns
        -------
        PriorModel
            The same prior.

        Raises
        ------
        SchemaMismatchError
            If an array is missing.
        """
        try:
            pool, comovement = pool_of(arrays)
            return cls(
                volatility_of(arrays),
                ExtremeTable(survival if (survival := arrays["survival"]).ndim == 4 else survival[None]),
                pool,
                int(arrays["fitted_until"]),
                OvershootTable(arrays["overshoot"]) if "overshoot" in arrays else None,
                comovement,
            )
        except KeyError as error:
            raise SchemaMismatchError(f"prior arrays: expected an entry {error}, was absent") from error


def _require_fit(book: Book, state: PriorState) -> None:
    if book.assets != state.assets:
        raise InputError("book.assets", book.assets, f"the assets of the state, {state.assets}")
    require_sheets(book)
