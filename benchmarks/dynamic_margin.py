"""Coverage and procyclicality of dynamic margin on real daily BTC and ETH.

Run ``python -m benchmarks.dynamic_margin --data DIR [--confidence 0.99] [--json FILE]``: prints the table of
``docs/regimes/dynamic-margin.md``. DIR is a folder of market data as ``margincast data`` writes it; closes are those
at 00:00 UTC. Nothing is fitted; each rate is judged on the day after it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from features.sources import read_panel
from models.margin.dynamic import DynamicMargin, bar_rise, coverage_test, exceedances, peak_to_trough
from models.typing import DAY_NS, FloatArray

ASSETS = ("BTC", "ETH")
TEN_YEARS = 3650
MODELS: dict[str, dict[str, Any]] = {
    "plain historical simulation": {"scaling": "none"},
    "FHS, EWMA": {},
    "FHS, HAR": {"scaling": "har"},
    "FHS, EWMA, expected shortfall": {"measure": "es"},
    "(a) buffer 25 %": {"buffer": 0.25},
    "(b) stress weight 25 %": {"stress_weight": 0.25},
    "(c) ten-year floor": {"floor_look_back": TEN_YEARS},
    "rise <= 10 %, fall <= 1 % a day": {"rise": 0.1, "fall": 0.01},
}
COLUMNS = (
    "model", "asset", "days", "long_breaches", "long_p", "short_breaches", "short_p", "mean_rate", "peak_to_trough",
    "rise_5d",
)  # fmt: skip


def daily_closes(root: Path, start: str | None, stop: str | None) -> tuple[FloatArray, str]:
    """Closes at 00:00 UTC, shape (2, T), and what they are."""
    from features.sources.times import to_ns

    first, last = (None if text is None else to_ns(text, "--from") for text in (start, stop))
    panel = read_panel(root, ASSETS, "1h", first, last, venue="binance").panel
    offset = int(-(panel.start + panel.step) % DAY_NS // panel.step)
    opened = np.datetime64(panel.start + (offset + 1) * panel.step, "ns").astype("datetime64[D]")
    about = f"{'/'.join(sorted(set(panel.source)))} prices, {panel.close[:, offset::24].shape[1]} days from {opened}"
    return np.ascontiguousarray(panel.close[:, offset::24]), about


def judge(name: str, settings: dict[str, Any], close: FloatArray, confidence: float) -> list[dict[str, Any]]:
    """One row an asset: coverage of a long and of a short by rates of their own, procyclicality of the common rate."""
    breaches = {}
    for side in ("long", "short"):
        rate = DynamicMargin(confidence=confidence, side=side, **settings).rate_history(close)  # type: ignore[arg-type]
        breaches[side] = [coverage_test(hit, confidence) for hit in exceedances(rate, close, 1, side)]  # type: ignore[arg-type]
    common = DynamicMargin(confidence=confidence, **settings).rate_history(close)
    cycle, rise = peak_to_trough(common), bar_rise(common, 5)
    rows = []
    for a, asset in enumerate(ASSETS):
        long, short = breaches["long"][a], breaches["short"][a]
        figures = (long.n, long.breaches, long.kupiec_p, short.breaches, short.kupiec_p)
        values = (name, asset, *figures, float(np.nanmean(common[a])), float(cycle[a]), float(rise[a]))
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a table."""
    lines = ["| " + " | ".join(c.replace("_", " ") for c in COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    formats = {"long_p": ".2f", "short_p": ".2f", "mean_rate": ".1%", "peak_to_trough": ".1f", "rise_5d": ".0%"}
    for row in rows:
        lines.append("| " + " | ".join(format(row[c], formats.get(c, "")) for c in COLUMNS) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--confidence", type=float, default=0.99)
    parser.add_argument("--from", dest="start")
    parser.add_argument("--to", dest="stop")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    close, about = daily_closes(arguments.data, arguments.start, arguments.stop)
    rows = [r for name, settings in MODELS.items() for r in judge(name, settings, close, arguments.confidence)]
    print(f"{about}; confidence {arguments.confidence:.1%}\n")
    print(markdown(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"data": about, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
