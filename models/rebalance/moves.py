"""Moves: one kind of action on one asset or position, with its price and the amounts it comes in."""

from __future__ import annotations

from dataclasses import dataclass

from models.rebalance.agreement import Grid
from models.rebalance.closing import Closing, closing_of
from models.rebalance.plan import Kind
from models.rebalance.policy import AssetRule
from models.rebalance.weights import Weights

__all__ = ["Move", "reduce_move", "round_amount", "transfer_move"]


@dataclass(frozen=True, slots=True)
class Move:
    """One kind of action on one asset or position, its amount still open.

    Parameters
    ----------
    kind : {"top_up", "add_margin", "repay", "reduce", "release"}
        The action.
    asset : str
        What moves; for ``"reduce"`` what the position's quantity counts.
    position : int
        Index of the position in the account, -1 for the cross wallet.
    symbol : str or None
        Symbol of the position.
    price : float
        Present price of one unit of `asset` in account currency; of an option its premium.
    limit : float
        Largest amount, units of `asset`.
    step : float
        Amounts are multiples of it, 0 where any amount will do.
    smallest : float
        Smallest amount allowed.
    fee_rate : float
        Fee per unit of value traded.
    flat_fee : float
        Fee of one transfer, units of `asset`.
    currency : str
        Account currency.
    dollar : float
        Dollars for one unit of account currency.
    agreed : Grid or None
        Steps of the account's credit support annex, in counted value; they go before `step`.
    closing : Closing or None
        What closing one unit does, for ``"reduce"``.
    """

    kind: Kind
    asset: str
    position: int
    symbol: str | None
    price: float
    limit: float
    step: float = 0.0
    smallest: float = 0.0
    fee_rate: float = 0.0
    flat_fee: float = 0.0
    currency: str = ""
    dollar: float = 1.0
    agreed: Grid | None = None
    closing: Closing | None = None

    @property
    def tag(self) -> str:
        """What moves, in words for a sentence."""
        return self.symbol or self.asset

    @property
    def grids(self) -> tuple[Grid, ...]:
        """Steps to round to, one after the other."""
        own = Grid(self.step, self.smallest)
        return (own,) if self.agreed is None else (self.agreed, own)

    def fee(self, amount: float) -> float:
        """Fee in account currency."""
        return self.flat_fee * self.price + self.fee_rate * amount * self.price


def round_amount(amount: float, move: Move) -> float:
    """Round to the move's step: up for what is needed, down for a release.

    Parameters
    ----------
    amount : float
        Amount found by the search.
    move : Move
        Its step, smallest and largest amount.

    Returns
    -------
    float
        A multiple of the step within [smallest, limit]; 0 where a release is below the smallest.

    Examples
    --------
    >>> move = Move("top_up", "USDT", -1, None, 1.0, 1000.0, step=10.0, smallest=50.0)
    >>> round_amount(101.0, move), round_amount(3.0, move)
    (110.0, 50.0)
    """
    if move.kind == "release":
        for grid in move.grids:
            amount = grid.down(amount)
        return amount
    for grid in move.grids:
        amount = grid.up(amount)
    return min(amount, move.limit)


def transfer_move(
    kind: Kind,
    asset: str,
    weights: Weights,
    limit: float,
    rule: AssetRule,
    position: tuple[int, str | None] = (-1, None),
    agreed: Grid | None = None,
) -> Move:
    """Build a move of collateral from the policy's rule for its asset.

    Parameters
    ----------
    kind : {"top_up", "add_margin", "repay", "release"}
        The action.
    asset : str
        What moves.
    weights : Weights
        The account with its prices.
    limit : float
        Largest amount that makes sense; the rule's cap applies to what is added.
    rule : AssetRule
        Steps, smallest amount and fee.
    position : tuple of int and str or None
        Index and symbol of the isolated position, for ``"add_margin"``.
    agreed : Grid, optional
        Steps of the account's credit support annex.

    Returns
    -------
    Move
        The move.
    """
    quotes = weights.quotes
    most = limit if rule.cap is None or kind == "release" else min(limit, rule.cap)
    return Move(
        kind,
        asset,
        *position,
        quotes.own(asset),
        most,
        rule.step,
        rule.min_transfer,
        0.0,
        rule.fee,
        quotes.currency,
        quotes.dollar(quotes.currency),
        agreed,
    )


def reduce_move(weights: Weights, index: int, lot: float, fee_rate: float) -> Move:
    """Build the move that reduces one position.

    Parameters
    ----------
    weights : Weights
        The account with its rules and prices.
    index : int
        Index of the position.
    lot : float
        Orders are multiples of it, in the units of the position's quantity.
    fee_rate : float
        Taker fee as a fraction of notional.

    Returns
    -------
    Move
        The move, limited to the whole position.
    """
    position, quotes = weights.account.positions[index], weights.quotes
    closing = closing_of(position, weights, fee_rate)
    return Move(
        "reduce",
        closing.unit,
        index,
        position.symbol,
        closing.price,
        abs(position.quantity),
        lot,
        lot,
        closing.fee_rate,
        0.0,
        quotes.currency,
        quotes.dollar(quotes.currency),
        None,
        closing,
    )
