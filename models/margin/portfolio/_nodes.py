"""How many nodes a grid of option values needs, and how wrong it can be.

Along the logarithm of the forward F a Black-76 value has the derivatives ``F N(d1)`` plus the sum over m of
``K He_m(d2) n(d2) / s**(m+1)``, with s the deviation. So interpolation at n Chebyshev nodes of an interval of half
width h errs by at most ``2 (h/2)**n / n!`` times their bound. Along the logarithm u of the deviation the derivatives
are ``K s n(d2)`` times a polynomial in d1 and d2, of which `_BENDS` holds the largest absolute values for deviations
up to some sizes. Time enters through u alone, which is nearly linear in the logarithm of the time left; `_UNEVEN`
allows for the rest.

Lanes whose deviation is the same make up a class; errors are bounded class by class.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numba import njit

from models.margin._kernel import inlined
from models.margin._room import room
from models.margin.blocks import BlockArrays
from models.typing import FloatArray

__all__ = ["MOST_DEVIATION", "MOST_FORWARDS", "MOST_TIMES", "chebyshev_node", "nodes_needed", "set_weights"]

MOST_FORWARDS: Final = 10
MOST_TIMES: Final = 6
MOST_DEVIATION: Final = 2.0
_HERMITE: Final = np.array([0.39895, 0.24198, 0.39895, 0.55059, 1.19683, 2.30711, 5.98414, 14.17799, 41.88895])
"""Largest absolute value of the Hermite polynomials times the normal density."""
_BEND_DEVIATION: Final = np.array([0.125, 0.25, 0.5, 1.0, 2.0])
_BENDS: Final = np.array(
    [
        [0.3990, 0.5142, 1.0361, 2.8996, 10.397, 50.370],
        [0.3990, 0.5444, 1.1567, 3.3837, 12.608, 60.406],
        [0.3990, 0.6050, 1.4163, 4.5008, 18.036, 89.410],
        [0.3990, 0.7260, 2.0059, 7.3749, 33.684, 205.14],
        [0.3990, 0.9679, 3.4592, 16.048, 100.36, 919.43],
    ]
)
_ANGLE: Final = np.array(
    [[(2 * k + 1) * math.pi / (2 * max(n, 1)) for k in range(MOST_FORWARDS)] for n in range(MOST_FORWARDS + 1)]
)
_NODE: Final = np.cos(_ANGLE)
_BARYCENTRIC: Final = np.sin(_ANGLE) * (-1.0) ** np.arange(MOST_FORWARDS)
_UNEVEN: Final = 2.0
_LEBESGUE: Final = np.array([1.0, 1.0, 1.415, 1.667, 1.849, 1.99, 2.105, 2.203, 2.288, 2.363, 2.43])
"""By how much interpolation over some Chebyshev nodes can enlarge an error of the values there."""
_COLUMNS: Final = MOST_FORWARDS + 1
_OPTIONS: Final[dict[str, Any]] = {"cache": True, "nogil": True, "_nrt": False, "error_model": "numpy"}
_kernel = njit(**_OPTIONS)


@inlined
def _deviation(early: FloatArray, k: int, vol: float) -> float:
    return max(vol * early[1, k] + early[2, k], early[3, k])


@_kernel
def _change(early: FloatArray, late: FloatArray, k: int, vol: float) -> float:
    """How much the logarithm of a deviation changes; infinite where its floor holds at one of the times only."""
    own, other = _deviation(early, k, vol), _deviation(late, k, vol)
    floored = vol * early[1, k] + early[2, k] < early[3, k]
    if floored != (vol * late[1, k] + late[2, k] < late[3, k]) or not min(own, other) > 0.0:
        return math.inf
    return math.log(max(own, other) / min(own, other))


@_kernel
def _add_forward_errors(
    half: float, forward: float, strike: float, deviation: float, size: float, out: FloatArray
) -> None:
    """Add the errors of an option interpolated at 2, 3, ... nodes of the forward."""
    total, power, factor = 0.0, 1.0, half
    for n in range(2, MOST_FORWARDS + 1):
        power /= deviation
        total += _HERMITE[n - 2] * power
        factor *= 0.5 * half / n
        out[n] += size * factor * (forward + strike * total)


@_kernel
def _add_time_errors(change: float, strike: float, deviation: float, size: float, out: FloatArray) -> None:
    """Add the errors of an option interpolated at 1, 2, ... times between which its deviation changes."""
    row, factor = 0, 2.0 * _UNEVEN * size * strike * deviation
    while row < len(_BEND_DEVIATION) - 1 and _BEND_DEVIATION[row] < deviation:
        row += 1
    if not deviation < MOST_DEVIATION:
        factor = math.inf
    for m in range(1, MOST_TIMES + 1):
        factor *= 0.25 * change / m
        out[m] += factor * _BENDS[row, m - 1]


@_kernel
def _same(early: FloatArray, k: int, other: int) -> bool:
    """Whether two lanes have the same deviations."""
    return early[1, k] == early[1, other] and early[2, k] == early[2, other] and early[3, k] == early[3, other]


@_kernel
def _class_weight(early: FloatArray, k: int, mark: int, weight: FloatArray) -> float:
    """Greatest weight of the lanes, but the mark, whose deviation is that of lane `k`; 0 where an earlier one is."""
    heavy = 0.0
    for other in range(len(weight)):
        if other == mark or not _same(early, k, other):
            continue
        if other < k:
            return 0.0
        heavy = max(heavy, weight[other])
    return heavy


@_kernel
def nodes_needed(
    b: BlockArrays,
    first: int,
    last: int,
    mark: int,
    half: float,
    forward: float,
    early: FloatArray,
    late: FloatArray,
    weight: FloatArray,
    budget: float,
) -> tuple[int, int, float, float]:
    """Nodes of a grid of the options ``first:last`` that is good enough.

    Parameters
    ----------
    b : BlockArrays
        Blocks.
    first, last : int
        Options of one expiry.
    mark : int
        Lane of the mark.
    half : float
        Half width of the interval of the log forward.
    forward : float
        Greatest forward of the interval.
    early, late : ndarray
        Lanes at both ends of the time, as `set_lanes` writes them.
    weight : ndarray, shape (lanes,)
        What an error of each lane counts for in the requirement; that of the mark comes on top of any other.
    budget : float
        Largest error of the requirement, quote currency.

    Returns
    -------
    tuple
        Nodes of the forward and of the time, 0 where no grid is good enough, and bounds of the error of the
        requirement and of the value.
    """
    errors = room(6, _COLUMNS)
    for k in range(_COLUMNS):
        for r in range(6):
            errors[r, k] = 0.0
    for k in range(len(weight)):
        heavy = _class_weight(early, k, mark, weight)
        if heavy == 0.0 and k != mark:
            continue
        at = 4 if k == mark else 0
        for n in range(_COLUMNS):
            errors[at, n], errors[at + 1, n] = 0.0, 0.0
        for j in range(first, last):
            vol, strike, size = b.option_vol[j], b.option_strike[j], abs(b.option_quantity[j])
            low, high = _deviation(early, k, vol), _deviation(late, k, vol)
            low, high = min(low, high), max(low, high)
            _add_forward_errors(half, forward, strike, low, size, errors[at])
            _add_time_errors(_change(early, late, k, vol), strike, high, size, errors[at + 1])
        for n in range(_COLUMNS):
            for r in range(2):
                errors[2 + r, n] = max(errors[2 + r, n], heavy * errors[at + r, n])
    return _chosen(errors, weight[mark], budget)


@_kernel
def _chosen(errors: FloatArray, weight: float, budget: float) -> tuple[int, int, float, float]:
    """Fewest nodes within the budget: rows 2 and 3 of `errors` are of the worst lane, 4 and 5 of the mark."""
    for n in range(_COLUMNS):
        for r in range(2):
            errors[r, n] = errors[2 + r, n] + weight * errors[4 + r, n]
    best, nodes, times = MOST_FORWARDS * MOST_TIMES + 1, 0, 0
    for n in range(2, MOST_FORWARDS + 1):
        for m in range(1, MOST_TIMES + 1):
            if n * m < best and errors[0, n] + _LEBESGUE[n] * errors[1, m] <= budget:
                best, nodes, times = n * m, n, m
    if nodes == 0:
        return 0, 0, 0.0, 0.0
    larger = _LEBESGUE[nodes]
    return (
        nodes,
        times,
        errors[0, nodes] + larger * errors[1, times],
        errors[4, nodes] + larger * errors[5, times],
    )


@inlined
def chebyshev_node(n: int, k: int) -> float:
    """Node `k` of `n` on [-1, 1]."""
    return _NODE[n, k]


@_kernel
def set_weights(n: int, x: float, out: FloatArray) -> None:
    """Write the weights of the values at `n` Chebyshev nodes that interpolate at `x`, in [-1, 1]."""
    total = 0.0
    for k in range(n):
        gap = x - chebyshev_node(n, k)
        if gap == 0.0:
            for i in range(n):
                out[i] = 1.0 if i == k else 0.0
            return
        out[k] = _BARYCENTRIC[n, k] / gap
        total += out[k]
    for k in range(n):
        out[k] /= total
