"""Accounts a second through the replay of option books: as replay does it, and by full revaluation.

Each row is one account of ``--options`` options on BTC at one instant, walked along ``--hours`` hourly bars: the open,
low, high and close of each bar, all scenarios of the ruleset at each. Under scenario rules replay reads grids over
price and time, and revalues where a call would depend on their error; ``replay(revalue=True)`` prices every option at
every look. Both are timed in turn; times are the best of ``--repeats``, compilation is left out. The worst gap may
differ by the stated share of maintenance.

Run ``python -m benchmarks.bench_option_replay [--accounts N] [--options N] [--hours H] [--threads T] [--repeats R]``.
"""

from __future__ import annotations

import argparse
import math
import time
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np

from features.sources import simulate_market
from models.account import Account, Collateral, Position
from models.book import Book
from models.margin.replay import replay
from models.margin.sheets import MIDDLE
from models.margin.valuation import Volatility, valued
from models.market import MarketPanel

COIN = ("deribit-pm", "okx-pm", "deribit-standard")
RULESETS = ("deribit-pm", "okx-pm", "derive-pmrm2", "paradex-pm", "deribit-standard", "derive-srm", "us-regt")
EXPIRY_DAYS = (3, 10, 31, 94)


def sample_book(panel: MarketPanel, ruleset: str, accounts: int, options: int, hours: int) -> Book:
    """Random long and short options around the price, so well funded that every walk goes to its end."""
    rng = np.random.default_rng(0)
    bar = panel.n_bars - hours - 2
    spot = float(panel.close[0, bar])
    at = datetime.fromtimestamp((panel.start + (bar + 1) * panel.step) / 1e9, UTC)
    coin = ruleset in COIN
    settle, currency = ("BTC", "BTC") if coin else ("USD", "USDC")
    held = (Collateral(asset=currency, quantity=20.0 * options * (1.0 if coin else spot)),)
    out = []
    for i in range(accounts):
        legs = []
        for _ in range(options):
            expiry = at + timedelta(days=EXPIRY_DAYS[rng.integers(len(EXPIRY_DAYS))])
            strike = round(spot * float(np.exp(rng.normal(0.0, 0.12))), -2)
            symbol = f"BTC/USD:{settle}-{expiry:%y%m%d}-{strike:.0f}-{'CP'[rng.integers(2)]}"
            legs.append(Position(symbol=symbol, quantity=float(rng.normal()), entry_price=100.0))
        out.append(
            Account(
                account_id=f"a{i}",
                as_of=at,
                ruleset=ruleset,
                currency=currency,
                collateral=held,
                positions=tuple(legs),
            )
        )
    book, failures = Book.from_accounts(out, panel.assets)
    assert not failures, failures[0]
    return valued(book, panel.close[:, bar], Volatility(np.full(len(panel.assets), 0.6)))


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Time each ruleset and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("accounts", 400), ("options", 20), ("hours", 24), ("threads", 2), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args(argv)
    panel = simulate_market(("BTC", "ETH"), days=60, seed=1)
    print(f"{args.accounts} accounts of {args.options} options, {args.hours} hourly bars, {args.threads} threads")
    rates = {}
    for ruleset in RULESETS:
        book = sample_book(panel, ruleset, args.accounts, args.options, args.hours)
        maintenance = book.arrays.sheet_maintenance[:, 0, MIDDLE]
        seen, times = {}, {False: math.inf, True: math.inf}
        for repeat, revalue in product(range(args.repeats + 1), (False, True)):
            start = time.perf_counter()
            seen[revalue] = replay(book, panel, 60 * args.hours, n_threads=args.threads, revalue=revalue)
            if repeat > 0:
                times[revalue] = min(times[revalue], time.perf_counter() - start)
        assert not np.isfinite(seen[True].minutes_to_liquidation).any()
        off = np.abs(seen[False].worst_gap - seen[True].worst_gap) / maintenance
        rates[ruleset] = args.accounts / times[False]
        print(
            f"  {ruleset:18s} {rates[ruleset]:10,.0f} rows/s   revalued {args.accounts / times[True]:8,.0f}"
            f"   {times[True] / times[False]:5.2f} times   worst gap off by {100 * off.max():.4f}% of maintenance",
            flush=True,
        )
    return rates


if __name__ == "__main__":
    main()
