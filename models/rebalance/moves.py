"""Moves: one kind of action on one asset or position, with its price and the amounts it comes in."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.account import Position
from models.instrument import parse_symbol
from models.rebalance.agreement import Grid
from models.rebalance.closing import Closing, closing_of
from models.rebalance.plan import Kind
from models.rebalance.policy import AssetRule
from models.rebalance.steps import Steps, slippage
from models.rebalance.substituting.substitute import Substitute
from models.rebalance.trades import Hedge, Swap
from models.rebalance.weights import Weights

__all__ = [
    "RETURNS",
    "TRADES",
    "Move",
    "Trade",
    "hedge_move",
    "reduce_move",
    "round_amount",
    "swap_move",
    "transfer_move",
]

TRADES: tuple[Kind, ...] = ("swap", "hedge")
"""Kinds of moves that trade inside an account."""
RETURNS: tuple[Kind, ...] = ("release", "substitute")
"""Kinds of moves whose amount comes back: as much as may be, rounded down."""


@dataclass(frozen=True, slots=True)
class Trade:
    """What a swap buys, or how a hedge is opened.

    Parameters
    ----------
    rule : str
        Name of the policy's rule.
    into : str
        What a swap buys; of a hedge, what its fee is paid in.
    rate : float
        Account currency for one unit of `into`.
    impact : tuple of tuple of float
        Slippage: dollars, and the rate that is lost on what lies above.
    owed : bool
        Whether what a swap buys repays a debt; of a hedge, whether the balance of `into` may be negative.
    side : float
        1 for a hedge that buys, -1 for one that sells; 0 for a swap.
    entry : float
        Entry price of a hedge, dollars.
    annual_cost : float
        What holding a hedge costs, a fraction of its notional a year.
    needs_approval : bool
        Whether the policy asks for approval.
    """

    rule: str
    into: str
    rate: float
    impact: Steps = ()
    owed: bool = False
    side: float = 0.0
    entry: float = 0.0
    annual_cost: float = 0.0
    needs_approval: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """One kind of action on one asset or position, its amount still open.

    Parameters
    ----------
    kind : {"top_up", "add_margin", "repay", "reduce", "release", "swap", "hedge", "substitute"}
        The action.
    asset : str
        What moves; for ``"reduce"`` and ``"hedge"`` what the position's quantity counts; what is asked back, for
        ``"substitute"``.
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
    trade : Trade or None
        What is bought or opened, for ``"swap"`` and ``"hedge"``.
    substitute : Substitute or None
        What is delivered in its place, for ``"substitute"``.
    lag_minutes : float
        Minutes until a trade is done, for ``"reduce"`` under an agreement.
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
    trade: Trade | None = None
    substitute: Substitute | None = None
    lag_minutes: float = 0.0

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
        """Fee in account currency, with the slippage of a trade; of an exchange, what the substitute's way costs."""
        if self.substitute is not None:
            return self.substitute.fee(amount)
        value = amount * self.price
        lost = 0.0 if self.trade is None else slippage(self.trade.impact, value * self.dollar) / self.dollar
        return self.flat_fee * self.price + self.fee_rate * value + lost

    def buys(self, amount: float) -> float:
        """Units of `Trade.into` that a swap of an amount buys."""
        assert self.trade is not None
        return max(amount * self.price - self.fee(amount), 0.0) / self.trade.rate


def round_amount(amount: float, move: Move) -> float:
    """Round to the move's step: up for what is needed, down for what comes back.

    Parameters
    ----------
    amount : float
        Amount found by the search.
    move : Move
        Its step, smallest and largest amount.

    Returns
    -------
    float
        A multiple of the step within [smallest, limit]; 0 where what comes back is below the smallest.

    Examples
    --------
    >>> move = Move("top_up", "USDT", -1, None, 1.0, 1000.0, step=10.0, smallest=50.0)
    >>> round_amount(101.0, move), round_amount(3.0, move)
    (110.0, 50.0)
    """
    if move.kind in RETURNS:
        if move.substitute is not None and amount < move.limit:
            amount = move.substitute.whole(amount)
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


def swap_move(asset: str, weights: Weights, limit: float, rule: Swap, fee_rate: float, repays: bool) -> Move:
    """Build the move that sells one asset of an account for another.

    Parameters
    ----------
    asset : str
        What is sold.
    weights : Weights
        The account with its rules and prices.
    limit : float
        Largest amount, units of `asset`.
    rule : Swap
        The policy's rule.
    fee_rate : float
        Fee as a fraction of the value, where the rule has none.
    repays : bool
        Whether what is bought repays a debt.

    Returns
    -------
    Move
        The move, its limit on the steps of the rule.
    """
    quotes, fee = weights.quotes, fee_rate if rule.fee_rate is None else rule.fee_rate
    trade = Trade(rule.name, rule.buy, quotes.own(rule.buy), rule.impact, repays, needs_approval=rule.needs_approval)
    most = _largest(limit, rule)
    money = quotes.currency, quotes.dollar(quotes.currency)
    own = quotes.own(asset)
    return Move("swap", asset, -1, None, own, most, rule.step, rule.min_trade, fee, 0.0, *money, trade=trade)


def hedge_move(weights: Weights, exposure: float, rule: Hedge, fee_rate: float) -> Move:
    """Build the move that opens a position against what an account holds.

    Parameters
    ----------
    weights : Weights
        The account with its rules and prices.
    exposure : float
        Account currency that its equity gains when the base of the instrument doubles, to first order.
    rule : Hedge
        The policy's rule.
    fee_rate : float
        Fee as a fraction of the notional, where the rule has none.

    Returns
    -------
    Move
        The move, limited to the exposure: a hedge never turns it round.
    """
    quotes, fee = weights.quotes, fee_rate if rule.fee_rate is None else rule.fee_rate
    side = -1.0 if exposure > 0 else 1.0
    spot = quotes.dollar(parse_symbol(rule.symbol).base)
    unit = Position(symbol=rule.symbol, quantity=side, entry_price=spot)
    opened = closing_of(unit, weights, fee)
    trade = Trade(
        rule.name, opened.settle, opened.rate, rule.impact, opened.owed, side, spot, rule.annual_cost,
        rule.needs_approval,
    )  # fmt: skip
    most = _largest(abs(exposure) / opened.price, rule)
    money = quotes.currency, quotes.dollar(quotes.currency)
    sizes = most, rule.step, rule.min_trade, fee, 0.0
    return Move("hedge", opened.unit, -1, rule.symbol, opened.price, *sizes, *money, trade=trade)


def _largest(limit: float, rule: Swap | Hedge) -> float:
    """Largest size on the steps of a rule; 0 where that is below its smallest."""
    most = limit if rule.max_trade is None else min(limit, rule.max_trade)
    if rule.step > 0:
        most = float(f"{math.floor(most / rule.step + 1e-9) * rule.step:.12g}")
    return most if most >= rule.min_trade else 0.0
