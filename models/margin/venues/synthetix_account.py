"""Synthetix v3 perpetuals: the state of an account, the keeper's reward, fills against the skew, and funding.

::

    reward = clamp(sum(|q| P * reward ratio) + cost, minimum, maximum), once for the account
    fill = P (1 + (skew + q / 2) / skew scale)
    rate(t) = rate(0) + clamp(skew / skew scale, -1, 1) * maximum velocity * days

An account is liquidated when its available margin is below maintenance and reward together.

References
----------
Synthetix v3 perps market, contracts and tests at commit 23585f7 (2024, MIT); SIP-337 "Perps V3".
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from models.errors import InputError
from models.margin.venues.synthetix import RequiredMargins

__all__ = [
    "AccountMargin",
    "accrued_funding",
    "fill_price",
    "funding_rate",
    "funding_velocity",
    "keeper_reward",
    "margin_account",
]


class AccountMargin(NamedTuple):
    """State of an account, account currency."""

    available: float
    initial: float
    maintenance: float
    reward: float

    @property
    def can_liquidate(self) -> bool:
        """Whether the available margin is below maintenance and reward together."""
        return self.available < self.maintenance + self.reward

    @property
    def withdrawable(self) -> float:
        """What may be taken out: the available margin beyond initial margin and reward."""
        return 0.0 if self.can_liquidate else max(self.available - self.initial - self.reward, 0.0)


def keeper_reward(
    reward: float,
    minimum: float = 0.0,
    maximum: float = inf,
    *,
    cost: float = 0.0,
    profit_ratio: float = 0.0,
    collateral: float = 0.0,
    scaling_ratio: float = inf,
) -> float:
    """Give the reward of the keeper who liquidates an account.

    Parameters
    ----------
    reward : float
        Sum of the rewards of the positions.
    minimum, maximum : float
        Bounds of the reward in account currency.
    cost : float
        Cost of the transaction.
    profit_ratio : float
        Least profit over cost.
    collateral : float
        Value of the collateral, 0 where the account was flagged already.
    scaling_ratio : float
        Largest reward over collateral.

    Returns
    -------
    float
        Account currency.

    Raises
    ------
    InputError
        If a bound is negative.

    Examples
    --------
    >>> keeper_reward(1080.0, 10.0, 1000.0), keeper_reward(2.0, 10.0, 1000.0)
    (1000.0, 10.0)
    """
    if minimum < 0 or maximum < 0:
        raise InputError("minimum", (minimum, maximum), "bounds >= 0")
    least = max(cost + minimum, cost * (1.0 + profit_ratio))
    most = maximum if collateral == 0 else min(collateral * scaling_ratio, maximum)
    return min(max(least, reward + cost), most)


def margin_account(
    collateral: float,
    pnl: float,
    required: Sequence[RequiredMargins],
    minimum_reward: float = 0.0,
    maximum_reward: float = inf,
) -> AccountMargin:
    """Give the state of an account from its collateral and its positions.

    Parameters
    ----------
    collateral : float
        Value of the collateral after discounts, account currency.
    pnl : float
        Unrealised PnL and accrued funding of all positions.
    required : sequence of RequiredMargins
        One for each position.
    minimum_reward, maximum_reward : float
        Bounds of the keeper's reward.

    Returns
    -------
    AccountMargin
        Available, initial and maintenance margin, and the reward margin.

    Examples
    --------
    >>> margin_account(250.0, 0.0, [RequiredMargins(900.0, 450.0, 10.0)]).can_liquidate
    True
    """
    open_positions = [r for r in required if r.initial > 0 or r.reward > 0]
    total = sum(r.reward for r in open_positions)
    reward = keeper_reward(total, minimum_reward, maximum_reward) if open_positions else 0.0
    initial, maintenance = sum(r.initial for r in required), sum(r.maintenance for r in required)
    return AccountMargin(collateral + pnl, initial, maintenance, reward)


def fill_price(skew: float, skew_scale: float, size: float, price: float) -> float:
    """Give the price at which an order fills: the mean of the premium before and after it.

    Parameters
    ----------
    skew : float
        Longs less shorts before the order, base units.
    skew_scale : float
        Base units, > 0; 0 for a market without impact.
    size : float
        Base units of the order, signed.
    price : float
        Oracle price.

    Returns
    -------
    float
        Fill price.

    Examples
    --------
    >>> fill_price(0.0, 100.0, -1.0, 30_000.0)
    29850.0
    """
    return price if skew_scale == 0 else price * (1.0 + (skew + 0.5 * size) / skew_scale)


def funding_velocity(skew: float, skew_scale: float, maximum: float) -> float:
    """Give how fast the funding rate drifts.

    Parameters
    ----------
    skew : float
        Longs less shorts, base units.
    skew_scale : float
        Base units; 0 for a market without drift.
    maximum : float
        Velocity where the skew reaches the scale, a day.

    Returns
    -------
    float
        Change of the daily rate in a day.

    Examples
    --------
    >>> funding_velocity(20.0, 10_000.0, 3.0), funding_velocity(-20_000.0, 10_000.0, 3.0)
    (0.006, -3.0)
    """
    return 0.0 if skew_scale == 0 else min(max(skew / skew_scale, -1.0), 1.0) * maximum


def funding_rate(rate: float, velocity: float, days: float) -> float:
    """Give the funding rate after some time.

    Parameters
    ----------
    rate : float
        Daily rate at the start.
    velocity : float
        From `funding_velocity`.
    days : float
        Time that passed.

    Returns
    -------
    float
        Daily rate, > 0 where longs pay.

    Examples
    --------
    >>> funding_rate(0.0, 0.006, 1.0)
    0.006
    """
    return rate + velocity * days


def accrued_funding(rate_before: float, rate_after: float, size: float, price: float, days: float) -> float:
    """Give what a position owes for funding over some time.

    Parameters
    ----------
    rate_before, rate_after : float
        Daily rates at the start and the end; the rate moves in a straight line between.
    size : float
        Base units, signed.
    price : float
        Oracle price.
    days : float
        Time that passed.

    Returns
    -------
    float
        Account currency, > 0 where it is paid.

    Examples
    --------
    >>> accrued_funding(0.0, 0.006, 20.0, 2_000.0, 1.0)
    120.0
    """
    return 0.5 * (rate_before + rate_after) * days * size * price
