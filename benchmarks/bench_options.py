"""Black-76 revaluations on two threads against libraries that price option by option, interleaved in one process.

Run ``python -m benchmarks.bench_options``; it asserts equal prices, then prints rates and ratios. The libraries are
QuantLib and vollib (`pip install QuantLib vollib`), each where it is installed, and always a function of scipy, once
option by option and once on whole arrays. The last line revalues books under standard margin.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit
from scipy.special import ndtr

from models.margin.blocks import BlockArrays
from models.margin.option import StandardParameters, pack_parameters, standard_margin
from models.options.batch import black76_many
from models.typing import BoolArray, FloatArray

THREADS = 2
CHUNK = 4096
"""Options of one piece: five columns of them stay in the cache of a core."""

Columns = tuple[FloatArray, FloatArray, FloatArray, BoolArray]


def clock(call: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def random_options(n: int) -> Columns:
    """Forward, strike, deviation and right of n options of bitcoin."""
    rng = np.random.default_rng(0)
    forward = 60_000.0 * np.exp(rng.normal(0.0, 0.1, n))
    deviation = rng.uniform(0.2, 1.2, n) * np.sqrt(rng.uniform(1 / 365, 1.0, n))
    return forward, forward * np.exp(deviation * rng.normal(0.0, 1.5, n)), deviation, rng.random(n) < 0.5


@njit(nogil=True)
def revalue(columns: Columns, scenarios: int, out: FloatArray) -> None:
    """The same options under several scenarios, piece by piece."""
    forward, strike, deviation, call = columns
    for start in range(0, len(out), CHUNK):
        s = slice(start, start + CHUNK)
        for _ in range(scenarios):
            black76_many(forward[s], strike[s], deviation[s], call[s], out[s])


def on_threads(columns: Columns, scenarios: int, out: FloatArray, pool: ThreadPoolExecutor) -> None:
    """Half of the options on each thread."""
    bounds = np.linspace(0, len(out), THREADS + 1).astype(int)
    pieces = [slice(a, b) for a, b in pairwise(bounds)]
    list(pool.map(lambda s: revalue(tuple(c[s] for c in columns), scenarios, out[s]), pieces))


def scipy_arrays(columns: Columns) -> FloatArray:
    """All options at once with numpy and scipy."""
    f, k, deviation, call = columns
    sign = np.where(call, 1.0, -1.0)
    d1 = np.log(f / k) / deviation + 0.5 * deviation
    return sign * (f * ndtr(sign * d1) - k * ndtr(sign * (d1 - deviation)))


def scipy_each(columns: Columns) -> list[float]:
    """Option by option with scipy."""

    def one(f: float, k: float, deviation: float, sign: float) -> float:
        d1 = math.log(f / k) / deviation + 0.5 * deviation
        return sign * (f * ndtr(sign * d1) - k * ndtr(sign * (d1 - deviation)))

    f, k, deviation, call = columns
    sides = np.where(call, 1.0, -1.0).tolist()
    return [one(*row) for row in zip(f.tolist(), k.tolist(), deviation.tolist(), sides, strict=True)]


def libraries() -> dict[str, Callable[[Columns], Any]]:
    """The libraries that are installed, each as a function of the columns."""
    found: dict[str, Callable[[Columns], Any]] = {"scipy, option by option": scipy_each}
    if find_spec("QuantLib"):
        import QuantLib as ql

        side = {True: ql.Option.Call, False: ql.Option.Put}
        found["QuantLib blackFormula"] = lambda c: [
            ql.blackFormula(side[call], k, f, s) for f, k, s, call in zip(*(a.tolist() for a in c), strict=True)
        ]
    if find_spec("vollib"):
        from vollib.black import undiscounted_black

        flag = {True: "c", False: "p"}
        found["vollib black"] = lambda c: [
            undiscounted_black(f, k, s, 1.0, flag[call]) for f, k, s, call in zip(*(a.tolist() for a in c), strict=True)
        ]
    return found


def random_books(accounts: int, options: int) -> BlockArrays:
    """One block an account, all with the same number of options over four expiries."""
    rng = np.random.default_rng(1)
    n, row = accounts * options, pack_parameters(StandardParameters())
    expiry = np.sort(rng.integers(0, 4, (accounts, options)), axis=1) + 4 * np.arange(accounts)[:, None]
    zeros = np.zeros(accounts, np.int32)
    return BlockArrays(
        block_unit=np.arange(accounts, dtype=np.int32),
        block_asset=zeros,
        block_model=zeros,
        block_parameter=np.arange(0, (accounts + 1) * len(row), len(row)).astype(np.int32),
        block_perpetual=rng.normal(0, 5, accounts),
        block_spot=np.zeros(accounts),
        block_option=np.arange(0, n + 1, options).astype(np.int32),
        block_expiry=np.arange(0, 4 * accounts + 1, 4).astype(np.int32),
        option_strike=60_000.0 * np.exp(rng.normal(0, 0.3, n)),
        option_call=rng.random(n) < 0.5,
        option_quantity=rng.normal(0, 2, n),
        option_vol=rng.uniform(0.3, 0.9, n),
        option_expiry=expiry.ravel().astype(np.int32),
        expiry_years=np.tile([7 / 365, 30 / 365, 90 / 365, 180 / 365], accounts),
        expiry_carry=np.tile([1.001, 1.005, 1.015, 1.03], accounts),
        expiry_rate=np.zeros(4 * accounts),
        expiry_future=np.zeros(4 * accounts),
        parameter=np.tile(row, accounts),
    )


@njit(nogil=True)
def margin_all(b: BlockArrays, first: int, last: int, spot: float) -> float:
    """Sum of maintenance over blocks."""
    total = 0.0
    for i in range(first, last):
        total += standard_margin(b, i, spot, 1.0, 1.0)[1]
    return total


def report_books(pool: ThreadPoolExecutor, rounds: int) -> None:
    """Options revalued and margined in a second, as a replay does."""
    accounts, options = 20_000, 20
    books = random_books(accounts, options)
    halves = [(0, accounts // 2), (accounts // 2, accounts)]

    def call() -> None:
        list(pool.map(lambda h: margin_all(books, *h, 61_000.0), halves))

    call()
    median = statistics.median(clock(call) for _ in range(rounds))
    rate = accounts * options / median / 1e6
    print(f"standard margin of {accounts:,} books of {options} options, {THREADS} threads: {rate:.1f} M options/s")


def main() -> None:
    """Check equality, time all in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", type=int, default=200_000)
    parser.add_argument("--scenarios", type=int, default=25)
    parser.add_argument("--each", type=int, default=20_000, help="options for what goes option by option")
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    columns = random_options(chosen.options)
    few: Columns = tuple(c[: chosen.each].copy() for c in columns)  # type: ignore[assignment]
    out, tenth = np.empty(chosen.options), np.empty(chosen.each)
    black76_many(*few, tenth)
    names = libraries()
    for name, library in names.items():
        np.testing.assert_allclose(library(few), tenth, rtol=0, atol=1e-8, err_msg=name)
    with ThreadPoolExecutor(THREADS) as pool:
        on_threads(columns, 1, out, pool)
        np.testing.assert_allclose(scipy_arrays(columns), out, rtol=0, atol=1e-8)
        whole, each = chosen.options * chosen.scenarios, chosen.each
        calls: dict[str, tuple[int, Callable[[], Any]]] = {
            f"margincast, {THREADS} threads": (whole, lambda: on_threads(columns, chosen.scenarios, out, pool)),
            "margincast, 1 thread": (whole, lambda: revalue(columns, chosen.scenarios, out)),
            "scipy, whole arrays": (chosen.options, lambda: scipy_arrays(columns)),
            **{n: (each, lambda call=f: call(few)) for n, f in names.items()},  # type: ignore[misc]
        }
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(chosen.rounds):
            for name, (count, call) in calls.items():
                times[name].append(clock(call) / count)
        base = statistics.median(times[next(iter(calls))])
        print(f"{chosen.options:,} options x {chosen.scenarios} scenarios, equal prices")
        for name, seconds in times.items():
            median = statistics.median(seconds)
            print(f"{name:26s} {1e-6 / median:9.3f} M prices/s  {1e9 * median:9.1f} ns  ratio {median / base:9.1f}")
        report_books(pool, chosen.rounds)


if __name__ == "__main__":
    main()
