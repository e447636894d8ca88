"""Predict margin calls, and recommend how to avoid them: the public face of the four rooms.

The names below are imported from their rooms when they are first asked for, so that ``import margincast`` stays quick.

Examples
--------
>>> import margincast as mc
>>> panel = mc.simulate_market(("BTC",), days=2)
>>> mc.margin_levels.__module__
'models.margin.levels'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Account": "models.account",
    "Book": "models.book",
    "Collateral": "models.account",
    "Failure": "models.errors",
    "HORIZONS": "models.typing",
    "InputError": "models.errors",
    "MarginCallPredictor": "models.predictor",
    "MargincastError": "models.errors",
    "MarketPanel": "models.market",
    "Policy": "models.rebalance",
    "Position": "models.account",
    "PriorModel": "models.prior",
    "forecast": "features.forecast",
    "load_panel": "features.sources",
    "load_policy": "features.policy",
    "load_ruleset": "models.margin.rulesets",
    "margin_levels": "models.margin.levels",
    "moment_at": "features.moment",
    "parse_target": "models.rebalance",
    "read_accounts": "features.sources.accounts",
    "recommend": "models.rebalance",
    "replay": "models.margin.replay",
    "simulate_market": "features.sources",
    "train": "training.pipeline",
    "write_panel": "features.sources",
}

if TYPE_CHECKING:
    from features.forecast import forecast
    from features.moment import moment_at
    from features.policy import load_policy
    from features.sources import load_panel, simulate_market, write_panel
    from features.sources.accounts import read_accounts
    from models.account import Account, Collateral, Position
    from models.book import Book
    from models.errors import Failure, InputError, MargincastError
    from models.margin.levels import margin_levels
    from models.margin.replay import replay
    from models.margin.rulesets import load_ruleset
    from models.market import MarketPanel
    from models.predictor import MarginCallPredictor
    from models.prior import PriorModel
    from models.rebalance import Policy, parse_target, recommend
    from models.typing import HORIZONS
    from training.pipeline import train

__all__ = [
    "Account",
    "Book",
    "Collateral",
    "Failure",
    "HORIZONS",
    "InputError",
    "MarginCallPredictor",
    "MargincastError",
    "MarketPanel",
    "Policy",
    "Position",
    "PriorModel",
    "__version__",
    "forecast",
    "load_panel",
    "load_policy",
    "load_ruleset",
    "margin_levels",
    "moment_at",
    "parse_target",
    "read_accounts",
    "recommend",
    "replay",
    "simulate_market",
    "train",
    "write_panel",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its room."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
