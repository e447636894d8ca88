"""Option and scenario-margined positions of a book, gathered into blocks: one for each unit and underlying."""

from __future__ import annotations

from typing import Any

import numpy as np

from models._book_columns import AccountTable
from models._csr import pointer
from models.margin.blocks import BLOCK_MODELS, HOURS_A_YEAR, BlockArrays
from models.typing import HOUR_NS, FloatArray, IntArray

__all__ = ["build_blocks"]


def build_blocks(
    pos: dict[str, Any], unit: IntArray, table: AccountTable, symbols: list[Any], assets: tuple[str, ...]
) -> BlockArrays | None:
    """Gather the positions of accounts whose margin model works on blocks.

    Parameters
    ----------
    pos : dict
        Columns of the positions that are kept.
    unit : ndarray of int64
        Margin unit of each.
    table : AccountTable
        The accounts; ``pos["row"]`` points into it.
    symbols : list of Instrument
        Instrument of each ``pos["code"]``.
    assets : tuple of str
        Assets of the market.

    Returns
    -------
    BlockArrays or None
        None where no position is of that kind. Volatilities that positions do not state are NaN.
    """
    rule = table.rules_index[pos["row"]]
    number = table.rule_table(_model_number, np.int64)
    rows = np.flatnonzero(number[rule] >= 0)
    if not len(rows):
        return None
    rows = rows[np.lexsort((pos["expiry"][rows], pos["asset"][rows], unit[rows]))]
    width = int(np.max(pos["asset"][rows])) + 1
    keys, block = np.unique(unit[rows] * width + pos["asset"][rows], return_inverse=True)
    first = np.searchsorted(block, np.arange(len(keys)))
    parameters = [_parameters(table, pos, int(rows[i]), assets) for i in first]
    dated = np.flatnonzero(pos["expiry"][rows] != np.iinfo(np.int64).max)
    spans = len(keys), rows[dated], block[dated]
    expiry_ns, expiry_block, expiry_of = _expiries(pos, *spans)
    option = pos["option"][rows[dated]]
    future, options = dated[~option], dated[option]
    instrument = [symbols[c] for c in pos["code"][rows[options]].tolist()]
    ahead = expiry_ns - table.as_of[pos["row"][rows[first]]][expiry_block]
    n = len(keys)
    forever = np.setdiff1d(np.arange(len(rows)), dated)
    futures = [_sums(expiry_of[~option], pos, rows[future], coin, len(expiry_ns)) for coin in (False, True)]
    perpetuals = [_sums(block[forever], pos, rows[forever], coin, n) for coin in (False, True)]
    return BlockArrays(
        block_unit=(keys // width).astype(np.int32),
        block_asset=(keys % width).astype(np.int32),
        block_model=number[rule[rows[first]]].astype(np.int32),
        block_parameter=pointer(np.repeat(np.arange(n), [len(p) for p in parameters]), n),
        block_perpetual=perpetuals[0].copy(),
        block_spot=np.zeros(n),
        block_option=pointer(block[options], n),
        block_expiry=pointer(expiry_block, n),
        option_strike=np.array([x.strike for x in instrument], np.float64),
        option_call=np.array([x.option_type == "call" for x in instrument], np.bool_),
        option_quantity=np.ascontiguousarray(pos["quantity"][rows[options]]),
        option_vol=np.ascontiguousarray(pos["implied_volatility"][rows[options]]),
        option_expiry=expiry_of[option].astype(np.int32),
        expiry_years=ahead / (HOUR_NS * HOURS_A_YEAR),
        expiry_carry=np.ones(len(expiry_ns)),
        expiry_rate=np.zeros(len(expiry_ns)),
        expiry_future=futures[0].copy(),
        parameter=np.concatenate([*parameters, np.zeros(0)]),
        block_linear=perpetuals[0],
        block_inverse=perpetuals[1],
        expiry_linear=futures[0],
        expiry_inverse=futures[1],
        option_coin=np.array([not x.linear for x in instrument], np.bool_),
    )


def _model_number(rules: Any) -> int:
    return -1 if rules is None or rules.model not in BLOCK_MODELS else BLOCK_MODELS.index(rules.model)


def _parameters(table: AccountTable, pos: dict[str, Any], i: int, assets: tuple[str, ...]) -> FloatArray:
    rules = table.rules[table.rules_index[pos["row"][i]]]
    return rules.block_parameters(assets[pos["asset"][i]])


def _expiries(
    pos: dict[str, Any], n_blocks: int, rows: IntArray, block: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Distinct expiries of each block: instant, block, and the expiry of each row (rows sorted by block and expiry)."""
    expiry = pos["expiry"][rows]
    new = np.ones(len(rows), bool)
    new[1:] = (block[1:] != block[:-1]) | (expiry[1:] != expiry[:-1])
    return expiry[new], block[new], np.cumsum(new) - 1


def _sums(group: IntArray, pos: dict[str, Any], rows: IntArray, coin: bool, n: int) -> FloatArray:
    """Net quantity of each group: base units of linear contracts, or dollars of coin-margined ones."""
    quantity = np.where(pos["inverse"][rows] == coin, pos["quantity"][rows], 0.0)
    return np.bincount(group, quantity, n).astype(np.float64)
