"""From accounts and market to probabilities: the one path that files, the API, plans and reports share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numba import njit

from features.build import FEATURE_NAMES, design_matrix
from features.market import market_row
from models.book import Book, BookArrays
from models.errors import MissingMarketError
from models.margin.dynamic.block import dynamic_assets, rate_at
from models.margin.levels import STATES, margin_levels
from models.margin.valuation import Volatility, implied_level, valued
from models.market import MarketPanel
from models.predictor import MarginCallPredictor, SizeModel, size_inputs
from models.predictor.explain import PARTS, Explanation
from models.prior import PriorModel, PriorState
from models.typing import HORIZONS, MINUTE_NS, BoolArray, FloatArray, IntArray
from models.volatility.month import month_volatility

__all__ = ["FLAGS", "Forecast", "Moment", "flag_names", "forecast", "moment_at"]

FLAGS: Final = (
    "prior_only",
    "in_sample",
    "no_positions",
    "stale_market",
    "gap",
    "no_price",
    "in_call",
    "proxy_paths",
    "future_as_of",
    "modelled_volatility",
)
"""What an answer may carry, in the order of the bits of `Forecast.flags`.

``prior_only`` no model, the physics answers; ``in_sample`` the model was fitted on data after this instant;
``no_positions`` nothing can be called; ``stale_market`` the price is older than the ruleset allows; ``gap`` the
newest bar of an asset is missing; ``no_price`` an asset has no price (all figures NaN); ``in_call`` equity is below
the call requirement now; ``proxy_paths`` an asset has too little history and moves with the market in the prior;
``future_as_of`` the account is dated after the newest bar by more than the ruleset's limit; ``modelled_volatility`` an
option is valued at a volatility that no index and no quote stands behind.
"""
_BIT: Final = {name: 1 << i for i, name in enumerate(FLAGS)}


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What is predicted for n accounts; amounts in account currency, NaN where ``no_price``.

    Parameters
    ----------
    p_call, p_liquidation : ndarray, shape (n, 4)
        Probability of a call, of a liquidation, within each horizon.
    prior : ndarray, shape (n, 4)
        The prior's P(call).
    call_amount_q50, call_amount_q90 : ndarray, shape (n, 4)
        Quantiles of the call amount given a call within the horizon.
    age_minutes : ndarray, shape (n,)
        Age of the oldest price the account depends on, at its own instant.
    flags : ndarray of int64, shape (n,)
        Bits of `FLAGS`.
    state : ndarray of int64, shape (n,)
        Margin state now, index into `models.margin.levels.STATES`; -1 where ``no_price``.
    explanation : Explanation or None
        Parts of P(call) where they were asked for and a model answers; NaN where P does not come from the trees: in a
        call already, without positions, without a price.
    """

    p_call: FloatArray
    p_liquidation: FloatArray
    prior: FloatArray
    call_amount_q50: FloatArray
    call_amount_q90: FloatArray
    age_minutes: FloatArray
    flags: IntArray
    state: IntArray
    explanation: Explanation | None = None


