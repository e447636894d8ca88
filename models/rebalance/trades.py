"""Trades that a desk may make inside its accounts: collateral swapped, positions hedged, OTC trades unwound."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from models.errors import InputError
from models.instrument import parse_symbol
from models.rebalance.checked import Amount, Checked
from models.rebalance.steps import Steps, check_impact

__all__ = ["Hedge", "Swap", "Unwind"]


class Swap(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Collateral of an account that may be sold for other collateral, inside the account.

    Parameters
    ----------
    name : str
        Name of the rule, once in a policy.
    sell : tuple of str
        Assets that may be sold.
    buy : str
        What is bought.
    to : tuple of str
        Accounts in which it may be done; ``"*"``: every account, ``"ruleset:NAME"``: every account of a ruleset.
    min_trade, max_trade : float
        Smallest and largest size, units of what is sold.
    step : float
        Sizes are multiples of it (0: any size).
    fee_rate : float or None
        Fee as a fraction of the value, in [0, 0.1]; the taker fee of the policy, or of the ruleset, where None.
    impact : tuple of tuple of float
        Slippage by size: dollars, and the rate that is lost on what lies above; both rise.
    needs_approval : bool
        Whether every swap must be approved.

    Raises
    ------
    InputError
        If a list is empty or does not rise, or an asset is swapped for itself.

    Examples
    --------
    >>> Swap(name="spot", sell=("BTC", "ETH"), buy="USDT", impact=((0.0, 0.0005), (1e6, 0.002))).to
    ('*',)
    """

    name: str
    sell: tuple[str, ...]
    buy: str
    to: tuple[str, ...] = ("*",)
    min_trade: Amount = 0.0
    max_trade: Amount | None = None
    step: Amount = 0.0
    fee_rate: Annotated[float, Meta(ge=0.0, le=0.1)] | None = None
    impact: Steps = ()
    needs_approval: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_trade(self, ("name", "sell", "buy", "to"))
        if self.buy in self.sell:
            raise InputError("sell", self.buy, f"assets other than what is bought, {self.buy}")


class Hedge(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An instrument in which an account may take a position against what it already holds.

    Parameters
    ----------
    name : str
        Name of the rule, once in a policy.
    symbol : str
        A perpetual or future; it offsets what the account gains and loses with the price of its base.
    to : tuple of str
        Accounts in which it may be done; ``"*"``: every account, ``"ruleset:NAME"``: every account of a ruleset.
    min_trade, max_trade : float
        Smallest and largest size, units of the position's quantity.
    step : float
        Sizes are multiples of it (0: any size).
    fee_rate : float or None
        Fee as a fraction of the notional, in [0, 0.1]; the taker fee of the policy, or of the ruleset, where None.
    impact : tuple of tuple of float
        Slippage by size: dollars, and the rate that is lost on what lies above; both rise.
    annual_cost : float
        What holding it costs, as funding and basis, a fraction of its notional a year, in [0, 10].
    needs_approval : bool
        Whether every hedge must be approved.

    Raises
    ------
    InputError
        If a list is empty or does not rise, or the symbol is not that of a perpetual or future.

    Examples
    --------
    >>> Hedge(name="perp", symbol="BTC/USDT:USDT", step=0.001, to=("ruleset:binance-pm",)).fee_rate is None
    True
    """

    name: str
    symbol: str
    to: tuple[str, ...] = ("*",)
    min_trade: Amount = 0.0
    max_trade: Amount | None = None
    step: Amount = 0.0
    fee_rate: Annotated[float, Meta(ge=0.0, le=0.1)] | None = None
    impact: Steps = ()
    annual_cost: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.0
    needs_approval: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_trade(self, ("name", "symbol", "to"))
        if parse_symbol(self.symbol).kind not in ("perpetual", "future"):
            raise InputError("symbol", self.symbol, "a perpetual or future, for example 'BTC/USDT:USDT'")


class Unwind(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trades under an agreement that may be terminated early with the other party, in whole or in part.

    Parameters
    ----------
    name : str
        Name of the rule, once in a policy.
    symbols : tuple of str
        Instruments; ``"*"``: every one.
    to : tuple of str
        Accounts under an agreement; ``"*"``: every one, ``"ruleset:NAME"``: every one of a ruleset.
    half_spread : float
        What the other party takes off the mid price, a fraction of the notional in [0, 0.5]; of an option not above
        12.5% of its premium.
    min_trade : float
        Smallest size, units of the position's quantity.
    step : float
        Sizes are multiples of it (0: any size).
    lag_minutes : float
        Minutes until the other party has agreed and the trade is off the book, in [0, 43200].
    needs_approval : bool
        Whether every unwind must be approved by the desk.

    Raises
    ------
    InputError
        If a list is empty, or a symbol is not a symbol.

    Examples
    --------
    >>> Unwind(name="dealer", symbols=("BTC/USDT:USDT",), half_spread=0.0005, lag_minutes=240.0).to
    ('*',)
    """

    name: str
    symbols: tuple[str, ...]
    to: tuple[str, ...] = ("*",)
    half_spread: Annotated[float, Meta(ge=0.0, le=0.5)] = 0.0
    min_trade: Amount = 0.0
    step: Amount = 0.0
    lag_minutes: Annotated[float, Meta(ge=0.0, le=43_200.0)] = 0.0
    needs_approval: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("name", "symbols", "to"):
            if not getattr(self, name):
                raise InputError(name, getattr(self, name), "at least one name")
        for symbol in self.symbols:
            if symbol != "*":
                parse_symbol(symbol)


def _check_trade(trade: Swap | Hedge, names: tuple[str, ...]) -> None:
    for name in names:
        if not getattr(trade, name):
            raise InputError(name, getattr(trade, name), "at least one name")
    if trade.max_trade is not None and trade.max_trade < trade.min_trade:
        raise InputError("max_trade", trade.max_trade, f"at least min_trade, {trade.min_trade:g}")
    check_impact(trade.impact)
