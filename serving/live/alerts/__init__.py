"""When to tell a desk: rules, hysteresis, one open alert of a kind for each account, a budget."""

from serving.live.alerts.announced import Announced, measure_announced
from serving.live.alerts.budget import within_budget
from serving.live.alerts.measures import KINDS, Measure, measure
from serving.live.alerts.rules import SEVERITIES, AlertRules
from serving.live.alerts.steps import Raised, Standing, steps

__all__ = [
    "KINDS",
    "SEVERITIES",
    "AlertRules",
    "Announced",
    "Measure",
    "Raised",
    "Standing",
    "measure",
    "measure_announced",
    "steps",
    "within_budget",
]
