"""What margin units hold in options and scenario margin, in columns: the shape that its kernels work on.

A *block* is all that one margin unit holds on one underlying under one model that is not linear: options, and the
perpetuals and futures that are margined together with them. The profit of perpetuals and futures stays with the legs
of the book (`models.book.BookArrays`); a block repeats their quantities because its requirement depends on them.
Blocks of one unit add up, so the gap of a unit is a sum over assets.
"""

from __future__ import annotations

from typing import NamedTuple

from models.typing import BoolArray, FloatArray, Int32Array

__all__ = ["BlockArrays"]


class BlockArrays(NamedTuple):
    """Blocks of a book, C-contiguous.

    Shapes: k blocks, o options, e expiries, p parameters. Prices and strikes are in quote units (dollars) also where
    the venue settles in coin.
    """

    block_unit: Int32Array  # (k,) margin unit, rising
    block_asset: Int32Array  # (k,) underlying, index into Book.assets
    block_model: Int32Array  # (k,) which kernel
    block_parameter: Int32Array  # (k+1,) rows of `parameter`
    block_perpetual: FloatArray  # (k,) net base units of perpetuals, signed
    block_spot: FloatArray  # (k,) base units of the underlying held as collateral that the rule nets, >= 0
    block_option: Int32Array  # (k+1,) block -> its options
    block_expiry: Int32Array  # (k+1,) block -> its expiries
    option_strike: FloatArray  # (o,) > 0
    option_call: BoolArray  # (o,)
    option_quantity: FloatArray  # (o,) base units, signed, > 0 long
    option_vol: FloatArray  # (o,) implied volatility a year at the book's instant, > 0
    option_expiry: Int32Array  # (o,) row of its expiry
    expiry_years: FloatArray  # (e,) from the book's instant, years of 365 days, > 0
    expiry_carry: FloatArray  # (e,) forward / spot, > 0
    expiry_rate: FloatArray  # (e,) continuously compounded discount rate a year
    expiry_future: FloatArray  # (e,) net base units of futures with this expiry, signed
    parameter: FloatArray  # (p,) parameters of the models, laid out as each model says
