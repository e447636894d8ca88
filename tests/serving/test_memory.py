"""What the allocator does once it is set up, seen from outside, each in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

_ASK = """
import ctypes, json, sys
from serving.memory import keep_memory_whole
made = keep_memory_whole() if sys.argv[1] == "set" else []

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd a b c d e".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.free(libc.malloc(24 << 20))
before = libc.mallinfo2().hblks
kept = libc.malloc(1 << 20)
print(json.dumps([made, libc.mallinfo2().hblks - before]))
"""


def _asked(how: str, **environ: str) -> tuple[list[str], int]:
    whole = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")} | environ
    done = subprocess.run([sys.executable, "-c", _ASK, how], env=whole, capture_output=True, text=True, check=False)
    if "mallinfo2" in done.stderr:
        pytest.skip("the C library is not glibc 2.33 or newer")
    assert done.returncode == 0, done.stderr
    made, apart = json.loads(done.stdout)
    return made, apart


def test_large_blocks_lie_apart_though_larger_ones_were_freed() -> None:
    assert _asked("plain") == ([], 0)  # by default the freed one raises the bound
    made, apart = _asked("set")
    assert made == ["MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"]
    assert apart == 1


def test_free_pages_between_blocks_go_back() -> None:
    ask = """
import ctypes, os
from serving.memory import give_memory_back
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
blocks = [libc.malloc(64 << 10) for _ in range(800)]
for block in blocks:
    ctypes.memset(block, 1, 64 << 10)
for block in blocks[::2]:
    libc.free(block)
before = resident()
print(give_memory_back(), (before - resident()) >> 20)
"""
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    gave, megabytes = done.stdout.split()
    if gave == "False":
        pytest.skip("the C library is not glibc")
    assert 20 <= int(megabytes) <= 26  # 400 blocks of 64 KiB less the pages at their ends


def test_what_the_environment_says_is_left() -> None:
    made, apart = _asked("set", MALLOC_MMAP_THRESHOLD_=str(8 << 20))
    assert made == ["MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_"]
    assert apart == 0
