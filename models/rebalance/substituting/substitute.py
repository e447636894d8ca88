"""What is delivered in place of posted collateral: how much of it, what that costs, and what it saves."""

from __future__ import annotations

from dataclasses import dataclass

from models.rebalance.agreement import Grid
from models.rebalance.places import Route
from models.rebalance.steps import slippage
from models.rebalance.substituting.timing import Timing
from models.rebalance.substitution import Substitution

__all__ = ["Substitute"]


@dataclass(frozen=True, slots=True)
class Substitute:
    """One substitute on its way to an agreement; money is in the currency of the account.

    Parameters
    ----------
    rule : Substitution
        The policy's rule.
    route : Route
        The way of the substitute.
    asset : str
        The substitute.
    price : float
        One unit of it.
    each : float
        Units of it that count for as much as one unit of what is asked back.
    grids : tuple of Grid
        Steps that it is delivered in: of the agreement, then of route and asset.
    most : float
        Most units of it, on these steps.
    flat_fee : float
        Fee of one transfer, units of it.
    dollar : float
        Dollars for one unit of account currency.
    saved : float
        What having one unit of what is asked back is worth until the end of the holding time.
    holds : float
        What one unit of the substitute costs over the holding time.
    days : float
        The holding time.
    timing : Timing
        When it is sent, arrives, and brings back what it replaces.
    """

    rule: Substitution
    route: Route
    asset: str
    price: float
    each: float
    grids: tuple[Grid, ...]
    most: float
    flat_fee: float
    dollar: float
    saved: float
    holds: float
    days: float
    timing: Timing

    def needs(self, amount: float) -> float:
        """Units to deliver for so many units asked back: worth no less, and on the steps."""
        if amount <= 0:
            return 0.0
        units = amount * self.each
        for grid in self.grids:
            units = grid.up(units)
        return min(units, self.most)

    def whole(self, amount: float) -> float:
        """Units asked back for which no more is delivered than they are worth: those of the last full step."""
        units = amount * self.each
        for grid in reversed(self.grids):
            units = grid.down(units)
        return units / self.each

    def fee(self, amount: float) -> float:
        """Cost of the exchange for so many units asked back: transfer, slippage, booking; account currency."""
        value = self.needs(amount) * self.price
        lost = slippage(self.route.impact, value * self.dollar) + self.route.gas + self.rule.cost
        return self.flat_fee * self.price + self.route.fee_rate * value + lost / self.dollar

    def saves(self, amount: float) -> float:
        """What an exchange saves over the holding time, after its cost; account currency, < 0 where it costs."""
        return amount * self.saved - self.needs(amount) * self.holds - self.fee(amount)
