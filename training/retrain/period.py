"""Which days a retraining learns from, and which it is judged on."""

from __future__ import annotations

from dataclasses import dataclass

from models.market import MarketPanel
from models.typing import DAY_NS
from training.splits import PURGE_NS

__all__ = ["Period", "period_of"]


@dataclass(frozen=True, slots=True)
class Period:
    """Times of a run, nanoseconds UTC."""

    first: int
    prior: int
    judged: int
    until: int
    end: int


def period_of(
    panel: MarketPanel, judged_days: int, window_days: int, prior_days: int, warmup_days: int
) -> Period | None:
    """Choose the times of a run from the bars there are.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    judged_days, window_days, prior_days, warmup_days : int
        As in `RetrainSettings` and `TrainSettings`.

    Returns
    -------
    Period or None
        First instant of the training, end of the prior's data, first instant judged, end of what has matured, newest
        bar; None where there are too few bars.
    """
    until = (panel.end - PURGE_NS) // DAY_NS * DAY_NS
    judged = until - judged_days * DAY_NS
    epoch = prior_days * DAY_NS
    prior = judged // epoch * epoch
    first = max(judged - window_days * DAY_NS, panel.start + warmup_days * DAY_NS)
    first = -(-first // DAY_NS) * DAY_NS
    if prior - first < 30 * DAY_NS:
        return None
    return Period(first, prior, judged, until, panel.end)
