"""Does a margin rate cover what it should? Counts of exceedances and the two standard tests.

References
----------
Kupiec (1995), "Techniques for Verifying the Accuracy of Risk Measurement Models", Journal of Derivatives 3(2);
Christoffersen (1998), "Evaluating Interval Forecasts", International Economic Review 39(4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy
from scipy.stats import chi2

from models.errors import InputError
from models.margin.dynamic.fhs import Side
from models.typing import BoolArray, FloatArray

__all__ = ["Coverage", "coverage_test", "exceedances"]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often losses exceeded margin, and whether that can be chance.

    Parameters
    ----------
    n : int
        Periods judged.
    breaches : int
        Periods whose loss exceeded the margin.
    expected : float
        ``n (1 - confidence)``.
    coverage : float
        Share of periods that were covered.
    kupiec, kupiec_p : float
        Likelihood ratio of the proportion of failures, chi-squared with 1 degree of freedom, and its p-value.
    independence, independence_p : float
        Likelihood ratio of a breach following a breach as often as it follows none (1 degree), and its p-value.
    conditional, conditional_p : float
        Sum of both (2 degrees), and its p-value.
    """

    n: int
    breaches: int
    expected: float
    coverage: float
    kupiec: float
    kupiec_p: float
    independence: float
    independence_p: float
    conditional: float
    conditional_p: float


def exceedances(rate: FloatArray, close: FloatArray, mpor: int, side: Side = "both") -> list[BoolArray]:
    """Say for each period whether the loss after it exceeded the rate known at its start.

    Parameters
    ----------
    rate : ndarray, shape (A, T)
        Rate known at the close of each bar.
    close : ndarray, shape (A, T)
        Prices.
    mpor : int
        Bars of a period; periods do not overlap.
    side : {"long", "short", "both"}
        Whose loss; for ``"both"`` the larger of the two.

    Returns
    -------
    list of ndarray of bool, one for each asset
        In the order of time, without the periods for which a rate or a price is missing.

    Raises
    ------
    InputError
        If shapes differ, the period has no bar or the side is unknown.

    Examples
    --------
    >>> exceedances(np.full((1, 4), 0.1), np.array([[100.0, 85.0, 95.0, 96.0]]), 1)[0].tolist()
    [True, True, False]
    >>> exceedances(np.full((1, 4), 0.1), np.array([[100.0, 85.0, 95.0, 96.0]]), 1, "long")[0].tolist()
    [True, False, False]
    """
    if rate.shape != close.shape:
        raise InputError("rate", rate.shape, f"the shape of close, {close.shape}")
    if mpor < 1:
        raise InputError("mpor", mpor, "at least 1 bar")
    if side not in ("long", "short", "both"):
        raise InputError("side", side, "'long', 'short' or 'both'")
    price, held = close[:, ::mpor], rate[:, ::mpor][:, :-1]
    change = price[:, 1:] / price[:, :-1] - 1.0
    loss = {"long": -change, "short": change, "both": np.abs(change)}[side]
    known = np.isfinite(loss) & np.isfinite(held)
    return [loss[a, known[a]] > held[a, known[a]] for a in range(len(loss))]


def coverage_test(breach: ArrayLike, confidence: float) -> Coverage:
    """Test exceedances for their number and their independence.

    Parameters
    ----------
    breach : array_like of bool, shape (n,)
        In the order of time, at least 2.
    confidence : float
        What the margin should cover, in (0, 1).

    Returns
    -------
    Coverage
        Counts, likelihood ratios and p-values.

    Raises
    ------
    InputError
        If there are fewer than two periods, or the confidence is out of range.

    Examples
    --------
    >>> found = coverage_test(np.arange(250) % 50 == 0, 0.99)
    >>> found.breaches, round(found.kupiec, 4), round(found.kupiec_p, 4)
    (5, 1.9568, 0.1619)
    """
    hit = np.asarray(breach, np.bool_)
    if hit.ndim != 1 or hit.size < 2:
        raise InputError("breach", hit.shape, "one row of at least 2 periods")
    if not 0 < confidence < 1:
        raise InputError("confidence", confidence, "a number in (0, 1)")
    n, x = int(hit.size), int(hit.sum())
    kupiec = _ratio(_binomial(n, x, 1.0 - confidence), _binomial(n, x, x / n))
    counts = np.zeros((2, 2), np.int64)
    np.add.at(counts, (hit[:-1].astype(int), hit[1:].astype(int)), 1)
    after = counts.sum(axis=1)
    alone = _binomial(n - 1, int(counts[:, 1].sum()), counts[:, 1].sum() / (n - 1))
    paired = sum(_binomial(int(m), int(k), k / m if m else 0.0) for m, k in zip(after, counts[:, 1], strict=True))
    independence = _ratio(alone, paired)
    both = kupiec + independence
    return Coverage(
        n,
        x,
        n * (1.0 - confidence),
        1.0 - x / n,
        kupiec,
        float(chi2.sf(kupiec, 1)),
        independence,
        float(chi2.sf(independence, 1)),
        both,
        float(chi2.sf(both, 2)),
    )


def _binomial(n: int, x: int, p: float) -> float:
    """Log likelihood of x in n, without the coefficient."""
    return float(xlogy(x, p) + xlogy(n - x, 1.0 - p))


def _ratio(restricted: float, free: float) -> float:
    return max(2.0 * (free - restricted), 0.0)