def flag_names(bits: int) -> list[str]:
    """Flags of one account in words.

    Parameters
    ----------
    bits : int
        One value of `Forecast.flags`.

    Returns
    -------
    list of str
        Names out of `FLAGS`.

    Examples
    --------
    >>> flag_names(5)
    ['prior_only', 'no_positions']
    """
    return [name for name in FLAGS if bits & _BIT[name]]


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """Everything about the market that the predictor needs at one instant.

    Parameters
    ----------
    as_of : int
        Close of the bar, nanoseconds.
    assets : tuple of str, length A
        Base codes.
    price : ndarray, shape (A,)
        Last known close; NaN where there is none.
    closed : ndarray of float64, shape (A,)
        Close of the bar that each price is from, nanoseconds.
    features : ndarray, shape (A, F) or None
        Market features; None where only the prior answers.
    prior : PriorModel
        The physics.
    state : PriorState
        Its state.
    predictor : MarginCallPredictor or None
        The full predictor.
    proxy : ndarray of bool, shape (A,)
        Assets with too little history, that move with the market in the prior's paths.
    implied : ndarray, shape (A,)
        30-day implied volatility: the index where there is one, else modelled from realised volatility.
    modelled : ndarray of bool, shape (A,)
        Assets without an index.
    panel : MarketPanel
        The bars behind it.
    """

    as_of: int
    assets: tuple[str, ...]
    price: FloatArray
    closed: FloatArray
    features: FloatArray | None
    prior: PriorModel
    state: PriorState
    predictor: MarginCallPredictor | None
    proxy: BoolArray
    implied: FloatArray
    modelled: BoolArray
    panel: MarketPanel

    def valued(self, book: Book) -> Book:
        """Give a book with options or scenario margin its sheets at this moment."""
        if book.blocks is None:
            return book
        return valued(book, self.price, self.volatility(dynamic_assets(book.blocks, len(self.assets))))

    def volatility(self, dynamic: BoolArray) -> Volatility:
        """Implied volatility at this moment, with the margin rates of the assets that need one, shape (A,)."""
        rate = rate_at(self.panel, self.as_of, dynamic) if dynamic.any() else None
        return Volatility(self.implied, margin_rate=rate)

    def p_call(self, book: Book) -> FloatArray:
        """P(call), shape (n, 4)."""
        book = self.valued(book)
        factors = (book.arrays.account_call_factor,)
        return self._levels(book, self._physics(book, factors), factors)[0]

    def outlook(self, book: Book, num_threads: int | None = None, explain: bool = False) -> Forecast:
        """Predict everything for accounts whose prices are known.

        Parameters
        ----------
        book : Book
            n accounts.
        num_threads : int, optional
            Threads of the trees.
        explain : bool
            Whether to take P(call) apart.

        Returns
        -------
        Forecast
            Rows in the order of the book.
        """
        guessed = self._guessed(book)
        book = self.valued(book)
        factors = (book.arrays.account_call_factor, np.ones(len(book)))
        physics = self._physics(book, factors)
        p_call, p_liquidation = self._levels(book, physics, factors, num_threads)
        prior = np.ascontiguousarray(physics[:, 0])
        levels = margin_levels(book, self.price)
        in_call = levels.gap_call < 0
        p_call[in_call] = 1.0
        p_liquidation[levels.state == len(STATES) - 1] = 1.0
        size = SizeModel() if self.predictor is None else self.predictor.size
        q50, q90 = size.quantiles(*size_inputs(book, self.price, self.state.sigma, levels))
        unknown = levels.state < 0
        liquidation = np.minimum(p_liquidation, p_call)
        if unknown.any():
            for table in (p_call, liquidation, prior, q50, q90):
                table[unknown] = np.nan
        ages = self.ages(book)
        flags = self._flags(book, ages, unknown, in_call)
        flags[guessed] |= _BIT["modelled_volatility"]
        parts = self._explain(book, prior, p_call) if explain else None
        return Forecast(p_call, liquidation, prior, q50, q90, ages, flags, levels.state, parts)

    def ages(self, book: Book) -> FloatArray:
        """Age in minutes, at the account's instant, of the oldest price that it depends on; shape (n,)."""
        oldest = np.empty(len(book))
        _oldest(book.arrays, float(self.as_of), self.closed, oldest)
        return np.asarray(np.round((book.as_of - oldest) / MINUTE_NS, 3), np.float64)

    def _guessed(self, book: Book) -> BoolArray:
        """Accounts with an option that states no volatility, on an asset without an index, shape (n,)."""
        out = np.zeros(len(book), np.bool_)
        b = book.blocks
        if b is not None:
            block = np.repeat(np.arange(len(b.block_unit)), np.diff(b.block_option))
            rows = block[np.isnan(b.option_vol) & self.modelled[b.block_asset[block]]]
            out[book.unit_account()[b.block_unit[rows]]] = True
        return out

    def _flags(self, book: Book, ages: FloatArray, unknown: BoolArray, in_call: BoolArray) -> IntArray:
        late = (book.as_of - self.as_of) / MINUTE_NS
        whole = _BIT["prior_only"] if self.predictor is None else 0
        whole |= _BIT["in_sample"] if self.as_of < self.prior.fitted_until else 0
        bits = np.full(len(book), whole, np.int64)
        bits[~book.holds_positions()] |= _BIT["no_positions"]
        bits[ages > book.stale_after_minutes] |= _BIT["stale_market"]
        bits[ages - late > 1e-6] |= _BIT["gap"]
        bits[unknown] |= _BIT["no_price"]
        bits[in_call] |= _BIT["in_call"]
        bits[late > book.stale_after_minutes] |= _BIT["future_as_of"]
        if self.proxy.any():
            bits[book.unit_account()[book.unit_of_leg()[self.proxy[book.arrays.leg_asset]]]] |= _BIT["proxy_paths"]
        return bits

    def _physics(self, book: Book, factors: tuple[FloatArray, ...]) -> FloatArray:
        """The prior's P(breach) of each level, shape (n, L, 4)."""
        return self.prior.probability(book, self.price, self.state, np.column_stack(factors))

    def _levels(
        self, book: Book, prior: FloatArray, factors: tuple[FloatArray, ...], num_threads: int | None = None
    ) -> list[FloatArray]:
        """P(breach) of each level; the trees are asked once for all levels."""
        n, m = len(book), len(factors)
        if self.predictor is None or self.features is None:
            return [prior[:, i].copy() for i in range(m)]
        x = np.empty((n, m, len(HORIZONS), len(FEATURE_NAMES)), np.float32)  # the rows of an account side by side
        for i, k in enumerate(factors):
            level = np.ascontiguousarray(prior[:, i])
            rows = design_matrix(book, self.price, self.features, self.state.sigma, level, k)
            x[:, i] = rows.reshape(n, len(HORIZONS), -1)
        both = self.predictor.predict(x.reshape(-1, len(FEATURE_NAMES)), prior.reshape(-1, len(HORIZONS)), num_threads)
        p = both.reshape(n, m, len(HORIZONS))
        p[~book.holds_positions() & (prior[:, 0, -1] == 0)] = 0.0
        return [np.ascontiguousarray(p[:, i]) for i in range(m)]

    def _explain(self, book: Book, prior: FloatArray, p_call: FloatArray) -> Explanation | None:
        """Parts of P(call); NaN where it does not come from the trees."""
        if self.predictor is None or self.features is None:
            return None
        factor = book.arrays.account_call_factor
        x = design_matrix(book, self.price, self.features, self.state.sigma, prior, factor)
        found = self.predictor.explain(x, prior)
        found.parts[np.isnan(p_call) | (p_call <= 0.0) | (p_call >= 1.0)] = np.nan
        return found


