"""What the training rows looked like, for the novelty of later ones."""

from __future__ import annotations

from typing import Final

import numpy as np

from features.build import FEATURE_NAMES, MONOTONE
from features.cross import CALENDAR_COLUMNS
from models.predictor.novelty import NoveltyModel
from models.typing import HORIZONS
from training.dataset import Dataset

__all__ = ["fit_novelty", "watched_columns"]

_BY_HORIZON: Final = ("horizon", "prior_logit", "distance_sigma", "sigma")


def watched_columns() -> tuple[str, ...]:
    """Columns that may be unusual: those that neither leverage, nor the horizon, nor the calendar alone moves.

    Returns
    -------
    tuple of str
        Names, in the order of the design matrix.

    Examples
    --------
    >>> "gross_leverage" in watched_columns(), "rv_24h" in watched_columns()
    (False, True)
    """
    left_out = {*_BY_HORIZON, *CALENDAR_COLUMNS}
    return tuple(n for n, way in zip(FEATURE_NAMES, MONOTONE, strict=True) if way == 0 and n not in left_out)


def fit_novelty(learned: Dataset, share: float = 0.01, least: int = 100) -> NoveltyModel | None:
    """Learn what is usual.

    Parameters
    ----------
    learned : Dataset
        The rows that the trees were fitted on, one level.
    share : float
        Share of them that is to be flagged.
    least : int
        Fewest rows to learn from.

    Returns
    -------
    NoveltyModel or None
        None with fewer rows.
    """
    if len(learned) < least:
        return None
    names = watched_columns()
    columns = [learned.feature_names.index(name) for name in names]
    return NoveltyModel.fit(np.ascontiguousarray(learned.x[:: len(HORIZONS), columns]), names, share)
