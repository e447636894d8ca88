"""How sure it is: 95% intervals from drawing whole blocks of days, as predictions that overlap depend on each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from msgspec.structs import replace

from models.typing import DAY_NS, HORIZONS, FloatArray
from serving.ledger.calibration import Score, Sums, add, score

__all__ = ["DRAWS", "block_of", "with_intervals"]

DRAWS: Final = 4000
_DAYS: Final = HORIZONS[-1] // 1440 + 1
_LEAST: Final = 5
_TAILS: Final = (0.025, 0.975)


def block_of(close_ns: int) -> int:
    """Name the block of days that a close is in: one more day than the longest horizon, counted from the epoch.

    Examples
    --------
    >>> block_of(0), block_of(4 * DAY_NS - 1), block_of(4 * DAY_NS)
    (0, 0, 1)
    """
    return close_ns // (_DAYS * DAY_NS)


def with_intervals(blocks: Mapping[int, list[Sums]], seed: int = 0) -> list[Score]:
    """Judge what was said, with intervals.

    Parameters
    ----------
    blocks : mapping of int to list of Sums
        Sums by block, from `serving.ledger.calibration.summary`.
    seed : int
        Of the draws.

    Returns
    -------
    list of Score
        One for each horizon, over all blocks. Ends of intervals are None with fewer than 5 blocks that have rows, and
        where there is none, for example no upper end of expected over called where draws have no call.
    """
    rng = np.random.default_rng(seed)
    out = []
    for h, one in enumerate(score(add(blocks.values()))):
        known = [part[h] for part in blocks.values() if part[h].n]
        if len(known) < _LEAST:
            out.append(replace(one, blocks=len(known)))
            continue
        drawn = rng.multinomial(len(known), np.full(len(known), 1 / len(known)), DRAWS) @ _table(known)
        called, expected, loss, prior = drawn.T
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio, skill = _ends(expected / called), _ends(1.0 - loss / prior)
        ends = {"ratio_low": ratio[0], "ratio_high": ratio[1], "skill_low": skill[0], "skill_high": skill[1]}
        out.append(replace(one, blocks=len(known), **ends))
    return out


def _table(known: Sequence[Sums]) -> FloatArray:
    rows = [(s.called, sum(said for _, said, _ in s.bins), s.log_loss, s.prior_log_loss) for s in known]
    return np.array(rows, np.float64)


def _ends(values: FloatArray) -> list[float | None]:
    kept = np.where(np.isnan(values), np.inf, values)
    found = np.quantile(kept, _TAILS, method="inverted_cdf")
    return [float(end) if np.isfinite(end) else None for end in found]
