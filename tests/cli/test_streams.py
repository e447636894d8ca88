"""Stdout holds results alone, whatever C code prints."""

import os
import pty
import subprocess
import sys

_NOISY = """
import ctypes, sys
import margincast.cli

def app():
    print("first")
    libc = ctypes.CDLL(None)
    libc.puts(b"noise of a solver")
    libc.fflush(None)
    print("last \\u00e9")

cli = sys.modules["margincast.cli.app"]
cli.app = app
cli.main()
"""


def test_what_a_solver_prints_is_on_stderr() -> None:
    environ = os.environ | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", _NOISY], env=environ, capture_output=True, check=True)
    assert done.stdout.decode() == "first\nlast é\n"
    assert done.stderr.decode() == "noise of a solver\n"


def test_a_terminal_sees_all_in_order() -> None:
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", _NOISY], stdout=theirs, stderr=theirs, check=True)
    os.close(theirs)
    assert os.read(ours, 1000).decode().splitlines()[:2] == ["first", "noise of a solver"]
    os.close(ours)


def test_where_stdout_is_closed_nothing_is_changed() -> None:
    code = "import sys; sys.stdout.close(); from margincast.cli.streams import keep_stdout_for_results as k; "
    done = subprocess.run([sys.executable, "-c", code + "sys.exit(k())"], check=False)
    assert done.returncode == 0
