"""dYdX v4: the risk of a subaccount, which updates it may take, and the funding it has received.

A subaccount may be liquidated when ``MMR > 0`` and its net collateral is below MMR. One that is not collateralised
after an update may only become less risky: net collateral over MMR must not fall, nothing may add to MMR, and
without any MMR net collateral must rise.

References
----------
dYdX v4 chain, lib/margin, x/subaccounts and x/perpetuals at 84d4664b (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from models.margin.venues.dydx import PPM, LiquidityTier, initial_margin, maintenance_margin

__all__ = [
    "Risk",
    "compare_risk",
    "funding_settlement_ppm",
    "position_risk",
    "settle_funding",
    "subaccount_risk",
    "update_result",
]


UpdateResult = Literal["Success", "NewlyUndercollateralized", "StillUndercollateralized"]


class Risk(NamedTuple):
    """Net collateral and requirements, quote quantums."""

    net_collateral: int
    initial: int
    maintenance: int

    @property
    def is_initial_collateralized(self) -> bool:
        """Whether new risk may be taken."""
        return self.net_collateral >= self.initial

    @property
    def is_maintenance_collateralized(self) -> bool:
        """Whether net collateral reaches the maintenance requirement."""
        return self.net_collateral >= self.maintenance

    @property
    def is_liquidatable(self) -> bool:
        """Whether there is a requirement and net collateral is below it."""
        return self.maintenance > 0 and self.net_collateral < self.maintenance


def position_risk(
    tier: LiquidityTier, notional: int, open_interest: int = 0, quote_balance: int = 0, custom_imf_ppm: int = 0
) -> Risk:
    """Give what one position adds to a subaccount.

    Parameters
    ----------
    tier : LiquidityTier
        Parameters of the market.
    notional : int
        Quote quantums, signed.
    open_interest : int
        Notional of the open interest, quote quantums.
    quote_balance : int
        Quote quantums that belong to the position.
    custom_imf_ppm : int
        As in `initial_margin`.

    Returns
    -------
    Risk
        Quote quantums.

    Examples
    --------
    >>> position_risk(LiquidityTier(100_000, 500_000), -5_000)
    Risk(net_collateral=-5000, initial=500, maintenance=250)
    """
    initial = initial_margin(tier, notional, open_interest, custom_imf_ppm)
    return Risk(notional + quote_balance, initial, maintenance_margin(tier, notional))


def subaccount_risk(quote: int, positions: Iterable[Risk]) -> Risk:
    """Add positions and USDC up to the risk of a subaccount.

    Parameters
    ----------
    quote : int
        USDC in quote quantums, negative where it is owed.
    positions : iterable of Risk
        One for each position.

    Returns
    -------
    Risk
        Quote quantums.

    Examples
    --------
    >>> subaccount_risk(100, [position_risk(LiquidityTier(100_000, 500_000), 10_000)])
    Risk(net_collateral=10100, initial=1000, maintenance=500)
    """
    rows = list(positions)
    return Risk(quote + sum(r[0] for r in rows), sum(r[1] for r in rows), sum(r[2] for r in rows))


def compare_risk(first: Risk, second: Risk) -> int:
    """Compare net collateral over maintenance; on equal ratios the larger requirement is riskier.

    Parameters
    ----------
    first, second : Risk
        Two states; their initial requirement is not used.

    Returns
    -------
    int
        -1 where the first is less risky, 0 for the same risk, 1 where it is riskier.

    Examples
    --------
    >>> compare_risk(Risk(100, 0, 50), Risk(100, 0, 100)), compare_risk(Risk(100, 0, 50), Risk(200, 0, 100))
    (-1, -1)
    """
    mine, other = first.net_collateral * second.maintenance, second.net_collateral * first.maintenance
    if mine != other:
        return _sign(other - mine)
    if first.maintenance == 0 and second.maintenance == 0:
        return _sign(second.net_collateral - first.net_collateral)
    return _sign(first.maintenance - second.maintenance)


def update_result(before: Risk, after: Risk, *, is_undercollateralized: bool | None = None) -> UpdateResult:
    """Say whether an update of a subaccount is allowed.

    Parameters
    ----------
    before, after : Risk
        The subaccount without and with the update.
    is_undercollateralized : bool, optional
        Whether it is after the update; found from `after` where it is not given.

    Returns
    -------
    str
        ``"Success"``, or why not.

    Examples
    --------
    >>> update_result(Risk(-2, 1, 1), Risk(-1, 1, 1)), update_result(Risk(5, 1, 1), Risk(-1, 1, 1))
    ('Success', 'NewlyUndercollateralized')
    """
    short = not after.is_initial_collateralized if is_undercollateralized is None else is_undercollateralized
    if not short or _improves(before, after):
        return "Success"
    return "NewlyUndercollateralized" if before.is_initial_collateralized else "StillUndercollateralized"


def funding_settlement_ppm(index: int, position_index: int, quantums: int) -> int:
    """Give the funding that a position has received since its last settlement.

    Parameters
    ----------
    index, position_index : int
        Funding index of the market now and at the last settlement, millionths of a quote quantum per base quantum.
    quantums : int
        Base quantums, signed.

    Returns
    -------
    int
        Millionths of a quote quantum, < 0 where it is paid.

    Examples
    --------
    >>> funding_settlement_ppm(100, -100, 30_000)
    -6000000
    """
    return (position_index - index) * quantums


def settle_funding(settlements_ppm: Iterable[int]) -> int:
    """Give the change of USDC when funding is settled: the sum over positions, rounded down.

    Parameters
    ----------
    settlements_ppm : iterable of int
        From `funding_settlement_ppm`.

    Returns
    -------
    int
        Quote quantums.

    Examples
    --------
    >>> settle_funding([-1])
    -1
    """
    return sum(settlements_ppm) // PPM


def _improves(before: Risk, after: Risk) -> bool:
    if after.maintenance > before.maintenance:
        return False
    if after.maintenance == 0 or before.maintenance == 0:
        return after.maintenance == before.maintenance and after.net_collateral > before.net_collateral
    return compare_risk(after, before) <= 0


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)
