"""Drift v2: asset and liability weights that move with size, and the margin ratio of perpetuals.

Weights and ratios are integers in 1e-4, the size factor ("imf") in 1e-6, prices and quote amounts in 1e-6, base
amounts in 1e-9. With ``s = isqrt(10 size + 1)`` of a size in 1e-9::

    asset weight     = min(w, 1.1e6 * 1e4 // (1e6 + s * imf // 1e5))
    liability weight = max(w, w - w // 5 + s * imf // 1e7)
    perpetual ratio  = the liability weight rule on the margin ratio and the base amount
    initial asset weight, scaled = w * start // deposits             where deposits (USD) exceed the start

and no size factor leaves a weight as it is. The fill weight is the mean of the initial and the maintenance weight.
Positive PnL counts at a weight that falls with it; losses count in full.

References
----------
Drift protocol v2 program at commit 0ae3e3b (read 2026-11), margin and state; docs.drift.trade, "Cross-collateral
deposits" (imf example: 2,000 SOL) and "Margin".
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Final, Literal

from models.errors import InputError
from models.margin.tiers import TierSchedule
from models.margin.venues._exact import line, truncated_div

__all__ = [
    "BASE",
    "PRICE",
    "WEIGHT",
    "asset_weight",
    "collateral_schedule",
    "debt_schedule",
    "initial_rate",
    "liability_weight",
    "maintenance_schedule",
    "margin_ratio",
    "perpetual_margin",
    "pnl_asset_weight",
    "scaled_asset_weight",
    "size_in_base",
    "unrealized_pnl",
]

WEIGHT: Final = 10_000
PRICE: Final = 1_000_000
BASE: Final = 1_000_000_000
_IMF: Final = 1_000_000
MarginType = Literal["initial", "fill", "maintenance"]


def size_in_base(amount: int, decimals: int) -> int:
    """Give a token amount in 1e-9 of a token.

    Parameters
    ----------
    amount : int
        Smallest units of the token; the sign is ignored.
    decimals : int
        Decimals of the token.

    Returns
    -------
    int
        1e-9 tokens, rounded down.

    Examples
    --------
    >>> size_in_base(1_000_000_000, 6)
    1000000000000
    """
    return abs(amount) * BASE // 10**decimals if decimals <= 9 else abs(amount) // 10 ** (decimals - 9)


def asset_weight(size: int, imf: int, weight: int) -> int:
    """Give the weight of a deposit, smaller for a large one.

    Parameters
    ----------
    size : int
        1e-9 tokens, >= 0.
    imf : int
        Size factor, 1e-6.
    weight : int
        Weight of a small deposit, 1e-4.

    Returns
    -------
    int
        1e-4.

    Raises
    ------
    InputError
        If an argument is negative.

    Examples
    --------
    >>> asset_weight(1_000_000_000_000, 10_000, 9_000)
    8357
    """
    _not_negative(size, imf, weight)
    if imf == 0:
        return weight
    return min(weight, (_IMF + _IMF // 10) * WEIGHT // (_IMF + isqrt(10 * size + 1) * imf // 100_000))


def liability_weight(size: int, imf: int, weight: int) -> int:
    """Give the weight of a borrow, or the margin ratio of a perpetual: larger for a large size.

    Parameters
    ----------
    size : int
        1e-9 tokens or base units, >= 0.
    imf : int
        Size factor, 1e-6.
    weight : int
        Weight or ratio of a small size, 1e-4.

    Returns
    -------
    int
        1e-4.

    Raises
    ------
    InputError
        If an argument is negative.

    Examples
    --------
    >>> liability_weight(1_000_000_000_000, 100_000, 11_000)
    40422
    """
    _not_negative(size, imf, weight)
    if imf == 0:
        return weight
    return max(weight, weight - weight // 5 + isqrt(10 * size + 1) * imf // (100_000 * _IMF // WEIGHT))


def scaled_asset_weight(weight: int, deposits: int, start: int) -> int:
    """Give the initial weight of an asset of which the venue holds much.

    Parameters
    ----------
    weight : int
        Initial asset weight, 1e-4.
    deposits : int
        Value of all deposits of the asset, 1e-6 USD.
    start : int
        Value from which the weight falls, 1e-6 USD; 0 for never.

    Returns
    -------
    int
        1e-4, rounded down.

    Examples
    --------
    >>> scaled_asset_weight(9_000, 1_500_000_000_000, 500_000_000_000)
    3000
    """
    return weight if start == 0 or deposits < start else weight * start // deposits


def pnl_asset_weight(pnl: int, imf: int, weight: int = WEIGHT, *, net_pnl: int = 0, max_imbalance: int = 0) -> int:
    """Give the weight of unrealised PnL: below one for a large gain, one for a loss.

    Parameters
    ----------
    pnl : int
        Unrealised PnL of the position, 1e-6 USD.
    imf : int
        Size factor of PnL, 1e-6.
    weight : int
        Weight of a small gain, 1e-4.
    net_pnl, max_imbalance : int
        Net unsettled PnL of all users and the amount from which it cuts the initial weight, 1e-6 USD; 0 for never.

    Returns
    -------
    int
        1e-4.

    Examples
    --------
    >>> pnl_asset_weight(24_282_786_896, 1_000), pnl_asset_weight(-5, 1_000)
    (9516, 10000)
    """
    if pnl <= 0:
        return WEIGHT
    if weight > 0 and max_imbalance > 0 and net_pnl > max_imbalance:
        weight = weight * max_imbalance // net_pnl
    return asset_weight(pnl * (BASE // PRICE), imf, weight)


def margin_ratio(size: int, imf: int, initial: int, maintenance: int, margin_type: MarginType = "maintenance") -> int:
    """Give the margin ratio of a perpetual at a size.

    Parameters
    ----------
    size : int
        Base amount, 1e-9; the sign is ignored.
    imf : int
        Size factor, 1e-6.
    initial, maintenance : int
        Ratios of a small position, 1e-4.
    margin_type : str
        ``"initial"``, ``"fill"`` (their mean) or ``"maintenance"``.

    Returns
    -------
    int
        1e-4.

    Raises
    ------
    InputError
        If the type is unknown.

    Examples
    --------
    >>> margin_ratio(6_147_540_983, 1_000, 1_000, 500, "initial")
    1000
    """
    ratios = {"initial": initial, "fill": (initial + maintenance) // 2, "maintenance": maintenance}
    if margin_type not in ratios:
        raise InputError("margin_type", margin_type, "one of " + ", ".join(ratios))
    return liability_weight(abs(size), imf, ratios[margin_type])


def perpetual_margin(base: int, price: int, ratio: int) -> int:
    """Give the margin that a base amount requires.

    Parameters
    ----------
    base : int
        Base amount, 1e-9; the sign is ignored.
    price : int
        Oracle price, 1e-6.
    ratio : int
        Margin ratio, 1e-4.

    Returns
    -------
    int
        1e-6 USD, rounded down twice.

    Examples
    --------
    >>> perpetual_margin(-6_147_540_983, 22_050_000_000, 1_000)
    13555327867
    """
    return abs(base) * price // BASE * ratio // WEIGHT


def unrealized_pnl(base: int, quote: int, price: int) -> int:
    """Give the unrealised PnL of a perpetual.

    Parameters
    ----------
    base : int
        Base amount, 1e-9, signed.
    quote : int
        Quote amount of the position, 1e-6 USD: what was received for it.
    price : int
        Oracle price, 1e-6.

    Returns
    -------
    int
        1e-6 USD; the value of the base amount is rounded towards zero.

    Examples
    --------
    >>> unrealized_pnl(-6_147_540_983, 153_688_524_588, 21_050_000_000)
    24282786896
    """
    return quote + truncated_div(base * price, BASE)


def maintenance_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give maintenance as a function of notional for a position of this size; exact up to the venue's rounding.

    Equity is linear where the maintenance weight of positive PnL is one (every market of the shipped parameters).
    With a weight below one the venue counts gains for less than the engine does: the fold is then an upper bound
    of equity.

    Parameters
    ----------
    parameters : mapping
        ``margin_ratio_maintenance`` (1e-4) and ``imf_factor`` (1e-6, default 0).
    quantity : float
        Base units, signed.

    Returns
    -------
    TierSchedule
        One slice.

    Examples
    --------
    >>> float(maintenance_schedule({"margin_ratio_maintenance": 500, "imf_factor": 1_000}, -6.0)(120_000.0))
    6000.0
    """
    return line([(0.0, _ratio(parameters, quantity, "margin_ratio_maintenance"), 0.0)])


