"""What a desk wants to be told: thresholds, and how many alerts an hour."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from models.errors import InputError
from models.rebalance import Target, parse_target
from models.rebalance.checked import Amount, Checked, Share

__all__ = ["SEVERITIES", "AlertRules"]

SEVERITIES: Final = ("none", "info", "warning", "critical", "emergency")
"""By level, in rising order."""


class AlertRules(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a desk is alerted.

    Parameters
    ----------
    target : str
        PROBABILITY@MINUTES: a P(call) above it is a warning.
    critical_probability : float
        P(call) at that horizon above which it is critical, in (0, 1].
    clear_ratio : float
        An alert ends when P falls below this share of its threshold, in (0, 1]; the last safe minute must be as far
        beyond its own.
    level_clear : float
        A level alert ends when equity exceeds the initial requirement by this share of it, in [0, 10].
    lag_minutes : float
        How long the fastest route takes, in [0, 10080], for accounts that no route of a policy leads to.
    warn_minutes : float
        A last safe minute nearer than this is a warning, in [0, 10080]; one that is gone is critical.
    cover_low, cover_high : float or None
        Equity over initial requirement outside of these is a drift of the collateral away from the exposure, >= 0;
        None: not looked at.
    cover_clear : float
        It must be back inside by this share, in [0, 1).
    rule_change_days : float
        How many days ahead announced rules are looked at, in [0, 90]; 0: not at all.
    rule_change_near : float
        Under them an account is near a call where equity exceeds the call requirement by no more than this share of it,
        in [0, 10].
    budget_per_hour : int
        Alerts told one by one within an hour, in [0, 100000]; the others are stored and told together.

    Raises
    ------
    InputError
        If a value is outside its range, or the two ends of the cover are not in order.

    Examples
    --------
    >>> AlertRules(target="0.05@240").goal.column
    1
    """

    target: str = "0.01@1440"
    critical_probability: Share = 0.2
    clear_ratio: Share = 0.5
    level_clear: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.02
    lag_minutes: Annotated[float, Meta(ge=0.0, le=10_080.0)] = 30.0
    warn_minutes: Annotated[float, Meta(ge=0.0, le=10_080.0)] = 120.0
    cover_low: Amount | None = None
    cover_high: Amount | None = None
    cover_clear: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.05
    rule_change_days: Annotated[float, Meta(ge=0.0, le=90.0)] = 7.0
    rule_change_near: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.1
    budget_per_hour: Annotated[int, Meta(ge=0, le=100_000)] = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.critical_probability <= self.goal.probability:
            expected = f"more than the target's {self.goal.probability:g}"
            raise InputError("critical_probability", self.critical_probability, expected)
        if self.cover_low is not None and self.cover_high is not None and self.cover_low >= self.cover_high:
            raise InputError("cover_low", self.cover_low, f"less than cover_high, {self.cover_high:g}")

    @property
    def goal(self) -> Target:
        """The target as a value."""
        return parse_target(self.target)
