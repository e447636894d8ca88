"""The particle filter of the simulated market, compiled."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit

from models.typing import BoolArray, FloatArray, IntArray
from training.benchmark.law import CEILING, LawArrays
from training.benchmark.range_law import RETURN_STEP, U_HIGH, U_LOW, RangeLaw

__all__ = ["Seen", "run_filter"]

_RESAMPLE: Final = 0.5
_ATOM: Final = -25.0


class Seen(NamedTuple):
    """What the filter is told of T hours and A assets."""

    move: FloatArray  # (T, A) log close over open
    log_range: FloatArray  # (T, A) log of Rogers and Satchell's variance, below -25 at the atom
    quiet: BoolArray  # (T, A) whether no jump came
    kick: FloatArray  # (T, 1 + A) what earlier jumps add to log-volatility, of the market and of each asset
    hour: IntArray  # (T,) of the week


@njit(cache=True)
def run_filter(  # pragma: no cover - compiled
    law: LawArrays,
    table: RangeLaw,
    seen: Seen,
    take: IntArray,
    rng: np.random.Generator,
    particles: int,
    out: FloatArray,
) -> None:
    """Filter all hours, and fill ``out`` (R, n, 2 + 2 A) with draws of slow and fast before the hours `take` (R,)."""
    hours, n_assets = seen.move.shape
    width = 2 + 2 * n_assets
    x = np.empty((particles, width))
    spare, weight = np.empty_like(x), np.zeros(particles)
    moved, moved_spare = np.empty(particles), np.empty(particles)
    index = np.empty(particles, np.int64)
    for i in range(particles):
        for d in range(width):
            x[i, d] = law.deviation[d % 2] * rng.standard_normal()
    done = 0
    for t in range(hours + 1):
        done = _keep(x, weight, index[: out.shape[1]], t, take, done, rng, out)
        if done == len(take) or t == hours:
            return
        for i in range(particles):
            weight[i], moved[i] = _likelihood(law, table, seen, t, x[i], weight[i], rng)
        if _effective(weight) < _RESAMPLE * particles:
            _draw(weight, index, rng)
            for k in range(particles):
                spare[k], moved_spare[k] = x[index[k]], moved[index[k]]
            x, spare, moved, moved_spare = spare, x, moved_spare, moved
            weight[:] = 0.0
        for i in range(particles):
            _advance(law, x[i], moved[i], rng)


@njit(cache=True)
def _keep(  # pragma: no cover - compiled
    x: FloatArray,
    weight: FloatArray,
    index: IntArray,
    t: int,
    take: IntArray,
    done: int,
    rng: np.random.Generator,
    out: FloatArray,
) -> int:
    """Fill the rows of ``out`` that are asked for before hour `t`; how many rows are filled then."""
    while done < len(take) and take[done] == t:
        _draw(weight, index, rng)
        for k in range(len(index)):
            out[done, k] = x[index[k]]
        done += 1
    return done


@njit(cache=True)
def _advance(
    law: LawArrays, x: FloatArray, moved: float, rng: np.random.Generator
) -> None:  # pragma: no cover - compiled
    """Move the factors of one particle to the next hour; falls push the market's fast one up."""
    keep, deviation = law.keep, law.deviation
    for d in range(len(x)):
        noise = rng.standard_normal()
        if d == 1:
            noise = math.sqrt(1.0 - law.leverage**2) * noise + law.leverage * moved
        k = d % 2
        x[d] = keep[k] * x[d] + deviation[k] * math.sqrt(1.0 - keep[k] ** 2) * noise


@njit(cache=True)
def _likelihood(  # pragma: no cover - compiled
    law: LawArrays, table: RangeLaw, seen: Seen, t: int, x: FloatArray, before: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Log weight after the hour, and a draw of the market's common shock given its returns."""
    share = math.sqrt(1.0 - law.own)
    market = share * (x[0] + x[1]) + seen.kick[t, 0]
    rho = 1.0 / (1.0 + math.exp(-law.correlation - law.crowding * (share * x[1] + seen.kick[t, 0])))
    alike = min(np.interp(rho, table.correlation, table.score_correlation), 0.97)
    total = before
    count, returns, squares, scores, score_squares = 0, 0.0, 0.0, 0.0, 0.0
    for a in range(seen.move.shape[1]):
        if seen.quiet[t, a]:
            own = math.sqrt(law.own) * (x[2 + 2 * a] + x[3 + 2 * a]) + seen.kick[t, 1 + a]
            log_sigma = math.log(law.scale[a] * law.season[seen.hour[t]]) + min(market + own, CEILING)
            r = seen.move[t, a] * math.exp(-log_sigma)
            density, z = _range(table, seen.log_range[t, a] - 2.0 * log_sigma, seen.log_range[t, a] < _ATOM, abs(r))
            total += density - log_sigma
            count += 1
            returns += r
            squares += r * r
            scores += z
            score_squares += z * z
    if count == 0:
        return total, rng.standard_normal()
    total += _normal(rho, count, returns, squares) + _normal(alike, count, scores, score_squares) + 0.5 * score_squares
    spread = 1.0 + (count - 1) * rho
    mean = math.sqrt(rho) / spread * returns
    return total, mean + math.sqrt((1.0 - rho) / spread) * rng.standard_normal()


@njit(cache=True)
def _normal(rho: float, n: int, total: float, squares: float) -> float:  # pragma: no cover - compiled
    """Log density of n normal variables of one correlation, but for a constant."""
    spread = 1.0 + (n - 1) * rho
    form = (squares - rho / spread * total * total) / (1.0 - rho)
    return -0.5 * (form + (n - 1) * math.log(1.0 - rho) + math.log(spread))


@njit(cache=True)
def _range(table: RangeLaw, log_u: float, atom: bool, r: float) -> tuple[float, float]:  # pragma: no cover - compiled
    """Log density and normal score of a range, interpolated."""
    rows, columns = table.score.shape
    place = (log_u - U_LOW) / (U_HIGH - U_LOW) * columns - 0.5
    place = 0.0 if atom else min(max(place, 1.0), columns - 1.001)
    row = min(max(r / RETURN_STEP - 0.5, 0.0), rows - 1.001)
    i, j = int(row), int(place)
    v, w = row - i, place - j
    density = score = 0.0
    for p in range(2):
        for q in range(2):
            part = (v if p else 1.0 - v) * (w if q else 1.0 - w)
            density += part * table.log_density[i + p, j + q]
            score += part * table.score[i + p, j + q]
    return density, score


@njit(cache=True)
def _effective(weight: FloatArray) -> float:  # pragma: no cover - compiled
    """Effective number of particles; log weights are shifted so that the largest is 0."""
    weight -= weight.max()
    total = squares = 0.0
    for w in weight:
        total += math.exp(w)
        squares += math.exp(2.0 * w)
    return total * total / squares


@njit(cache=True)
def _draw(weight: FloatArray, index: IntArray, rng: np.random.Generator) -> None:  # pragma: no cover - compiled
    """Systematic draws by log weight."""
    top = weight.max()
    total = 0.0
    for w in weight:
        total += math.exp(w - top)
    n = len(index)
    start = rng.random() / n
    reached, i = math.exp(weight[0] - top) / total, 0
    for k in range(n):
        while reached < start + k / n and i < len(weight) - 1:
            i += 1
            reached += math.exp(weight[i] - top) / total
        index[k] = i
