"""Sheets: what a block of options or scenario margin adds to a unit, tabulated over one price and time.

A sheet holds, at nodes of the log price around that of now and at a few hours ahead, what the block adds to equity and
to maintenance. Nodes are dense in the middle (0.6%) and wide at the ends; between nodes a sheet is linear in the log
price, between hours linear in time, beyond the ends it goes on with the last slope. At the price of now it is exact.
Hours are those of the sheet: just before an expiry and at it, and where else values bend.
The gap of a unit with sheets is neither concave nor piecewise linear: its safe prices are found by walking outwards
from the price of now.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from models.margin._kernel import inlined, kernel
from models.typing import FloatArray

__all__ = ["MIDDLE", "NODES", "SLICES", "node_move", "set_slices", "sheet_at", "sheet_value"]

NODES: Final = 65
"""Nodes of a sheet."""
MIDDLE: Final = 32
"""The node at the price of now."""
SLICES: Final = 8
"""Hours ahead at which a sheet is tabulated: so many, from 0 to 72."""
_LAST: Final = 72.0
_EXPIRIES: Final = 3
"""Expiries whose hours are among them: the next ones."""
_BEFORE: Final = 1e-3
"""Hours before an expiry at which what it requires is still due."""
_APART: Final = 0.75
_COMMON: Final = np.array([24.0, 12.0, 2.0, 48.0, 36.0, 6.0, 60.0, 18.0, 4.0, 30.0, 66.0])
"""Other hours, the most useful first."""
_REACH: Final = 1.3  # log price at the ends: 0.27 to 3.7 times the price of now
_DENSITY: Final = 4.0
_SCALE: Final = math.sinh(_DENSITY) / _REACH
_PER_NODE: Final = MIDDLE / _DENSITY


@kernel
def node_move(i: int) -> float:
    """Log price of node `i` relative to that of now."""
    return math.sinh((i - MIDDLE) / _PER_NODE) / _SCALE


_NODE_MOVE: Final = np.sinh((np.arange(NODES) - MIDDLE) / _PER_NODE) / _SCALE


@inlined
def _place(x: float) -> tuple[int, float]:
    """Node at or left of a log price relative to that of now, and how far on to the next; beyond 0 and 1 outside."""
    i = MIDDLE + math.floor(math.asinh(x * _SCALE) * _PER_NODE)
    i = min(max(i, 0), NODES - 2)
    return i, (x - _NODE_MOVE[i]) / (_NODE_MOVE[i + 1] - _NODE_MOVE[i])


@kernel
def sheet_value(now: float, row: FloatArray, price: float) -> float:
    """Value of one slice of a sheet, tabulated around the price `now`, at a price; NaN where the price is."""
    if not price > 0.0:
        return row[0] if price == 0.0 else np.nan
    i, w = _place(math.log(price / now))
    return row[i] + w * (row[i + 1] - row[i])


@kernel
def sheet_at(now: float, slices: FloatArray, rows: FloatArray, price: float, hours: float) -> float:
    """Value of a sheet, shape (slices, nodes), tabulated at the hours `slices`, at a price and some hours ahead."""
    j = 0
    while j < len(slices) - 2 and slices[j + 1] <= hours:
        j += 1
    later = min(max((hours - slices[j]) / (slices[j + 1] - slices[j]), 0.0), 1.0)
    i, w = _place(math.log(price / now))
    early = rows[j, i] + w * (rows[j, i + 1] - rows[j, i])
    if later == 0.0:
        return early
    return early + later * (rows[j + 1, i] + w * (rows[j + 1, i + 1] - rows[j + 1, i]) - early)


@kernel
def set_slices(expiry_hours: FloatArray, out: FloatArray) -> None:
    """Choose the hours of a sheet, rising.

    Parameters
    ----------
    expiry_hours : ndarray, shape (e,)
        Hours to the expiries of its block, rising.
    out : ndarray, shape (SLICES,)
        Filled with the hours: 0, before and at the next expiries within 72, an hour and six before them as far as
        there is room, common ones, and 72.
    """
    out[0], out[1], count = 0.0, _LAST, 2
    for x in expiry_hours:
        if _BEFORE < x < _LAST and count < 2 + 2 * _EXPIRIES:
            out[count], out[count + 1], count = x - _BEFORE, x, count + 2
    near = (count - 2) // 2
    for before in (1.0, 6.0):
        for e in range(near):
            if e == 0 or before > 1.0:
                count = _take(out, count, out[3 + 2 * e] - before)
        count = _take(out, count, _COMMON[0])
    for hour in _COMMON:
        count = _take(out, count, hour)
    while count < SLICES:
        count = _halve(out, count)
    for k in range(1, SLICES):
        hour, place = out[k], k
        while place > 0 and out[place - 1] > hour:
            out[place] = out[place - 1]
            place -= 1
        out[place] = hour


@inlined
def _take(out: FloatArray, count: int, hour: float) -> int:
    """Add an hour where there is room for it and none is near; how many there are then."""
    if count == SLICES or not 0.0 < hour < _LAST:
        return count
    for k in range(count):
        if abs(out[k] - hour) < _APART:
            return count
    out[count] = hour
    return count + 1


@inlined
def _halve(out: FloatArray, count: int) -> int:
    """Add the middle of the widest step."""
    widest, middle = 0.0, 0.0
    for k in range(count):
        following = _LAST
        for i in range(count):
            if out[i] > out[k]:
                following = min(following, out[i])
        if following - out[k] > widest:
            widest, middle = following - out[k], 0.5 * (following + out[k])
    out[count] = middle
    return count + 1
