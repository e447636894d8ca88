"""A whole desk at once: many accounts, assets and routes that share one inventory.

`recommend_desk` takes accounts and a `models.rebalance.Policy` with places and routes, and gives a `DeskPlan`: what to
send from where to whom, at the lowest cost and expected loss, within every limit; with a bound of how much better any
plan could be, shadow prices, what binds where the target cannot be reached, and a certificate by the exact engine.
`DeskRun.weigh` makes a plan without a target: what saves more than it costs, and cannot wait for the next decision.
"""

from models.rebalance.joint.instructions import Instruction, instructions_of
from models.rebalance.joint.plan import (
    AccountOutcome,
    Certificate,
    DeskPlan,
    FrontPoint,
    Relaxation,
    Risk,
    TradeStep,
    Transfer,
)
from models.rebalance.joint.recommend import recommend_desk
from models.rebalance.joint.run import DeskRun
from models.rebalance.joint.waiting import Weighing

__all__ = [
    "AccountOutcome",
    "Certificate",
    "DeskPlan",
    "DeskRun",
    "FrontPoint",
    "Instruction",
    "Relaxation",
    "Risk",
    "TradeStep",
    "Transfer",
    "Weighing",
    "instructions_of",
    "recommend_desk",
]
