"""Replay against early-exit scans that give the same answers.

Peers, compiled with numba like ours and checked for equal output before anything is timed:

- ``scan``: every bar from the start, the rule at every point of the bar, stop at the liquidation;
- ``barriers`` (one asset): between two funding stamps the prices at which the unit is called and
  liquidated are solved once, every bar is compared to them; the smallest low and largest high give the worst gap.

Run ``python -m benchmarks.bench_replay [--rows N] [--repeats R] [--threads T] [--json FILE]``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models.book import Book, BookArrays
from models.margin._kernel import inlined, kernel
from models.margin.linear import barriers, unit_gap
from models.margin.replay import Replay, replay
from models.market import MarketPanel
from models.typing import MINUTE_NS, FloatArray

DAY = 1440
ASSETS = ("BTC", "ETH", "SOL")


class Bars(NamedTuple):
    """The bars as the peers take them."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    rate: FloatArray
    scratch: FloatArray


@kernel
def scan(b: BookArrays, first: Any, bars: int, m: Bars, out: FloatArray) -> None:
    """Walk every bar of every account (one unit each) and evaluate the rule at its four points."""
    for u in range(len(first)):
        k, cash, least = b.account_call_factor[u], 0.0, np.inf
        for t in range(first[u], min(first[u] + bars, m.close.shape[1])):
            for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
                a = b.leg_asset[i]
                if m.rate[a, t] != 0.0:
                    cash -= b.leg_quantity[i] * m.open[a, t] * m.rate[a, t]
            least, done = _visit(b, u, k, cash, m.open, t, t - first[u] + 1.0, least, out)
            if not done:
                least, done = _visit(b, u, k, cash, m.low, t, t - first[u] + 1.0, least, out)
            if not done:
                least, done = _visit(b, u, k, cash, m.high, t, t - first[u] + 1.0, least, out)
            if not done:
                least, done = _visit(b, u, k, cash, m.close, t, t - first[u] + 1.0, least, out)
            if done:
                break
        out[2, u] = least


@inlined
def _visit(
    b: BookArrays,
    u: int,
    k: float,
    cash: float,
    prices: FloatArray,
    t: int,
    minutes: float,
    least: float,
    out: FloatArray,
) -> tuple[float, bool]:
    """Evaluate one point; the smallest gap so far and whether the account is liquidated."""
    equity, maintenance = b.unit_cash[u] + cash, 0.0
    for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
        price, q, tier = prices[b.leg_asset[i], t], b.leg_quantity[i], b.leg_tier[i]
        equity += q * (price - b.leg_entry[i])
        value = abs(q) * price
        row = b.tier_start[tier]
        while row + 1 < b.tier_start[tier + 1] and b.tier_floor[row + 1] <= value:
            row += 1
        maintenance += b.tier_rate[row] * value - b.tier_offset[row]
    for j in range(b.unit_coll[u], b.unit_coll[u + 1]):
        a, s = b.coll_asset[j], b.coll_schedule[j]
        value = b.coll_quantity[j] * (prices[a, t] if a >= 0 else 1.0)
        row = b.sched_start[s]
        while row + 1 < b.sched_start[s + 1] and b.sched_floor[row + 1] <= value:
            row += 1
        equity += b.sched_rate[row] * value - b.sched_offset[row]
    gap = equity - k * maintenance
    if gap < 0.0 and np.isnan(out[0, u]):
        out[0, u] = minutes
    if equity < maintenance:
        out[1, u] = minutes
    return min(least, gap), equity < maintenance


