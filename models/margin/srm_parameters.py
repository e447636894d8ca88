"""Parameters of Derive's standard margin (SRM): ranges, and what mainnet uses, with source and date."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from models.errors import InputError

__all__ = ["BASE_COLLATERAL", "MAINNET", "MAINNET_SOURCE", "PERPETUAL_V3", "PERPETUAL_V3_SOURCE", "SrmParameters"]

_UNIT: Final = (0.0, 1.0)
_SPOT: Final = (0.0, 1.2)
_SCALE: Final = (1.0, 3.0)
RANGES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "perp_maintenance": _UNIT,
        "perp_initial": _UNIT,
        "initial_spot_max": _SPOT,
        "initial_spot_min": _SPOT,
        "maintenance_call": _UNIT,
        "maintenance_put": _UNIT,
        "maintenance_put_mark": _UNIT,
        "unpaired_initial": _SCALE,
        "unpaired_maintenance": _SCALE,
        "put_offset": _SCALE,
        "confidence_perp": _UNIT,
        "confidence_option": _UNIT,
        "confidence_base": _UNIT,
        "confidence_factor": (0.0, 2.0),
        "depeg_threshold": (0.0, 1.05),
        "depeg_factor": (0.0, 10.0),
        "base_factor": _UNIT,
        "base_initial_scale": _UNIT,
    }
)
"""Lowest and highest value of each parameter, both allowed."""


class SrmParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of one market under standard margin; rates are fractions.

    Parameters
    ----------
    perp_maintenance, perp_initial : float
        Requirement of a perpetual over its notional.
    initial_spot_max, initial_spot_min : float
        Initial margin of a short option over spot: at the money, and the least after the discount for being out of
        the money.
    maintenance_call, maintenance_put : float
        Maintenance of a short call and of a short put over spot.
    maintenance_put_mark : float
        Maintenance of a short put over its mark; the greater of the two counts.
    unpaired_initial, unpaired_maintenance : float
        Multiple of the forward that each short call without a long one adds to the worst loss, >= 1.
    put_offset : float
        Initial margin of a short put is at least its maintenance times this, >= 1.
    confidence_perp, confidence_option, confidence_base : float
        Oracle confidence below which initial margin is added.
    confidence_factor : float
        Added initial margin over spot for each unit of lost confidence.
    depeg_threshold, depeg_factor : float
        Price of the stable coin below which initial margin is added, and its slope.
    base_factor, base_initial_scale : float
        What base collateral counts for at maintenance, and the further factor at initial.

    Raises
    ------
    InputError
        If a value lies outside its range, or initial lies below maintenance where it may not.

    Examples
    --------
    >>> MAINNET["ETH"].perp_maintenance, MAINNET["ETH"].base_factor
    (0.065, 0.8)
    """

    perp_maintenance: float
    perp_initial: float
    initial_spot_max: float
    initial_spot_min: float
    maintenance_call: float
    maintenance_put: float
    maintenance_put_mark: float
    unpaired_initial: float
    unpaired_maintenance: float
    put_offset: float
    confidence_perp: float
    confidence_option: float
    confidence_base: float
    confidence_factor: float
    depeg_threshold: float
    depeg_factor: float
    base_factor: float = 0.0
    base_initial_scale: float = 1.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for field, (low, high) in RANGES.items():
            value = getattr(self, field)
            if not low <= value <= high:
                raise InputError(field, value, f"a number in [{low}, {high}]")
        for low_field, high_field in (
            ("perp_maintenance", "perp_initial"),
            ("initial_spot_min", "initial_spot_max"),
            ("unpaired_maintenance", "unpaired_initial"),
        ):
            least = getattr(self, low_field)
            if getattr(self, high_field) < least:
                raise InputError(high_field, getattr(self, high_field), f"at least {low_field} ({least})")


def _mainnet(
    perp: tuple[float, float],
    initial: tuple[float, float],
    short: float,
    unpaired: tuple[float, float],
    base: tuple[float, float] = (0.0, 1.0),
) -> SrmParameters:
    return SrmParameters(
        perp_maintenance=perp[0],
        perp_initial=perp[1],
        initial_spot_max=initial[0],
        initial_spot_min=initial[1],
        maintenance_call=short,
        maintenance_put=short,
        maintenance_put_mark=short,
        unpaired_initial=unpaired[0],
        unpaired_maintenance=unpaired[1],
        put_offset=1.05,
        confidence_perp=0.55,
        confidence_option=0.55,
        confidence_base=0.55,
        confidence_factor=1.0,
        depeg_threshold=0.99,
        depeg_factor=2.0,
        base_factor=base[0],
        base_initial_scale=base[1],
    )


MAINNET_SOURCE: Final = (
    "BTC, ETH: derivexyz/v2-core 7736900d, scripts/config-mainnet.sol (numbers only); SOL, HYPE, ADA: "
    "docs.derive.xyz, Standard Margin Parameters, v2.2, read 2026-07-26"
)
"""Where `MAINNET` and `BASE_COLLATERAL` come from."""

MAINNET: Final[Mapping[str, SrmParameters]] = MappingProxyType(
    {
        "BTC": _mainnet((0.065, 0.1), (0.15, 0.13), 0.09, (1.2, 1.1), (0.75, 0.93)),
        "ETH": _mainnet((0.065, 0.1), (0.15, 0.13), 0.09, (1.2, 1.1), (0.8, 0.9375)),
        "SOL": _mainnet((0.067, 0.33), (0.24, 0.18), 0.14, (1.25, 1.2)),
        "HYPE": _mainnet((0.1, 0.15), (0.3, 0.25), 0.18, (1.3, 1.25), (0.55, 0.9)),
        "ADA": _mainnet((0.1, 0.15), (0.35, 0.3), 0.2, (1.3, 1.25), (0.6, 0.5)),
    }
)
"""Mainnet parameters by underlying."""

BASE_COLLATERAL: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "ETH": (0.8, 0.9375),
        "BTC": (0.75, 0.93),
        "USDT": (0.98, 0.98),
        "WSTETH": (0.8, 0.9375),
        "SFP": (0.98, 0.98),
        "SNX": (0.7, 0.65),
    }
)
"""Base collateral on mainnet: factor at maintenance and further scale at initial."""

PERPETUAL_V3_SOURCE: Final = "docs.derive.xyz, Standard Margin Parameters (V3), 2026"

PERPETUAL_V3: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "BTC": (0.05, 0.066),
        "ETH": (0.05, 0.066),
        "SOL": (0.067, 0.077),
        "HYPE": (0.08, 0.1),
        "XRP": (0.067, 0.1),
        "ZEC": (0.1, 0.15),
        "LIT": (0.1, 0.15),
        "PUMP": (0.1, 0.15),
        "XAUT": (0.08, 0.1),
        "ADA": (0.15, 0.2),
        "VVV": (0.15, 0.2),
        "CC": (0.1, 0.15),
        "LINK": (0.067, 0.1),
    }
)
"""Perpetual requirements of version 3: maintenance and initial over notional."""
