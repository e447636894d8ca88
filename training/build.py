"""From market and accounts to the training set, instant by instant, with the functions that serving uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np

from features.account import ACCOUNT_FEATURES, account_features
from features.build import FEATURE_NAMES, design_matrix, market_loading
from features.market import MARKET_FEATURES, market_features, warmup_bars
from models.book import Book
from models.errors import InputError
from models.margin.dynamic.block import dynamic_assets, rate_table
from models.margin.levels import margin_levels
from models.margin.replay import replay
from models.margin.valuation import Volatility, implied_level, valued
from models.market import MarketPanel, to_hourly
from models.predictor.size import size_inputs
from models.prior import WARMUP_HOURS, PriorModel, PriorState
from models.typing import DAY_NS, HORIZONS, HOUR_NS, BoolArray, FloatArray, IntArray
from models.volatility.forecast import VolatilityKind
from models.volatility.month import month_volatility
from models.volatility.trend import recent_trend
from training.dataset import Dataset, fingerprint
from training.dataset_files import Part, encode_part
from training.labels import label
from training.population import TYPES, Population
from training.reflection import reflection
from training.schedule import BuildSettings, PriorSchedule
from training.simulated import SIMULATED, add_simulated, empty_simulated, sized
from training.workers import Here, Workers

__all__ = ["BuildSettings", "PriorSchedule", "Progress", "build_dataset", "build_parts"]

T = TypeVar("T")
Progress = Callable[[int, int], None]
MarketColumns = Callable[[MarketPanel], FloatArray]
_MAIN = ACCOUNT_FEATURES.index("main_asset")
_YARDSTICKS: Final[tuple[VolatilityKind, ...]] = ("ewma", "har")


_Yardsticks = tuple[PriorSchedule, PriorSchedule]


@dataclass(frozen=True, slots=True, eq=False)
class _Build:
    """Everything that a piece is built from but its accounts; sent to a worker once for each refit of the prior."""

    panel: MarketPanel
    schedule: PriorSchedule
    others: _Yardsticks | None
    settings: BuildSettings
    market_columns: MarketColumns


def build_dataset(
    panel: MarketPanel,
    population: Population,
    schedule: PriorSchedule,
    settings: BuildSettings | None = None,
    progress: Progress | None = None,
    market_columns: MarketColumns = market_features,
    workers: Workers | None = None,
) -> Iterator[Dataset]:
    """Build the training set piece by piece; memory stays flat in the number of accounts.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    population : Population
        Accounts, ordered by instant.
    schedule : PriorSchedule
        The prior of each instant.
    settings : BuildSettings, optional
        Settings.
    progress : callable, optional
        Called with (accounts done, accounts in all).
    market_columns : callable, optional
        Market features of a panel, shape (A, T, F); for tests that plant a leak.
    workers : Workers, optional
        Who builds the pieces; this process by default. The pieces are the same whoever builds them.

    Yields
    ------
    Dataset
        Pieces in order of time; each holds whole instants. Accounts that cannot be used are counted by reason in
        ``counts``: refused, no_price, no_position, in_call, gap, censored.
    """
    yield from _built(_whole, panel, population, schedule, settings, progress, market_columns, workers)


def build_parts(
    panel: MarketPanel,
    population: Population,
    schedule: PriorSchedule,
    settings: BuildSettings | None = None,
    progress: Progress | None = None,
    market_columns: MarketColumns = market_features,
    workers: Workers | None = None,
) -> Iterator[Part]:
    """Build the training set piece by piece, each encoded for a file where it is built.

    Parameters
    ----------
    panel, population, schedule, settings, progress, market_columns, workers
        As those of :func:`build_dataset`.

    Yields
    ------
    Part
        Pieces in order of time; a fifth of what workers would send otherwise.
    """
    yield from _built(encode_part, panel, population, schedule, settings, progress, market_columns, workers)


def _built(
    form: Callable[[Dataset], T],
    panel: MarketPanel,
    population: Population,
    schedule: PriorSchedule,
    settings: BuildSettings | None,
    progress: Progress | None,
    market_columns: MarketColumns,
    workers: Workers | None,
) -> Iterator[T]:
    """Pieces in the form in which whoever builds them is to give them."""
    crew: Workers = Here() if workers is None else workers
    build = _Build(panel, schedule, None, settings or BuildSettings(), market_columns)
    done = 0
    for size, piece in crew.map(_formed, ((form, *item) for item in _parts(build, population, crew))):
        done += size
        if progress is not None:
            progress(done, len(population))
        if piece is not None:
            yield piece


def _formed(form: Callable[[Dataset], T], build: _Build, part: Population) -> tuple[int, T | None]:
    size, rows = _piece(build, part)
    return size, None if rows is None else form(rows)


def _whole(rows: Dataset) -> Dataset:
    return rows


def _parts(build: _Build, population: Population, crew: Workers) -> Iterator[tuple[Any, Population]]:
    """Accounts of each piece, with what it is built from; priors are fitted here, so that all workers have the same."""
    panel, schedule, settings = build.panel, build.schedule, build.settings
    others = _yardsticks(panel, schedule, settings) if settings.baselines else None
    for period in _periods(population, schedule):
        if not len(period):
            continue
        first = int(period.accounts["as_of"][0])
        settled = None if others is None else (others[0].settled(first), others[1].settled(first))
        shared = crew.share(replace(build, schedule=schedule.settled(first), others=settled))
        for _, part in period.chunks(settings.chunk):
            yield shared, part


def _yardsticks(panel: MarketPanel, schedule: PriorSchedule, settings: BuildSettings) -> _Yardsticks:
    """The priors of B4 and B5, from the same data as the model's own."""
    ewma, har = (PriorSchedule(panel, schedule.first, settings, kind) for kind in _YARDSTICKS)
    if schedule.fixed is not None:
        for other in (ewma, har):
            other.fixed = PriorModel.fit(panel, schedule.fixed.fitted_until, other.volatility, paths=settings.paths)
            other.in_sample = schedule.in_sample
    return ewma, har