@kernel
def barrier_scan(b: BookArrays, first: Any, bars: int, m: Bars, out: FloatArray) -> None:
    """Walk every bar of one-asset accounts and compare it to the prices of call and liquidation."""
    price = m.scratch
    for u in range(len(first)):
        k, a, quantity, cash = b.account_call_factor[u], b.leg_asset[b.unit_leg[u]], 0.0, b.unit_cash[u]
        for i in range(b.unit_leg[u], b.unit_leg[u + 1]):
            quantity += b.leg_quantity[i]
        least, t, stop, done = np.inf, first[u], min(first[u] + bars, m.close.shape[1]), False
        while t < stop and not done:
            b.unit_cash[u] -= quantity * m.open[a, t] * m.rate[a, t]
            call_low, call_high = barriers(b, u, k, a, price)
            out_low, out_high = barriers(b, u, 1.0, a, price)
            smallest, largest = np.inf, -np.inf
            while True:
                low, high = m.low[a, t], m.high[a, t]
                if low < call_low or high > call_high:
                    if np.isnan(out[0, u]):
                        out[0, u] = t - first[u] + 1.0
                    if low < out_low or high > out_high:
                        out[1, u] = t - first[u] + 1.0
                        opened = m.open[a, t]
                        smallest, largest = min(smallest, opened), max(largest, opened)
                        if opened >= out_low and opened <= out_high:
                            smallest = min(smallest, low)
                            largest = max(largest, high if low >= out_low else low)
                        done = True
                        break
                smallest, largest = min(smallest, low), max(largest, high)
                t += 1
                if t == stop or m.rate[a, t] != 0.0:
                    break
            price[a] = smallest
            least = min(least, unit_gap(b, u, k, price))
            price[a] = largest
            least = min(least, unit_gap(b, u, k, price))
        out[2, u] = least
        b.unit_cash[u] = cash


def load_market() -> MarketPanel:
    """Real 1-minute bars where MARGINCAST_DATA has them, else simulated ones."""
    root = Path(os.environ.get("MARGINCAST_DATA", "../shared")) / "data"
    if (root / "perp/binance/BTCUSDT-1m.parquet").exists():
        return _real(root)
    return _simulated(43_000)


def _real(root: Path) -> MarketPanel:
    import pandas as pd

    frames = [pd.read_parquet(root / f"perp/binance/{a}USDT-1m.parquet").set_index("timestamp") for a in ASSETS]
    index = frames[0].index.intersection(frames[1].index).intersection(frames[2].index)
    index = pd.date_range(index[0], index[-1], freq="1min")
    bars = {
        n: np.stack([f[n].reindex(index).to_numpy(np.float64) for f in frames])
        for n in ("open", "high", "low", "close")
    }
    return _panel(bars, int(index.as_unit("ns").asi8[0]), ("perp",) * 3)


def _simulated(n_bars: int) -> MarketPanel:
    rng = np.random.default_rng(7)
    inner = rng.standard_normal((3, n_bars, 8)) + 0.8 * rng.standard_normal((1, n_bars, 8))
    path = np.array([[1e5], [2.5e3], [150.0]]) * np.exp(np.cumsum(2e-4 * inner.reshape(3, -1), 1))
    ticks = path.reshape(3, n_bars, 8)
    bars = {"open": ticks[..., 0], "high": ticks.max(2), "low": ticks.min(2), "close": ticks[..., -1]}
    return _panel({n: np.ascontiguousarray(p) for n, p in bars.items()}, 0, ("simulated",) * 3)


def _panel(bars: dict[str, FloatArray], start: int, source: tuple[str, ...]) -> MarketPanel:
    rate = np.zeros_like(bars["open"])
    minute = start // MINUTE_NS + np.arange(rate.shape[1])
    rate[:, minute % 480 == 0] = 1e-4
    bars = {n: np.where(np.isfinite(bars["open"] + bars["low"]), p, np.nan) for n, p in bars.items()}
    return MarketPanel(ASSETS, 1, start, volume=np.ones_like(rate), funding_rate=rate, source=source, **bars)


def sample_book(panel: MarketPanel, rows: int, n_legs: int, seed: int = 1) -> Book:
    """Cross accounts sorted by time, around 8 times leverage; some hold half of their wealth in BTC or ETH."""
    rng = np.random.default_rng(seed)
    first = np.sort(rng.integers(0, panel.n_bars - DAY, rows))
    as_of = panel.start + first * MINUTE_NS
    asset = np.tile(np.arange(n_legs), rows)
    owner = np.repeat(np.arange(rows), n_legs)
    price = panel.open[asset, first[owner]]
    notional = np.exp(rng.normal(np.log(30_000), 1.5, rows * n_legs))
    side = rng.choice([-1.0, 1.0], rows * n_legs, p=[0.4, 0.6])
    gross = np.bincount(owner, notional)
    leverage = np.exp(rng.normal(np.log(8.0), 0.8, rows)).clip(1, 45)
    ids = np.arange(rows).astype(str).astype(object)
    held = rng.random(rows) < (0.25 if n_legs > 1 else 0.1)
    own = np.flatnonzero(held)
    wealth = gross / leverage
    accounts = {"account_id": ids, "as_of": as_of, "ruleset": np.full(rows, "generic-linear", object),
                "currency": np.full(rows, "USDT", object)}  # fmt: skip
    positions = {"row": owner, "symbol": np.array([f"{a}/USDT:USDT" for a in ASSETS], object)[asset],
                 "quantity": side * notional / price, "entry_price": price}  # fmt: skip
    other = np.zeros(len(own), np.int64) if n_legs == 1 else rng.integers(0, 2, len(own))
    collateral = {
        "row": np.concatenate([np.arange(rows), own]),
        "asset": np.concatenate([np.full(rows, "USDT", object), np.array(ASSETS, object)[other]]),
        "quantity": np.concatenate(
            [np.where(held, 0.5, 1.0) * wealth, 0.5 * wealth[own] / panel.open[other, first[own]]]
        ),
    }
    book, failures = Book.from_columns(accounts, positions, collateral, panel.assets)
    assert not failures, failures[:3]
    return book