@njit(cache=True, nogil=True)
def _oldest(b: BookArrays, newest: float, closed: FloatArray, out: FloatArray) -> None:  # pragma: no cover - compiled
    """Close of the oldest price that each account depends on."""
    for n in range(len(out)):
        found = newest
        for u in range(b.account_unit[n], b.account_unit[n + 1]):
            for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
                found = min(found, closed[b.leg_asset[i]])
            for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
                if b.coll_asset[j] >= 0:
                    found = min(found, closed[b.coll_asset[j]])
            for h in range(b.unit_sheet[u], b.unit_sheet[u + 1]):
                found = min(found, closed[b.sheet_asset[h]])
        out[n] = found


def moment_at(panel: MarketPanel, as_of: int, prior: PriorModel, predictor: MarginCallPredictor | None) -> Moment:
    """Prepare an instant.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    as_of : int
        Nanoseconds; bars that close at or before it are used.
    prior : PriorModel
        The physics.
    predictor : MarginCallPredictor or None
        The full predictor.

    Returns
    -------
    Moment
        The market at the close of the last bar.

    Raises
    ------
    MissingMarketError
        If no bar is closed at `as_of`.
    """
    row = min(int(panel.row_closed(as_of)), panel.n_bars - 1)
    if row < 0:
        raise MissingMarketError(f"market: expected a bar closed at {np.datetime64(as_of, 'ns')}, the first is later")
    close = panel.start + (row + 1) * panel.step
    seen = panel.snapshot(close)
    state = prior.state(panel, close)
    implied, modelled = implied_level(seen.implied, month_volatility(panel, np.array([row]))[0])
    return Moment(
        as_of=close,
        assets=panel.assets,
        price=seen.price,
        closed=close - seen.age_minutes * MINUTE_NS,
        features=None if predictor is None else market_row(panel, row),
        prior=prior,
        state=state,
        predictor=predictor,
        proxy=np.isin(panel.assets, prior.pool.proxy) | ~np.isin(panel.assets, prior.pool.assets),
        implied=implied,
        modelled=modelled,
        panel=panel,
    )


