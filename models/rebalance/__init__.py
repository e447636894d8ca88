"""What would save an account: the smallest single action that brings P(call) under a target.

One account and one `Target` give a `Recommendation`: the smallest top-up in each eligible asset, the smallest
repayment of each debt and the smallest reduction of each position, each of them enough on its own, found on the full
predictor and re-priced by the margin engine; or, where there is more collateral than needed, what can be released.
Accounts of every margin regime take the same path: amounts are in account currency, coin-margined positions are reduced
in dollars of contract value, options are bought back at their mark, and collateral under a credit support annex moves
in the amounts of the agreement, or is exchanged for what is cheaper to post.
"""

from models.rebalance.hours import Hours
from models.rebalance.limits import CollateralLine, Eligibility, RiskLimits
from models.rebalance.places import Place, Route
from models.rebalance.plan import Action, Levels, Plan, Recommendation, Substituted, Unreachable, last_safe_minute
from models.rebalance.policy import AssetRule, Policy, SymbolRule, policy_from_mapping, policy_schema
from models.rebalance.recommend import recommend
from models.rebalance.substitution import Substitution
from models.rebalance.target import Target, parse_target
from models.rebalance.trades import Hedge, Swap, Unwind

__all__ = [
    "Action",
    "AssetRule",
    "CollateralLine",
    "Eligibility",
    "Hedge",
    "Hours",
    "Levels",
    "Place",
    "Plan",
    "Policy",
    "Recommendation",
    "RiskLimits",
    "Route",
    "Substituted",
    "Substitution",
    "Swap",
    "SymbolRule",
    "Target",
    "Unreachable",
    "Unwind",
    "last_safe_minute",
    "parse_target",
    "policy_from_mapping",
    "policy_schema",
    "recommend",
]
