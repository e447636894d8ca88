"""Drift v2: collateral and requirement of an account with deposits, borrows and open spot orders.

Open orders of a token are taken as filled, all bids or all asks: the side that leaves less free collateral counts.
What the fills pay or bring in quote is collateral where it is positive and a requirement where it is negative.
Each open order adds a small requirement of its own.

References
----------
Drift protocol v2 program at commit 0ae3e3b (read 2026-11), `state/user` (fill simulation) and `math/margin`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import Struct

from models.errors import InputError
from models.margin.venues._exact import truncated_div
from models.margin.venues.drift import (
    WEIGHT,
    asset_weight,
    liability_weight,
    margin_ratio,
    perpetual_margin,
    pnl_asset_weight,
    size_in_base,
    unrealized_pnl,
)

__all__ = ["OPEN_ORDER_MARGIN", "Margin", "SpotBalance", "account_margin", "perpetual_position", "spot_balance"]

OPEN_ORDER_MARGIN: Final = 10_000
"""Requirement of one open order, 1e-6 USD."""


class SpotBalance(Struct, frozen=True, kw_only=True):
    """A token of an account: smallest units, prices in 1e-6 USD, weights in 1e-4.

    Parameters
    ----------
    amount : int
        Tokens held, < 0 where they are owed.
    decimals : int
        Decimals of the token, in [0, 18].
    price : int
        Oracle price, 1e-6 USD, >= 0.
    asset, liability : int
        Weights of a small deposit and of a small borrow.
    imf : int
        Size factor, 1e-6.
    open_bids, open_asks : int
        Tokens that open orders would buy (>= 0) and sell (<= 0).
    open_orders : int
        Number of open orders.
    """

    amount: int
    decimals: int
    price: int
    asset: int = WEIGHT
    liability: int = WEIGHT
    imf: int = 0
    open_bids: int = 0
    open_asks: int = 0
    open_orders: int = 0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        if not (0 <= self.decimals <= 18 and self.price >= 0):
            raise InputError("decimals", (self.decimals, self.price), "decimals in [0, 18] and a price >= 0")
        if self.open_bids < 0 or self.open_asks > 0 or self.open_orders < 0:
            raise InputError("open_bids", (self.open_bids, self.open_asks), "bids >= 0 and asks <= 0")
        if self.asset < 0 or self.liability < 0:
            raise InputError("asset", (self.asset, self.liability), "weights >= 0")


class Margin(NamedTuple):
    """Weighted collateral and requirement, 1e-6 USD."""

    collateral: int
    requirement: int

    @property
    def free_collateral(self) -> int:
        """Collateral less requirement; an account is liquidated where the maintenance one is negative."""
        return self.collateral - self.requirement


def spot_balance(balance: SpotBalance) -> Margin:
    """Give what one token adds to an account, at the riskier side of its open orders.

    Parameters
    ----------
    balance : SpotBalance
        The token, with the weights of the margin type asked for.

    Returns
    -------
    Margin
        1e-6 USD.

    Examples
    --------
    >>> spot_balance(SpotBalance(amount=0, decimals=9, price=100_000_000, asset=8_000, liability=12_000,
    ...                          open_bids=500_000_000_000, open_orders=1))
    Margin(collateral=40000000000, requirement=50000010000)
    """
    sides = [_filled(balance, fill) for fill in (balance.open_asks, balance.open_bids)]
    weighted, cash = min(sides, key=sum)
    collateral = max(weighted, 0) + max(cash, 0)
    requirement = max(-weighted, 0) + max(-cash, 0) + balance.open_orders * OPEN_ORDER_MARGIN
    return Margin(collateral, requirement)


def perpetual_position(
    base: int,
    quote: int,
    price: int,
    *,
    initial: int,
    maintenance: int,
    imf: int = 0,
    pnl_weight: int = WEIGHT,
    pnl_imf: int = 0,
    open_bids: int = 0,
    open_asks: int = 0,
    open_orders: int = 0,
    is_initial: bool = False,
) -> Margin:
    """Give what one perpetual adds to an account, with the larger base amount that its orders could lead to.

    Parameters
    ----------
    base, quote : int
        Base (1e-9) and quote (1e-6 USD) amount of the position.
    price : int
        Oracle price, 1e-6 USD.
    initial, maintenance : int
        Margin ratios, 1e-4.
    imf : int
        Size factor, 1e-6.
    pnl_weight, pnl_imf : int
        Weight (1e-4) of a small gain and its size factor (1e-6), of the margin type asked for.
    open_bids, open_asks : int
        Base amounts of open orders, bids >= 0 and asks <= 0.
    open_orders : int
        Number of open orders.
    is_initial : bool
        Whether the initial ratio is asked for.

    Returns
    -------
    Margin
        1e-6 USD; a loss is a negative collateral.

    Examples
    --------
    >>> perpetual_position(-6_147_540_983, 153_688_524_588, 22_050_000_000, initial=1_000, maintenance=500,
    ...                    imf=1_000, pnl_imf=1_000, is_initial=True).requirement
    13555327867
    """
    worst = max(base + open_asks, base + open_bids, key=abs)
    ratio = margin_ratio(worst, imf, initial, maintenance, "initial" if is_initial else "maintenance")
    pnl = unrealized_pnl(base, quote, price)
    counted = truncated_div(pnl * pnl_asset_weight(pnl, pnl_imf, pnl_weight), WEIGHT)
    return Margin(counted, perpetual_margin(worst, price, ratio) + open_orders * OPEN_ORDER_MARGIN)


def account_margin(parts: Iterable[Margin]) -> Margin:
    """Add the parts of an account up.

    Parameters
    ----------
    parts : iterable of Margin
        From `spot_balance` and `perpetual_position`.

    Returns
    -------
    Margin
        1e-6 USD.

    Examples
    --------
    >>> account_margin([Margin(10, 0), Margin(5, 7)]).free_collateral
    8
    """
    rows = list(parts)
    return Margin(sum(r.collateral for r in rows), sum(r.requirement for r in rows))


def _filled(balance: SpotBalance, fill: int) -> tuple[int, int]:
    """Weighted token value and cash once `fill` tokens were traded at the oracle price."""
    amount, unit = balance.amount + fill, 10**balance.decimals
    cash = truncated_div(-fill * balance.price, unit)
    value = truncated_div(balance.amount * balance.price, unit) - cash
    size = size_in_base(amount, balance.decimals)
    rule, weight = (asset_weight, balance.asset) if value > 0 else (liability_weight, balance.liability)
    return truncated_div(value * rule(size, balance.imf, weight), WEIGHT), cash