def forecast(
    book: Book,
    panel: MarketPanel,
    predictor: MarginCallPredictor | None,
    prior: PriorModel | None = None,
    num_threads: int | None = None,
    explain: bool = False,
) -> Forecast:
    """Predict for accounts, each at its own instant.

    Parameters
    ----------
    book : Book
        n accounts on the assets of the panel.
    panel : MarketPanel
        Bars; for each account only those closed at its ``as_of`` are used.
    predictor : MarginCallPredictor or None
        The model; None lets the prior answer.
    prior : PriorModel, optional
        The physics where there is no predictor; fitted on the panel where None.
    num_threads : int, optional
        Threads of the trees.
    explain : bool
        Whether to take P(call) apart.

    Returns
    -------
    Forecast
        Rows in the order of the book.

    Raises
    ------
    MissingMarketError
        If no bar is closed at some account's instant.
    """
    physics = predictor.prior if predictor is not None else (prior or PriorModel.fit(panel))
    bars = np.minimum(panel.row_closed(book.as_of), panel.n_bars - 1)
    distinct, group = np.unique(bars, return_inverse=True)
    if len(distinct) == 1:
        return _at_bar(book, panel, int(distinct[0]), physics, predictor, num_threads, explain)
    out = _empty(len(book), explain and predictor is not None)
    for i, bar in enumerate(distinct.tolist()):
        rows = np.flatnonzero(group == i)
        _copy(_at_bar(book.take(rows), panel, bar, physics, predictor, num_threads, explain), rows, out)
    return out


def _at_bar(
    book: Book,
    panel: MarketPanel,
    bar: int,
    prior: PriorModel,
    predictor: MarginCallPredictor | None,
    num_threads: int | None,
    explain: bool,
) -> Forecast:
    moment = moment_at(panel, panel.start + (bar + 1) * panel.step, prior, predictor)
    return moment.outlook(book, num_threads, explain)


def _empty(n: int, explain: bool) -> Forecast:
    a, b, c, d, e = (np.full((n, len(HORIZONS)), np.nan) for _ in range(5))
    parts = Explanation(np.empty((n, len(HORIZONS))), np.empty((n, len(HORIZONS), len(PARTS)))) if explain else None
    return Forecast(a, b, c, d, e, np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64), parts)


def _copy(part: Any, rows: IntArray, out: Any) -> None:
    """Put the columns of some rows in their place."""
    for f in fields(part):
        value, target = getattr(part, f.name), getattr(out, f.name)
        if isinstance(value, Explanation):
            _copy(value, rows, target)
        elif value is not None:
            target[rows] = value
