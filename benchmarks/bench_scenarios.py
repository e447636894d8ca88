"""Option revaluations a second of scenario margin, beside a per-option library.

Ours is the whole requirement of accounts under a shipped ruleset (every scenario, contingencies included), blocks
shared by threads. Each peer prices the options of the same accounts one by one: QuantLib's ``blackFormula``,
py_vollib's ``undiscounted_black`` where they are installed, and Black-76 on ``math.erfc`` as plain Python. They run in
one process: a call for each option holds the interpreter, so a second thread gives them nothing. Their interpreter may
be another one (``--peer-python``), so that no library has to be installed beside ours. Before anything is timed our
marks are compared with theirs, and our requirements with the reference function. Times are medians.

Run ``python -m benchmarks.bench_scenarios [--rules NAME] [--accounts N] [--options N] [--threads T] [--repeats R]
[--peer-python PATH] [--json FILE]``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from models.margin._kernel import kernel
from models.margin.blocks import BlockArrays
from models.margin.portfolio import block_holdings, load_portfolio_rules, pack_rules, scenario_margin
from models.margin.portfolio._kernel import scenario_margin as block_margin
from models.typing import FloatArray

SPOT = 60_000.0
EXPIRIES = 6
PEER = r"""
import json, math, sys, time
def plain():
    def price(call, f, k, dev):
        d = math.log(f / k) / dev + 0.5 * dev
        if not call:
            return k * 0.5 * math.erfc((d - dev) / 2**0.5) - f * 0.5 * math.erfc(d / 2**0.5)
        return f * 0.5 * math.erfc(-d / 2**0.5) - k * 0.5 * math.erfc((dev - d) / 2**0.5)
    return "plain Python", price
def quantlib():
    import QuantLib as q
    formula, kinds = q.blackFormula, (q.Option.Put, q.Option.Call)
    return "QuantLib " + q.__version__, lambda call, f, k, dev: formula(kinds[call], k, f, dev)
def vollib():
    from py_vollib.black import undiscounted_black
    return "py_vollib", lambda call, f, k, dev: undiscounted_black(f, k, dev, 1.0, "pc"[call])
