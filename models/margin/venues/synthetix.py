"""Synthetix v3 perpetuals: margins that grow with the size of a position relative to the market's skew scale.

For a position of size ``q`` (base units) at price ``P``, with ``s = |q| / skew scale``::

    initial ratio = s * initial fraction + minimum ratio;  maintenance ratio = initial ratio * scalar
    margin = |q| P * ratio + minimum position margin
    discount = clamp(amount / skew scale * scalar, lower, upper)       of collateral

`synthetix_account` adds the keeper's reward and gives the state of an account.

References
----------
Synthetix v3 perps market, contracts and tests at commit 23585f7 (2024, MIT); SIP-337 "Perps V3".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from models.errors import InputError
from models.margin.tiers import TierSchedule
from models.margin.venues._exact import check_range, line

__all__ = [
    "RequiredMargins",
    "SynthetixMarket",
    "collateral_discount",
    "collateral_schedule",
    "initial_rate",
    "maintenance_schedule",
    "required_margins",
]


class SynthetixMarket(Struct, frozen=True, kw_only=True):
    """Margin parameters of a market.

    Parameters
    ----------
    skew_scale : float
        Base units over which size counts, > 0.
    initial_margin_fraction : float
        Added to the ratio for a position as large as the skew scale, in [0, 1e6].
    minimum_initial_margin_ratio : float
        Ratio of the smallest position, in [0, 10].
    maintenance_margin_scalar : float
        Maintenance over initial ratio, in [0, 1].
    liquidation_reward_ratio : float
        Keeper's reward over notional, in [0, 1].
    minimum_position_margin : float
        Constant of every open position, account currency, >= 0.
    """

    skew_scale: float
    initial_margin_fraction: float
    minimum_initial_margin_ratio: float
    maintenance_margin_scalar: float
    liquidation_reward_ratio: float = 0.0
    minimum_position_margin: float = 0.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        check_range("skew_scale", self.skew_scale, 1e-12, 1e30)
        check_range("initial_margin_fraction", self.initial_margin_fraction, 0.0, 1e6)
        check_range("minimum_initial_margin_ratio", self.minimum_initial_margin_ratio, 0.0, 10.0)
        check_range("maintenance_margin_scalar", self.maintenance_margin_scalar, 0.0, 1.0)
        check_range("liquidation_reward_ratio", self.liquidation_reward_ratio, 0.0, 1.0)
        check_range("minimum_position_margin", self.minimum_position_margin, 0.0, 1e12)


class RequiredMargins(NamedTuple):
    """What one position requires, account currency; the reward before it is clamped."""

    initial: float
    maintenance: float
    reward: float


def required_margins(market: SynthetixMarket, size: float, price: float) -> RequiredMargins:
    """Give what one position requires.

    Parameters
    ----------
    market : SynthetixMarket
        Parameters of the market.
    size : float
        Base units, signed.
    price : float
        Oracle price, >= 0.

    Returns
    -------
    RequiredMargins
        All zero where the size is.

    Raises
    ------
    InputError
        If the price is negative or not a number.

    Examples
    --------
    >>> market = SynthetixMarket(skew_scale=1000, initial_margin_fraction=2, minimum_initial_margin_ratio=0.01,
    ...                          maintenance_margin_scalar=0.5, minimum_position_margin=500)
    >>> required_margins(market, 20, 2000.0)
    RequiredMargins(initial=2500.0, maintenance=1500.0, reward=0.0)
    """
    if not price >= 0:
        raise InputError("price", price, "a price >= 0")
    if size == 0:
        return RequiredMargins(0.0, 0.0, 0.0)
    ratio = abs(size) / market.skew_scale * market.initial_margin_fraction + market.minimum_initial_margin_ratio
    notional, least = abs(size) * price, market.minimum_position_margin
    maintenance = notional * ratio * market.maintenance_margin_scalar + least
    return RequiredMargins(notional * ratio + least, maintenance, notional * market.liquidation_reward_ratio)


def collateral_discount(amount: float, skew_scale: float, scalar: float, lower: float, upper: float) -> float:
    """Give the discount on collateral, which grows with the amount.

    Parameters
    ----------
    amount : float
        Units of the asset, >= 0.
    skew_scale : float
        Skew scale of its spot market; 0 for no discount.
    scalar : float
        Multiplies the share of the scale.
    lower, upper : float
        Bounds of the discount, ``0 <= lower <= upper <= 1``.

    Returns
    -------
    float
        Fraction of the value that does not count.

    Raises
    ------
    InputError
        If the bounds are not as described.

    Examples
    --------
    >>> collateral_discount(10.0, 1000.0, 5.0, 0.02, 0.2)
    0.05
    """
    if not 0 <= lower <= upper <= 1:
        raise InputError("lower", (lower, upper), "0 <= lower <= upper <= 1")
    return 0.0 if skew_scale == 0 else min(max(amount / skew_scale * scalar, lower), upper)


def maintenance_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give maintenance and reward margin as a function of notional for a position of this size.

    The minimum position margin and the least reward are constants. The cap of the reward is left out, so that the
    schedule stays convex: where the reward ratio times notional exceeds the cap, the schedule lies above the rule.
    The least reward counts for each position here and once for an account: with several positions it is a bound too.

    Parameters
    ----------
    parameters : mapping
        The fields of `SynthetixMarket`, and ``minimum_reward`` (default 0).
    quantity : float
        Base units, signed.

    Returns
    -------
    TierSchedule
        One slice, two where there is a least reward.

    Examples
    --------
    >>> rule = {"skew_scale": 1000.0, "initial_margin_fraction": 2.0, "minimum_initial_margin_ratio": 0.01,
    ...         "maintenance_margin_scalar": 0.5, "minimum_position_margin": 500.0}
    >>> round(float(maintenance_schedule(rule, 20.0)(40_000.0)), 9)
    1500.0
    """
    market = _market(parameters)
    rate = _ratio(market, quantity) * market.maintenance_margin_scalar
    constant, slope = market.minimum_position_margin, market.liquidation_reward_ratio
    least = parameters.get("minimum_reward", 0.0)
    if quantity == 0:
        return line([(0.0, 0.0, 0.0)])
    if least == 0 or slope == 0:
        return line([(0.0, rate + slope, constant + least)])
    return line([(0.0, rate, constant + least), (least / slope, rate + slope, constant)])


