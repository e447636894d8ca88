"""Mango v4: health, the weighted sum of what an account holds and owes, at the worst fill of its orders.

Three kinds: *init* (scaled initial weights, the worse of oracle and stable price; new risk needs it >= 0), *maint*
(liquidation starts below 0) and the *liquidation end* (initial weights, oracle price). Per settle token::

    perpetual = quote + min over {all bids fill, all asks fill} of (base * weight * price - orders * price)
    balance   = tokens + sum(perpetual, times the overall asset weight where it is positive)
    health    = sum(balance * price * (asset weight if balance >= 0 else liability weight)) + reserved

What spot orders reserve counts as base or as quote, whichever adds less to health, taken as what is added last to
the balance that all orders of all markets together could bring about.

References
----------
Mango Markets v4 program at commit 1303a4a (read 2026-11), health; docs.mango.markets, "Health overview". Later
versions of the program value reserved orders at their best price where that is worse than the oracle's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from msgspec import Struct

from models.errors import InputError, UnknownAssetError
from models.margin.venues._exact import check_range

__all__ = ["Perpetual", "SpotOrders", "Token", "health", "perpetual_health"]


class Token(Struct, frozen=True, kw_only=True):
    """A token of an account.

    Parameters
    ----------
    balance : float
        Tokens, < 0 where they are owed.
    price : float
        Oracle price, or for init health the price for assets, >= 0.
    asset_weight, liability_weight : float
        Weights of the kind of health, in [0, 1] and [1, 1e6]; scaled already for init health.
    liability_price : float, optional
        Price for liabilities where it differs (init health: the larger of oracle and stable price).
    """

    balance: float
    price: float
    asset_weight: float
    liability_weight: float
    liability_price: float | None = None

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        check_range("price", self.price, 0.0, inf)
        check_range("asset_weight", self.asset_weight, 0.0, 1.0)
        check_range("liability_weight", self.liability_weight, 1.0, 1e6)
        check_range("liability_price", self.owed_price, self.price, inf)

    @property
    def owed_price(self) -> float:
        """Price at which liabilities count."""
        return self.price if self.liability_price is None else self.liability_price


class SpotOrders(Struct, frozen=True, kw_only=True):
    """Tokens that the open orders of one spot market reserve.

    Parameters
    ----------
    base, quote : str
        Keys of the tokens.
    reserved_base, reserved_quote : float
        Tokens that would be sold, and quote tokens that would be spent, >= 0.
    lowest_ask, highest_bid : float, optional
        Prices of the best orders, quote tokens for one base token; the oracle prices where they are not given.
    """

    base: str
    quote: str
    reserved_base: float = 0.0
    reserved_quote: float = 0.0
    lowest_ask: float | None = None
    highest_bid: float | None = None


class Perpetual(Struct, frozen=True, kw_only=True):
    """A perpetual position with its orders.

    Parameters
    ----------
    base, quote : float
        Base units and units of the settle token, signed.
    bids, asks : float
        Base units that open orders would buy and sell, >= 0.
    price : float
        Oracle price, or for init health the price for assets, >= 0.
    asset_weight, liability_weight : float
        Weights of a long and of a short base amount, in [0, 1] and [1, 1e6].
    overall_asset_weight : float
        Weight of a positive result, in [0, 1]; 0 for an untrusted market.
    settle : str
        Key of the token it settles in.
    liability_price : float, optional
        Price for liabilities where it differs.
    """

    base: float
    quote: float
    price: float
    asset_weight: float
    liability_weight: float
    settle: str
    bids: float = 0.0
    asks: float = 0.0
    overall_asset_weight: float = 1.0
    liability_price: float | None = None

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        check_range("asset_weight", self.asset_weight, 0.0, 1.0)
        check_range("liability_weight", self.liability_weight, 1.0, 1e6)
        check_range("overall_asset_weight", self.overall_asset_weight, 0.0, 1.0)
        if min(self.bids, self.asks, self.price) < 0:
            raise InputError("bids", (self.bids, self.asks, self.price), "order volumes and a price >= 0")

    @property
    def owed_price(self) -> float:
        """Price at which liabilities count."""
        return self.price if self.liability_price is None else self.liability_price


def perpetual_health(position: Perpetual) -> float:
    """Give what a perpetual adds to its settle token: the worse fill, weighted.

    Parameters
    ----------
    position : Perpetual
        Position and orders.

    Returns
    -------
    float
        Units of the settle token.

    Examples
    --------
    >>> perpetual_health(Perpetual(base=-10.0, quote=100.0, price=5.0, asset_weight=0.8, liability_weight=1.2,
    ...                            overall_asset_weight=0.95, settle="USDC"))
    38.0
    """
    worst = min(
        _filled(position, position.bids, position.owed_price), _filled(position, -position.asks, position.price)
    )
    total = position.quote + worst
    return total * position.overall_asset_weight if total > 0 else total


def health(
    tokens: Mapping[str, Token], perpetuals: Sequence[Perpetual] = (), orders: Sequence[SpotOrders] = ()
) -> float:
    """Give the health of an account.

    Parameters
    ----------
    tokens : mapping of str to Token
        Every token that is held, owed, settled in or reserved.
    perpetuals : sequence of Perpetual
        Positions and their orders.
    orders : sequence of SpotOrders
        One for each spot market with open orders.

    Returns
    -------
    float
        Quote units; the account is liquidated where maintenance health is negative.

    Raises
    ------
    UnknownAssetError
        If a perpetual or an order names a token that is not given.

    Examples
    --------
    >>> usdc = Token(balance=100.0, price=1.0, asset_weight=0.8, liability_weight=1.2)
    >>> health({"USDC": usdc})
    80.0
    """
    _check_tokens(tokens, [p.settle for p in perpetuals] + [k for o in orders for k in (o.base, o.quote)])
    balance = {key: token.balance for key, token in tokens.items()}
    for position in perpetuals:
        balance[position.settle] += perpetual_health(position)
    total = sum(_weighted(tokens[key], amount) for key, amount in balance.items())
    reserved = [_reserved(o, tokens[o.base], tokens[o.quote]) for o in orders]
    reach = dict(balance)
    for o, (as_base, as_quote) in zip(orders, reserved, strict=True):
        reach[o.base] += as_base
        reach[o.quote] += as_quote
    for o, (as_base, as_quote) in zip(orders, reserved, strict=True):
        if as_base and as_quote:
            total += min(
                _added_last(tokens[o.base], reach[o.base], as_base),
                _added_last(tokens[o.quote], reach[o.quote], as_quote),
            )
    return total


def _filled(p: Perpetual, fill: float, price: float) -> float:
    net = p.base + fill
    value = net * p.liability_weight * p.owed_price if net < 0 else net * p.asset_weight * p.price
    return value - fill * price


def _weighted(token: Token, amount: float) -> float:
    if amount < 0:
        return amount * token.liability_weight * token.owed_price
    return amount * token.asset_weight * token.price


def _reserved(o: SpotOrders, base: Token, quote: Token) -> tuple[float, float]:
    """All that is reserved as base tokens, and as quote tokens, at the worse of oracle and order prices."""
    bid = max(base.owed_price / quote.price, o.highest_bid or 0.0) if o.reserved_quote else 1.0
    ask = min(base.price / quote.owed_price, o.lowest_ask or inf) if o.reserved_base else 0.0
    return o.reserved_base + o.reserved_quote / bid, o.reserved_quote + o.reserved_base * ask


def _added_last(token: Token, reach: float, amount: float) -> float:
    """Health that `amount` adds where it brings the balance up to `reach`."""
    above = min(max(reach, 0.0), amount)
    return above * token.asset_weight * token.price + (amount - above) * token.liability_weight * token.owed_price


def _check_tokens(tokens: Mapping[str, Token], named: Sequence[str]) -> None:
    for key in named:
        if key not in tokens:
            raise UnknownAssetError("tokens", key, "one of " + ", ".join(sorted(tokens)))
