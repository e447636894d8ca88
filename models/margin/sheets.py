"""Sheets: what a block of options or scenario margin adds to a unit, tabulated over one price and time.

A sheet holds, at the nodes of an even grid in the log price and at a few hours ahead, what the block adds to equity
and to maintenance. Between nodes it is linear in the log price, between hours linear in time, beyond the ends it goes
on with the last slope. The gap of a unit with sheets is neither concave nor piecewise linear: its safe prices are
found by walking outwards from the price of now.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from models.margin._kernel import kernel
from models.typing import FloatArray

__all__ = ["NODES", "REACH", "SLICE_HOURS", "sheet_at", "sheet_value"]

NODES: Final = 129
"""Nodes of a sheet; the middle one is the price of now."""
REACH: Final = 1.28
"""Log price between the middle and the ends: prices from 0.28 to 3.6 times that of now."""
SLICE_HOURS: Final = np.array([0.0, 2.0, 12.0, 24.0, 48.0, 72.0])
"""Hours ahead at which a sheet is tabulated."""


@kernel
def sheet_value(start: float, step: float, row: FloatArray, price: float) -> float:
    """Value of one slice of a sheet at a price; NaN where the price is."""
    if not price > 0.0:
        return row[0] if price == 0.0 else np.nan
    at = (math.log(price) - start) / step
    i = min(max(int(at), 0), len(row) - 2)
    return row[i] + (at - i) * (row[i + 1] - row[i])


@kernel
def sheet_at(start: float, step: float, rows: FloatArray, price: float, hours: float) -> float:
    """Value of a sheet, shape (slices, nodes), at a price and some hours ahead."""
    j = 0
    while j < len(SLICE_HOURS) - 2 and SLICE_HOURS[j + 1] <= hours:
        j += 1
    w = min(max((hours - SLICE_HOURS[j]) / (SLICE_HOURS[j + 1] - SLICE_HOURS[j]), 0.0), 1.0)
    early = sheet_value(start, step, rows[j], price)
    return early + w * (sheet_value(start, step, rows[j + 1], price) - early)