job = json.load(sys.stdin)
options = list(zip(job["call"], job["forward"], job["strike"], job["deviation"], strict=True))
found = {}
for build in (quantlib, vollib, plain):
    try:
        name, price = build()
    except ImportError:
        continue
    marks = [price(*o) for o in options[:1000]]
    seconds = []
    for _ in range(job["repeats"]):
        start = time.perf_counter()
        for o in options:
            price(*o)
        seconds.append(time.perf_counter() - start)
    found[name] = {"rate": len(options) / sorted(seconds)[len(seconds) // 2], "marks": marks}
print(json.dumps(found))
"""


@kernel
def margins(b: BlockArrays, first: int, last: int, out: FloatArray) -> None:
    """Maintenance of a range of blocks."""
    for i in range(first, last):
        out[i] = block_margin(b, i, SPOT, 1.0, 0.0)[1]


def sample_blocks(row: FloatArray, accounts: int, options: int) -> BlockArrays:
    """Accounts with options on a strike grid, a perpetual each."""
    rng = np.random.default_rng(7)
    n, e = accounts * options, EXPIRIES
    expiry = np.sort(rng.integers(0, e, (accounts, options)), axis=1) + e * np.arange(accounts)[:, None]
    return BlockArrays(
        block_unit=np.arange(accounts, dtype=np.int32),
        block_asset=np.zeros(accounts, np.int32),
        block_model=np.zeros(accounts, np.int32),
        block_parameter=(len(row) * np.arange(accounts + 1)).astype(np.int32),
        block_perpetual=rng.normal(0, 5, accounts),
        block_spot=np.zeros(accounts),
        block_option=(options * np.arange(accounts + 1)).astype(np.int32),
        block_expiry=(e * np.arange(accounts + 1)).astype(np.int32),
        option_strike=np.round(SPOT * np.exp(rng.normal(0, 0.3, n)), -3),
        option_call=rng.random(n) > 0.5,
        option_quantity=rng.normal(0, 1, n),
        option_vol=rng.uniform(0.4, 0.9, n),
        option_expiry=np.ravel(expiry).astype(np.int32),
        expiry_years=np.tile([2 / 365, 7 / 365, 30 / 365, 0.25, 0.5, 1.0], accounts),
        expiry_carry=np.tile([1.0, 1.0, 1.003, 1.01, 1.02, 1.05], accounts),
        expiry_rate=np.zeros(accounts * e),
        expiry_future=np.zeros(accounts * e),
        parameter=np.tile(row, accounts),
    )


def run_ours(b: BlockArrays, threads: int) -> FloatArray:
    """Maintenance of every block, blocks shared by threads."""
    n = len(b.block_unit)
    out, cuts = np.zeros(n), np.linspace(0, n, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda k: margins(b, cuts[k], cuts[k + 1], out), range(threads)))
    return out


def run_peer(python: str, b: BlockArrays, count: int, repeats: int) -> dict[str, Any]:
    """Prices a second of every per-option library that the other interpreter has."""
    e, n = b.option_expiry[:count], min(count, len(b.option_strike))
    job = {
        "call": b.option_call[:n].astype(int).tolist(),
        "forward": (SPOT * b.expiry_carry[e]).tolist(),
        "strike": b.option_strike[:n].tolist(),
        "deviation": (b.option_vol[:n] * np.sqrt(b.expiry_years[e])).tolist(),
        "repeats": repeats,
    }
    done = subprocess.run([python, "-c", PEER], input=json.dumps(job), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(name: str, b: BlockArrays, peers: dict[str, Any], out: FloatArray) -> None:
    """Marks equal those of each peer, requirements those of the reference function."""
    rules = load_portfolio_rules(name)
    for i in range(3):
        held = block_holdings(b, i, SPOT)
        np.testing.assert_allclose(out[i], scenario_margin(rules, held).maintenance, rtol=1e-9)
        first, last = b.block_option[i], b.block_option[i + 1]
        for peer in peers.values():
            marks = np.array(peer["marks"][first:last])
            np.testing.assert_allclose(scenario_margin(rules, held).value, held.quantity @ marks, rtol=1e-9)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Time ours and the peers and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", default="derive-pmrm2")
    parser.add_argument("--accounts", type=int, default=2_000)
    parser.add_argument("--options", type=int, default=80)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    rules = load_portfolio_rules(args.rules)
    b = sample_blocks(pack_rules(rules), args.accounts, args.options)
    out = run_ours(b, args.threads)
    peers = run_peer(args.peer_python, b, 20_000, args.repeats)
    check(args.rules, b, peers, out)
    work = args.accounts * args.options * len(rules.points())
    rates = {t: work / float(np.median([_timed(b, t) for _ in range(args.repeats)])) for t in sorted({1, args.threads})}
    held = f"{args.accounts} accounts of {args.options} options, {len(rules.points())} scenarios"
    print(f"scenario margin, {args.rules}: {held}")
    for threads, rate in rates.items():
        print(f"  ours, {threads} thread(s)      {rate / 1e6:8.1f} million option revaluations/s")
    for name, peer in peers.items():
        ratio = rates[args.threads] / peer["rate"]
        print(f"  {name:20s} {peer['rate'] / 1e6:8.3f} million prices/s   ours is {ratio:.0f}x")
    result = {
        "rules": args.rules,
        "accounts": args.accounts,
        "options": args.options,
        "revaluations_per_second": rates,
        "peers": {name: peer["rate"] for name, peer in peers.items()},
    }
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))
    return result


def _timed(b: BlockArrays, threads: int) -> float:
    start = time.perf_counter()
    run_ours(b, threads)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
