"""The rule of replay written a second time, plainly: every bar, every point, no tables and no kernels."""

import math
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from models.book import Book, BookArrays
from models.market import MarketPanel


@dataclass
class Walked:
    """What the plain walk of one account found."""

    call: float = math.nan
    liquidation: float = math.nan
    amount: float = math.nan
    worst: float = math.nan
    gap: bool = False
    truncated: bool = False


def sliced(floors, rates, value):
    """Each slice of a value at its own rate."""
    tops = [*floors[1:], math.inf]
    return sum(rate * max(0.0, min(value, top) - floor) for floor, top, rate in zip(floors, tops, rates, strict=True))


class Unit:
    """One margin unit of a book, as lists."""

    def __init__(self, b: BookArrays, u: int) -> None:
        self.cash = float(b.unit_cash[u])
        legs = range(b.unit_leg[u], b.unit_leg[u + 1])
        colls = range(b.unit_coll[u], b.unit_coll[u + 1])
        self.legs = [
            (int(b.leg_asset[i]), float(b.leg_quantity[i]), float(b.leg_entry[i]), float(b.leg_initial_rate[i]),
             *_table(b.tier_start, b.tier_floor, b.tier_rate, int(b.leg_tier[i])))
            for i in legs
        ]  # fmt: skip
        self.colls = [
            (int(b.coll_asset[j]), float(b.coll_quantity[j]),
             *_table(b.sched_start, b.sched_floor, b.sched_rate, int(b.coll_schedule[j])))
            for j in colls
        ]  # fmt: skip
        self.assets = sorted({leg[0] for leg in self.legs} | {c[0] for c in self.colls if c[0] >= 0})

    def equity(self, price, cash):
        total = cash + sum(q * (price[a] - entry) for a, q, entry, *_ in self.legs)
        return total + sum(sliced(f, r, q * (price[a] if a >= 0 else 1.0)) for a, q, f, r in self.colls)

    def maintenance(self, price):
        return sum(sliced(f, r, abs(q) * price[a]) for a, q, _, _, f, r in self.legs)

    def initial(self, price, k):
        return max(sum(abs(q) * price[a] * rate for a, q, _, rate, *_ in self.legs), k * self.maintenance(price))

    def gap(self, price, cash, k):
        return self.equity(price, cash) - k * self.maintenance(price)


def _table(start, floor, rate, i):
    rows = slice(start[i], start[i + 1])
    return floor[rows].tolist(), rate[rows].tolist()


def points(unit, bars, cash, k, mode):
    """Prices of the points of a bar, in order; `bars` maps an asset to its open, high, low, close."""
    opens, highs, lows, closes = ({a: bar[i] for a, bar in bars.items()} for i in range(4))
    if len(bars) <= 1 or mode == "synchronous":
        return [opens, lows, highs, closes]
    if mode == "close":
        return [closes]
    boxes = [dict(zip(bars, corner, strict=True)) for corner in product(*[(b[2], b[1]) for b in bars.values()])]
    return [opens, min(boxes, key=lambda box: unit.gap(box, cash, k)), closes]


def moment(unit, mode, stage):
    """When in a bar the `stage`-th point is: 0 the open, 1 the low or the worst corner, 2 the high, 3 the close."""
    if len(unit.assets) <= 1 or mode == "synchronous":
        return stage
    return 3 if mode == "close" else (0, 1, 3)[stage]


def first_breach(unit, panel, rows, first, stop, k, mode):
    """Bar, stage, price and cash of the first breach; with the smallest gap until then and whether a bar is missing."""
    cash, worst, missing = unit.cash, math.nan, first < 0
    for t in range(max(first, 0), stop):
        bars = {a: bar_of(panel, rows[a], t) for a in unit.assets}
        for a, q, *_ in unit.legs:
            if bars[a] is not None:
                cash -= q * bars[a][0] * panel.funding_rate[rows[a], t]
        if any(bar is None for bar in bars.values()):
            missing = True
            continue
        for stage, price in enumerate(points(unit, bars, cash, k, mode)):
            gap = unit.gap(price, cash, k)
            worst = gap if math.isnan(worst) else min(worst, gap)
            if gap < 0:
                return t, stage, price, cash, worst, missing
    return None, 0, None, cash, worst, missing


