"""Mango v4: weights of tokens and perpetuals, and what they make of one position for the fast engine.

A token counts ``balance * price * weight`` with an asset weight below one and a liability weight above one. The
initial weights scale with the venue's deposits and borrows above a start value; `mango_health` adds an account up.

References
----------
Mango Markets v4 program at commit 1303a4a (read 2026-11), bank and health; docs.mango.markets, "Health overview".
"""

from __future__ import annotations

from collections.abc import Mapping

from models.errors import InputError
from models.margin.tiers import TierSchedule
from models.margin.venues._exact import line

__all__ = [
    "collateral_schedule",
    "debt_schedule",
    "initial_rate",
    "maintenance_schedule",
    "scaled_asset_weight",
    "scaled_liability_weight",
]


def scaled_asset_weight(weight: float, deposits: float, start: float, potential: float = 0.0) -> float:
    """Give the initial asset weight of a token of which the venue holds much.

    Parameters
    ----------
    weight : float
        Initial asset weight.
    deposits : float
        Value of all deposits at the price for liabilities, quote units.
    start : float
        Value from which the weight falls; inf for never.
    potential : float
        Value of the tokens that open spot orders could bring.

    Returns
    -------
    float
        Weight, such that weight times value stays the same above the start.

    Examples
    --------
    >>> round(scaled_asset_weight(0.5, 7_500.0, 5_000.0), 6)
    0.333333
    """
    total = deposits + potential
    return weight if total <= start else weight * start / total


def scaled_liability_weight(weight: float, borrows: float, start: float) -> float:
    """Give the initial liability weight of a token of which much is borrowed.

    Parameters
    ----------
    weight : float
        Initial liability weight.
    borrows : float
        Value of all borrows at the price for liabilities, quote units.
    start : float
        Value from which the weight rises; inf for never.

    Returns
    -------
    float
        Weight.

    Examples
    --------
    >>> scaled_liability_weight(1.5, 7_500.0, 5_000.0)
    2.25
    """
    return weight if borrows <= start else weight * borrows / start


def maintenance_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give maintenance as a function of notional: what the weight of the base amount takes off.

    Exact where a positive result counts in full and the settle token is at par; with an overall asset weight
    below one the venue counts a position whose result is positive for less, and the fold is an upper bound of health.

    Parameters
    ----------
    parameters : mapping
        ``maint_base_asset_weight`` and ``maint_base_liab_weight``.
    quantity : float
        Base units, signed.

    Returns
    -------
    TierSchedule
        One slice.

    Examples
    --------
    >>> rule = {"maint_base_asset_weight": 0.9, "maint_base_liab_weight": 1.2}
    >>> round(float(maintenance_schedule(rule, 1.0)(50.0)), 9), round(float(maintenance_schedule(rule, -1.0)(50.0)), 9)
    (5.0, 10.0)
    """
    return line([(0.0, _perpetual_rate(parameters, quantity, "maint"), 0.0)])


def initial_rate(parameters: Mapping[str, float], quantity: float) -> float:
    """Give initial margin over notional.

    Parameters
    ----------
    parameters : mapping
        ``init_base_asset_weight`` and ``init_base_liab_weight``.
    quantity : float
        Base units, signed.

    Returns
    -------
    float
        The rate.

    Examples
    --------
    >>> round(initial_rate({"init_base_asset_weight": 0.8, "init_base_liab_weight": 1.2}, 3.0), 12)
    0.2
    """
    return _perpetual_rate(parameters, quantity, "init")


def collateral_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give what a deposit counts for, at its maintenance weight.

    Parameters
    ----------
    parameters : mapping
        ``maint_asset_weight`` (default par).
    quantity : float
        Tokens held; not used.

    Returns
    -------
    TierSchedule
        One slice.

    Examples
    --------
    >>> float(collateral_schedule({"maint_asset_weight": 0.9}, 5.0)(100.0))
    90.0
    """
    return line([(0.0, parameters.get("maint_asset_weight", 1.0), 0.0)])


def debt_schedule(parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Give what a borrow requires beyond its own value, as a function of that value.

    Parameters
    ----------
    parameters : mapping
        ``maint_liab_weight`` (default par).
    quantity : float
        Tokens owed; not used.

    Returns
    -------
    TierSchedule
        One slice.

    Examples
    --------
    >>> round(float(debt_schedule({"maint_liab_weight": 1.1}, 5.0)(100.0)), 9)
    10.0
    """
    return line([(0.0, parameters.get("maint_liab_weight", 1.0) - 1.0, 0.0)])


def _perpetual_rate(parameters: Mapping[str, float], quantity: float, kind: str) -> float:
    key = f"{kind}_base_liab_weight" if quantity < 0 else f"{kind}_base_asset_weight"
    if key not in parameters:
        raise InputError("parameters", sorted(parameters), f"also {key}")
    return parameters[key] - 1.0 if quantity < 0 else 1.0 - parameters[key]
