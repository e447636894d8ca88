"""Random books of blocks, and rulesets of every style, for the tests of scenario margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.margin.blocks import BlockArrays
from models.typing import FloatArray

STYLES = ("deribit-pm-btc", "deribit-pm-eth", "derive-pmrm2", "okx-pm-btc", "okx-pm-altcoin", "paradex-pm")


@dataclass
class Size:
    """How much a random block holds."""

    options: int = 12
    expiries: int = 3


def random_blocks(rows: Sequence[FloatArray], seed: int, size: Size | None = None) -> BlockArrays:
    """One block for each packed row, with options, futures, perpetuals and collateral."""
    size = size or Size()
    rng = np.random.default_rng(seed)
    k, o, e = len(rows), size.options, size.expiries
    expiry = np.sort(rng.integers(0, e, (k, o)), axis=1) + e * np.arange(k)[:, None]
    starts = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    scale = rng.choice([1.0, 100.0, 3000.0], (k, 1))
    return BlockArrays(
        block_unit=np.arange(k, dtype=np.int32),
        block_asset=np.zeros(k, np.int32),
        block_model=np.zeros(k, np.int32),
        block_parameter=starts.astype(np.int32),
        block_perpetual=np.ravel(rng.normal(0, 3, (k, 1)) * scale * (rng.random((k, 1)) > 0.2)),
        block_spot=np.where(rng.random(k) > 0.5, rng.exponential(2, k), 0.0),
        block_option=(o * np.arange(k + 1)).astype(np.int32),
        block_expiry=(e * np.arange(k + 1)).astype(np.int32),
        option_strike=np.ravel(np.round(60_000 * np.exp(rng.normal(0, 0.35, (k, o))), -3)),
        option_call=np.ravel(rng.random((k, o)) > 0.5),
        option_quantity=np.ravel(rng.normal(0, 1, (k, o)) * scale),
        option_vol=np.ravel(rng.uniform(0.2, 1.6, (k, o))),
        option_expiry=np.ravel(expiry).astype(np.int32),
        expiry_years=np.ravel(np.sort(rng.exponential(0.3, (k, e)) + 1e-5, axis=1)),
        expiry_carry=np.ravel(np.exp(rng.normal(0, 0.03, (k, e)))),
        expiry_rate=np.ravel(np.where(rng.random((k, e)) > 0.5, rng.uniform(0, 0.3, (k, e)), 0.0)),
        expiry_future=np.ravel(np.where(rng.random((k, e)) > 0.5, rng.normal(0, 2, (k, e)), 0.0) * scale),
        parameter=np.concatenate(rows),
    )