def bar_of(panel, row, t):
    if row < 0:
        return None
    bar = [float(x[row, t]) for x in (panel.open, panel.high, panel.low, panel.close)]
    return bar if all(math.isfinite(x) for x in bar) else None


def walk_unit(unit, panel, rows, first, stop, k, mode):
    """First call, first liquidation, amount, and the worst gap until liquidation."""
    call = first_breach(unit, panel, rows, first, stop, k, mode)
    liquidation = first_breach(unit, panel, rows, first, stop, 1.0, mode)
    worst, missing = call[4], call[5]
    if call[0] is not None:
        worst, missing = worst_until(unit, panel, rows, first, stop, k, mode, liquidation[:2])
    amount = math.nan if call[0] is None else unit.initial(call[2], k) - unit.equity(call[2], call[3])
    return call[:2], liquidation[0], amount, worst, missing


def worst_until(unit, panel, rows, first, stop, k, mode, end):
    """Smallest gap over all points up to and with a point."""
    cash, worst, missing = unit.cash, math.inf, first < 0
    for t in range(max(first, 0), stop if end[0] is None else end[0] + 1):
        bars = {a: bar_of(panel, rows[a], t) for a in unit.assets}
        for a, q, *_ in unit.legs:
            if bars[a] is not None:
                cash -= q * bars[a][0] * panel.funding_rate[rows[a], t]
        if any(bar is None for bar in bars.values()):
            missing = True
            continue
        for stage, price in enumerate(points(unit, bars, cash, k, mode)):
            if end[0] is None or (t, stage) <= end:
                worst = min(worst, unit.gap(price, cash, k))
    return worst, missing


def walk_account(book: Book, n: int, panel: MarketPanel, bars: int, mode: str) -> Walked:
    """Walk every unit of an account and bring the results together."""
    b, out, earliest = book.arrays, Walked(), None
    first = int(panel.row_after(int(book.as_of[n])))
    stop = max(min(first + bars, panel.n_bars), 0)
    rows = [panel.assets.index(a) if a in panel.assets else -1 for a in book.assets]
    for u in range(b.account_unit[n], b.account_unit[n + 1]):
        unit = Unit(b, u)
        result = walk_unit(unit, panel, rows, first, stop, float(b.account_call_factor[n]), mode)
        call, liquidation, amount, worst, missing = result
        call = (call[0], moment(unit, mode, call[1]))
        out.gap |= missing
        out.worst = float(np.fmin(out.worst, worst))
        if call[0] is not None and (earliest is None or call <= earliest):
            out.amount = amount + (out.amount if call == earliest else 0.0)
            earliest = call
            out.call = (call[0] - first + 1.0) * panel.bar_minutes
        if liquidation is not None:
            minutes = (liquidation - first + 1.0) * panel.bar_minutes
            out.liquidation = float(np.fmin(out.liquidation, minutes))
    out.truncated = first + bars > panel.n_bars and math.isnan(out.liquidation)
    return out


@cache
def tier_tables():
    """Three maintenance schedules and three collateral schedules with slices narrow enough to be crossed."""
    tiers = [
        ([0.0], [0.01]),
        ([0.0, 9e3, 1.1e4, 3e4], [0.01, 0.02, 0.05, 0.1]),
        ([0.0, 1e4, 1.02e4], [0.004, 0.02, 0.2]),
    ]
    schedules = [([0.0], [1.0]), ([0.0, 900.0, 1100.0, 5e3], [0.95, 0.8, 0.5, 0.0]), ([0.0, 3e3], [0.9, 0.6])]
    return _flat(tiers), _flat(schedules)


def _flat(tables):
    start = np.cumsum([0] + [len(f) for f, _ in tables]).astype(np.int32)
    floor, rate = (np.concatenate([np.array(t[i]) for t in tables]) for i in (0, 1))
    offset = np.concatenate([np.cumsum(np.array(f) * np.diff(r, prepend=r[0])) for f, r in tables])
    return start, floor, rate, offset
