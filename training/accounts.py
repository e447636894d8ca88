"""The accounts that a training or an evaluation runs on where none are given."""

from __future__ import annotations

from typing import Final

from models.errors import UnknownRulesetError
from models.margin.rulesets import ruleset_names
from models.market import MarketPanel
from models.typing import IntArray
from training.population import Population, sample_mixed, sample_population

__all__ = ["MIXED", "draw_accounts"]

MIXED: Final = "mixed"
"""In place of a ruleset: accounts of every regime, each under a ruleset of its own."""


def draw_accounts(panel: MarketPanel, ruleset: str, instants: IntArray, per_instant: int, seed: int) -> Population:
    """Sample accounts under one ruleset, or of every regime.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    ruleset : str
        Name of a ruleset of linear contracts, or ``"mixed"``.
    instants : ndarray of int64
        Nanoseconds UTC, strictly rising.
    per_instant : int
        Most accounts of one instant.
    seed : int
        Seed of every draw.

    Returns
    -------
    Population
        Accounts ordered by instant.

    Raises
    ------
    UnknownRulesetError
        If there is no such ruleset.
    """
    if ruleset == MIXED:
        return sample_mixed(panel, instants, per_instant, seed)
    if ruleset not in ruleset_names():
        expected = f"{MIXED!r} (accounts of every regime), or one of " + ", ".join(ruleset_names())
        raise UnknownRulesetError("ruleset", ruleset, expected)
    return sample_population(panel, ruleset, instants, per_instant, seed)