def _periods(population: Population, schedule: PriorSchedule) -> Iterator[Population]:
    """Cut where the prior is fitted anew."""
    as_of = np.asarray(population.accounts["as_of"], np.int64)
    if len(as_of) and (np.diff(as_of) < 0).any():
        raise InputError("accounts.as_of", "not in order", "accounts ordered by instant")
    if schedule.fixed is not None:
        yield population
        return
    number = (as_of - schedule.first) // (schedule.settings.refit_days * DAY_NS)
    for value in np.unique(number):
        first, stop = np.searchsorted(number, (value, value + 1)).tolist()
        yield population if stop - first == len(as_of) else population.between(first, stop)


def _piece(build: _Build, part: Population) -> tuple[int, Dataset | None]:
    """Accounts tried, and the rows of those that can be used."""
    panel, schedule, others, settings = build.panel, build.schedule, build.others, build.settings
    whole, failures = Book.from_columns(part.accounts, part.positions, part.collateral, panel.assets)
    kind = np.delete(part.kind, [f.row for f in failures]) if failures else part.kind
    moment = _Moments(panel, whole.as_of)
    whole = moment.valued(whole)
    keep, counts = _usable_accounts(whole, moment.price[moment.row])
    counts["refused"] = len(failures)
    if not keep.any():
        return len(part), None
    book, kind = whole.take(np.flatnonzero(keep)), kind[keep]
    moment = _Moments(panel, book.as_of)
    seen = label(book, panel, settings.extremes, settings.keep_gaps)
    counts["gap"] = int(seen.gap.sum())
    counts["censored"] = int((~seen.usable.all(axis=(1, 2)) & ~seen.gap).sum())
    market = moment.market(build.market_columns)
    sigma, prior = moment.prior(book, schedule)
    x = _design(book, moment, market, sigma, prior)
    extra = {"last_call": _last_call(book, panel), **sized(book, moment.row, moment.price, sigma, moment.model)}
    if others is not None:
        extra |= _physics_baselines(book, moment, others, market_loading(market))
        extra["main_asset"] = _main_asset(book, moment, sigma, market_loading(market))
        extra |= _simulated(book, moment, schedule, np.isfinite(seen.call_amount))
    base, scale = _sizes(book, moment, sigma)
    n = len(book)
    call = np.tile([True, False], n)
    rows = Dataset(
        feature_names=FEATURE_NAMES,
        x=x,
        prior=prior.reshape(2 * n, len(HORIZONS)),
        y=seen.y.reshape(2 * n, len(HORIZONS)),
        usable=seen.usable.reshape(2 * n, len(HORIZONS)),
        as_of=np.repeat(book.as_of, 2),
        level=np.tile(np.array([0, 1], np.int8), n),
        factor=_factors(book).ravel(),
        kind=np.repeat(kind, 2).astype(np.int16),
        legs=np.repeat(book.n_positions(), 2).astype(np.int16),
        minutes=seen.minutes.ravel(),
        amount=np.where(call, np.repeat(seen.call_amount, 2), np.nan),
        size_base=np.repeat(base, 2),
        size_scale=np.repeat(scale, 2),
        kinds=tuple(k.name for k in TYPES),
        extra={name: column.reshape(2 * n, *column.shape[2:]) for name, column in extra.items()},
        counts=counts,
        fingerprint=_piece_fingerprint(panel, book, x, prior, seen.y, settings),
    )
    return len(part), rows


