"""The name under which the product takes part."""

from __future__ import annotations

from typing import Final

__all__ = ["OURS"]

OURS: Final = "margincast"
