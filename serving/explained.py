"""Who answers, how unusual the input is, and explanations, as they go over the wire."""

from __future__ import annotations

import math

from msgspec import UNSET, UnsetType

from features.answer import BIT, Forecast, source_of
from features.build import FEATURE_NAMES
from models.predictor.explain import PARTS, Explanation
from models.typing import HORIZONS
from serving.schemas import RowExplanation

__all__ = ["described", "explanations"]


def described(seen: Forecast) -> list[tuple[str, list[str], bool, float | None, list[str]]]:
    """Give who answers for each account, and how unusual its input is.

    Parameters
    ----------
    seen : Forecast
        Of n accounts.

    Returns
    -------
    list of tuple
        One an account: source, reasons, novel, novelty, unusual features.
    """
    out, flags, odd = [], seen.flags.tolist(), seen.unusual
    who = {bits: (*source_of(bits), bool(bits & BIT["novel"])) for bits in set(flags)}
    for i, (bits, score) in enumerate(zip(flags, seen.novelty.tolist(), strict=True)):
        names = [FEATURE_NAMES[j] for j in odd[i].tolist() if j >= 0] if who[bits][2] else []
        out.append((*who[bits], score if score == score else None, names))
    return out


def explanations(found: Explanation | None, accounts: int) -> list[list[RowExplanation] | UnsetType]:
    """Give the explanation of each account.

    Parameters
    ----------
    found : Explanation or None
        Of n accounts; None where it was not asked for, or no model answers.
    accounts : int
        How many accounts there are.

    Returns
    -------
    list
        One entry an account: a row for each horizon, or UNSET.

    Examples
    --------
    >>> explanations(None, 1)
    [UNSET]
    """
    if found is None:
        return [UNSET] * accounts
    out: list[list[RowExplanation] | UnsetType] = []
    for start, parts in zip(found.prior.tolist(), found.parts.tolist(), strict=True):
        out.append([_row(h, a, b) for h, a, b in zip(HORIZONS, start, parts, strict=True)])
    return out


def _row(horizon: int, start: float, parts: list[float]) -> RowExplanation:
    if not math.isfinite(sum(parts)):
        return RowExplanation(horizon, start, None, None)
    return RowExplanation(horizon, start, dict(zip(PARTS, parts, strict=True)), start + sum(parts))
