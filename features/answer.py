"""What is predicted for accounts: figures, flags, and who answers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np

from models.overshoot import AMOUNT_LEVELS
from models.predictor.explain import PARTS, Explanation
from models.typing import HORIZONS, FloatArray, IntArray

__all__ = [
    "AMOUNT_NAMES",
    "BIT",
    "DISTRUST",
    "FLAGS",
    "Forecast",
    "copy_rows",
    "empty_forecast",
    "flag_names",
    "source_of",
    "TIME_NAMES",
]

FLAGS: Final = (
    "prior_only",
    "in_sample",
    "no_positions",
    "stale_market",
    "gap",
    "no_price",
    "in_call",
    "proxy_paths",
    "future_as_of",
    "modelled_volatility",
    "novel",
    "missing_features",
    "stale_features",
    "expired_model",
)
"""What an answer may carry, in the order of the bits of `Forecast.flags`.

``prior_only`` no model, the physics answers; ``in_sample`` the model was fitted on data after this instant;
``no_positions`` nothing can be called; ``stale_market`` the price is older than the ruleset allows; ``gap`` the
newest bar of an asset is missing; ``no_price`` an asset has no price (all figures NaN); ``in_call`` equity is below
the call requirement now; ``proxy_paths`` an asset has too little history and moves with the market in the prior;
``future_as_of`` the account is dated after the newest bar by more than the ruleset's limit; ``modelled_volatility`` an
option is valued at a volatility that no index and no quote stands behind; ``novel`` the input is more unusual than
nearly all of the training, so the trees count less; ``missing_features``, ``stale_features`` too much of the input is
missing or too old (`models.predictor.fallback`), so the prior answers; ``expired_model`` the instant is past the day
until which the model is to be used, so the prior answers.
"""
AMOUNT_NAMES: Final = tuple(f"call_amount_q{round(100 * level)}" for level in AMOUNT_LEVELS)
TIME_NAMES: Final = ("time_to_call", "time_to_call_q10", "time_to_call_q90")
BIT: Final = {name: 1 << i for i, name in enumerate(FLAGS)}
"""Bit of each flag."""
DISTRUST: Final = BIT["missing_features"] | BIT["stale_features"] | BIT["expired_model"]
"""Flags of the accounts for which the trees are not asked."""
_REASONS: Final = {"prior_only": "no_model"} | {
    name: name for name in ("missing_features", "stale_features", "expired_model")
}


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What is predicted for n accounts; amounts in account currency, NaN where ``no_price``.

    Parameters
    ----------
    p_call, p_liquidation : ndarray, shape (n, 4)
        Probability of a call, of a liquidation, within each horizon.
    prior : ndarray, shape (n, 4)
        The prior's P(call).
    call_amount : ndarray, shape (n, 4, 7)
        Quantiles of the call amount given a call within the horizon, at `models.overshoot.AMOUNT_LEVELS`; a
        model without `AmountModel` gives two of them, the others are NaN.
    time_to_call, time_to_call_q10, time_to_call_q90 : ndarray, shape (n, 4)
        Minutes to the close of the hour of the call given one within the horizon: expected, and an interval that holds
        four of five calls. 0 for accounts in a call; NaN where none can come.
    age_minutes : ndarray, shape (n,)
        Age of the oldest price the account depends on, at its own instant.
    flags : ndarray of int64, shape (n,)
        Bits of `FLAGS`.
    state : ndarray of int64, shape (n,)
        Margin state now, index into `models.margin.levels.STATES`; -1 where ``no_price``.
    novelty : ndarray, shape (n,)
        How unusual the input is, see `models.predictor.novelty`: above 1 flagged ``novel``; NaN where the model does
        not know what is usual.
    unusual : ndarray of int64, shape (n, 3)
        Columns of the design matrix (`features.build.FEATURE_NAMES`) that are furthest out, for those flagged
        ``novel``; -1 elsewhere.
    explanation : Explanation or None
        Parts of P(call) where they were asked for and a model answers; NaN where P does not come from the trees: in a
        call already, without positions, without a price, or where the prior answers.
    """

    p_call: FloatArray
    p_liquidation: FloatArray
    prior: FloatArray
    call_amount: FloatArray
    time_to_call: FloatArray
    time_to_call_q10: FloatArray
    time_to_call_q90: FloatArray
    age_minutes: FloatArray
    flags: IntArray
    state: IntArray
    novelty: FloatArray
    unusual: IntArray
    explanation: Explanation | None = None

    @property
    def call_amount_q50(self) -> FloatArray:
        """Median of the call amount, shape (n, 4)."""
        return self.call_amount[:, :, AMOUNT_LEVELS.index(0.5)]

    @property
    def call_amount_q90(self) -> FloatArray:
        """Quantile 0.9 of the call amount, shape (n, 4)."""
        return self.call_amount[:, :, AMOUNT_LEVELS.index(0.9)]

    def figures(self) -> dict[str, FloatArray]:
        """Give the columns of an answer by name, shape (n, 4) each."""
        amounts = {name: self.call_amount[:, :, i] for i, name in enumerate(AMOUNT_NAMES)}
        plain = {name: getattr(self, name) for name in ("p_call", "p_liquidation", "prior")}
        times = {name: getattr(self, name) for name in TIME_NAMES}
        return {**plain, **amounts, **times}

    def table(self) -> FloatArray:
        """Give the columns of an answer in the order of :meth:`figures`, shape (n, 4, 13)."""
        levels = len(AMOUNT_LEVELS)
        out = np.empty((*self.p_call.shape, levels + 6))
        out[:, :, 0], out[:, :, 1], out[:, :, 2] = self.p_call, self.p_liquidation, self.prior
        out[:, :, 3 : 3 + levels] = self.call_amount
        for i, name in enumerate(TIME_NAMES):
            out[:, :, 3 + levels + i] = getattr(self, name)
        return out


