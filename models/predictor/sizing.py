"""Amounts and times of calls for accounts, whichever models a predictor has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.overshoot import AMOUNT_LEVELS
from models.predictor.novelty import widening
from models.predictor.size import SizeModel
from models.typing import HORIZONS, BoolArray, Float32Array, FloatArray

if TYPE_CHECKING:
    from models.predictor.predictor import MarginCallPredictor

__all__ = ["call_amounts"]


def call_amounts(
    predictor: MarginCallPredictor | None,
    x: Float32Array | None,
    base: FloatArray,
    scale: FloatArray,
    novelty: FloatArray,
    distrusted: BoolArray,
    sizes: FloatArray | None = None,
) -> FloatArray:
    """Quantiles of the call amount given a call.

    Parameters
    ----------
    predictor : MarginCallPredictor or None
        The model; None, or one without `AmountModel`: levels 0.5 and 0.9 of its `SizeModel`.
    x : ndarray of float32, shape (n * 4, K), or None
        Design matrix of the call level.
    base, scale : ndarray of float, shape (n,)
        From `models.predictor.size.size_inputs`, account currency.
    novelty : ndarray of float, shape (n,)
        Above 1 the quantiles move apart; NaN where it is not known.
    distrusted : ndarray of bool, shape (n,)
        Accounts whose features are missing or stale: the trees are not asked.
    sizes : ndarray of float, shape (n, 4, 7), optional
        The prior's quantiles, from `models.call_sizes`; needed where the model starts from them.

    Returns
    -------
    ndarray of float, shape (n, 4, 7)
        Account currency, at `AMOUNT_LEVELS`; NaN where not known.
    """
    if predictor is None or predictor.amounts is None:
        out = np.full((len(base), len(HORIZONS), len(AMOUNT_LEVELS)), np.nan)
        size = SizeModel() if predictor is None else predictor.size
        out[:, :, AMOUNT_LEVELS.index(0.5)], out[:, :, AMOUNT_LEVELS.index(0.9)] = size.quantiles(base, scale)
        return out
    model, wider = predictor.amounts, widening(novelty)
    amounts = model.quantiles(x, base, scale, wider, sizes=sizes)
    if distrusted.any() and model.texts:
        some = None if sizes is None else sizes[distrusted]
        parts = (base[distrusted], scale[distrusted], wider[distrusted])
        amounts[distrusted] = model.quantiles(None, *parts, sizes=some)
    return amounts
