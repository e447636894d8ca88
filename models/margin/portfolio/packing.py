"""Scenario rules as one flat row of numbers, as the kernel reads them."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from models.errors import InputError
from models.margin.portfolio.rules import PortfolioRules
from models.margin.portfolio.valuation import window_years
from models.typing import FloatArray

__all__ = ["FIELDS", "POINT_SIZE", "VOL_CODES", "pack_rules"]

FIELDS: Final = (
    "coin",
    "window",
    "vol_absolute",
    "vol_up",
    "vol_down",
    "vol_short_power",
    "vol_long_power",
    "vol_split_days",
    "vol_reference_days",
    "vol_floor_days",
    "vol_least_up",
    "skew_linear_cap",
    "skew_linear_slope",
    "skew_absolute_cap",
    "skew_absolute_slope",
    "skew_least_wing",
    "skew_width",
    "skew_vol_static",
    "skew_vol_slope",
    "has_discount",
    "discount_long_factor",
    "discount_long_multiple",
    "discount_long_add",
    "discount_short_factor",
    "discount_short_multiple",
    "discount_short_add",
    "has_basis",
    "basis_up",
    "basis_down",
    "basis_add",
    "basis_multiple",
    "roll_annualised",
    "roll_least",
    "delta_shock_threshold",
    "delta_shock_slope",
    "delta_shock_cap",
    "vega_hedged",
    "rate_move",
    "minimum_net_delta",
    "minimum_hedged_delta",
    "minimum_linear",
    "minimum_short_option",
    "rates_perpetual_maintenance",
    "rates_perpetual_initial",
    "rates_option_maintenance",
    "rates_option_initial",
    "rates_provision",
    "factors_maintenance",
    "factors_initial",
    "needs_delta",
    "n_points",
    "n_tiers",
)
"""What the first places of a row hold; scenarios follow, then tiers (upper bound, multiplier)."""

POINT_SIZE: Final = 6
"""Numbers of one scenario: price, volatility code, weight, hours, edge, dampener."""
VOL_CODES: Final = {"none": 0.0, "up": 1.0, "down": 2.0, "linear": 3.0, "absolute": 4.0}
_GROUPS: Final = (
    "vol",
    "skew",
    "discount",
    "basis",
    "roll",
    "delta_shock",
    "vega",
    "rate",
    "minimum",
    "rates",
    "factors",
)


def pack_rules(rules: PortfolioRules) -> FloatArray:
    """Lay a ruleset out as the kernel reads it.

    Parameters
    ----------
    rules : PortfolioRules
        The ruleset. What concerns a whole account (offset, confidence, peg) is left out.

    Returns
    -------
    ndarray
        The numbers of `FIELDS`, then six of each scenario, then two of each tier.

    Raises
    ------
    InputError
        If a skew scenario lets time pass, which no rule does.

    Examples
    --------
    >>> from models.margin.portfolio.loader import load_portfolio_rules
    >>> row = pack_rules(load_portfolio_rules("paradex-pm"))
    >>> len(row) == len(FIELDS) + 24 * POINT_SIZE
    True
    """
    points = rules.points()
    for k, point in enumerate(points):
        if VOL_CODES[point.vol] >= VOL_CODES["linear"] and point.hours > 0.0:
            raise InputError(f"scenarios[{k}].hours", point.hours, "0 hours in a scenario that moves the skew")
    tiers = rules.minimum.tiers if rules.minimum is not None else ()
    special = {
        "coin": float(rules.settlement == "coin"),
        "window": window_years(rules),
        "vol_absolute": float(rules.vol.kind == "absolute"),
        "has_discount": float(rules.discount is not None),
        "has_basis": float(rules.basis is not None),
        "needs_delta": float(any((rules.roll, rules.delta_shock, rules.vega, rules.minimum))),
        "n_points": float(len(points)),
        "n_tiers": float(len(tiers)),
    }
    head = [special[name] if name in special else _number(rules, name) for name in FIELDS]
    rows = [[p.price, VOL_CODES[p.vol], p.weight, p.hours, p.edge, p.dampener] for p in points]
    ends = [[math.inf if bound is None else bound, multiplier] for bound, multiplier in tiers]
    return np.array([*head, *np.ravel(rows).tolist(), *np.ravel(ends).tolist()], np.float64)


def _number(rules: PortfolioRules, name: str) -> float:
    """Value of a field such as ``roll_least``, 0 where the rule has no such part."""
    group = next(g for g in _GROUPS if name.startswith(g + "_"))
    part: Any = getattr(rules, group)
    return 0.0 if part is None else float(getattr(part, name[len(group) + 1 :]))
