"""How the kernels of replay are compiled.

They hand many arrays to many small functions and own none of them. Counting references, which numba does
by default for each array that is passed on or read from a tuple, costs five to ten times the arithmetic
here: it is switched off. Such a function must not allocate; the compiler refuses it where it does.
"""

from __future__ import annotations

from typing import Any, Final

from numba import njit

__all__ = ["fast", "inlined", "kernel"]

_OPTIONS: Final[dict[str, Any]] = {"cache": True, "nogil": True, "_nrt": False}

kernel = njit(**_OPTIONS)
"""A function of its own."""
inlined = njit(**_OPTIONS, forceinline=True)
"""A function that disappears in its caller."""
fast = njit(**_OPTIONS, forceinline=True, fastmath={"nnan", "nsz", "reassoc"})
"""An inlined function that sees no NaN."""
