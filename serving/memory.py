"""How the process asks its system for memory: so that what is freed goes back, and does not lie about in pieces."""

from __future__ import annotations

import ctypes
import os

__all__ = ["keep_memory_whole"]

_ARENAS, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1  # numbers of glibc's <malloc.h>
_SETTINGS = {
    "MALLOC_ARENA_MAX": (_ARENAS, 2),
    "MALLOC_MMAP_THRESHOLD_": (_MMAP_THRESHOLD, 256 * 1024),
    "MALLOC_TRIM_THRESHOLD_": (_TRIM_THRESHOLD, 512 * 1024),
}


def keep_memory_whole() -> list[str]:
    """Set up glibc's ``malloc`` for a process that runs for weeks.

    Returns
    -------
    list of str
        The settings that were made, by the names of their environment variables; one that the environment has is left
        as it is. Empty where the C library is another.

    Notes
    -----
    Two arenas for all threads, and blocks from 256 KiB apart from the rest. By default glibc has an arena for each
    thread, and raises that bound to the largest block ever freed, up to 32 MiB; arrays of a round then leave holes
    between what stays. See ``mallopt(3)``; ``python -m benchmarks.soak`` shows the difference.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
        ctypes.CDLL(None).gnu_get_libc_version  # noqa: B018 - only there in glibc, whose numbers these are
    except (AttributeError, OSError, TypeError):
        return []
    missing = {name: pair for name, pair in _SETTINGS.items() if name not in os.environ}
    return [name for name, (number, value) in missing.items() if mallopt(number, value) == 1]
