"""Sheets: what a block of options or scenario margin adds to a unit, tabulated over one price and time.

A sheet holds, at nodes of the log price around that of now and at a few hours ahead, what the block adds to equity and
to maintenance. Nodes are dense in the middle (0.6%) and wide at the ends; between nodes a sheet is linear in the log
price, between hours linear in time, beyond the ends it goes on with the last slope. At the price of now it is exact.
The gap of a unit with sheets is neither concave nor piecewise linear: its safe prices are found by walking outwards
from the price of now.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from models.margin._kernel import inlined, kernel
from models.typing import FloatArray

__all__ = ["MIDDLE", "NODES", "SLICE_HOURS", "node_move", "sheet_at", "sheet_value"]

NODES: Final = 65
"""Nodes of a sheet."""
MIDDLE: Final = 32
"""The node at the price of now."""
SLICE_HOURS: Final = np.array([0.0, 2.0, 12.0, 24.0, 48.0, 72.0])
"""Hours ahead at which a sheet is tabulated."""
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
def sheet_at(now: float, rows: FloatArray, price: float, hours: float) -> float:
    """Value of a sheet, shape (slices, nodes), at a price and some hours ahead."""
    j = 0
    while j < len(SLICE_HOURS) - 2 and SLICE_HOURS[j + 1] <= hours:
        j += 1
    later = min(max((hours - SLICE_HOURS[j]) / (SLICE_HOURS[j + 1] - SLICE_HOURS[j]), 0.0), 1.0)
    i, w = _place(math.log(price / now))
    early = rows[j, i] + w * (rows[j, i + 1] - rows[j, i])
    if later == 0.0:
        return early
    return early + later * (rows[j + 1, i] + w * (rows[j + 1, i + 1] - rows[j + 1, i]) - early)
