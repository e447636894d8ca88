"""A sampled population of margin accounts, from a seed.

The mixture (leverage is gross exposure over equity at the opening, within the range and never above what the ruleset
allows for the size of each position):

========== ====== ======= ========== ============= ==================================================================
type       share  legs    leverage   margin mode   collateral
========== ====== ======= ========== ============= ==================================================================
retail     0.42   1       3 to 50    60% isolated  stable
core       0.18   1       1.5 to 15  cross         stable; 35% hold BTC or ETH for 20 to 80% of it
multi      0.22   2 to 5  2 to 15    cross         stable; 35% hold BTC or ETH for 20 to 80% of it
hedged     0.10   2       4 to 30    cross         stable; one side long, the other short for 60 to 100% of its size
treasury   0.08   1 or 2  1 to 5     cross         60 to 95% BTC or ETH; half long (wrong way), half short (hedge)
========== ====== ======= ========== ============= ==================================================================

Equity at the opening is log-normal around 2e4 and within 1e3 to 1e7 of the settlement currency. An account was opened
some time ago, log-uniform from one hour to thirty days, at the close of a bar of that time, and is seen as of the
instant only if it is still above its call level: the distance to the call depends on the path, and survivors alone are
seen. For 35% of the accounts the owner has since added or withdrawn stable collateral; their distance to the call is
log-uniform from 0.5% to 50% of the exposure. Long positions are 58% of all.

Notes
-----
Funding paid between the opening and the instant is not taken off, and an account that was called on the way and came
back above its call level counts as a survivor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from models.book import Book
from models.errors import InputError
from models.margin.levels import margin_levels
from models.market import MarketPanel
from models.typing import BoolArray, FloatArray, IntArray, ObjectArray
from training._rules import RuleTable

__all__ = ["TYPES", "Columns", "Kind", "Population", "sample_population"]

Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of account in the mixture.

    Parameters
    ----------
    name : str
        Name of the type.
    share : float
        Share of all accounts.
    legs : tuple of int
        Fewest and most positions.
    leverage : tuple of float
        Lowest and highest gross exposure over equity.
    typical : float
        Median of the leverage before bounds.
    isolated : float
        Share of accounts in isolated margin.
    coin : float
        Share of accounts with BTC or ETH in their collateral.
    coin_share : tuple of float
        Range of the part of the collateral that is BTC or ETH.
    """

    name: str
    share: float
    legs: tuple[int, int]
    leverage: tuple[float, float]
    typical: float
    isolated: float
    coin: float
    coin_share: tuple[float, float]


TYPES: Final = (
    Kind("retail", 0.42, (1, 1), (3.0, 50.0), 6.0, 0.6, 0.0, (0.0, 0.0)),
    Kind("core", 0.18, (1, 1), (1.5, 15.0), 3.0, 0.0, 0.35, (0.2, 0.8)),
    Kind("multi", 0.22, (2, 5), (2.0, 15.0), 3.5, 0.0, 0.35, (0.2, 0.8)),
    Kind("hedged", 0.10, (2, 2), (4.0, 30.0), 7.0, 0.0, 0.0, (0.0, 0.0)),
    Kind("treasury", 0.08, (1, 2), (1.0, 5.0), 2.0, 0.0, 1.0, (0.6, 0.95)),
)
HEDGED: Final = 3
TREASURY: Final = 4
LEGS: Final = 5
LONG_SHARE: Final = 0.58
REDRAWN_SHARE: Final = 0.35
EQUITY: Final = (2e4, 1.6, 1e3, 1e7)
AGE_HOURS: Final = (1.0, 720.0)
OVERSAMPLE: Final = 1.5
SETTINGS: Final = np.array([2.0, 3.0, 5.0, 10.0, 20.0, 25.0, 50.0, 75.0, 100.0, 125.0])


@dataclass(frozen=True, slots=True)
class Population:
    """Sampled accounts in the columns of the parquet twins.

    Parameters
    ----------
    accounts, positions, collateral : dict of str to ndarray
        Columns for `Book.from_columns`; positions and collateral carry ``row``, the index of their account.
    kind : ndarray of int64, shape (n,)
        Index into `TYPES`.
    """

    accounts: Columns
    positions: Columns
    collateral: Columns
    kind: IntArray

    def __len__(self) -> int:
        return len(self.kind)

    def chunks(self, rows: int) -> list[tuple[IntArray, Population]]:
        """Cut into consecutive pieces of at least ``rows`` accounts, never inside an instant.

        Parameters
        ----------
        rows : int
            Fewest accounts in a piece, but for the last one.

        Returns
        -------
        list of (ndarray of int64, Population)
            The positions of the accounts of each piece, and the piece.
        """
        as_of = self.accounts["as_of"]
        starts = np.append(np.flatnonzero(np.diff(as_of, prepend=np.iinfo(np.int64).min)), len(self))
        out, first = [], 0
        for stop in starts[1:]:
            if stop - first >= rows or stop == len(self):
                out.append((np.arange(first, stop), self.take(np.arange(first, stop))))
                first = int(stop)
        return [piece for piece in out if len(piece[0])]

    def take(self, rows: IntArray) -> Population:
        """Choose accounts by position, in rising order.

        Parameters
        ----------
        rows : ndarray of int64
            Positions, strictly rising.

        Returns
        -------
        Population
            The chosen accounts with their positions and collateral.
        """
        new = np.full(len(self), -1, np.int64)
        new[rows] = np.arange(len(rows))
        return Population(
            {name: column[rows] for name, column in self.accounts.items()},
            _cut(self.positions, new),
            _cut(self.collateral, new),
            self.kind[rows],
        )


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
    instants = np.asarray(instants, np.int64)
    if per_instant < 1:
        raise InputError("per_instant", per_instant, "at least 1")
    if len(instants) and (np.diff(instants) <= 0).any():
        raise InputError("instants", "not rising", "strictly rising nanoseconds")
    draw = _Draw(panel, ruleset, np.repeat(instants, int(np.ceil(per_instant * OVERSAMPLE))), seed, currency)
    alive = draw.survivors()
    kept = _first_of_each(draw.as_of, alive, per_instant)
    return draw.population().take(kept)


