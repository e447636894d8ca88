"""All benchmarks, one after the other: ``python -m benchmarks``, or ``make bench``."""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "bench_features",
    "bench_join",
    "bench_replay",
    "bench_predict",
    "bench_train",
    "bench_options",
    "bench_scenarios",
    "bench_option_replay",
    "bench_desk",
    "bench_api",
)


def main() -> None:
    """Run each in a process of its own; the first failure ends the run."""
    for name in NAMES:
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