def flag_names(bits: int) -> list[str]:
    """Flags of one account in words.

    Parameters
    ----------
    bits : int
        One value of `Forecast.flags`.

    Returns
    -------
    list of str
        Names out of `FLAGS`.

    Examples
    --------
    >>> flag_names(5)
    ['prior_only', 'no_positions']
    """
    return [name for name in FLAGS if bits & BIT[name]]


def source_of(bits: int) -> tuple[str, list[str]]:
    """Say who answers, and why it is not the model.

    Parameters
    ----------
    bits : int
        One value of `Forecast.flags`.

    Returns
    -------
    tuple of (str, list of str)
        ``"model"`` or ``"prior"``, and the reasons for the prior: no_model, missing_features, stale_features,
        expired_model.

    Examples
    --------
    >>> source_of(0), source_of(BIT["stale_features"])
    (('model', []), ('prior', ['stale_features']))
    """
    reasons = [reason for name, reason in _REASONS.items() if bits & BIT[name]]
    return ("prior" if reasons else "model"), reasons


def empty_forecast(n: int, explain: bool) -> Forecast:
    """Make a forecast to be filled row by row.

    Parameters
    ----------
    n : int
        Accounts.
    explain : bool
        Whether it has explanations.

    Returns
    -------
    Forecast
        NaN and 0 throughout.
    """
    a, b, c, d, e, f = (np.full((n, len(HORIZONS)), np.nan) for _ in range(6))
    amounts = np.full((n, len(HORIZONS), len(AMOUNT_LEVELS)), np.nan)
    parts = Explanation(np.empty((n, len(HORIZONS))), np.empty((n, len(HORIZONS), len(PARTS)))) if explain else None
    ages, novelty = np.zeros(n), np.full(n, np.nan)
    flags, state, unusual = np.zeros(n, np.int64), np.zeros(n, np.int64), np.full((n, 3), -1, np.int64)
    return Forecast(a, b, c, amounts, d, e, f, ages, flags, state, novelty, unusual, parts)


def copy_rows(part: Any, rows: IntArray, out: Any) -> None:
    """Put the rows of a part of a forecast in their place.

    Parameters
    ----------
    part : Forecast
        Of some accounts.
    rows : ndarray of int64
        Their places.
    out : Forecast
        Of all accounts.
    """
    for f in fields(part):
        value, target = getattr(part, f.name), getattr(out, f.name)
        if isinstance(value, Explanation):
            copy_rows(value, rows, target)
        elif value is not None:
            target[rows] = value
