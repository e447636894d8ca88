"""How good the size and the time of calls are: pinball loss, coverage, and error of the time, given a call."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.overshoot import AMOUNT_LEVELS
from models.predictor.adaptive import AdaptiveLevels
from models.predictor.novelty import widening
from models.predictor.predictor import MarginCallPredictor
from models.predictor.sizing import call_amounts
from models.predictor.timing import TIME_LEVELS, TimeModel, curve
from models.typing import DAY_NS, HORIZONS, MINUTE_NS, BoolArray, FloatArray, IntArray
from training.dataset import Dataset
from training.population import TYPES
from training.simulated import SIMULATED
from training.sizes import called, calls_of, reached, sizes_of

__all__ = ["adaptive_coverage", "size_metrics", "time_metrics"]

_TIME_STEP: Final = 0.0005


def size_metrics(dataset: Dataset, predictor: MarginCallPredictor) -> dict[str, Any]:
    """Score the quantiles of the call amount on the calls that came.

    Parameters
    ----------
    dataset : Dataset
        Pairs with outcomes after the training.
    predictor : MarginCallPredictor
        The model.

    Returns
    -------
    dict
        ``n`` rows (a call counts once for each horizon that it came within), ``levels``; for each of ``model``,
        ``overshoot`` (the two quantiles of `SizeModel`), ``tabulated`` (what the model starts from) and ``prior``
        (simulated), the last two where the dataset has them, the ``pinball`` loss of the log amount and the
        ``coverage`` at each level, all on the same rows; ``adaptive`` coverage; coverage ``by_horizon`` and
        ``by_regime``.
    """
    part = called(dataset)
    calls = calls_of(part)
    out: dict[str, Any] = {"n": len(calls), "levels": list(AMOUNT_LEVELS)}
    if len(calls) == 0:
        return out
    amount = part.amount[calls.pair]
    tables = _tables(part, predictor)
    rows = {name: table[calls.pair, calls.horizon] for name, table in tables.items()}
    usable = np.logical_and.reduce([np.isfinite(table[:, 2]) & (table[:, 2] > 0) for table in rows.values()])
    out["n_compared"] = int(usable.sum())
    for name, table in rows.items():
        out[name] = _quality(amount[usable], table[usable])
    model = rows["model"]
    groups = {"by_horizon": np.array(HORIZONS)[calls.horizon].astype(str), "by_regime": _regime(part)[calls.pair]}
    for name, label in groups.items():
        out[name] = {str(g): _coverage(amount[label == g], model[label == g]) for g in np.unique(label)}
    if predictor.amounts is not None:
        wider = widening(predictor.novelty_of(part.x[:: len(HORIZONS)])[0])
        away = reached(predictor.amounts, part, calls, wider)
        made = part.as_of[calls.pair]
        known = made + (part.minutes[calls.pair] * MINUTE_NS).astype(np.int64)
        start = AdaptiveLevels(AMOUNT_LEVELS, np.zeros(len(AMOUNT_LEVELS)))
        constant = predictor.amounts.constant[calls.horizon]
        out["adaptive"] = adaptive_coverage(made, known, away[:, None], constant, start).tolist()
    return out


def time_metrics(dataset: Dataset, predictor: MarginCallPredictor, p: FloatArray) -> dict[str, Any]:
    """Score the expected time to a call, and its interval, on the calls that came.

    Parameters
    ----------
    dataset : Dataset
        Pairs with outcomes after the training.
    predictor : MarginCallPredictor
        The model.
    p : ndarray of float, shape (n, 4)
        Its forecasts.

    Returns
    -------
    dict
        By horizon in minutes: ``n``, ``mean_absolute_error`` of the model, of ``prior`` (the prior's curve) and of
        ``constant`` (the mean time of these very calls, which nobody knows beforehand), ``bias``, ``coverage`` of the
        interval, and its ``adaptive`` coverage.
    """
    part = dataset.bare().take(dataset.level == 0)
    expected, low, high = predictor.times.times(p[dataset.level == 0])
    physics = predictor.times.times(np.maximum.accumulate(part.prior, axis=1))[0]
    out: dict[str, Any] = {"levels": list(TIME_LEVELS)}
    for k, horizon in enumerate(HORIZONS):
        rows = np.flatnonzero(
            part.y[:, k] & part.usable[:, k] & np.isfinite(expected[:, k]) & np.isfinite(physics[:, k])
        )
        seen = part.minutes[rows]
        if len(rows) == 0:
            continue
        inside = (seen >= low[rows, k]) & (seen <= high[rows, k])
        out[str(horizon)] = {
            "n": len(rows),
            "mean_absolute_error": float(np.abs(expected[rows, k] - seen).mean()),
            "prior": float(np.abs(physics[rows, k] - seen).mean()),
            "constant": float(np.abs(seen.mean() - seen).mean()),
            "bias": float((expected[rows, k] - seen).mean()),
            "coverage": float(inside.mean()),
            "adaptive": _adaptive_interval(part, rows, k, p[dataset.level == 0][rows], predictor.times),
        }
    return out


def _adaptive_interval(part: Dataset, rows: IntArray, k: int, p: FloatArray, times: TimeModel) -> float:
    """Coverage of the interval of one horizon where its ends follow the calls."""
    step = np.ceil(part.minutes[rows] / 60.0).astype(np.int64)
    grid, here, whole = curve(p), np.arange(len(rows)), p[:, k]
    reach = np.minimum(step, HORIZONS[k] // 60)
    # at or below the lower end would be a call before it: the next level of the curve is not reached
    away = np.column_stack(
        [np.nextafter(grid[here, reach] / whole, 2.0), np.nextafter(grid[here, step - 1] / whole, 2.0)]
    )
    made = part.as_of[rows]
    known = made + (part.minutes[rows] * MINUTE_NS).astype(np.int64)
    constant = np.tile([times.low[k], times.high[k]], (len(rows), 1))
    before, upto = adaptive_coverage(made, known, away, constant, AdaptiveLevels(TIME_LEVELS, np.zeros(2), _TIME_STEP))
    return float(upto - before)


def adaptive_coverage(
    made: IntArray, known: IntArray, away: FloatArray, constant: FloatArray, start: AdaptiveLevels
) -> FloatArray:
    """Coverage where the constants follow the calls as they become known.

    Parameters
    ----------
    made, known : ndarray of int64, shape (m,)
        Instants of the forecasts, and of their calls, nanoseconds UTC.
    away : ndarray of float, shape (m, Q) or (m, 1)
        What each outcome reached, on the scale of the constants.
    constant : ndarray of float, shape (m, Q)
        Of each forecast and level.
    start : AdaptiveLevels
        Levels, and what is added to the constants at first.

    Returns
    -------
    ndarray of float, shape (Q,)
        Share of the outcomes at or below each quantile, as it stood at the day of the forecast: only calls of days that
        were over by then have moved it.
    """
    covered = np.zeros(constant.shape, np.bool_)
    due: dict[int, list[int]] = {}
    state = start
    for day, rows in _by_day(made):
        for past in sorted(d for d in due if d < day):
            state = state.update(covered[due.pop(past)])
        covered[rows] = away[rows] <= state.apply(constant[rows])
        for row in rows.tolist():
            due.setdefault(int(known[row] // DAY_NS), []).append(row)
    return np.asarray(covered.mean(axis=0), np.float64)


def _by_day(made: IntArray) -> list[tuple[int, IntArray]]:
    days, place = np.unique(made // DAY_NS, return_inverse=True)
    order = np.argsort(place, kind="stable")
    return list(zip(days.tolist(), np.split(order, np.cumsum(np.bincount(place))[:-1]), strict=True))


def _tables(part: Dataset, predictor: MarginCallPredictor) -> dict[str, FloatArray]:
    """Quantiles of every method, shape (n, 4, 7); NaN at the levels that a method does not give."""
    base, scale = part.size_base, part.size_scale
    novelty = predictor.novelty_of(part.x[:: len(HORIZONS)])[0]
    nobody: BoolArray = np.zeros(len(part), np.bool_)
    sizes = sizes_of(part)
    out = {"model": call_amounts(predictor, part.x, base, scale, novelty, nobody, sizes)}
    plain = np.full_like(out["model"], np.nan)
    plain[:, :, AMOUNT_LEVELS.index(0.5)], plain[:, :, AMOUNT_LEVELS.index(0.9)] = predictor.size.quantiles(base, scale)
    out["overshoot"] = plain
    if sizes is not None:
        out["tabulated"] = sizes
    if all(name in part.extra for name in SIMULATED):
        out["prior"] = np.stack([part.extra[name] for name in SIMULATED], axis=2)
    return out


def _quality(amount: FloatArray, table: FloatArray) -> dict[str, Any]:
    """Pinball loss of the log amount and coverage, at each level; NaN where a method does not give it."""
    level = np.asarray(AMOUNT_LEVELS)
    error = np.log(amount)[:, None] - np.log(np.maximum(table, 1e-12))
    loss = np.maximum(level * error, (level - 1.0) * error).mean(axis=0) if len(amount) else np.full(len(level), np.nan)
    return {"pinball": loss.tolist(), "coverage": _coverage(amount, table)["coverage"]}


def _coverage(amount: FloatArray, table: FloatArray) -> dict[str, Any]:
    below = np.where(np.isnan(table), np.nan, amount[:, None] <= table)
    share = below.mean(axis=0) if len(amount) else np.full(len(AMOUNT_LEVELS), np.nan)
    return {"n": len(amount), "coverage": share.tolist()}


def _regime(dataset: Dataset) -> Any:
    of_kind = {kind.name: kind.regime for kind in TYPES}
    return np.array([of_kind.get(name, "other") for name in dataset.kinds], np.str_)[dataset.kind]
