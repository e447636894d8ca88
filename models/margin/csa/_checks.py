"""Range checks that the modules of this package share."""

from __future__ import annotations

import math

from models.errors import InputError

__all__ = ["at_least_zero"]


def at_least_zero(name: str, value: float) -> None:
    """Refuse what is no finite amount >= 0."""
    if not (math.isfinite(value) and value >= 0):
        raise InputError(name, value, "a finite amount >= 0")
