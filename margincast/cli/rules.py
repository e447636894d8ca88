"""``margincast rules``: which rulesets there are, and whether a file of your own is one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from margincast.cli.console import emit_json, note, show_rows
from margincast.cli.options import AsJson

__all__ = ["load_own_rules", "rules"]

FOLDER = "MARGINCAST_RULES"
"""Variable that names a folder with rulesets of your own; every command and the service read them at their start."""
rules = typer.Typer(no_args_is_help=True, help="Rulesets: list those there are, check a file of your own.")


def load_own_rules() -> None:
    """Make the rulesets of the folder that the variable names known.

    Raises
    ------
    InputError
        If the folder is not there, or a file in it is no ruleset; with the file, the field and the remedy.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    from models.errors import InputError

    if not Path(folder).is_dir():
        raise InputError(FOLDER, folder, "a folder with ruleset files (*.json)")
    for path in sorted(Path(folder).glob("*.json")):
        _register(path)


def _register(path: Path) -> str:
    from models.errors import InputError
    from models.margin.rulesets.own import register_ruleset

    if not path.is_file():
        raise InputError("FILE", str(path), "a ruleset file (JSON)")
    try:
        return register_ruleset(path.read_bytes())
    except InputError as error:
        raise InputError(f"{path.name}: {error.field}", error.value, error.expected) from None


@rules.command("list", epilog="Example: margincast rules list")
def list_rules(as_json: AsJson = False) -> None:
    """Name, margin model and title of every ruleset; your own come from the folder that MARGINCAST_RULES names."""
    from models.margin.rulesets.loader import ruleset_names, ruleset_title

    rows = [dict(zip(("name", "model", "title"), ruleset_title(name), strict=True)) for name in ruleset_names()]
    show_rows("Rulesets", rows, as_json)


@rules.command(epilog="Example: margincast rules check my-venue.json")
def check(
    file: Annotated[Path, typer.Argument(help="A ruleset document, or scenario rules (JSON).", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Validate a ruleset file: the first fault is told by field, value and remedy."""
    from models.margin.rulesets.loader import ruleset_title

    name, model, title = ruleset_title(_register(file))
    if as_json:
        emit_json({"name": name, "model": model, "title": title, "valid": True})
    else:
        note(f"{file}: a valid ruleset, {name!r} ({model}): {title}")


@rules.command(epilog="Example: margincast rules schema > scenario-rules.schema.json")
def schema() -> None:
    """Print the JSON schema of scenario rules."""
    from models.margin.portfolio import portfolio_rules_schema

    emit_json(portfolio_rules_schema())
