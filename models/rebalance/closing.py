"""What closing one unit of a position pays, and where: linear, coin-margined, option, OTC trade."""

from __future__ import annotations

from dataclasses import dataclass

from models.account import Position
from models.instrument import Instrument, is_stable, parse_symbol
from models.rebalance.quotes import option_premium
from models.rebalance.weights import Weights

__all__ = ["Closing", "closing_of", "margin_asset"]

_FEE_CAP = 0.125


@dataclass(frozen=True, slots=True)
class Closing:
    """What closing one unit of a position does.

    Parameters
    ----------
    unit : str
        What is counted: the base, or the quote of a coin-margined contract, whose size is a dollar value.
    price : float
        Value of one unit, account currency: its notional, or the premium of an option.
    pays : float
        Units of `settle` that closing one unit pays (< 0: costs), before the fee.
    settle : str
        Asset that it is paid in.
    rate : float
        Account currency for one unit of `settle`.
    margin : float
        Units of `settle` for one unit of the margin of an isolated position.
    fee_rate : float
        Fee as a fraction of `price`.
    owed : bool
        Whether the balance of `settle` may be negative; if not, what it lacks is paid in account currency.
    premium : bool
        Whether the price is a premium, as of an option.
    outside : bool
        Whether it is paid outside of the account, as between the parties of a credit support annex.
    """

    unit: str
    price: float
    pays: float
    settle: str
    rate: float
    margin: float = 1.0
    fee_rate: float = 0.0
    owed: bool = True
    premium: bool = False
    outside: bool = False


def closing_of(position: Position, weights: Weights, fee_rate: float) -> Closing:
    """Say what closing one unit of a position does at present prices.

    Parameters
    ----------
    position : Position
        A position of the account.
    weights : Weights
        The account with its rules and prices.
    fee_rate : float
        Taker fee as a fraction of notional.

    Returns
    -------
    Closing
        Its price is NaN where an option has no volatility.

    Notes
    -----
    Profit of linear contracts is ``q (P - entry)`` in quote units, of coin-margined ones ``Q (1/entry - 1/P)`` coins.
    Closing an option pays its mark premium: its entry price was settled when it was opened. The fee of an option is
    that of its notional, not above 12.5% of the premium.

    References
    ----------
    Deribit Support, "Fees" (article 25944746248989): options pay a fraction of the underlying, capped at 12.5% of their
    price. Paradex docs, "Trading fees" of perpetual options: the same cap for takers.
    """
    quotes, instrument = weights.quotes, parse_symbol(position.symbol)
    side = 1.0 if position.quantity > 0 else -1.0
    spot, dollar = quotes.dollar(instrument.base), quotes.own("USD")
    if instrument.kind == "option":
        price = option_premium(position, instrument, weights.account.as_of, quotes)
        gain, unit = side * price, instrument.base
        fee_rate = min(fee_rate * spot / price, _FEE_CAP) if price > 0 else 0.0
    elif instrument.linear:
        price, gain, unit = spot, side * (spot - position.entry_price), instrument.base
    else:
        price, gain, unit = 1.0, side * (spot / position.entry_price - 1.0), instrument.quote
    settle = _settlement(instrument, weights)
    return Closing(
        unit=unit,
        price=price * dollar,
        pays=gain / quotes.dollar(settle),
        settle=settle,
        rate=quotes.own(settle),
        margin=quotes.own(instrument.settle) / quotes.own(settle),
        fee_rate=fee_rate,
        owed=weights.rules.borrows or settle == quotes.currency,
        premium=instrument.kind == "option",
        outside=weights.account.csa is not None,
    )


def margin_asset(position: Position, currency: str) -> str:
    """Asset of the margin of an isolated position.

    Parameters
    ----------
    position : Position
        The position.
    currency : str
        Account currency.

    Returns
    -------
    str
        Its settlement asset; the account currency where both are worth a dollar.

    Examples
    --------
    >>> margin_asset(Position(symbol="BTC/USD:BTC", quantity=1.0, entry_price=1.0), "USDT")
    'BTC'
    """
    settle = parse_symbol(position.symbol).settle
    return currency if is_stable(settle) and is_stable(currency) else settle


def _settlement(instrument: Instrument, weights: Weights) -> str:
    """Asset in which an instrument settles, as far as the account can hold it: stable coins are the account's own."""
    currency = weights.quotes.currency
    if is_stable(instrument.settle) and is_stable(currency):
        return currency
    accepted = instrument.settle == currency or weights.refusal(instrument.settle) is None
    return instrument.settle if accepted else currency