class _Moments:
    """The distinct instants of a piece: R market states, and the state of each account."""

    def __init__(self, panel: MarketPanel, as_of: IntArray) -> None:
        self.panel = panel
        self.instants, self.row = np.unique(as_of, return_inverse=True)
        self.bar = panel.row_closed(self.instants)
        known = (self.bar >= 0) & (self.bar < panel.n_bars)
        self.price = np.where(known[:, None], panel.close.T[np.clip(self.bar, 0, panel.n_bars - 1)], np.nan)

    def valued(self, book: Book) -> Book:
        """Give options and scenario margin their sheets at each account's own instant."""
        if book.blocks is None:
            return book
        index = None
        if self.panel.implied is not None:
            index = self.panel.implied.T[np.clip(self.bar + 1, 0, self.panel.n_bars - 1)]
        level, _ = implied_level(index, month_volatility(self.panel, self.bar))
        used = dynamic_assets(book.blocks, len(book.assets))
        rate = None
        if used.any():
            rate = rate_table(self.panel, used).T[np.clip(self.bar + 1, 0, self.panel.n_bars - 1)]
        return valued(book, self.price, Volatility(level, margin_rate=rate), self.row)

    def _variance(self, schedule: PriorSchedule) -> tuple[PriorModel, FloatArray, IntArray]:
        """The prior's model, its forecasts over the hours of the piece, and the hour of each instant."""
        model = schedule.at(int(self.instants[0]))
        first = int(self.instants[0]) - (WARMUP_HOURS + 2) * HOUR_NS
        self.hourly = to_hourly(self.panel.between(first, int(self.instants[-1])))
        return model, model.volatility.total_variance(self.hourly), self.hourly.row_closed(self.instants)

    def market(self, columns: MarketColumns) -> FloatArray:
        """Market features of the states, shape (R, A, F)."""
        first = max(0, int(self.bar[0]) + 1 - warmup_bars(self.panel.bar_minutes))
        stop = min(int(self.bar[-1]) + 1, self.panel.n_bars)
        figures = columns(self.panel.slice(first, stop))
        return np.ascontiguousarray(figures[:, self.bar - first].transpose(1, 0, 2))

    def prior(self, book: Book, schedule: PriorSchedule) -> tuple[FloatArray, FloatArray]:
        """Volatility (R, A, 4) and prior probability (n, 2, 4) of both levels."""
        out = np.empty((len(book), 2, len(HORIZONS)))
        sigma = np.empty((len(self.instants), len(book.assets), len(HORIZONS)))
        levels = _factors(book)
        for r, (rows, price, state) in enumerate(self.states(book, schedule)):
            sigma[r] = state.sigma
            out[rows] = self.model.probability(book.take(rows), price, state, levels[rows])
        return sigma, out

    def states(self, book: Book, schedule: PriorSchedule) -> Iterator[tuple[IntArray, FloatArray, PriorState]]:
        """Accounts, prices and state of the prior at each instant, in order."""
        self.model, total, hour = self._variance(schedule)
        trend, own = recent_trend(self.hourly), self.model.own_share(self.hourly)
        order = np.argsort(self.row, kind="stable")
        edges = np.searchsorted(self.row[order], np.arange(len(self.instants) + 1))
        for r in range(len(self.instants)):
            h = int(hour[r])
            close, now = self.hourly.start + (h + 1) * HOUR_NS, None if own is None else own[:, h]
            state = self.model.state_from(book.assets, total[:, h], close, trend[:, h], now)
            yield order[edges[r] : edges[r + 1]], self.price[r], state