def initial_rate(parameters: Mapping[str, float], quantity: float) -> float:
    """Give initial margin and reward margin over notional, without the constants.

    Parameters
    ----------
    parameters : mapping
        As in `maintenance_schedule`.
    quantity : float
        Base units, signed.

    Returns
    -------
    float
        The rate.

    Examples
    --------
    >>> rule = {"skew_scale": 1000.0, "initial_margin_fraction": 2.0, "minimum_initial_margin_ratio": 0.01,
    ...         "maintenance_margin_scalar": 0.5, "liquidation_reward_ratio": 0.05}
    >>> round(initial_rate(rule, -20.0), 12)
    0.1
    """
    market = _market(parameters)
    return _ratio(market, quantity) + market.liquidation_reward_ratio


def collateral_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give what collateral counts for: its value less the discount at this amount.

    Parameters
    ----------
    parameters : mapping
        ``collateral_skew_scale`` (0 or absent: no discount), ``discount_scalar``, ``lower_discount``,
        ``upper_discount``.
    quantity : float
        Units of the asset held.

    Returns
    -------
    TierSchedule
        One slice.

    Examples
    --------
    >>> rule = {"collateral_skew_scale": 1000.0, "discount_scalar": 5.0, "lower_discount": 0.02, "upper_discount": 0.2}
    >>> float(collateral_schedule(rule, 10.0)(1_000.0))
    950.0
    """
    scale = parameters.get("collateral_skew_scale", 0.0)
    bounds = parameters.get("lower_discount", 0.0), parameters.get("upper_discount", 1.0)
    cut = collateral_discount(abs(quantity), scale, parameters.get("discount_scalar", 0.0), *bounds)
    return line([(0.0, 1.0 - cut, 0.0)])


def _ratio(market: SynthetixMarket, quantity: float) -> float:
    return abs(quantity) / market.skew_scale * market.initial_margin_fraction + market.minimum_initial_margin_ratio


def _market(parameters: Mapping[str, float]) -> SynthetixMarket:
    known = {k: parameters[k] for k in SynthetixMarket.__struct_fields__ if k in parameters}
    missing = {"skew_scale", "initial_margin_fraction", "minimum_initial_margin_ratio", "maintenance_margin_scalar"}
    if missing - known.keys():
        raise InputError("parameters", sorted(known), "also " + ", ".join(sorted(missing - known.keys())))
    return SynthetixMarket(**known)