class _Draw:
    """All draws for one call, in arrays of shape (n,) or (n, 5)."""

    def __init__(self, panel: MarketPanel, ruleset: str, as_of: IntArray, seed: int, currency: str | None) -> None:
        self.panel, self.ruleset, self.as_of = panel, ruleset, as_of
        self.rng = np.random.default_rng(seed)
        self.n = len(as_of)
        self.rules = RuleTable(ruleset, panel.assets, as_of, currency)
        self.currency = self.rules.currency
        self.kind = self.rng.choice(len(TYPES), self.n, p=[k.share for k in TYPES])
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
        allowed = self.rules.max_leverage(self.asset, notional)
        bound = np.where(self.leg, allowed, np.inf).min(axis=1) * 0.9
        self.leverage = np.minimum(wanted, bound)
        then = np.take_along_axis(self.then, self.asset, axis=1)
        self.entry = np.where(self.leg, then, 1.0)
        self.quantity = np.where(self.leg, self.weight * (self.leverage * self.equity)[:, None] / self.entry, 0.0)
        ceiling = np.where(self.leg, allowed, np.inf).min(axis=1)
        step = np.searchsorted(SETTINGS, self.leverage * 1.0001) + self.rng.integers(0, 3, self.n)
        self.setting = np.maximum(np.minimum(SETTINGS[np.minimum(step, len(SETTINGS) - 1)], ceiling), 1.0)
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

    def survivors(self) -> BoolArray:
        """Redraw the distance of some accounts, and say which accounts are above their call level."""
        alive = self.count > 0
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
        whole = self.population()
        rows = np.flatnonzero(alive)
        if len(rows) == 0:
            return out
        part = whole.take(rows)
        book, failures = Book.from_columns(part.accounts, part.positions, part.collateral, self.panel.assets)
        good = np.delete(rows, [f.row for f in failures]) if failures else rows
        out[good] = margin_levels(book, self.now[good]).gap_call
        return out

    def population(self) -> Population:
        """Lay the draws out in columns."""
        names = _objects([f"a{i}" for i in range(self.n)])
        row, leg = np.nonzero(self.leg)
        symbols = _objects([f"{a}/{self.currency}:{self.currency}" for a in self.panel.assets])
        isolated = self.isolated[row]
        positions: Columns = {
            "row": row,
            "account_id": names[row],
            "as_of": self.as_of[row],
            "symbol": symbols[self.asset[row, leg]],
            "quantity": self.quantity[row, leg],
            "entry_price": self.entry[row, leg],
            "margin_mode": np.where(isolated, "isolated", "cross").astype(object),
            "isolated_margin": np.where(isolated, self.cash[row], np.nan),
            "leverage": self.setting[row],
        }
        return Population(self._account_columns(names), positions, self._collateral_columns(names), self.kind)

    def _account_columns(self, names: ObjectArray) -> Columns:
        return {
            "account_id": names,
            "as_of": self.as_of,
            "ruleset": np.full(self.n, self.ruleset, object),
            "currency": np.full(self.n, self.currency, object),
        }

    def _collateral_columns(self, names: ObjectArray) -> Columns:
        wallet = np.where(self.isolated, 0.1 * self.equity, self.cash)
        held = np.flatnonzero(self.coin >= 0)
        second = "USDC" if self.rules.usdc and self.currency != "USDC" else self.currency
        stable = np.where(np.arange(self.n) % 4 == 3, second, self.currency).astype(object)
        row = np.concatenate([np.arange(self.n), held])
        order = np.argsort(row, kind="stable")
        assets = np.concatenate([stable, np.asarray(self.panel.assets, object)[self.coin[held]]])[order]
        quantity = np.concatenate([wallet, self.coin_quantity[held]])[order]
        row = row[order]
        return {"row": row, "account_id": names[row], "as_of": self.as_of[row], "asset": assets, "quantity": quantity}


def _first_of_each(as_of: IntArray, alive: BoolArray, most: int) -> IntArray:
    rows = np.flatnonzero(alive)
    when = as_of[rows]
    rank = np.arange(len(rows)) - np.searchsorted(when, when, side="left")
    return np.asarray(rows[rank < most], np.int64)


def _cut(columns: Columns, new: IntArray) -> Columns:
    row = new[columns["row"]]
    keep = row >= 0
    return {name: (row if name == "row" else column)[keep] for name, column in columns.items()}


def _objects(values: list[str]) -> ObjectArray:
    out = np.empty(len(values), object)
    out[:] = values
    return out
