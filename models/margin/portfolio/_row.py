"""Places in the packed row of a ruleset, and what the kernels read from a book."""

from __future__ import annotations

from typing import Final

from models.margin._kernel import inlined
from models.margin.blocks import BlockArrays
from models.margin.portfolio.packing import FIELDS

HEAD: Final = len(FIELDS)
COIN: Final = FIELDS.index("coin")
WINDOW: Final = FIELDS.index("window")
VOL_ABSOLUTE: Final = FIELDS.index("vol_absolute")
VOL: Final = FIELDS.index("vol_up")
SKEW: Final = FIELDS.index("skew_linear_cap")
HAS_DISCOUNT: Final = FIELDS.index("has_discount")
DISCOUNT: Final = FIELDS.index("discount_long_factor")
HAS_BASIS: Final = FIELDS.index("has_basis")
BASIS_UP: Final = FIELDS.index("basis_up")
BASIS_DOWN: Final = FIELDS.index("basis_down")
BASIS_ADD: Final = FIELDS.index("basis_add")
BASIS_MULTIPLE: Final = FIELDS.index("basis_multiple")
ROLL_ANNUALISED: Final = FIELDS.index("roll_annualised")
ROLL_LEAST: Final = FIELDS.index("roll_least")
DELTA_SHOCK: Final = FIELDS.index("delta_shock_threshold")
VEGA_HEDGED: Final = FIELDS.index("vega_hedged")
RATE_MOVE: Final = FIELDS.index("rate_move")
MINIMUM: Final = FIELDS.index("minimum_net_delta")
PERPETUAL_MM: Final = FIELDS.index("rates_perpetual_maintenance")
PERPETUAL_IM: Final = FIELDS.index("rates_perpetual_initial")
OPTION_MM: Final = FIELDS.index("rates_option_maintenance")
OPTION_IM: Final = FIELDS.index("rates_option_initial")
PROVISION: Final = FIELDS.index("rates_provision")
FACTOR_MM: Final = FIELDS.index("factors_maintenance")
FACTOR_IM: Final = FIELDS.index("factors_initial")
NEEDS_DELTA: Final = FIELDS.index("needs_delta")
N_POINTS: Final = FIELDS.index("n_points")
N_TIERS: Final = FIELDS.index("n_tiers")

_YEAR_HOURS: Final = 8760.0


@inlined
def time_left(b: BlockArrays, e: int, hours: float) -> float:
    """Years to expiry `e` after some hours."""
    return b.expiry_years[e] - hours / _YEAR_HOURS


@inlined
def forward_of(b: BlockArrays, e: int, spot: float, left: float) -> float:
    """Forward price of a live expiry; it comes closer to spot as the expiry does."""
    carry = b.expiry_carry[e]
    return spot if carry == 1.0 else spot * carry ** (left / b.expiry_years[e])


@inlined
def run_end(b: BlockArrays, first: int, last: int, e: int) -> int:
    """End of the options from `first` on that belong to expiry `e`."""
    while first < last and b.option_expiry[first] == e:
        first += 1
    return first


@inlined
def run_start(b: BlockArrays, first: int, last: int, e: int) -> int:
    """Start of the options before `last` that belong to expiry `e`."""
    while last > first and b.option_expiry[last - 1] == e:
        last -= 1
    return last
