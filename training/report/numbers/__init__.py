"""The numbers that a report draws, beyond those of ``metrics.json``."""

from training.report.numbers.alerts import alert_curve, caught_by_lead
from training.report.numbers.decomposition import Decomposition, decompose
from training.report.numbers.drift import monthly_novelty, stability
from training.report.numbers.fan import Case, crash_cases
from training.report.numbers.reliability import Reliability, reliability_curve
from training.report.numbers.weeks import cumulative_gain, monthly_ratio

__all__ = [
    "Case",
    "Decomposition",
    "Reliability",
    "alert_curve",
    "caught_by_lead",
    "crash_cases",
    "cumulative_gain",
    "decompose",
    "monthly_novelty",
    "monthly_ratio",
    "reliability_curve",
    "stability",
]
