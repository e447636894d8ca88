"""Credit support annexes in plans: what is due now, and in which steps collateral moves."""

from __future__ import annotations

from dataclasses import dataclass

from models.instrument import parse_symbol
from models.margin.csa import CsaOutcome, PostedCollateral, credit_support
from models.margin.csa import round_amount as round_transfer
from models.margin.csa.terms import Direction
from models.rebalance.weights import Weights

__all__ = ["Grid", "delivery_grid", "due", "return_grid"]

_SNAP = 1e-9


@dataclass(frozen=True, slots=True)
class Grid:
    """Amounts in which something moves.

    Parameters
    ----------
    step : float
        Amounts are multiples of it, 0 where any amount will do.
    smallest : float
        Smallest amount that moves.
    per_unit : float
        Amounts are counted in so many for one unit of the asset: 1, or the value that an agreement gives it.

    Examples
    --------
    >>> grid = Grid(step=10_000.0, smallest=50_000.0, per_unit=0.8)
    >>> grid.up(1.0), grid.up(70_000.0), grid.down(70_000.0), grid.down(62_000.0)
    (62500.0, 75000.0, 62500.0, 0.0)
    """

    step: float = 0.0
    smallest: float = 0.0
    per_unit: float = 1.0

    def up(self, amount: float) -> float:
        """Smallest amount of the grid that is not below, units of the asset."""
        return self._on_step(max(amount * self.per_unit, self.smallest), "up") / self.per_unit

    def down(self, amount: float) -> float:
        """Largest amount of the grid that is not above; 0 where that is too small to move."""
        value = self._on_step(amount * self.per_unit, "down")
        return value / self.per_unit if value >= self.smallest * (1.0 - _SNAP) else 0.0

    def _on_step(self, value: float, direction: Direction) -> float:
        if self.step <= 0:
            return value
        return float(f"{round_transfer(value, self.step, direction):.12g}")


def due(weights: Weights) -> CsaOutcome | None:
    """What is due between the parties now.

    Parameters
    ----------
    weights : Weights
        An account with its prices.

    Returns
    -------
    CsaOutcome or None
        In account currency; None where the account has no agreement.
    """
    account, terms = weights.account, weights.account.csa
    if terms is None:
        return None
    exposure = 0.0
    for position in account.positions:
        price = weights.quotes.dollar(parse_symbol(position.symbol).base)
        exposure -= position.quantity * (price - position.entry_price)
    counted = [(item.asset, weights.counted(item.asset, item.quantity)) for item in account.collateral]
    posted = [PostedCollateral(asset=name, market_value=value, haircut=0.0) for name, value in counted if value > 0]
    return credit_support(exposure - sum(value for _, value in counted if value < 0), terms, posted)


def delivery_grid(weights: Weights, asset: str) -> Grid | None:
    """Steps in which an asset is delivered under the account's agreement: never less than what is due.

    Parameters
    ----------
    weights : Weights
        An account with its prices.
    asset : str
        What is delivered.

    Returns
    -------
    Grid or None
        None where the account has no agreement.
    """
    terms, outcome = weights.account.csa, due(weights)
    if terms is None or outcome is None:
        return None
    least = outcome.amount if outcome.action == "CALL" else terms.party.effective_transfer_amount
    return Grid(terms.rounding.delivery_increment or 0.0, least, weights.counted(asset, 1.0))


def return_grid(weights: Weights, asset: str) -> Grid | None:
    """Steps in which an asset is returned under the account's agreement.

    Parameters
    ----------
    weights : Weights
        An account with its prices.
    asset : str
        What is returned.

    Returns
    -------
    Grid or None
        None where the account has no agreement.
    """
    terms = weights.account.csa
    if terms is None:
        return None
    least = terms.counterparty.effective_transfer_amount
    return Grid(terms.rounding.return_increment or 0.0, least, weights.counted(asset, 1.0))
