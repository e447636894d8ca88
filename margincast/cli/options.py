"""The options that commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Accounts",
    "AsJson",
    "Assets",
    "At",
    "Bar",
    "Every",
    "Market",
    "Model",
    "Out",
    "Own",
    "PerInstant",
    "Registry",
    "Ruleset",
    "Seed",
    "Start",
    "Stop",
    "Venue",
]

Accounts = Annotated[
    Path,
    typer.Argument(
        metavar="ACCOUNTS",
        help="Accounts: JSON Lines, or a folder of accounts, positions and collateral parquet files.",
        show_default=False,
    ),
]
Market = Annotated[
    Path,
    typer.Option(
        "--market", help="Folder of market data: {mark,perp,spot}/<venue>/<SYMBOL>-<bar>.parquet.", show_default=False
    ),
]
Model = Annotated[
    str, typer.Option("--model", help="A model folder, or a registered model such as models:/margincast@champion.")
]
At = Annotated[
    str | None,
    typer.Option("--at", "--as-of", help="Instant (UTC) to judge at; each account's own as_of where left out."),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Result file: .parquet, .csv or .jsonl; of a batch also a folder of parts.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Bar = Annotated[str, typer.Option("--bar", help="Length of the bars.")]
Venue = Annotated[str, typer.Option("--venue", help="Venue folder of the market data.")]
Assets = Annotated[
    str | None, typer.Option("--assets", help="Assets, separated by commas; all that are there where left out.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.", min=0)]
Start = Annotated[str | None, typer.Option("--from", help="First instant (UTC).")]
Stop = Annotated[str | None, typer.Option("--to", help="Last instant (UTC).")]
Registry = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        help="MLflow home of registered models; the server in MLFLOW_TRACKING_URI, else mlruns, where left out.",
    ),
]
Ruleset = Annotated[
    str, typer.Option("--ruleset", help="Ruleset of the sampled accounts; mixed: accounts of every regime.")
]
Every = Annotated[int, typer.Option("--every", help="Minutes between two instants of the sample.", min=1)]
PerInstant = Annotated[int, typer.Option("--per-instant", help="Accounts sampled at each instant.", min=1)]
Own = Annotated[
    Path | None,
    typer.Option("--accounts", help="Your own accounts (JSON Lines or parquet twins); sampled where left out."),
]
