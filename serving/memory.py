"""How the process asks its system for memory: so that what is freed goes back, and does not lie about in pieces."""

from __future__ import annotations

import ctypes
import os

__all__ = ["give_memory_back", "keep_memory_whole"]

_ARENAS, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1  # numbers of glibc's <malloc.h>
_SETTINGS = {
    "MALLOC_ARENA_MAX": (_ARENAS, 2),
    "MALLOC_MMAP_THRESHOLD_": (_MMAP_THRESHOLD, 64 * 1024),
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
    Two arenas for all threads, and blocks from 64 KiB apart from the rest. By default glibc has an arena for each
    thread, and raises that bound to the largest block ever freed, up to 32 MiB; arrays of a round then leave holes
    between what stays. See ``mallopt(3)``; ``python -m benchmarks.soak`` shows the difference.
    """
    libc = _glibc()
    if libc is None:
        return []
    missing = {name: pair for name, pair in _SETTINGS.items() if name not in os.environ}
    return [name for name, (number, value) in missing.items() if libc.mallopt(number, value) == 1]


def give_memory_back() -> bool:
    """Give pages that are free back to the system, also those between blocks in use.

    Returns
    -------
    bool
        Whether there were any. It takes some milliseconds, in which other threads wait for memory.
    """
    libc = _glibc()
    return libc is not None and libc.malloc_trim(0) == 1


def _glibc() -> ctypes.CDLL | None:
    """The C library where it is glibc, whose numbers these are."""
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - raises where it is another
    except (AttributeError, OSError, TypeError):
        return None
    return libc
