"""Why a forecast differs from the prior: contributions of the trees, grouped into the words of a desk.

``logit P = logit prior + groups + average + novelty + calibration + order``: the trees' contributions by group (Shapley
values, which add up to the trees), their mean over the training rows, and what the later steps change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import InputError
from models.predictor.logistic import sigmoid
from models.typing import HORIZONS, Float32Array, FloatArray

if TYPE_CHECKING:
    import lightgbm

__all__ = ["GROUPS", "PARTS", "STEPS", "Explanation", "group_of", "group_sums"]

GROUPS: Final[dict[str, str]] = {
    "distance": r"horizon|prior_logit|distance_\w+|gross_leverage|margin_usage|requirement_rate",
    "volatility": r"sigma|(rv|gk|cc|vol)_\w+|(adverse|jump)_share_\d+h|(hour|week)_(sin|cos)|weekend",
    "collateral": r"haircut_share|volatile_collateral_share|wrong_way_correlation|n_collaterals",
    "funding": r"(market_)?funding_cost_\d+h",
    "concentration": r"concentration|direction|(hedged|short|isolated)_share|n_(legs|units|assets)|net_beta_168h"
    r"|weight_main|(beta|corr)_168h",
    "market_stress": r"(adverse_)?market_(?!funding)\w+|adverse_(ret|excursion)_\d+h|favourable_excursion_\d+h"
    r"|volume_ratio_\w+|missing_\d+h|hours_since_shock",
}
"""Columns of each group, as patterns of their whole name. The time ahead belongs to the distance: what is near within
three days is far within an hour. The calendar belongs to volatility, whose season it carries."""

STEPS: Final = ("average", "novelty", "calibration", "order")
"""What is no group: the trees' mean on training rows; what an unusual input takes back from their correction; the
calibration map; and the rule that P does not fall with the horizon."""

PARTS: Final[tuple[str, ...]] = (*GROUPS, *STEPS)
"""Names of the parts of an explanation, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why n forecasts differ from their prior.

    Parameters
    ----------
    prior : ndarray of float, shape (n, 4)
        Logit of the prior, within logit(1e-5) and logit(1 - 1e-5), where the trees start.
    parts : ndarray of float, shape (n, 4, len(PARTS))
        What each part of `PARTS` adds to it; NaN where a forecast does not come from the trees.

    Examples
    --------
    >>> Explanation(np.zeros((1, 4)), np.zeros((1, 4, len(PARTS)))).probability().tolist()
    [[0.5, 0.5, 0.5, 0.5]]
    """

    prior: FloatArray
    parts: FloatArray

    def probability(self) -> FloatArray:
        """The probability that the parts add up to, shape (n, 4)."""
        return sigmoid(self.prior + self.parts.sum(axis=2))


def group_of(name: str) -> str:
    """Give the group of a column.

    Parameters
    ----------
    name : str
        Column of the design matrix.

    Returns
    -------
    str
        One of `GROUPS`.

    Raises
    ------
    InputError
        If the column is in none, or in several.

    Examples
    --------
    >>> group_of("rv_24h"), group_of("market_rv_24h")
    ('volatility', 'market_stress')
    """
    found = [group for group, pattern in GROUPS.items() if re.fullmatch(pattern, name)]
    if len(found) != 1:
        raise InputError("feature", name, f"a column of exactly one of {', '.join(GROUPS)} (models/predictor/explain)")
    return found[0]


def group_sums(booster: lightgbm.Booster, x: Float32Array, names: Sequence[str]) -> FloatArray:
    """Contributions of the trees, added up by group.

    Parameters
    ----------
    booster : lightgbm.Booster
        The residual trees.
    x : ndarray of float32, shape (n * 4, K)
        Design matrix, account-major, then horizon.
    names : sequence of str, length K
        Its columns.

    Returns
    -------
    ndarray of float, shape (n, 4, len(GROUPS) + 1)
        The groups in their order, then the average; they add up to the raw score of the trees.

    Raises
    ------
    InputError
        If a column has no group.
    """
    order = list(GROUPS)
    member = np.zeros((len(names) + 1, len(order) + 1))
    for column, name in enumerate(names):
        member[column, order.index(group_of(name))] = 1.0
    member[-1, -1] = 1.0
    single = np.asarray(booster.predict(x, pred_contrib=True, num_threads=1), np.float64)
    return (single.reshape(len(x), len(names) + 1) @ member).reshape(-1, len(HORIZONS), len(order) + 1)
