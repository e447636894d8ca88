"""What a forecast of co-movement brings to books of several assets: joint first passage, walk-forward years.

The prior is fitted on the hours before a July. At every twelfth hour of the year after, ten random books of two or
three assets are drawn, half of them spreads (as much long as short), half on one side. A book falls when its value at
an hourly close has lost a multiple of its daily deviation. P is the share of scenario paths on which it does: with the
windows as they were, and turned to the co-movement forecast at the instant.

Run ``python -m benchmarks.comovement --data $MARGINCAST_DATA/data``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from features.sources import load_panel
from models.market import MarketPanel
from models.prior import PriorModel
from models.scenarios import step_deviation
from models.typing import HORIZONS, HOUR_NS, FloatArray, IntArray
from models.volatility.seasonality import hour_of_week
from training.evaluate.bootstrap import skill
from training.splits import to_ns

ASSETS = ("BTC", "ETH", "ADA", "LTC", "XRP")
YEARS = (2021, 2022, 2023)
EVERY = 12
BOOKS = 10
PATHS = 2048
HOURS = np.array(HORIZONS) // 60
MULTIPLES = np.array([0.3, 0.6, 1.0, 1.5, 2.5, 4.0])
THREE = 0.3


def books(rng: np.random.Generator) -> FloatArray:
    """Dollar weights of the books, spreads first; shape (BOOKS, A)."""
    out = np.zeros((BOOKS, len(ASSETS)))
    for i in range(BOOKS):
        k = 2 + (rng.random() < THREE)
        size, side = rng.lognormal(0.0, 0.4, k), rng.choice([-1.0, 1.0])
        if i < BOOKS // 2:
            long = np.arange(k) % 2 == 0
            size[long] /= size[long].sum()
            size[~long] /= -size[~long].sum()
        out[i, rng.choice(len(ASSETS), k, replace=False)] = side * size
    return out


def worst(ratios: FloatArray, weights: FloatArray) -> FloatArray:
    """Least gain of each book by each hour; (S, A, 72) and (B, A) to (S, B, 72)."""
    gain = np.tensordot(weights, ratios - 1.0, axes=(1, 1)).transpose(1, 0, 2)
    return np.minimum.accumulate(gain, axis=2)


def year(panel: MarketPanel, first: int, stop: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
    """Losses of both forecasts, called and the two P: (5, N, BOOKS, 4); and the instants (N,)."""
    prior = PriorModel.fit(panel, first, paths=PATHS)
    total, own = prior.total_variance(panel), prior.own_share(panel)
    if own is None:
        raise SystemExit("the prior has no forecast of co-movement")
    rows = np.arange(int(panel.row_closed(first)) + 1, int(panel.row_closed(stop)) - HOURS[-1], EVERY)
    found, when = [], []
    for t in rows:
        seen = panel.close[:, t + 1 : t + 1 + HOURS[-1]] / panel.close[:, t : t + 1]
        if not (np.isfinite(seen).all() and np.isfinite(own[:, t]).all() and np.isfinite(total[:, t]).all()):
            continue
        hour = np.full(len(ASSETS), hour_of_week(panel.start + (int(t) + 1) * HOUR_NS))
        deviation = step_deviation(total[:, t], prior.volatility.season.factor, hour)
        weights = books(rng)
        plain, turned = (worst(prior.pool.at(deviation, x).close, weights) for x in (None, own[:, t]))
        limit = -rng.choice(MULTIPLES, BOOKS) * plain[:, :, HOURS[2] - 1].std(axis=0)
        real = worst(seen[None], weights)[0][:, HOURS - 1] <= limit[:, None]
        p = [((x[:, :, HOURS - 1] <= limit[:, None]).sum(axis=0) + 0.3) / (PATHS + 0.6) for x in (plain, turned)]
        found.append([*(-np.log(np.where(real, x, 1.0 - x)) for x in p), real, *p])
        when.append(panel.start + (int(t) + 1) * HOUR_NS)
    return np.array(found).transpose(1, 0, 2, 3), np.array(when)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MARGINCAST_DATA", ".")) / "data")
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    panel = load_panel(chosen.data, ASSETS, "1h", to_ns("2020-01-20"), to_ns(f"{YEARS[-1] + 1}-07-01"))
    rng = np.random.default_rng(chosen.seed)
    years = [year(panel, to_ns(f"{y}-07-01"), to_ns(f"{y + 1}-07-01"), rng) for y in YEARS]
    names = " | ".join(map(str, YEARS))
    print(f"| books | horizon | called | predicted / called: windows, turned | {names} | all [95%] |")
    print("| --- | --- |" + " ---: |" * (3 + len(YEARS)))
    for name, which in (("spreads", slice(0, BOOKS // 2)), ("one side", slice(BOOKS // 2, BOOKS))):
        for h in (*range(4), slice(None)):
            cut = [found[:, :, which, h].reshape(5, len(when), -1) for found, when in years]
            before, after, real, p, turned = np.concatenate(cut, axis=1)
            stamp = np.repeat(np.concatenate([when for _, when in years]), before.shape[1])
            s = skill(after.ravel(), before.ravel(), stamp)
            cells = [f"{1.0 - x[1].sum() / x[0].sum():+.2%}" for x in cut]
            label = "all" if isinstance(h, slice) else f"{HOURS[h]} h"
            ratio = f"{p.sum() / real.sum():.3f}, {turned.sum() / real.sum():.3f}"
            whole = f"{s.value:+.2%} [{s.low:+.2%}, {s.high:+.2%}]"
            print(f"| {name} | {label} | {real.mean():.1%} | {ratio} | {' | '.join(cells)} | {whole} |")


if __name__ == "__main__":
    main()