def fill(panel: MarketPanel) -> MarketPanel:
    """A panel without missing bars, so that the peers need not look for them."""
    from dataclasses import replace

    close = panel.close.copy()
    for row in close:
        known = np.where(np.isfinite(row), np.arange(len(row)), 0)
        row[:] = row[np.maximum.accumulate(known)]
    return replace(panel, close=close, **{n: np.where(np.isfinite(getattr(panel, n)), getattr(panel, n), close)
                                          for n in ("open", "high", "low")})  # fmt: skip


def run_peer(peer: Callable[..., None], book: Book, first: Any, panel: MarketPanel) -> FloatArray:
    """Minutes to call, minutes to liquidation and worst gap, shape (3, n)."""
    out = np.full((3, len(book)), np.nan)
    bars = Bars(panel.open, panel.high, panel.low, panel.close, panel.funding_rate, np.zeros(len(panel.assets)))
    peer(book.arrays, first, DAY, bars, out)
    return out


def assert_same(ours: Replay, peer: FloatArray) -> None:
    """Equal minutes; worst gaps equal to rounding."""
    np.testing.assert_array_equal(ours.minutes_to_call, peer[0])
    np.testing.assert_array_equal(ours.minutes_to_liquidation, peer[1])
    np.testing.assert_allclose(ours.worst_gap, peer[2], rtol=1e-9, atol=1e-6)


def interleave(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(s)) for name, s in seconds.items()}


def compare(panel: MarketPanel, n_legs: int, rows: int, repeats: int, threads: int) -> dict[str, Any]:
    """Time ours against the peers; rows a second and ratios."""
    book = sample_book(panel, rows, n_legs)
    peers = {"scan": scan, "barriers": barrier_scan} if n_legs == 1 else {"scan": scan}
    few = min(rows, 20_000)
    part = book.take(np.sort(np.random.default_rng(0).choice(rows, few, replace=False)))
    part_first = panel.row_after(part.as_of)
    for peer in peers.values():
        assert_same(replay(part, panel, DAY, n_threads=threads), run_peer(peer, part, part_first, panel))
    ours = replay(book, panel, DAY, n_threads=threads)
    runs: dict[str, Callable[[], Any]] = {"ours": lambda: replay(book, panel, DAY, n_threads=threads)}
    runs |= {n: lambda p=p: run_peer(p, part, part_first, panel) for n, p in peers.items()}
    seconds = interleave(runs, repeats)
    per_row = {n: s / (rows if n == "ours" else few) for n, s in seconds.items()}
    return {
        "assets": n_legs, "rows": rows, "threads": threads, "source": panel.source[0],
        "called": float(np.mean(ours.minutes_to_call > 0)),
        "rows_per_second": {n: 1 / s for n, s in per_row.items()},
        "ratio": {n: s / per_row["ours"] for n, s in per_row.items() if n != "ours"},
    }  # fmt: skip


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run both comparisons and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    panel = fill(load_market())
    results = [compare(panel, n_legs, args.rows, args.repeats, args.threads) for n_legs in (1, 3)]
    for r in results:
        print(
            f"replay, {r['assets']} asset(s), 24 h of 1-minute {r['source']} bars, "
            f"{r['rows']} rows, {r['called']:.1%} called"
        )
        for name, rate in r["rows_per_second"].items():
            ratio = "" if name == "ours" else f"   ours is {r['ratio'][name]:.1f}x"
            print(f"  {name:9s} {rate:12,.0f} rows/s{ratio}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    return results


if __name__ == "__main__":
    main()
