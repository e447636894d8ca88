"""Portfolio margin by scenarios: one engine, and every venue's rule as data."""

from models.margin.portfolio._kernel import scenario_margin as scenario_margin_kernel
from models.margin.portfolio.engine import ScenarioMargin, min_delta, scenario_margin
from models.margin.portfolio.holdings import Expiry, Holdings, block_holdings
from models.margin.portfolio.loader import load_portfolio_rules, parse_portfolio_rules, portfolio_rules_names
from models.margin.portfolio.packing import pack_rules
from models.margin.portfolio.pmrm import BaseCollateral, NetMargin, PmrmAccount, net_margin
from models.margin.portfolio.rules import PortfolioRules, portfolio_rules_schema

__all__ = [
    "BaseCollateral",
    "Expiry",
    "Holdings",
    "NetMargin",
    "PmrmAccount",
    "PortfolioRules",
    "ScenarioMargin",
    "block_holdings",
    "load_portfolio_rules",
    "min_delta",
    "net_margin",
    "pack_rules",
    "parse_portfolio_rules",
    "portfolio_rules_names",
    "portfolio_rules_schema",
    "scenario_margin",
    "scenario_margin_kernel",
]
