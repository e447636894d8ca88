"""``margincast policy``: whether a policy file is one, and the schema of such files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from margincast.cli.console import emit_json, note
from margincast.cli.options import AsJson

__all__ = ["policy"]

policy = typer.Typer(no_args_is_help=True, help="Policy files: check one, print their schema.")


@policy.command(epilog="Example: margincast policy check desk.toml")
def check(
    file: Annotated[Path, typer.Argument(help="A policy (TOML, YAML or JSON).", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Validate a policy file: the first fault is told by field, value and remedy."""
    from features.policy import load_policy

    found = load_policy(file)
    routes = [route.name for route in found.routes]
    if as_json:
        rules = {"swaps": [rule.name for rule in found.swaps], "hedges": [rule.name for rule in found.hedges]}
        places = {"valid": True, "places": list(found.places), "routes": routes}
        emit_json({**places, **rules, "target": found.limits.target})
    else:
        trades = f", {len(found.swaps)} swaps and {len(found.hedges)} hedges" if found.swaps or found.hedges else ""
        note(f"{file}: a valid policy with {len(found.places)} places and {len(routes)} routes{trades}")


@policy.command(epilog="Example: margincast policy schema > policy.schema.json")
def schema() -> None:
    """Print the JSON schema of policy files."""
    from models.rebalance import policy_schema

    emit_json(policy_schema())
