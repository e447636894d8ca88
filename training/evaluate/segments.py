"""Predicted over observed in every part of the accounts that a desk would ask about.

Each part is chosen by what was known at the instant. Parts chosen by what came later (days with a crash ahead) are
listed too, but not judged: no forecast is calibrated on rows that were picked for their outcome.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.market import MarketPanel
from models.typing import DAY_NS, HORIZONS, HOUR_NS, BoolArray, FloatArray, IntArray
from training.dataset import Dataset

__all__ = ["CRASH", "RANGE", "SMALLEST", "market_return", "segment_table", "segments"]

RANGE: Final = (0.8, 1.25)
"""Predicted over observed that is taken as calibrated."""
SMALLEST: Final = 500
"""Calls that a part needs to be judged."""
CRASH: Final = -0.07
"""Log return of the mean asset over a day that makes a crash day."""
_LEVERAGE: Final = (3.0, 10.0, 25.0)
_LEVERAGE_NAMES: Final = ("up to 3", "3 to 10", "10 to 25", "over 25")
_VOLATILITY: Final = (1 / 3, 2 / 3, 0.95)
_REGIMES: Final = ("calm", "usual", "lively", "wildest 5%")
_WIDTH: Final = len(HORIZONS)


def segments(dataset: Dataset, panel: MarketPanel) -> dict[tuple[str, str], BoolArray]:
    """Cut the pairs into parts, once by each trait.

    Parameters
    ----------
    dataset : Dataset
        n pairs; `main_asset` among the extra columns for the parts by asset.
    panel : MarketPanel
        The market they are on.

    Returns
    -------
    dict of (str, str) to ndarray of bool, shape (n,)
        Rows by trait and part.
    """
    hour = (dataset.as_of // HOUR_NS) % 24
    weekend = (dataset.as_of // DAY_NS + 3) % 7 >= 5
    out: dict[tuple[str, str], BoolArray] = {}
    if "main_asset" in dataset.extra:
        main = dataset.extra["main_asset"]
        out |= {("asset", name): np.asarray(main == a) for a, name in enumerate(panel.assets)}
    out |= _of_features(dataset)
    out |= {("hour", f"{h:02d} UTC"): np.asarray(hour == h) for h in range(24)}
    out |= {("day", "weekend"): weekend, ("day", "weekday"): ~weekend}
    return out | _crashes(dataset, panel)


def segment_table(dataset: Dataset, p: FloatArray, panel: MarketPanel) -> list[dict[str, Any]]:
    """Predicted and observed calls of every part.

    Parameters
    ----------
    dataset : Dataset
        n pairs with outcomes; calls alone are counted.
    p : ndarray of float, shape (n, 4)
        Predictions.
    panel : MarketPanel
        The market.

    Returns
    -------
    list of dict
        trait, part, forecasts, calls, ratio (predicted over observed, over all horizons), judged (enough calls, and
        the part chosen by what was known), flagged (judged and outside `RANGE`).
    """
    mask = dataset.usable & (dataset.level == 0)[:, None]
    rows: list[dict[str, Any]] = []
    for (trait, part), chosen in segments(dataset, panel).items():
        use = mask & chosen[:, None]
        calls, predicted = int(dataset.y[use].sum()), float(p[use].sum())
        ratio = predicted / calls if calls else float("nan")
        judged = calls >= SMALLEST and trait != "ahead"
        flagged = judged and not RANGE[0] <= ratio <= RANGE[1]
        row = {"trait": trait, "part": part, "forecasts": int(use.sum()), "calls": calls, "ratio": ratio}
        rows.append({**row, "judged": judged, "flagged": flagged})
    return rows


def market_return(panel: MarketPanel, moment: IntArray, hours: int = 24) -> FloatArray:
    """Log return of the mean asset over the hours before each instant.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    moment : ndarray of int64, shape (n,)
        Nanoseconds UTC.
    hours : int
        How many.

    Returns
    -------
    ndarray, shape (n,)
        NaN where no asset has both closes.
    """
    last = panel.row_closed(moment)
    before = last - hours * HOUR_NS // panel.step
    known = (before >= 0) & (last < panel.n_bars)
    top = panel.n_bars - 1
    with np.errstate(all="ignore"):
        log = np.log(panel.close[:, np.clip(last, 0, top)] / panel.close[:, np.clip(before, 0, top)])
    there = np.isfinite(log) & known
    count = there.sum(axis=0)
    return np.where(count > 0, np.where(there, log, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _of_features(dataset: Dataset) -> dict[tuple[str, str], BoolArray]:
    """Parts by side, leverage and volatility, as far as the dataset has the columns."""
    out: dict[tuple[str, str], BoolArray] = {}
    side, leverage, sigma = (_column(dataset, name) for name in ("direction", "gross_leverage", "sigma"))
    if side is not None:
        out |= {("side", "long"): side > 0.5, ("side", "short"): side < -0.5, ("side", "mixed"): np.abs(side) <= 0.5}
    if leverage is not None:
        out |= _bands("leverage", leverage, _LEVERAGE, _LEVERAGE_NAMES)
    if sigma is not None and np.isfinite(sigma).any():
        out |= _bands("volatility", sigma, tuple(np.nanquantile(sigma, _VOLATILITY)), _REGIMES)
    return out


def _bands(trait: str, value: FloatArray, edges: Any, names: Any) -> dict[tuple[str, str], BoolArray]:
    band = np.searchsorted(edges, value, side="left")
    return {(trait, name): np.asarray((band == i) & np.isfinite(value)) for i, name in enumerate(names)}


def _column(dataset: Dataset, name: str, horizon: int = 2) -> FloatArray | None:
    if name not in dataset.feature_names:
        return None
    return dataset.x[horizon::_WIDTH, dataset.feature_names.index(name)].astype(np.float64)


def _crashes(dataset: Dataset, panel: MarketPanel) -> dict[tuple[str, str], BoolArray]:
    """Instants after a day of a crash, and those before one."""
    moments, place = np.unique(dataset.as_of, return_inverse=True)
    with np.errstate(invalid="ignore"):
        after = market_return(panel, moments)[place] <= CRASH
        ahead = market_return(panel, moments + DAY_NS)[place] <= CRASH
    return {("crash", "day after"): after, ("crash", "other days"): ~after, ("ahead", "crash within a day"): ahead}
