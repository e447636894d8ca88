from __future__ import annotations

import ctypes
import os
import sys

import pytest

from margincast.cli.console import solver_on_stderr


@pytest.mark.skipif(os.name != "posix", reason="asks the C library of a POSIX system")
def test_what_the_solver_prints_is_not_mixed_with_the_answer(capfd: pytest.CaptureFixture[str]) -> None:
    library = ctypes.CDLL(None)
    sys.stdout.write("before\n")
    with solver_on_stderr():
        library.puts(b"a line from C")
    sys.stdout.write("after\n")
    seen = capfd.readouterr()
    assert seen.out.split() == ["before", "after"]
    assert seen.err == "a line from C\n"
