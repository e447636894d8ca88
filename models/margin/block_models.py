"""One entrance to the margin models that work on blocks, and to their parameters."""

from __future__ import annotations

from typing import Final

from models.margin._kernel import kernel
from models.margin._srm_kernel import srm_margin
from models.margin.blocks import BLOCK_MODELS, BlockArrays
from models.margin.dynamic.block import dynamic_margin
from models.margin.option import standard_margin
from models.margin.portfolio import scenario_margin_kernel
from models.margin.securities_kernel import regt_margin

__all__ = ["SCENARIO", "block_margin", "set_quantities"]

_STANDARD: Final = BLOCK_MODELS.index("deribit-standard")
_DYNAMIC: Final = BLOCK_MODELS.index("dynamic")
_REGT: Final = BLOCK_MODELS.index("regt")
SCENARIO: Final = BLOCK_MODELS.index("scenario")


@kernel
def set_quantities(b: BlockArrays, i: int, spot: float) -> None:
    """Write the perpetual and futures quantities of block `i` at a price, as `block_margin` does."""
    if len(b.block_linear) > 0:
        b.block_perpetual[i] = b.block_linear[i] + b.block_inverse[i] / spot
        for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
            b.expiry_future[e] = b.expiry_linear[e] + b.expiry_inverse[e] / spot


@kernel
def block_margin(b: BlockArrays, i: int, spot: float, vol: float, hours: float) -> tuple[float, float, float]:
    """Value, maintenance and initial requirement of block `i`, dollars.

    Parameters
    ----------
    b : BlockArrays
        Blocks; the perpetual and futures quantities of block `i` are rewritten for the price, as coin-margined
        contracts of fixed dollar value are fewer coins at a higher one.
    i : int
        Block.
    spot : float
        Price of the underlying, > 0.
    vol : float
        Multiple of every implied volatility.
    hours : float
        Hours since the book's instant.

    Returns
    -------
    tuple of float
        What options add to equity where the rule counts them, maintenance, initial.
    """
    set_quantities(b, i, spot)
    if b.block_model[i] == _STANDARD:
        return standard_margin(b, i, spot, vol, hours)
    if b.block_model[i] == _REGT:
        return regt_margin(b, i, spot, vol, hours)
    if b.block_model[i] == SCENARIO:
        return scenario_margin_kernel(b, i, spot, vol, hours)
    if b.block_model[i] == _DYNAMIC:
        return dynamic_margin(b, i, spot, vol, hours)
    return srm_margin(b, i, spot, vol, hours)
