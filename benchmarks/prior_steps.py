"""What each step from B5 to the prior brings: first passage of one price, walk-forward years.

Everything is fitted on the hours before a July and judged on the year after it: barriers at fixed distances above and
below the price of every third hour, each horizon, all assets. A cell is the skill over B5 (log-HAR, one table).

Run ``python -m benchmarks.prior_steps --data $MARGINCAST_DATA/data``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from features.sources import load_panel
from models.first_passage import ExtremeTable, running_extremes
from models.market import MarketPanel
from models.typing import HOUR_NS, FloatArray
from models.volatility.forecast import HORIZON_HOURS, HarModel
from models.volatility.harx import HarXModel
from models.volatility.regressors import MEANS, N_REGRESSORS
from models.volatility.trend import recent_trend
from training.evaluate.bootstrap import skill
from training.splits import to_ns

ASSETS = ("BTC", "ETH", "ADA", "LTC", "XRP")
YEARS = (2021, 2022, 2023)
DISTANCES = np.array([0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6])
EVERY = 3
LEAST = 1e-5
_STEP = 0.02
Forecaster = Callable[[MarketPanel], HarModel | HarXModel]

STEPS: dict[str, tuple[Forecaster, bool]] = {
    "B5: log-HAR, one table": (HarModel.fit, False),
    "slopes from the largest move": (lambda p: HarXModel.fit(p, MEANS, 3650), False),
    "+ season of the last year": (lambda p: HarXModel.fit(p, MEANS), False),
    "+ size of recent moves": (lambda p: HarXModel.fit(p, MEANS + 3), False),
    "+ how unsteady volatility is": (lambda p: HarXModel.fit(p, N_REGRESSORS - 2), False),
    "+ funding": (HarXModel.fit, False),
    "+ tables by trend: the prior": (HarXModel.fit, True),
}


def reached(panel: MarketPanel) -> FloatArray:
    """Largest rise and fall from every close, shape (A, 2, 4, T)."""
    return np.stack(
        [running_extremes(panel.high[a], panel.low[a], panel.close[a], HORIZON_HOURS) for a in range(len(panel.assets))]
    )


def losses(
    panel: MarketPanel, seen: FloatArray, until: int, stop: int, forecaster: Forecaster, by_trend: bool
) -> FloatArray:
    """Mean log loss over the distances, shape (A, 2, 4, hours of the year), NaN where the outcome is not known."""
    known = panel.between(panel.start, until)
    model = forecaster(known)
    total = model.total_variance(panel)
    trend = recent_trend(panel)
    past = known.n_bars
    table = ExtremeTable.fit(known, total[:, :past], HORIZON_HOURS, trend[:, :past] if by_trend else None)
    hours = np.arange(past, int(panel.row_closed(stop)), EVERY)
    out = np.full((len(panel.assets), 2, 4, len(hours)), np.nan)
    for a in range(len(panel.assets)):
        survival = table.at(trend[a, hours])
        for side, h in np.ndindex(2, 4):
            p = _interpolated(survival[:, side, h], DISTANCES / np.sqrt(total[a, hours, h, None]))
            move = seen[a, side, h, hours]
            loss = -np.where(move[:, None] > DISTANCES, np.log(p), np.log1p(-p)).mean(axis=1)
            out[a, side, h] = np.where(np.isfinite(move), loss, np.nan)
    return out


def _interpolated(survival: FloatArray, z: FloatArray) -> FloatArray:
    """Rows of tables (T, 601) at points (T, D) of the grid of z, clipped away from 0 and 1."""
    place = np.minimum(np.nan_to_num(z) / _STEP, survival.shape[1] - 1.001)
    left = place.astype(np.int64)
    low, high = (np.take_along_axis(survival, left + k, 1) for k in (0, 1))
    return np.clip(low + (place - left) * (high - low), LEAST, 1.0 - LEAST)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MARGINCAST_DATA", ".")) / "data")
    data = parser.parse_args().data
    panel = load_panel(data, ASSETS, "1h", to_ns("2020-01-20"), to_ns(f"{YEARS[-1] + 1}-07-01"))
    seen = reached(panel)
    kept: dict[str, list[FloatArray]] = {name: [] for name in STEPS}
    weeks = []
    for year in YEARS:
        first, stop = to_ns(f"{year}-07-01"), to_ns(f"{year + 1}-07-01")
        for name, (forecaster, by_trend) in STEPS.items():
            kept[name].append(losses(panel, seen, first, stop, forecaster, by_trend))
        weeks.append(first + np.arange(kept[name][-1].shape[3]) * EVERY * HOUR_NS)
    print("| step | 1 h | 4 h | 24 h | 72 h | " + " | ".join(f"{y}/{y % 100 + 1}" for y in YEARS) + " | all [95%] |")
    print("| --- |" + " ---: |" * (5 + len(YEARS)))
    base = next(iter(kept.values()))
    for name, found in kept.items():
        whole, ref = (np.concatenate(x, axis=3) for x in (found, base))
        when = np.broadcast_to(np.concatenate(weeks), whole.shape)
        cells = [_skill(whole[:, :, h], ref[:, :, h]) for h in range(4)]
        cells += [_skill(a, b) for a, b in zip(found, base, strict=True)]
        there = np.isfinite(whole) & np.isfinite(ref)
        s = skill(whole[there], ref[there], when[there], 1000)
        print(f"| {name} | {' | '.join(cells)} | {s.value:+.2%} [{s.low:+.2%}, {s.high:+.2%}] |")


def _skill(mine: FloatArray, theirs: FloatArray) -> str:
    there = np.isfinite(mine) & np.isfinite(theirs)
    return f"{1.0 - mine[there].sum() / theirs[there].sum():+.2%}"


if __name__ == "__main__":
    main()
