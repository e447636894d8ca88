"""How far the label of a joint account depends on what happened inside the hour.

Two-asset accounts (BTC and ETH, same side and hedged) are replayed for 24 hours on 5-minute bars, where the bounds are
close together, and on the hourly bars made of the same prices, under the three readings of a bar.

Run ``python -m benchmarks.label_bounds`` with MARGINCAST_DATA set to the folder that holds ``data/``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from features.sources import load_panel
from models.book import Book
from models.margin.replay import replay
from models.market import MarketPanel, to_hourly
from models.typing import FloatArray

MODES = ("close", "synchronous", "adverse")


def sample(panel: MarketPanel, n: int, hedged: bool, seed: int) -> Book:
    """Draw accounts with one leg in each asset, opened at their instant, 3 to 30 times levered."""
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(np.isfinite(panel.close).all(axis=0))
    rows = rng.choice(known[(known > 24) & (known < panel.n_bars - 25)], n) + 1
    price = panel.close[:, rows - 1]
    side = rng.choice([-1.0, 1.0], n)
    notional = rng.lognormal(9.0, 0.5, (2, n)) * np.stack([side, -side if hedged else side])
    as_of = panel.start + rows * panel.step
    leverage = np.exp(rng.uniform(np.log(3.0), np.log(30.0), n)) * (2.5 if hedged else 1.0)
    book, failures = Book.from_columns(
        {
            "account_id": np.arange(n).astype(str).astype(object),
            "as_of": as_of,
            "ruleset": np.full(n, "binance-usdm", object),
            "currency": np.full(n, "USDT", object),
        },
        {
            "row": np.tile(np.arange(n), 2),
            "symbol": np.repeat(np.array(["BTC/USDT:USDT", "ETH/USDT:USDT"], object), n),
            "quantity": (notional / price).ravel(),
            "entry_price": price.ravel(),
        },
        {"row": np.arange(n), "asset": np.full(n, "USDT", object), "quantity": np.abs(notional).sum(axis=0) / leverage},
        panel.assets,
    )
    assert not failures, failures[0]
    return book


def called(book: Book, panel: MarketPanel, mode: str) -> FloatArray:
    """1 where a call came within 24 hours."""
    seen = replay(book, panel, 1440, extremes=mode)  # type: ignore[arg-type]
    usable = ~(seen.gap | seen.truncated)
    return np.where(usable, np.isfinite(seen.minutes_to_call), np.nan)


def main() -> None:
    """Print the share called under each reading, and how often it differs from the 5-minute one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MARGINCAST_DATA", "../shared")) / "data")
    parser.add_argument("--accounts", type=int, default=20_000)
    chosen = parser.parse_args()
    period = {"start": "2023-01-01", "end": "2025-07-01"}
    fine = load_panel(chosen.data, assets=("BTC", "ETH"), bar="5m", kinds=("perp",), **period)
    hourly = to_hourly(fine)
    print(f"{'book':<10}{'bar':<6}{'reading':<13}{'called':>8}{'missed':>9}{'false':>9}   against 5m synchronous")
    for name in ("same side", "hedged"):
        book = sample(hourly, chosen.accounts, name == "hedged", 1)
        truth = called(book, fine, "synchronous")
        for label, panel in (("5m", fine), ("1h", hourly)):
            for mode in MODES:
                seen = called(book, panel, mode)
                use = np.isfinite(seen) & np.isfinite(truth)
                missed, false = (truth - seen)[use] > 0, (seen - truth)[use] > 0
                print(
                    f"{name:<10}{label:<6}{mode:<13}{seen[use].mean():>8.4f}{missed.mean():>9.4f}{false.mean():>9.4f}"
                )


if __name__ == "__main__":
    main()
