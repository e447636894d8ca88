"""Accounts of linear perpetuals: the first five types, and what venues with linear perpetuals share with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final

import numpy as np

from models.book import Book
from models.errors import InputError
from models.margin.levels import margin_levels
from models.market import MarketPanel
from models.typing import BoolArray, FloatArray, IntArray, ObjectArray
from training._rules import RuleTable
from training.population.columns import Columns, Population, objects
from training.population.kinds import HEDGED, LINEAR, TREASURY, TYPES, Kind

__all__ = ["AGE_HOURS", "EQUITY", "REDRAWN_SHARE", "LinearDraw", "check_instants", "sample_population", "settings_for"]

LEGS: Final = 5
LONG_SHARE: Final = 0.58
REDRAWN_SHARE: Final = 0.35
EQUITY: Final = (2e4, 1.6, 1e3, 1e7)
AGE_HOURS: Final = (1.0, 720.0)
OVERSAMPLE: Final = 1.5
_AT_ONCE: Final = 32_768
"""Accounts that are looked at together: as many as stay in the caches of a processor."""
SETTINGS: Final = np.array([2.0, 3.0, 5.0, 10.0, 20.0, 25.0, 50.0, 75.0, 100.0, 125.0])


def sample_population(
    panel: MarketPanel, ruleset: str, instants: IntArray, per_instant: int, seed: int, currency: str | None = None
) -> Population:
    """Sample accounts that are above their call level as of each instant; nothing later than the instant is read.

    Parameters
    ----------
    panel : MarketPanel
        Bars; the accounts hold positions in its assets.
    ruleset : str
        Name of the ruleset of all accounts.
    instants : ndarray of int64
        Nanoseconds UTC, strictly rising.
    per_instant : int
        Most accounts of one instant; fewer where fewer of those drawn survived.
    seed : int
        Seed of every draw.
    currency : str, optional
        Settlement currency; by default the first of USDT, USDC, USD in which the ruleset lists one of the assets.

    Returns
    -------
    Population
        Accounts ordered by instant.

    Raises
    ------
    InputError
        If ``per_instant`` is below 1, ``instants`` do not rise, or the panel has no asset that the ruleset knows.
    """
    instants = check_instants(instants, per_instant)
    as_of = np.repeat(instants, int(np.ceil(per_instant * OVERSAMPLE)))
    rng = np.random.default_rng(seed)
    kind = rng.choice(LINEAR, len(as_of), p=[k.share for k in TYPES[:LINEAR]])
    draw = LinearDraw(panel, RuleTable(ruleset, panel.assets, as_of, currency), as_of, kind, rng)
    alive = draw.survivors()
    kept = _first_of_each(draw.as_of, alive, per_instant)
    return draw.population(kept)


def check_instants(instants: IntArray, per_instant: int) -> IntArray:
    """Check what a sample is asked for.

    Parameters
    ----------
    instants : ndarray of int64
        Nanoseconds UTC.
    per_instant : int
        Accounts of one instant.

    Returns
    -------
    ndarray of int64
        The instants.

    Raises
    ------
    InputError
        If ``per_instant`` is below 1 or ``instants`` do not rise.
    """
    instants = np.asarray(instants, np.int64)
    if per_instant < 1:
        raise InputError("per_instant", per_instant, "at least 1")
    if len(instants) and (np.diff(instants) <= 0).any():
        raise InputError("instants", "not rising", "strictly rising nanoseconds")
    return instants


def settings_for(leverage: FloatArray, more: IntArray, most: FloatArray | float) -> FloatArray:
    """Leverage setting of a position: a usual one at or above what is used, never above what is allowed.

    Parameters
    ----------
    leverage : ndarray
        Gross exposure over equity.
    more : ndarray of int64
        How many steps above the least setting.
    most : ndarray or float
        Largest setting allowed.

    Returns
    -------
    ndarray
        Settings, at least 1.
    """
    step = np.searchsorted(SETTINGS, leverage * 1.0001) + more
    return np.asarray(np.maximum(np.minimum(SETTINGS[np.minimum(step, len(SETTINGS) - 1)], most), 1.0))


class LinearDraw:
    """All draws of accounts under one linear ruleset, in arrays of shape (n,) or (n, 5).

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    rules : RuleTable
        What the ruleset allows at each instant.
    as_of : ndarray of int64, shape (n,)
        Instants.
    kind : ndarray of int64, shape (n,)
        Index into `TYPES`.
    rng : Generator
        Source of every draw; how much is drawn depends on ``kind`` alone.
    """

    def __init__(
        self, panel: MarketPanel, rules: RuleTable, as_of: IntArray, kind: IntArray, rng: np.random.Generator
    ) -> None:
        self.panel, self.rules, self.as_of, self.kind, self.rng = panel, rules, as_of, kind, rng
        self.ruleset, self.currency = rules.name, rules.currency
        self.n = len(as_of)
        self._prices()
        self._legs()
        self._sizes()
        self._collateral()

    def _of_kind(self, value: Callable[[Kind], float]) -> FloatArray:
        return np.array([value(k) for k in TYPES], np.float64)[self.kind]

    def _prices(self) -> None:
        now = np.clip(self.panel.row_closed(self.as_of), 0, self.panel.n_bars - 1)
        low, high = np.log(AGE_HOURS)
        age = np.exp(self.rng.uniform(low, high, self.n)) * 60.0 / self.panel.bar_minutes
        then = np.maximum(now - np.maximum(np.rint(age).astype(np.int64), 1), 0)
        close = self.panel.close.T
        self.now, self.then = close[now], close[then]
        known = self.panel.row_closed(self.as_of)[:, None] >= 1
        self.usable = np.isfinite(self.now) & np.isfinite(self.then) & self.rules.tradable & known

    def _legs(self) -> None:
        """Choose assets without replacement (Gumbel top-k), signs and weights."""
        weight = np.array([{"BTC": 4.0, "ETH": 3.0}.get(a, 1.0) for a in self.panel.assets])
        noise = -np.log(-np.log(self.rng.uniform(1e-12, 1.0, (self.n, len(weight)))))
        key = np.where(self.usable, np.log(weight) + noise, -np.inf)
        width = min(LEGS, len(weight))
        self.asset = np.argsort(-key, axis=1)[:, :width]
        low, high = self._of_kind(lambda k: k.legs[0]), self._of_kind(lambda k: k.legs[1])
        count = np.floor(low + self.rng.uniform(0.0, 1.0, self.n) * (high - low + 1.0)).astype(np.int64)
        self.count = np.minimum(count, self.usable.sum(axis=1))
        self.leg = np.arange(width) < self.count[:, None]
        part = self.rng.exponential(1.0, (self.n, width)) + 0.2
        side = np.where(self.rng.uniform(size=(self.n, 1)) < LONG_SHARE, 1.0, -1.0)
        sign = np.where(self.rng.uniform(size=(self.n, width)) < 0.75, side, -side)
        treasury, hedged = self.kind == TREASURY, self.kind == HEDGED
        sign[treasury] = np.where(self.rng.uniform(size=(int(treasury.sum()), 1)) < 0.5, 1.0, -1.0)
        sign[hedged] = side[hedged] * np.array([1.0, -1.0] + [1.0] * (width - 2))[:width]
        part[hedged, 0] = 1.0
        if width > 1:
            part[hedged, 1] = self.rng.uniform(0.6, 1.0, int(hedged.sum()))
        part = np.where(self.leg, part, 0.0)
        self.weight = sign * part / np.maximum(part.sum(axis=1, keepdims=True), 1e-300)

    def _sizes(self) -> None:
        middle, spread, low, high = EQUITY
        self.equity = np.clip(middle * np.exp(spread * self.rng.standard_normal(self.n)), low, high)
        least, most = self._of_kind(lambda k: k.leverage[0]), self._of_kind(lambda k: k.leverage[1])
        wanted = self._of_kind(lambda k: k.typical) * np.exp(0.7 * self.rng.standard_t(5, self.n))
        wanted = np.clip(wanted, least, most)
        notional = np.abs(self.weight) * (wanted * self.equity)[:, None]
        allowed = np.full(self.leg.shape, np.inf)
        row = np.nonzero(self.leg)[0]
        allowed[self.leg] = self.rules.max_leverage(row, self.asset[self.leg], notional[self.leg])
        ceiling = allowed.min(axis=1)
        self.leverage = np.minimum(wanted, ceiling * 0.9)
        then = np.take_along_axis(self.then, self.asset, axis=1)
        self.entry = np.where(self.leg, then, 1.0)
        self.quantity = np.where(self.leg, self.weight * (self.leverage * self.equity)[:, None] / self.entry, 0.0)
        self.setting = settings_for(self.leverage, self.rng.integers(0, 3, self.n), ceiling)
        self.isolated = self.rng.uniform(size=self.n) < self._of_kind(lambda k: k.isolated)
        self.isolated &= self.count == 1

    def _collateral(self) -> None:
        coins = [a for a in ("BTC", "ETH") if a in self.panel.assets]
        self.coin = np.full(self.n, -1, np.int64)
        self.coin_quantity = np.zeros(self.n)
        low, high = self._of_kind(lambda k: k.coin_share[0]), self._of_kind(lambda k: k.coin_share[1])
        share = low + self.rng.uniform(size=self.n) * (high - low)
        has = self.rng.uniform(size=self.n) < self._of_kind(lambda k: k.coin)
        pick = self.rng.integers(0, max(len(coins), 1), self.n)
        if coins:
            column = np.array([self.panel.column(a) for a in coins])[pick]
            price = np.take_along_axis(self.then, column[:, None], axis=1)[:, 0]
            live = np.take_along_axis(self.now, column[:, None], axis=1)[:, 0]
            has &= (
                np.isfinite(price)
                & np.isfinite(live)
                & np.take_along_axis(self.rules.pledged, column[:, None], 1)[:, 0]
            )
            self.coin[has] = column[has]
            self.coin_quantity[has] = (share * self.equity / price)[has]
        self.cash = np.where(has, (1.0 - share) * self.equity, self.equity)

    def survivors(self, wanted: BoolArray | None = None) -> BoolArray:
        """Redraw the distance of some accounts, and say which accounts are above their call level.

        Parameters
        ----------
        wanted : ndarray of bool, shape (n,), optional
            Accounts to look at; all by default.

        Returns
        -------
        ndarray of bool, shape (n,)
            False for the others.
        """
        alive = self.count > 0
        if wanted is not None:
            alive &= wanted
        gap = self._gap(alive)
        exposure = (np.abs(self.quantity) * np.nan_to_num(np.take_along_axis(self.now, self.asset, axis=1))).sum(axis=1)
        low, high = np.log(0.005), np.log(0.5)
        distance = np.exp(self.rng.uniform(low, high, self.n)) * exposure
        cash = self.cash + distance - gap
        redrawn = alive & (self.rng.uniform(size=self.n) < REDRAWN_SHARE) & (cash > 0.0)
        self.cash = np.where(redrawn, cash, self.cash)
        gap = np.where(redrawn, distance, gap)
        return np.asarray(alive & (gap > 0.0))

    def _gap(self, alive: BoolArray) -> FloatArray:
        out = np.full(self.n, -1.0)
        rows = np.flatnonzero(alive)
        for first in range(0, len(rows), _AT_ONCE):
            part = rows[first : first + _AT_ONCE]
            some = self.population(part)
            book, failures = Book.from_columns(some.accounts, some.positions, some.collateral, self.panel.assets)
            good = np.delete(part, [f.row for f in failures]) if failures else part
            out[good] = margin_levels(book, self.now[good]).gap_call
        return out

    @cached_property
    def _names(self) -> ObjectArray:
        return objects([f"a{i}" for i in range(self.n)])

    def population(self, rows: IntArray | None = None) -> Population:
        """Lay the draws out in columns.

        Parameters
        ----------
        rows : ndarray of int64, shape (m,), optional
            Which, strictly rising; all by default.

        Returns
        -------
        Population
            The chosen accounts.
        """
        rows = np.arange(self.n) if rows is None else rows
        inside, leg = np.nonzero(self.leg[rows])
        symbols = objects([f"{a}/{self.currency}:{self.currency}" for a in self.panel.assets])
        row = rows[inside]
        isolated = self.isolated[row]
        positions: Columns = {
            "row": inside,
            "account_id": self._names[row],
            "as_of": self.as_of[row],
            "symbol": symbols[self.asset[row, leg]],
            "quantity": self.quantity[row, leg],
            "entry_price": self.entry[row, leg],
            "margin_mode": np.array(["cross", "isolated"], object)[isolated.astype(np.int64)],
            "isolated_margin": np.where(isolated, self.cash[row], np.nan),
            "leverage": self.setting[row],
        }
        accounts: Columns = {
            "account_id": self._names[rows],
            "as_of": self.as_of[rows],
            "ruleset": np.full(len(rows), self.ruleset, object),
            "currency": np.full(len(rows), self.currency, object),
        }
        return Population(accounts, positions, self._collateral_columns(rows), self.kind[rows])

    def _collateral_columns(self, rows: IntArray) -> Columns:
        """The wallet of each account, behind it the coins that it holds."""
        holds = self.coin[rows] >= 0
        place = np.repeat(np.arange(len(rows)), 1 + holds)
        row = rows[place]
        second = "USDC" if self.rules.usdc and self.currency != "USDC" else self.currency
        names = objects([*self.panel.assets, self.currency, second])
        width = len(self.panel.assets)
        asset = width + (row % 4 == 3)
        quantity = np.where(self.isolated[row], 0.1 * self.equity[row], self.cash[row])
        coins = np.flatnonzero(np.diff(place, prepend=-1) == 0)
        asset[coins], quantity[coins] = self.coin[row[coins]], self.coin_quantity[row[coins]]
        as_of = self.as_of[row]
        return {
            "row": place,
            "account_id": self._names[row],
            "as_of": as_of,
            "asset": names[asset],
            "quantity": quantity,
        }


def _first_of_each(as_of: IntArray, alive: BoolArray, most: int) -> IntArray:
    rows = np.flatnonzero(alive)
    when = as_of[rows]
    rank = np.arange(len(rows)) - np.searchsorted(when, when, side="left")
    return np.asarray(rows[rank < most], np.int64)
