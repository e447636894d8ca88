"""The benchmark on disk: ``benchmark.json``, and CSV files for a spreadsheet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.evaluate.report import plain

__all__ = ["write_benchmark"]


def write_benchmark(found: Mapping[str, Any], folder: str | Path) -> list[Path]:
    """Write the results.

    Parameters
    ----------
    found : mapping
        Results by track.
    folder : str or Path
        Created if it is not there.

    Returns
    -------
    list of Path
        ``benchmark.json``, ``scores.csv``, ``calibration.csv`` and, with a simulated track, ``attainable.csv``.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    whole = target / "benchmark.json"
    whole.write_text(json.dumps(plain(found), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    tables = {"scores": _scores(found), "calibration": _calibration(found), "attainable": _attainable(found)}
    out = [whole]
    for name, rows in tables.items():
        lines = list(rows)
        if lines:
            out.append(_write(target / f"{name}.csv", lines))
    return out


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _scores(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for track, part in found.items():
        for rows, held in (("all", part), ("contested", part["contested"])):
            for name, scored in held["scores"].items():
                for horizon, s in scored.items():
                    skill = held["skill"].get(name, {}).get(horizon, {})
                    yield {
                        "track": track,
                        "rows": rows,
                        "forecast": name,
                        "horizon": horizon,
                        **_flat(s),
                        **{f"margincast_skill_{k}": skill.get(k) for k in ("value", "low", "high")},
                    }


def _calibration(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for track, part in found.items():
        for row in part["calibration"]:
            yield {"track": track, **row}


def _attainable(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for rows, by_horizon in found.get("simulated", {}).get("attainable", {}).items():
        for horizon, entry in by_horizon.items():
            for name, f in entry["forecasts"].items():
                yield {
                    "rows": rows,
                    "horizon": horizon,
                    "forecast": name,
                    "n": entry["n"],
                    "loss": f["loss"],
                    "bayes_loss": entry["bayes_loss"],
                    "predicted_over_true": f["predicted_over_true"],
                    **{f"share_{k}": f["share"][k] for k in ("value", "low", "high")},
                }


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """One level: entries of entries get both names."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            out |= {f"{key}_{inner}": v for inner, v in value.items()}
        else:
            out[key] = value
    return out
