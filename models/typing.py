"""Array aliases and the shared constants of time."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DAY_NS",
    "HORIZONS",
    "HOUR_NS",
    "MINUTE_NS",
    "BoolArray",
    "FloatArray",
    "Float32Array",
    "IntArray",
    "Int32Array",
    "ObjectArray",
]

FloatArray: TypeAlias = NDArray[np.float64]
Float32Array: TypeAlias = NDArray[np.float32]
IntArray: TypeAlias = NDArray[np.int64]
Int32Array: TypeAlias = NDArray[np.int32]
BoolArray: TypeAlias = NDArray[np.bool_]
ObjectArray: TypeAlias = NDArray[Any]

MINUTE_NS: Final = 60_000_000_000
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS
HORIZONS: Final[tuple[int, ...]] = (60, 240, 1440, 4320)
"""Minutes ahead for which a probability is given."""
