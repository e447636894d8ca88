"""Rulesets: the margin model of a venue as dated, cited data."""

from models.margin.rulesets.loader import load_ruleset, ruleset_dates, ruleset_names
from models.margin.rulesets.ruleset import Ruleset

__all__ = ["Ruleset", "load_ruleset", "ruleset_dates", "ruleset_names"]
