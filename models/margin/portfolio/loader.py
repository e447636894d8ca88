"""Reads scenario rulesets: those that are shipped, and the user's own files."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from models._decoding import decode_document
from models.errors import UnknownRulesetError
from models.margin.portfolio.rules import PortfolioRules

__all__ = ["keep_portfolio_rules", "load_portfolio_rules", "parse_portfolio_rules", "portfolio_rules_names"]

_OWN: Final[dict[str, PortfolioRules]] = {}


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
    if str(path_or_name) in _OWN:
        return _OWN[str(path_or_name)]
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
    return decode_document(text, PortfolioRules, "ruleset")


def keep_portfolio_rules(rules: PortfolioRules) -> None:
    """Make a user's own scenario ruleset known under its name for this process.

    Parameters
    ----------
    rules : PortfolioRules
        Checked rules.
    """
    _OWN[rules.name] = rules


@cache
def _shipped(name: str) -> PortfolioRules:
    return parse_portfolio_rules(files(__package__).joinpath("data", f"{name}.json").read_bytes())