def _factors(book: Book) -> FloatArray:
    """Requirement factors of the call and the liquidation level, shape (n, 2)."""
    return np.column_stack([book.arrays.account_call_factor, np.ones(len(book))])


def _usable_accounts(book: Book, price: FloatArray) -> tuple[BoolArray, dict[str, int]]:
    """Accounts with known prices, positions, and equity above the call level; and counts of the others."""
    levels = margin_levels(book, price)
    unknown = ~np.isfinite(levels.gap_call)
    empty = ~unknown & ~book.holds_positions()
    called = ~unknown & ~empty & (levels.gap_call < 0)
    counts = {"no_price": int(unknown.sum()), "no_position": int(empty.sum()), "in_call": int(called.sum())}
    return np.asarray(~(unknown | empty | called)), counts


def _design(book: Book, moment: _Moments, market: FloatArray, sigma: FloatArray, prior: FloatArray) -> Any:
    n, width = len(book), len(HORIZONS)
    x = np.empty((n, 2, width, len(FEATURE_NAMES)), np.float32)
    levels = _factors(book)
    for level in range(2):
        rows = design_matrix(book, moment.price, market, sigma, prior[:, level], levels[:, level], moment.row)
        x[:, level] = rows.reshape(n, width, -1)
    return x.reshape(n * 2 * width, -1)


def _sizes(book: Book, moment: _Moments, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
    base, scale = np.empty(len(book)), np.empty(len(book))
    for r in range(len(moment.instants)):
        rows = np.flatnonzero(moment.row == r)
        base[rows], scale[rows] = size_inputs(book.take(rows), moment.price[r], sigma[r])
    return base, scale


def _last_call(book: Book, panel: MarketPanel) -> FloatArray:
    """Would the account, as it stands, have been in breach at some time of the day before? Shape (n, 2)."""
    earlier = book.earlier(DAY_NS)
    seen = replay(earlier, panel, 1440, factors=_factors(book))
    minutes = seen.minutes if seen.minutes is not None else np.full((len(book), 2), np.nan)
    return np.isfinite(minutes).astype(np.float64)


def _physics_baselines(book: Book, moment: _Moments, others: _Yardsticks, loading: FloatArray) -> dict[str, FloatArray]:
    """Reflection with 30-day and with EWMA volatility, simulation with EWMA and with HAR; shape (n, 2, 4) each."""
    sigma_ewma, prior = moment.prior(book, others[0])
    levels = _factors(book)
    month = month_volatility(moment.panel, moment.bar)[:, :, None] * np.sqrt(np.array(HORIZONS) / (365 * 1440))
    return {
        "reflection_30d": reflection(book, moment.price, moment.row, month, levels, loading),
        "reflection_ewma": reflection(book, moment.price, moment.row, sigma_ewma, levels, loading),
        "prior_ewma": prior,
        "prior_har": moment.prior(book, others[1])[1],
    }


def _main_asset(book: Book, moment: _Moments, sigma: FloatArray, loading: FloatArray) -> FloatArray:
    """Index of the asset with the largest net risk, -1 without positions; shape (n, 2), the same for both levels."""
    figures = account_features(book, moment.price, sigma, 1.0, loading, moment.row)
    return np.tile(figures[:, _MAIN, None], 2)


def _simulated(book: Book, moment: _Moments, schedule: PriorSchedule, called: BoolArray) -> dict[str, FloatArray]:
    """The prior's simulated quantiles of the call amount, at both levels for the table's sake; shape (n, 2, 4) each."""
    out = empty_simulated(len(book))
    for rows, price, state in moment.states(book, schedule):
        part = out[rows]
        add_simulated(book.take(rows), price, state, called[rows], part)
        out[rows] = part
    return {name: np.repeat(out[:, None, :, i], 2, axis=1) for i, name in enumerate(SIMULATED)}


def _piece_fingerprint(
    panel: MarketPanel, book: Book, x: Any, prior: FloatArray, y: BoolArray, settings: BuildSettings
) -> str:
    b = book.arrays
    return fingerprint(
        list(panel.assets), list(panel.source), panel.bar_minutes, list(MARKET_FEATURES), asdict(settings),
        book.as_of, b.leg_quantity, b.leg_entry, b.coll_quantity, b.unit_cash, x, prior, y,
    )  # fmt: skip
