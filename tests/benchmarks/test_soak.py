"""The soak can fail: a leak, a failed request, a missed event, files that stay open."""

from __future__ import annotations

import mmap
import os
import time

import numpy as np
import pytest

from benchmarks.soak.__main__ import report
from benchmarks.soak.load import Tally
from benchmarks.soak.trend import Sample, sample, trend

WARM = 180.0


def held(megabytes_an_hour: float, files_an_hour: float = 0.0, minutes: float = 15.0) -> list[Sample]:
    """Return samples of a process that first takes 80 MB, then so much an hour, beside noise and one step of 3 MB."""
    rng, seconds = np.random.default_rng(1), np.arange(0.0, 60 * minutes, 5.0)
    memory = 300 + 80 * np.minimum(seconds / WARM, 1) + megabytes_an_hour * seconds / 3600 + 3 * (seconds > 400)
    memory += rng.normal(0, 0.5, len(seconds))
    files = 40 + files_an_hour * seconds / 3600
    rows = zip(seconds.tolist(), memory.tolist(), files.tolist(), strict=True)
    return [Sample(1e5 + t, m, int(f), 20) for t, m, f in rows]


def tally(**more: object) -> Tally:
    """Return what went well."""
    found = Tally(events=7)
    found.seconds["predict"] += [0.002, 0.004, 0.003]
    for name, value in more.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(("leak", "bound", "verdict"), [(0, 60, "flat"), (40, 60, "undecided"), (90, 60, "grows")])
def test_the_slope_is_that_of_the_leak(leak: float, bound: float, verdict: str) -> None:
    found = trend(held(leak), WARM)
    assert found.low < found.slope < found.high
    assert leak <= found.slope <= leak + 20  # the step counts for something, the first minutes for nothing
    assert found.verdict(bound) == verdict


def test_what_fails_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(tally(), held(0), WARM, 60.0) == []
    assert "bound 60: flat" in capsys.readouterr().out
    assert "memory grows" in report(tally(), held(200), WARM, 60.0)[0]
    assert "more files" in report(tally(), held(0, files_an_hour=60), WARM, 60.0)[0]
    lost = tally(gaps=2)
    lost.errors["tell: 503 store_unavailable"] += 3
    assert report(lost, held(0), WARM, 60.0) == ["3 x tell: 503 store_unavailable", "2 events missed"]


def test_too_short_a_run_gives_no_verdict() -> None:
    with pytest.raises(ValueError, match="run it longer"):
        report(tally(), held(0, minutes=3.5), WARM, 60.0)


def test_a_process_that_takes_memory_is_seen_to() -> None:
    before = sample(os.getpid())
    kept = mmap.mmap(-1, 32 * 2**20)  # pages of its own, none that was freed before
    kept.write(b"x" * len(kept))
    opened = [open(os.devnull) for _ in range(7)]  # noqa: SIM115 - they stay open
    after = sample(os.getpid())
    for one in (*opened, kept):
        one.close()
    assert after.megabytes - before.megabytes == pytest.approx(32, abs=4)
    assert after.files - before.files == 7
    assert before.seconds <= after.seconds <= time.monotonic()
