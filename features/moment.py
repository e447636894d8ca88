"""The market at one instant, and what it says of accounts: the path that files, the API, plans and reports share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numba import njit

from features.answer import BIT, DISTRUST, Forecast
from features.build import FEATURE_NAMES, design_matrix
from features.market import market_row
from models.book import Book, BookArrays
from models.call_sizes import call_sizes
from models.errors import MissingMarketError
from models.margin.dynamic.block import dynamic_assets, rate_at
from models.margin.levels import STATES, margin_levels
from models.margin.valuation import Volatility, implied_level, valued
from models.market import MarketPanel
from models.predictor import MarginCallPredictor, size_inputs
from models.predictor.explain import Explanation
from models.predictor.fallback import Fallback
from models.predictor.sizing import call_amounts
from models.predictor.timing import TimeModel
from models.prior import PriorModel, PriorState
from models.typing import HORIZONS, MINUTE_NS, BoolArray, Float32Array, FloatArray, IntArray
from models.volatility.month import month_volatility

__all__ = ["Moment", "moment_at"]


class _Scored(NamedTuple):
    """P(breach) of each level, what is said of the input (novelty, fall-back), and the rows of the first level."""

    p: list[FloatArray]
    novelty: FloatArray
    unusual: IntArray
    bits: IntArray
    x: Float32Array | None = None


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
    fallback : Fallback, optional
        When the prior answers in place of the model.
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
    fallback: Fallback = field(default_factory=Fallback)

    @property
    def expired(self) -> bool:
        """Whether there is a model that is not to be used any more at this moment."""
        until = None if self.predictor is None else self.predictor.expires_ns
        return until is not None and self.as_of >= until

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
        return self._levels(book, self._physics(book, factors), factors, self.ages(book)).p[0]

    def p_levels(self, book: Book) -> FloatArray:
        """P(call) and P(liquidation) of n accounts that `valued` has given their sheets, shape (2, n, 4)."""
        factors = (book.arrays.account_call_factor, np.ones(len(book)))
        found = self._levels(book, self._physics(book, factors), factors, self.ages(book)).p
        return np.stack([found[0], np.minimum(found[1], found[0])])

    def breaches(self, book: Book, column: int) -> BoolArray:
        """Calls and liquidations by a horizon on the joint paths of the prior.

        Parameters
        ----------
        book : Book
            n accounts, with their sheets.
        column : int
            Column of the horizon.

        Returns
        -------
        ndarray of bool, shape (n, 2, S)
            Whether each account is called, and liquidated, on each of S paths that all accounts share.
        """
        factor = np.column_stack([book.arrays.account_call_factor, np.ones(len(book))])
        first = self.prior.breaches(book, self.price, self.state, np.maximum(factor, 1.0))
        return first < HORIZONS[column] // 60

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
        ages = self.ages(book)
        scored = self._levels(book, physics, factors, ages, num_threads)
        p_call, p_liquidation = scored.p
        prior = np.ascontiguousarray(physics[:, 0])
        levels = margin_levels(book, self.price)
        in_call = levels.gap_call < 0
        p_call[in_call] = 1.0
        p_liquidation[levels.state == len(STATES) - 1] = 1.0
        base, scale = size_inputs(book, self.price, self.state.sigma, levels)
        distrusted = (scored.bits & DISTRUST) != 0
        sizes = self._sizes(book)
        amounts = call_amounts(self.predictor, scored.x, base, scale, scored.novelty, distrusted, sizes)
        unknown = levels.state < 0
        liquidation = np.minimum(p_liquidation, p_call)
        if unknown.any():
            for table in (p_call, liquidation, prior, amounts):
                table[unknown] = np.nan
        times = (TimeModel() if self.predictor is None else self.predictor.times).times(p_call)
        for time in times:
            time[in_call & ~unknown] = 0.0
        flags = self._flags(book, ages, unknown, in_call) | scored.bits
        flags[guessed] |= BIT["modelled_volatility"]
        parts = self._explain(book, prior, p_call, scored.bits) if explain else None
        state, known = levels.state, (scored.novelty, scored.unusual)
        return Forecast(p_call, liquidation, prior, amounts, *times, ages, flags, state, *known, parts)

    def _sizes(self, book: Book) -> FloatArray | None:
        """The prior's quantiles of the call amount, shape (n, 4, 7), where the model starts from them."""
        table, model = self.prior.overshoot, self.predictor
        if table is None or model is None or model.amounts is None or not model.amounts.from_prior:
            return None
        return call_sizes(book, self.price, self.state.sigma, self.state.correlation, table)

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
        whole = BIT["prior_only"] if self.predictor is None else 0
        whole |= BIT["in_sample"] if self.as_of < self.prior.fitted_until else 0
        bits = np.full(len(book), whole, np.int64)
        bits[~book.holds_positions()] |= BIT["no_positions"]
        bits[ages > book.stale_after_minutes] |= BIT["stale_market"]
        bits[ages - late > 1e-6] |= BIT["gap"]
        bits[unknown] |= BIT["no_price"]
        bits[in_call] |= BIT["in_call"]
        bits[late > book.stale_after_minutes] |= BIT["future_as_of"]
        if self.proxy.any():
            bits[book.unit_account()[book.unit_of_leg()[self.proxy[book.arrays.leg_asset]]]] |= BIT["proxy_paths"]
        return bits

    def _physics(self, book: Book, factors: tuple[FloatArray, ...]) -> FloatArray:
        """The prior's P(breach) of each level, shape (n, L, 4)."""
        table = np.empty((len(book), len(factors)))
        for i, k in enumerate(factors):
            table[:, i] = k
        return self.prior.probability(book, self.price, self.state, table)

    def _levels(
        self,
        book: Book,
        prior: FloatArray,
        factors: tuple[FloatArray, ...],
        ages: FloatArray,
        num_threads: int | None = None,
    ) -> _Scored:
        """P(breach) of each level; the trees are asked once for all levels."""
        n, m = len(book), len(factors)
        if self.predictor is None or self.features is None:
            none = np.full((n, 3), -1, np.int64)
            return _Scored([prior[:, i].copy() for i in range(m)], np.full(n, np.nan), none, np.zeros(n, np.int64))
        x = np.empty((n, m, len(HORIZONS), len(FEATURE_NAMES)), np.float32)  # the rows of an account side by side
        for i, k in enumerate(factors):
            level = np.ascontiguousarray(prior[:, i])
            design = design_matrix(book, self.price, self.features, self.state.sigma, level, k)
            x[:, i] = design.reshape(n, len(HORIZONS), -1)
        first, holds = x[:, 0, 0], book.holds_positions()
        novelty, missing = self.predictor.novelty_of(first)
        both = self.predictor.predict(
            x.reshape(-1, len(FEATURE_NAMES)), prior.reshape(-1, len(HORIZONS)), num_threads, np.repeat(novelty, m)
        ).reshape(n, m, len(HORIZONS))
        both[~holds & (prior[:, 0, -1] == 0)] = 0.0
        bits = np.where(holds & self.fallback.missing(missing), BIT["missing_features"], 0)
        bits |= np.where(self.fallback.stale(ages), BIT["stale_features"], 0)
        bits |= BIT["expired_model"] if self.expired else 0
        np.copyto(both, prior, where=(bits != 0)[:, None, None])
        unusual = self._unusual(self.predictor, first, holds & (novelty > 1.0), bits)
        call = x[:, 0].reshape(-1, len(FEATURE_NAMES))
        return _Scored([np.ascontiguousarray(both[:, i]) for i in range(m)], novelty, unusual, bits, call)

    @staticmethod
    def _unusual(predictor: MarginCallPredictor, x: Float32Array, novel: BoolArray, bits: IntArray) -> IntArray:
        """Flag what is novel, and name the columns that are furthest out; shape (n, 3)."""
        out = np.full((len(x), 3), -1, np.int64)
        if novel.any():
            bits[novel] |= BIT["novel"]
            out[novel] = predictor.unusual(x[novel])
        return out

    def _explain(self, book: Book, prior: FloatArray, p_call: FloatArray, bits: IntArray) -> Explanation | None:
        """Parts of P(call); NaN where it does not come from the trees."""
        if self.predictor is None or self.features is None:
            return None
        factor = book.arrays.account_call_factor
        x = design_matrix(book, self.price, self.features, self.state.sigma, prior, factor)
        found = self.predictor.explain(x, prior)
        found.parts[np.isnan(p_call) | (p_call <= 0.0) | (p_call >= 1.0)] = np.nan
        found.parts[(bits & DISTRUST) != 0] = np.nan
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


def moment_at(
    panel: MarketPanel,
    as_of: int,
    prior: PriorModel,
    predictor: MarginCallPredictor | None,
    fallback: Fallback | None = None,
    features: FloatArray | None = None,
) -> Moment:
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
    fallback : Fallback, optional
        When the prior answers in its place.
    features : ndarray, shape (A, F), optional
        Market features at that close where they are known already (`features.stream`); computed where None.

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
    if predictor is not None and features is None:
        features = market_row(panel, row)
    return Moment(
        as_of=close,
        assets=panel.assets,
        price=seen.price,
        closed=close - seen.age_minutes * MINUTE_NS,
        features=None if predictor is None else features,
        prior=prior,
        state=state,
        predictor=predictor,
        proxy=np.isin(panel.assets, prior.pool.proxy) | ~np.isin(panel.assets, prior.pool.assets),
        implied=implied,
        modelled=modelled,
        panel=panel,
        fallback=fallback or Fallback(),
    )
