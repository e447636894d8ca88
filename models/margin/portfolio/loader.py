"""Reads scenario rulesets: those that are shipped, and the user's own files."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from models.errors import InputError, UnknownRulesetError
from models.margin.portfolio.rules import PortfolioRules

__all__ = ["load_portfolio_rules", "parse_portfolio_rules", "portfolio_rules_names"]


@cache
def portfolio_rules_names() -> tuple[str, ...]:
    """Give the names of the scenario rulesets that are shipped.

    Returns
    -------
    tuple of str
        Sorted names.

    Examples
    --------
    >>> "derive-pmrm2" in portfolio_rules_names()
    True
    """
    found = (item.name for item in files(__package__).joinpath("data").iterdir())
    return tuple(sorted(n.removesuffix(".json") for n in found if n.endswith(".json") and not n.startswith("span-")))


def load_portfolio_rules(path_or_name: str | Path) -> PortfolioRules:
    """Read a scenario ruleset.

    Parameters
    ----------
    path_or_name : str or Path
        One of `portfolio_rules_names`, or the path of a JSON file of the same shape (`portfolio_rules_schema`).

    Returns
    -------
    PortfolioRules
        The ruleset, checked.

    Raises
    ------
    UnknownRulesetError
        If there is neither a ruleset nor a file of that name.
    InputError
        If a field is missing, unknown, of the wrong kind or out of range.

    Examples
    --------
    >>> load_portfolio_rules("paradex-pm").factors.maintenance
    0.5
    """
    if str(path_or_name) in portfolio_rules_names():
        return _shipped(str(path_or_name))
    path = Path(path_or_name)
    if not path.is_file():
        expected = "a JSON file, or one of " + ", ".join(portfolio_rules_names())
        raise UnknownRulesetError("ruleset", str(path_or_name), expected)
    return parse_portfolio_rules(path.read_bytes())


def parse_portfolio_rules(text: bytes | str) -> PortfolioRules:
    """Decode and check a scenario ruleset.

    Parameters
    ----------
    text : bytes or str
        JSON document.

    Returns
    -------
    PortfolioRules
        The ruleset.

    Raises
    ------
    InputError
        If it is no JSON, or a field is missing, unknown, of the wrong kind or out of range.

    Examples
    --------
    >>> parse_portfolio_rules('{"name": "mine"}')
    Traceback (most recent call last):
    models.errors.InputError: title: expected a value: the field is required, was None
    """
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        shown = text[:80] if isinstance(text, str) else text[:80].decode(errors="replace")
        raise InputError("ruleset", shown, f"a JSON object ({error})") from None
    try:
        return msgspec.convert(document, PortfolioRules)
    except msgspec.ValidationError as error:
        raise _explain(error, document) from None


@cache
def _shipped(name: str) -> PortfolioRules:
    return parse_portfolio_rules(files(__package__).joinpath("data", f"{name}.json").read_bytes())


def _explain(error: msgspec.ValidationError, document: Any) -> InputError:
    """Turn a decoder's message into field, value and remedy."""
    message, _, where = str(error).partition(" - at `$")
    path = where.rstrip("`").lstrip(".")
    cause = error.__cause__
    if isinstance(cause, InputError):
        return InputError(".".join(p for p in (path, cause.field) if p), cause.value, cause.expected)
    named = re.search(r"(missing required|unknown) field `(\w+)`", message)
    if named is None:
        return InputError(path or "ruleset", _at(document, path), f"another value ({message})")
    kind, field = named.groups()
    if kind == "unknown":
        return InputError(".".join(p for p in (path, field) if p), field, f"a known field: remove it ({message})")
    return InputError(".".join(p for p in (path, field) if p), None, "a value: the field is required")


def _at(document: Any, path: str) -> Any:
    """Value at a path such as ``grid.prices[2]``."""
    value = document
    for name, index in re.findall(r"(\w+)|\[(\d+)\]", path):
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            return None
    return value
