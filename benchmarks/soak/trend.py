"""What a process holds, sampled while it works, and whether it holds more and more."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import theilslopes

__all__ = ["Sample", "Trend", "growth", "sample", "trend"]

_RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)
_THREADS = re.compile(r"^Threads:\s+(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process held at an instant.

    Parameters
    ----------
    seconds : float
        Of a clock that never goes back.
    megabytes : float
        Resident memory, 2**20 bytes.
    files, threads : int
        How many it has open, and runs.
    """

    seconds: float
    megabytes: float
    files: int
    threads: int


@dataclass(frozen=True, slots=True)
class Trend:
    """How fast something grows.

    Parameters
    ----------
    slope, low, high : float
        An hour: the median over all pairs of samples (Theil-Sen), and the ends of its 95% interval.
    """

    slope: float
    low: float
    high: float

    def verdict(self, bound: float) -> str:
        """Say ``grows`` above the bound an hour, ``flat`` where the whole interval is below it, else ``undecided``.

        Examples
        --------
        >>> [Trend(1.0, -1.0, 3.0).verdict(bound) for bound in (0.5, 2.0, 4.0)]
        ['grows', 'undecided', 'flat']
        """
        if self.slope > bound:
            return "grows"
        return "flat" if self.high <= bound else "undecided"


def sample(pid: int) -> Sample:
    """Look at a process of this machine, by ``/proc``.

    Parameters
    ----------
    pid : int
        The process.

    Returns
    -------
    Sample
        What it holds now.

    Raises
    ------
    FileNotFoundError
        If there is no such process, or no ``/proc``.

    Examples
    --------
    >>> sample(os.getpid()).threads >= 1
    True
    """
    status = Path(f"/proc/{pid}/status").read_text()
    held, threads = (pattern.search(status) for pattern in (_RESIDENT, _THREADS))
    if held is None or threads is None:
        raise FileNotFoundError(f"/proc/{pid}/status: expected VmRSS and Threads; the process has ended")
    return Sample(time.monotonic(), int(held[1]) / 1024, len(os.listdir(f"/proc/{pid}/fd")), int(threads[1]))


def trend(samples: list[Sample], warm_seconds: float) -> Trend:
    """Fit the growth of memory after the first while.

    Parameters
    ----------
    samples : list of Sample
        In order.
    warm_seconds : float
        What is left out at the start.

    Returns
    -------
    Trend
        MB an hour. The interval takes the samples as independent of each other, which they are not quite.

    Raises
    ------
    ValueError
        If fewer than 10 samples are left.
    """
    kept = _after(samples, warm_seconds)
    hours = np.array([one.seconds for one in kept]) / 3600
    slope, _, low, high = theilslopes([one.megabytes for one in kept], hours - hours[0], alpha=0.95)
    return Trend(float(slope), float(low), float(high))


def growth(samples: list[Sample], warm_seconds: float, name: str) -> float:
    """Median of the last third less that of the first, of ``files`` or ``threads``, after the first while."""
    values = [getattr(one, name) for one in _after(samples, warm_seconds)]
    third = len(values) // 3
    return float(np.median(values[-third:]) - np.median(values[:third]))


def _after(samples: list[Sample], warm_seconds: float) -> list[Sample]:
    kept = [one for one in samples if one.seconds >= samples[0].seconds + warm_seconds]
    if len(kept) < 10:
        raise ValueError(f"samples: expected 10 or more after {warm_seconds:g} s, was {len(kept)}; run it longer")
    return kept
