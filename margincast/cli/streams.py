"""Stdout is for results: what a library's C code prints goes to stderr."""

from __future__ import annotations

import os
import sys

__all__ = ["keep_stdout_for_results"]


def keep_stdout_for_results() -> bool:
    """Let only Python write to stdout from now on; what writes to its file descriptor ends on stderr.

    Returns
    -------
    bool
        False where stdout or stderr is no file of the system's; nothing is changed then.

    Notes
    -----
    HiGHS, which scipy brings, prints a line of its own now and then, however it is told to be silent
    (https://github.com/jump-dev/HiGHS.jl/issues/312). In the middle of a JSON document it would spoil it.
    """
    before = sys.stdout
    try:
        before.flush()
        if before.fileno() != 1 or sys.stderr.fileno() != 2:
            return False
        ours = os.dup(1)
    except (AttributeError, OSError, ValueError):
        return False
    lines = 1 if before.isatty() else -1
    os.dup2(2, 1)
    sys.stdout = os.fdopen(ours, "w", lines, before.encoding, before.errors)
    sys.__stdout__ = sys.stdout  # type: ignore[misc]  # where the width of the terminal is asked for
    return True
