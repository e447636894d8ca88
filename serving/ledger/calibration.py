"""How true it was: sums over what was said and what came, which add up over pages, shards and weeks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from features.answer import BIT
from models.margin.levels import STATES
from models.typing import HORIZONS, BoolArray, FloatArray
from serving.ledger.outcomes import judge

__all__ = ["EDGES", "Score", "Sums", "add", "score", "summary"]

EDGES: Final = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
"""Lower edges of the bins of P(call) for the calibration error; they are fixed, so that pages add up."""
_CLIP: Final = 1e-6
_CALLED: Final = STATES.index("call")


class Sums(Struct, frozen=True):
    """Sums over rows at one horizon; what is not known is counted and left out.

    Parameters
    ----------
    n : int
        Rows whose outcome is known.
    called : int
        Those called.
    censored : int
        Rows whose owner acted first.
    log_loss, brier, prior_log_loss : float
        Sums of losses: of what was said, and of the prior.
    bins : list of (int, float, int)
        For each bin of `EDGES`: rows, sum of P(call), calls.
    """

    n: int
    called: int
    censored: int
    log_loss: float
    brier: float
    prior_log_loss: float
    bins: list[tuple[int, float, int]]


class Score(Struct, frozen=True, kw_only=True):
    """How true what was said at one horizon has been.

    Parameters
    ----------
    horizon_minutes : int
        The horizon.
    n : int
        Predictions whose outcome is known; those of one hour are not independent of each other.
    called : int
        Calls that came.
    expected : float
        Calls that were said to come: the sum of P(call).
    ratio : float or None
        Expected over called; None without a call.
    log_loss, brier : float or None
        Mean losses; None without rows.
    prior_log_loss : float or None
        The mean log loss of the prior on the same rows.
    ece : float or None
        Mean difference of said and seen over the bins of `EDGES`, weighted by rows.
    censored : int
        Predictions that are not judged, as the owner acted first.
    skill : float or None
        1 - log loss / that of the prior; above 0 what was said was better.
    blocks : int
        Blocks of four days that the intervals are drawn from; 0 where none are drawn.
    ratio_low, ratio_high, skill_low, skill_high : float or None
        Ends of their 95% intervals, see `serving.ledger.intervals`.
    """

    horizon_minutes: int
    n: int
    called: int
    expected: float
    ratio: float | None
    log_loss: float | None
    brier: float | None
    prior_log_loss: float | None
    ece: float | None
    censored: int
    skill: float | None = None
    blocks: int = 0
    ratio_low: float | None = None
    ratio_high: float | None = None
    skill_low: float | None = None
    skill_high: float | None = None


def summary(rows: NDArray[Any], outcomes: NDArray[Any]) -> list[Sums]:
    """Sum up one page.

    Parameters
    ----------
    rows : ndarray of ROW, shape (n,)
        What was said, from `serving.ledger.page.unpack`.
    outcomes : ndarray of OUTCOME, shape (n,)
        What came.

    Returns
    -------
    list of Sums
        One for each horizon. Accounts in a call already, without positions or without a price are left out.
    """
    verdict = judge(outcomes)
    nothing = BIT["no_positions"] | BIT["no_price"] | BIT["in_call"]
    asked = (rows["state"] >= 0) & (rows["state"] < _CALLED) & ((rows["flags"] & nothing) == 0)
    out = []
    for h in range(len(HORIZONS)):
        p, prior = rows["p_call"][:, h], rows["prior"][:, h]
        sound = asked & np.isfinite(p) & np.isfinite(prior)
        known = sound & verdict.known[:, h]
        censored = int(np.count_nonzero(sound & verdict.censored[:, h]))
        out.append(_sums(p[known], prior[known], verdict.called[known, h], censored))
    return out


def add(parts: Iterable[list[Sums]]) -> list[Sums]:
    """Add up pages.

    Parameters
    ----------
    parts : iterable of list of Sums
        From `summary`.

    Returns
    -------
    list of Sums
        One for each horizon.

    Examples
    --------
    >>> [total.n for total in add([])]
    [0, 0, 0, 0]
    """
    total = [Sums(0, 0, 0, 0.0, 0.0, 0.0, [(0, 0.0, 0)] * len(EDGES)) for _ in HORIZONS]
    for part in parts:
        total = [_plus(a, b) for a, b in zip(total, part, strict=True)]
    return total


def score(sums: list[Sums]) -> list[Score]:
    """Judge what was said.

    Parameters
    ----------
    sums : list of Sums
        From `add`.

    Returns
    -------
    list of Score
        One for each horizon.
    """
    return [_score(h, s) for h, s in zip(HORIZONS, sums, strict=True)]


def _sums(p: FloatArray, prior: FloatArray, called: BoolArray, censored: int) -> Sums:
    bins = np.searchsorted(EDGES, p, "right") - 1
    size = len(EDGES)
    count, said = np.bincount(bins, minlength=size), np.bincount(bins, p, minlength=size)
    came = np.bincount(bins, called, minlength=size)
    return Sums(
        len(p),
        int(called.sum()),
        censored,
        float(_losses(p, called).sum()),
        float(((p - called) ** 2).sum()),
        float(_losses(prior, called).sum()),
        [(int(a), float(b), int(c)) for a, b, c in zip(count, said, came, strict=True)],
    )


def _losses(p: FloatArray, called: BoolArray) -> FloatArray:
    clipped = np.clip(p, _CLIP, 1.0 - _CLIP)
    return np.asarray(-np.where(called, np.log(clipped), np.log1p(-clipped)), np.float64)


def _plus(a: Sums, b: Sums) -> Sums:
    bins = [(x[0] + y[0], x[1] + y[1], x[2] + y[2]) for x, y in zip(a.bins, b.bins, strict=True)]
    losses = (a.log_loss + b.log_loss, a.brier + b.brier, a.prior_log_loss + b.prior_log_loss)
    return Sums(a.n + b.n, a.called + b.called, a.censored + b.censored, *losses, bins)


def _score(horizon: int, s: Sums) -> Score:
    expected = math.fsum(said for _, said, _ in s.bins)
    apart = math.fsum(abs(said - came) for _, said, came in s.bins)
    return Score(
        horizon_minutes=horizon,
        n=s.n,
        called=s.called,
        expected=expected,
        ratio=expected / s.called if s.called else None,
        log_loss=s.log_loss / s.n if s.n else None,
        brier=s.brier / s.n if s.n else None,
        prior_log_loss=s.prior_log_loss / s.n if s.n else None,
        ece=apart / s.n if s.n else None,
        censored=s.censored,
        skill=1.0 - s.log_loss / s.prior_log_loss if s.prior_log_loss else None,
    )
