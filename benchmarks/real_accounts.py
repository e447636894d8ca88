"""Replay the real Hyperliquid accounts of 2023: where is the engine at their liquidations, what was said before?

Run ``python -m benchmarks.real_accounts --data DIR [--model DIR] [--json OUT] [--markdown OUT]``. With ``--model`` the
model is read from the folder, or trained (on data before 2023-02-15) and kept there. Nothing is fitted to the accounts.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.real import ahead, engine
from benchmarks.real.accounts import check_sides
from benchmarks.real.prices import BarPrices, VenuePrices, load_bars
from benchmarks.real.records import Records, read_records
from benchmarks.real.text import markdown, table
from models.errors import MargincastError

START, END = "2023-02-26", "2023-05-03"


def study_engine(records: Records, bars: BarPrices) -> dict[str, Any]:
    """Verdicts at the liquidations and at all quiet hours."""
    venue = VenuePrices(records)
    found = engine.at_liquidations(records, venue, bars)
    fresh = found.verdicts["venue"].age_seconds <= engine.FRESH_SECONDS
    rows = {"all": None, "cross": found.cross, "isolated": ~found.cross}
    ways = {name: {k: engine.summary(found, name, r) for k, r in rows.items()} for name in found.verdicts}
    ways["venue_fresh"] = {"all": engine.summary(found, "venue", fresh)}
    hours = engine.account_hours(records)
    minutes = engine.minutes_to_event(records, hours)
    at_venue, at_bars = engine.judge(hours, venue.at(hours)), engine.judge(hours, bars.at(hours))
    return {
        "liquidation_fills": found.own_fills,
        "positions_closed_by_them": found.closed_flat,
        "rules_on_recorded_values": engine.rules_check(found),
        "bars": bars.describe(),
        "ways": ways,
        "not_valued": {name: engine.refusals(found, name) for name in found.verdicts},
        "quiet": {
            "venue": engine.quiet_hours(hours, minutes, at_venue),
            "venue_fresh": engine.quiet_hours(hours, minutes, at_venue, at_venue.age_seconds <= engine.FRESH_SECONDS),
            "bars": engine.quiet_hours(hours, minutes, at_bars),
        },
        "liquidations": _liquidations(found),
    }


def _liquidations(found: engine.AtLiquidation) -> list[dict[str, Any]]:
    out = []
    for i, when in enumerate(found.states.time):
        row: dict[str, Any] = {"time": str(np.datetime64(int(when), "ns"))[:19]}
        row |= {"coins": sorted({str(c) for c in found.states.coin[found.states.row == i]})}
        row |= {"cross": bool(found.cross[i]), "notional": found.recorded_notional[i], "value": found.recorded_value[i]}
        for name, v in found.verdicts.items():
            row[name] = {"state": int(v.state[i]), "equity": v.equity[i], "maintenance": v.maintenance[i]}
        out.append(row)
    return out


def study_forecasts(records: Records, root: Path, folder: Path | None, draws: int) -> dict[str, Any]:
    """What a model that ends before the accounts begin said of them."""
    panel = ahead.load_hourly(root)
    model, about = ahead.trained(panel, folder)
    before = ahead.hour_before(records, panel, model)
    hours = engine.account_hours(records)
    return {
        "market": dict(zip(panel.assets, panel.source, strict=True)),
        "model": {k: about[k] for k in ("trained_from", "trained_until", "ruleset", "summary") if k in about},
        "hour_before": ahead.describe(before),
        "account_hours": ahead.account_hours_study(records, hours, panel, model, draws),
    }


def study(root: Path, folder: Path | None = None, draws: int = 1000) -> dict[str, Any]:
    """Everything, as plain values."""
    records = read_records(root)
    coins = sorted(set(records.fills["coin"]))
    return {
        "accounts": int(records.fills["user"].nunique()),
        "customers": len(records.customers),
        "liquidators": len(records.liquidators),
        "liquidations": len(records.liquidations),
        "liquidated": int(records.liquidations["user"].nunique()),
        "fills": len(records.fills),
        "sides": asdict(check_sides(records)),
        "engine": study_engine(records, load_bars(root, coins, START, END)),
        "ahead": study_forecasts(records, root, folder, draws),
    }


def plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def main() -> None:
    """Print the table and the block for the results page."""
    shared = os.environ.get("MARGINCAST_DATA")
    known = Path(shared) / "data" if shared else None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=known, help="folder of the market data and accounts/")
    parser.add_argument("--model", type=Path, help="folder to read the model from, or to keep the trained one in")
    parser.add_argument("--json", type=Path, help="write every figure here")
    parser.add_argument("--markdown", type=Path, help="write the block for the results page here")
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap draws")
    options = parser.parse_args()
    if options.data is None or not (options.data / "accounts").is_dir():
        parser.error(f"--data: expected a folder with accounts/, was {options.data}; give it, or set MARGINCAST_DATA")
    logging.disable(logging.WARNING)
    try:
        found = study(options.data, options.model, options.draws)
    except (MargincastError, ValueError) as error:
        parser.error(str(error))
    block = markdown(found)
    print(table(found))
    print()
    print(block)
    if options.json is not None:
        options.json.write_text(json.dumps(plain(found), indent=1) + "\n", encoding="utf-8")
    if options.markdown is not None:
        options.markdown.write_text(block + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
