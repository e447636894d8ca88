"""Replay: what really happened next to accounts that were held still.

Every unit of an account is walked along the bars after its instant: funding at the stamps, then the
points inside each bar, until its liquidation or the horizon. One path serves one account and a million.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.book import NEVER, Book
from models.errors import InputError
from models.margin._direct import walk_direct
from models.margin._extremes import BLOCK, Extremes, build_extremes
from models.margin._lines import new_work
from models.margin._scan import ADVERSE, CLOSE, SYNCHRONOUS
from models.margin._units import Outcome, Plan, count_factors, empty_outcome, fold_units, replay_units
from models.margin.blocks import BlockArrays
from models.market import MarketPanel
from models.typing import BoolArray, FloatArray, Int32Array, IntArray, ObjectArray

__all__ = ["EXTREMES", "Replay", "replay"]

EXTREMES: Final = ("synchronous", "adverse", "close")
"""How the inside of a bar is read where several prices matter."""
_MODES: Final = {"synchronous": SYNCHRONOUS, "adverse": ADVERSE, "close": CLOSE}


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """What happened to n accounts within the horizon, arrays of shape (n,).

    Parameters
    ----------
    minutes_to_call : ndarray
        Minutes from the open of the first bar to the close of the bar of the first margin call; NaN where none.
    minutes_to_liquidation : ndarray
        The same for the first liquidation.
    call_amount : ndarray
        Initial requirement less equity at the first call, account currency, of the units then called; NaN where none.
    worst_gap : ndarray
        Smallest equity minus call requirement over the points walked and over the units, dollars also where the
        account reports in coin; NaN where no bar could be walked.
    gap : ndarray of bool
        A bar of one of the account's assets is missing in the window walked, or one of its options has no volatility;
        missing bars are skipped, and a unit with such an option is not walked.
    truncated : ndarray of bool
        The data ends before the horizon, and the account was not liquidated until then.
    bound : ndarray of object
        ``"exact"`` where every unit depends on one price at most, else the extremes mode.
    minutes : ndarray, shape (n, L), or None
        Minutes to the first breach of each requirement factor asked for; liquidation does not stop these.
    """

    minutes_to_call: FloatArray
    minutes_to_liquidation: FloatArray
    call_amount: FloatArray
    worst_gap: FloatArray
    gap: BoolArray
    truncated: BoolArray
    bound: ObjectArray
    minutes: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.minutes_to_call)


def replay(
    book: Book,
    panel: MarketPanel,
    horizon_minutes: int = 4320,
    extremes: str = "synchronous",
    factors: FloatArray | None = None,
    n_threads: int = 1,
    revalue: bool = False,
) -> Replay:
    """Replay accounts along the bars after their instants.

    Parameters
    ----------
    book : Book
        n accounts, each held still from its ``as_of``.
    panel : MarketPanel
        The bars; the walk of an account begins with the first bar that opens at or after its ``as_of``.
    horizon_minutes : int
        Length of the walk, at least one bar; whole bars only.
    extremes : {"synchronous", "adverse", "close"}
        Points of a bar for units with several prices. ``"synchronous"``: all open, all low, all high, all close.
        ``"adverse"``: open, then of each asset the extreme that hurts the unit (an upper bound of calls), close.
        ``"close"``: closes only (a lower bound). Units with one price always walk open, low, high, close.
    factors : ndarray, shape (n, L), optional
        More requirement factors (multiples of maintenance) to time, for each account.
    n_threads : int
        Threads to walk with, >= 1.
    revalue : bool
        Price the options of scenario margin one by one at every point, without grids.

    Returns
    -------
    Replay
        One row for each account, in the order of the book.

    Raises
    ------
    InputError
        If an argument is not as described.

    Notes
    -----
    At the open of each bar that carries a funding rate every leg pays ``quantity * open * rate``. A leg whose own
    bar is missing pays nothing; a bar that is missing for one of the unit's assets is not evaluated.
    A breach inside a bar counts at its close. Isolated units are walked on their own: the liquidation of one does
    not stop the others. Assets that the panel does not have count as missing bars throughout.

    Units with options or scenario margin, and those with a contract that expires, are valued at each point by their
    rule: options age, implied volatilities follow ``panel.implied``, and rates of dynamic margin the bars before.
    Under scenario margin options are interpolated on grids over price and time, made for each account and day, whose
    error is at most 0.1% of maintenance. Where a call, a liquidation or an amount would depend on that, they are
    priced one by one, so only ``worst_gap`` differs from that of `revalue`.

    Blocks of bars whose lower bound of the gap rules a breach out are skipped; the result is that of a full scan.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> from models.account import Account, Collateral, Position
    >>> start = datetime(2025, 3, 1, tzinfo=timezone.utc)
    >>> account = Account(account_id="a", as_of=start, ruleset="generic-linear", currency="USDT",
    ...     collateral=(Collateral(asset="USDT", quantity=8200.0),),
    ...     positions=(Position(symbol="BTC/USDT:USDT", quantity=1.0, entry_price=84_000.0),))
    >>> price = np.array([[84_000.0, 80_000.0, 76_000.0]])
    >>> panel = MarketPanel(("BTC",), 60, int(start.timestamp()) * 10**9, price, price, price, price,
    ...     np.ones((1, 3)), np.zeros((1, 3)), ("simulated",))
    >>> book, _ = Book.from_accounts([account], panel.assets)
    >>> replay(book, panel, horizon_minutes=180).minutes_to_call.tolist()
    [180.0]
    """
    bars = _check(book, panel, horizon_minutes, extremes, factors, n_threads)
    first = panel.row_after(book.as_of)
    count, asset = np.zeros(book.n_units, np.int32), np.zeros(book.n_units, np.int32)
    used = np.zeros(len(book.assets), np.bool_)
    count_factors(book.arrays, count, asset, used)
    window, first = _window(panel, first, bars)
    direct = _direct_units(book, window.start + (first + bars) * window.step)
    if book.blocks is not None:
        _count_blocks(book.blocks, count, asset, used)
    used[book.arrays.account_numeraire[book.arrays.account_numeraire >= 0]] = True
    tables = build_extremes(window, book.assets, used)
    plan = _plan(book, first, bars, _MODES[extremes], factors)
    out = empty_outcome(book.n_units, plan.factor.shape[1])
    order = _order(asset, first, plan.account)
    _walk(book, tables, plan, order[~direct[order]], out, n_threads)
    if direct.any():
        walk_direct(book, panel, window, tables, plan, np.flatnonzero(direct), count > 1, out, n_threads, revalue)
    return _fold(book, plan, out, panel.bar_minutes, first + bars > window.n_bars, _bound(book, count, extremes))


def _direct_units(book: Book, end: IntArray) -> BoolArray:
    """Units that are walked by the rule: with blocks, or with a contract that expires before the end, shape (u,)."""
    direct = np.zeros(book.n_units, np.bool_)
    if book.blocks is not None:
        direct[book.blocks.block_unit] = True
    a = book.arrays
    if len(a.leg_expiry) and a.leg_expiry.min() < NEVER:
        unit = book.unit_of_leg()
        direct[unit[a.leg_expiry < end[book.unit_account()[unit]]]] = True
    return direct


def _count_blocks(b: BlockArrays, count: Int32Array, asset: Int32Array, used: BoolArray) -> None:
    """Add the underlyings of blocks to the distinct assets of units."""
    used[b.block_asset] = True
    for u, a in zip(b.block_unit.tolist(), b.block_asset.tolist(), strict=True):
        if asset[u] < 0:
            asset[u], count[u] = a, 1
        elif asset[u] != a:
            count[u] = 2


def _check(
    book: Book, panel: MarketPanel, horizon: int, extremes: str, factors: FloatArray | None, n_threads: int
) -> int:
    """Check the arguments; the number of bars to walk."""
    if extremes not in _MODES:
        raise InputError("extremes", extremes, f"one of {', '.join(EXTREMES)}")
    if horizon < panel.bar_minutes:
        raise InputError("horizon_minutes", horizon, f"at least one bar of {panel.bar_minutes} minutes")
    if n_threads < 1:
        raise InputError("n_threads", n_threads, "at least 1")
    if factors is not None and (np.ndim(factors) != 2 or len(factors) != len(book)):
        raise InputError("factors", np.shape(factors), f"shape ({len(book)}, L), one row for each account")
    if factors is not None and not (np.isfinite(factors).all() and np.min(factors, initial=0.0) >= 0.0):
        raise InputError("factors", "negative or not finite", "finite multiples of maintenance >= 0")
    return horizon // panel.bar_minutes


def _window(panel: MarketPanel, first: IntArray, bars: int) -> tuple[MarketPanel, IntArray]:
    """The part of the panel that any account walks, and the first bars within it."""
    start = int(np.clip(np.min(first, initial=panel.n_bars), 0, panel.n_bars))
    stop = int(np.clip(np.max(first, initial=start) + bars, start, panel.n_bars))
    return panel.slice(start, stop), first - start


def _plan(book: Book, first: IntArray, bars: int, mode: int, factors: FloatArray | None) -> Plan:
    call = book.arrays.account_call_factor
    extra = np.zeros((len(book), 0)) if factors is None else np.asarray(factors, np.float64)
    factor = np.ascontiguousarray(np.column_stack([call, np.ones(len(book)), extra]))
    return Plan(book.unit_account().astype(np.int32), np.ascontiguousarray(first), bars, mode, factor)


def _order(asset: Int32Array, first: IntArray, account: Int32Array) -> IntArray:
    """Units by asset and time, so that neighbours read the same bars."""
    start = first[account]
    span = int(np.max(start, initial=0) - np.min(start, initial=0)) + 1
    key = asset * span + start
    if np.all(key[1:] >= key[:-1]):
        return np.arange(len(key))
    return np.argsort(key, kind="stable")


def _walk(book: Book, tables: Extremes, plan: Plan, order: IntArray, out: Outcome, n_threads: int) -> None:
    a = book.arrays
    n_slots = int(np.max(np.diff(a.unit_leg) + np.diff(a.unit_coll), initial=1))
    n_blocks = min(plan.bars // BLOCK + 2, tables.block_low.shape[1])

    def part(units: IntArray) -> None:
        replay_units(a, tables, plan, units, new_work(n_slots, len(book.assets), n_blocks), out)

    if n_threads == 1 or len(order) < 2 * n_threads:
        part(order)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(part, np.array_split(order, 4 * n_threads)))


def _bound(book: Book, count: Int32Array, extremes: str) -> ObjectArray:
    many = np.zeros(len(book), np.int64)
    np.maximum.at(many, book.unit_account()[count > 1], 1)
    return np.array(["exact", extremes], object)[many]


def _fold(book: Book, plan: Plan, units: Outcome, bar_minutes: int, short: BoolArray, bound: ObjectArray) -> Replay:
    accounts = empty_outcome(len(book), plan.factor.shape[1])
    fold_units(book.arrays, units, accounts)
    minutes = np.where(accounts.bar >= 0, (accounts.bar + 1.0) * bar_minutes, np.nan)
    return Replay(
        minutes[:, 0],
        minutes[:, 1],
        accounts.amount,
        accounts.worst,
        accounts.gap,
        short & (accounts.bar[:, 1] < 0),
        bound,
        minutes[:, 2:] if minutes.shape[1] > 2 else None,
    )
