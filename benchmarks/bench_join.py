"""Point-in-time join against pandas merge_asof and polars join_asof, interleaved in one process.

Run ``python -m benchmarks.bench_join``; it asserts equal output, then prints times and ratios.
The first line makes a new array each time, as the rivals do; the second fills one again and again, as a caller with
many batches would. Ratios are to the first.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
import pandas as pd
import polars as pl

from benchmarks.bench_features import clock, random_panel
from features.join import join_asof
from models.typing import FloatArray, IntArray


def pandas_join(right: pd.DataFrame, as_of: IntArray, asset: IntArray, names: list[str]) -> FloatArray:
    """Sort the instants, merge, and put the rows back in order; `right` is sorted already."""
    left = pd.DataFrame({"time": as_of, "asset": asset, "place": np.arange(len(as_of))}).sort_values("time")
    merged = pd.merge_asof(left, right, on="time", by="asset")
    out = np.empty((len(as_of), len(names)))
    out[merged["place"].to_numpy()] = merged[names].to_numpy()
    return out


def polars_join(right: pl.DataFrame, as_of: IntArray, asset: IntArray, names: list[str]) -> FloatArray:
    """The same with polars (all cores)."""
    left = pl.DataFrame({"time": as_of, "asset": asset}).with_row_index("place").sort("time")
    merged = left.join_asof(right, on="time", by="asset", check_sortedness=False).sort("place")
    return merged.select(names).to_numpy()


def main() -> None:
    """Check equality, time the three in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rng, panel = np.random.default_rng(0), random_panel(6, 40_000)
    values = rng.normal(size=(6, panel.n_bars, options.columns))
    as_of = rng.integers(panel.start - 10 * panel.step, panel.end + 10 * panel.step, options.rows)
    asset = rng.integers(0, 6, options.rows)
    names = [f"x{i}" for i in range(options.columns)]
    right = pd.DataFrame(values.reshape(-1, options.columns), columns=names)
    right["asset"] = np.repeat(np.arange(6), panel.n_bars)
    right["time"] = np.tile(panel.times() + panel.step, 6)
    right = right.sort_values("time", kind="stable")
    right_pl = pl.from_pandas(right)
    rivals = {
        "pandas merge_asof": lambda: pandas_join(right, as_of, asset, names),
        "polars join_asof": lambda: polars_join(right_pl, as_of, asset, names),
    }
    ours = join_asof(values, panel, as_of, asset)
    for name, rival in rivals.items():
        np.testing.assert_array_equal(ours, rival(), err_msg=name)
    buffer = np.empty_like(ours)
    calls = {
        "margincast": lambda: join_asof(values, panel, as_of, asset),
        "margincast, same array": lambda: join_asof(values, panel, as_of, asset, out=buffer),
        **rivals,
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(options.rounds):
        for name, call in calls.items():
            times[name].append(clock(call))
    base = statistics.median(times["margincast"])
    print(f"{options.rows:,} instants of 6 assets x {panel.n_bars:,} bars x {options.columns} columns, equal output")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{name:22s} {median:8.3f} s  {options.rows / median / 1e6:6.2f} M rows/s  ratio {median / base:6.2f}")


if __name__ == "__main__":
    main()