def initial_rate(parameters: Mapping[str, float], quantity: float) -> float:
    """Give initial margin over notional for a position of this size.

    Parameters
    ----------
    parameters : mapping
        ``margin_ratio_initial`` (1e-4) and ``imf_factor`` (1e-6, default 0).
    quantity : float
        Base units, signed.

    Returns
    -------
    float
        The rate.

    Examples
    --------
    >>> initial_rate({"margin_ratio_initial": 1_000, "imf_factor": 1_000}, 100_000.0)
    0.3962
    """
    return _ratio(parameters, quantity, "margin_ratio_initial")


def collateral_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give what a deposit of this size counts for, at its maintenance weight.

    Parameters
    ----------
    parameters : mapping
        ``maintenance_asset_weight`` (1e-4, default par) and ``imf_factor`` (1e-6, default 0).
    quantity : float
        Tokens held.

    Returns
    -------
    TierSchedule
        One slice; the weight follows from the quantity, not from the price.

    Examples
    --------
    >>> float(collateral_schedule({"maintenance_asset_weight": 9_000, "imf_factor": 10_000}, 1_000.0)(100.0))
    83.57
    """
    weight = int(parameters.get("maintenance_asset_weight", WEIGHT))
    return line([(0.0, asset_weight(_size(quantity), int(parameters.get("imf_factor", 0)), weight) / WEIGHT, 0.0)])


def debt_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give what a borrow of this size requires beyond its own value, as a function of that value.

    Equity already counts the debt once; the requirement is the rest of the liability weight.

    Parameters
    ----------
    parameters : mapping
        ``maintenance_liability_weight`` (1e-4, default par) and ``imf_factor`` (1e-6, default 0).
    quantity : float
        Tokens owed; the sign is ignored.

    Returns
    -------
    TierSchedule
        One slice.

    Examples
    --------
    >>> round(float(debt_schedule({"maintenance_liability_weight": 11_000}, 5.0)(1_000.0)), 9)
    100.0
    """
    weight = int(parameters.get("maintenance_liability_weight", WEIGHT))
    weight = liability_weight(_size(quantity), int(parameters.get("imf_factor", 0)), weight)
    return line([(0.0, (weight - WEIGHT) / WEIGHT, 0.0)])


def _ratio(parameters: Mapping[str, float], quantity: float, key: str) -> float:
    if key not in parameters:
        raise InputError("parameters", sorted(parameters), f"also {key}")
    return liability_weight(_size(quantity), int(parameters.get("imf_factor", 0)), int(parameters[key])) / WEIGHT


def _size(quantity: float) -> int:
    return round(abs(quantity) * BASE)


def _not_negative(size: int, imf: int, weight: int) -> None:
    if min(size, imf, weight) < 0:
        raise InputError("size", (size, imf, weight), "a size, a factor and a weight >= 0")
