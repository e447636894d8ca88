"""What margin units hold in options and scenario margin, in columns: the shape that its kernels work on.

A *block* is all that one margin unit holds on one underlying under one model that is not linear: options, and the
perpetuals and futures that are margined together with them. The profit of perpetuals and futures stays with the legs
of the book (`models.book.BookArrays`); a block repeats their quantities because its requirement depends on them.
Blocks of one unit add up, so the gap of a unit is a sum over assets.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from models._by_pointer import by_pointer
from models._csr import gather, pointer
from models.typing import BoolArray, FloatArray, Int32Array, IntArray

__all__ = ["BLOCK_MODELS", "HOURS_A_YEAR", "NO_BLOCKS", "BlockArrays", "moved_in_time", "own_blocks", "take_blocks"]

HOURS_A_YEAR: Final = 8760.0
BLOCK_MODELS: Final = ("deribit-standard", "srm", "regt", "scenario", "dynamic")
"""Margin models that are computed block by block; the place of each is its number in ``block_model``."""


_NONE: Final = np.zeros(0)
_NO: Final = np.zeros(0, np.bool_)


@by_pointer
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
    block_linear: FloatArray = _NONE  # (k,) base units of linear perpetuals; empty: block_perpetual holds all
    block_inverse: FloatArray = _NONE  # (k,) dollars of coin-margined perpetuals
    expiry_linear: FloatArray = _NONE  # (e,) base units of linear futures; empty: expiry_future holds all
    expiry_inverse: FloatArray = _NONE  # (e,) dollars of coin-margined futures
    option_coin: BoolArray = _NO  # (o,) settled in the underlying; empty: none is


def take_blocks(b: BlockArrays, units: IntArray) -> BlockArrays:
    """Blocks of some units, in their order.

    Parameters
    ----------
    b : BlockArrays
        Blocks of a book.
    units : ndarray of int64
        Margin units; may repeat and reorder.

    Returns
    -------
    BlockArrays
        Their blocks, ``block_unit`` counting from 0 in the order given.
    """
    n_units = 1 + max(int(np.max(b.block_unit, initial=-1)), int(np.max(units, initial=-1)))
    blocks, of_unit = gather(pointer(b.block_unit.astype(np.int64), n_units), units)
    options, block_option = gather(b.block_option, blocks)
    expiries, block_expiry = gather(b.block_expiry, blocks)
    parameters, block_parameter = gather(b.block_parameter, blocks)
    moved = np.repeat(block_expiry[:-1] - b.block_expiry[blocks], np.diff(block_option))
    return b._replace(
        block_unit=np.repeat(np.arange(len(units)), np.diff(of_unit)).astype(np.int32),
        block_option=block_option,
        block_expiry=block_expiry,
        block_parameter=block_parameter,
        option_expiry=(b.option_expiry[options] + moved).astype(np.int32),
        parameter=b.parameter[parameters],
        **{name: getattr(b, name)[blocks] for name in _BLOCK},
        **{name: getattr(b, name)[options] for name in _OPTION},
        **{name: getattr(b, name)[expiries] for name in _EXPIRY},
        **{name: getattr(b, name)[blocks] for name in _SPLIT[0] if len(getattr(b, name))},
        **{name: getattr(b, name)[expiries] for name in _SPLIT[1] if len(getattr(b, name))},
        option_coin=b.option_coin[options] if len(b.option_coin) else b.option_coin,
    )


def moved_in_time(b: BlockArrays, hours: FloatArray) -> BlockArrays:
    """Blocks as they are some hours later: less time to every expiry.

    Parameters
    ----------
    b : BlockArrays
        Blocks of a book.
    hours : ndarray, shape (k,)
        Hours of each block, < 0 for earlier.

    Returns
    -------
    BlockArrays
        The same positions; an expiry that has passed has 0 years.
    """
    shift = np.repeat(np.asarray(hours, np.float64), np.diff(b.block_expiry)) / HOURS_A_YEAR
    return b._replace(expiry_years=np.maximum(b.expiry_years - shift, 0.0))


_SPLIT = ("block_linear", "block_inverse"), ("expiry_linear", "expiry_inverse")
_BLOCK = ("block_asset", "block_model", "block_perpetual", "block_spot")
_OPTION = ("option_strike", "option_call", "option_quantity", "option_vol")
_EXPIRY = ("expiry_years", "expiry_carry", "expiry_rate", "expiry_future")


def own_blocks(b: BlockArrays) -> BlockArrays:
    """Copy the columns that a walk writes to: quantities that follow the price or are settled.

    Parameters
    ----------
    b : BlockArrays
        Blocks of a book.

    Returns
    -------
    BlockArrays
        The same blocks.
    """
    return b._replace(**{name: getattr(b, name).copy() for name in _WRITTEN})


_WRITTEN = ("option_quantity", "block_perpetual", "expiry_future", "expiry_linear", "expiry_inverse")


def _no_blocks() -> BlockArrays:
    whole, real = np.zeros(0, np.int32), np.zeros(0)
    start = np.zeros(1, np.int32)
    return BlockArrays(
        block_unit=whole,
        block_asset=whole,
        block_model=whole,
        block_parameter=start,
        block_perpetual=real,
        block_spot=real,
        block_option=start,
        block_expiry=start,
        option_strike=real,
        option_call=np.zeros(0, np.bool_),
        option_quantity=real,
        option_vol=real,
        option_expiry=whole,
        expiry_years=real,
        expiry_carry=real,
        expiry_rate=real,
        expiry_future=real,
        parameter=real,
    )


NO_BLOCKS: Final = _no_blocks()
"""Of a book that has none."""
