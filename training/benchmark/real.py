"""The track on a real market: train before a date, judge on the time after; and walk forward by years."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from features.sources.times import iso
from models.market import MarketPanel
from models.typing import DAY_NS, FloatArray
from training.benchmark.compare import compare
from training.benchmark.contest import fit_contestants
from training.benchmark.crashes import leave_one_out
from training.benchmark.names import OURS
from training.dataset import Dataset, concatenate
from training.evaluate.report import plain
from training.scoring import evaluation_set
from training.settings import Stage, TrainSettings
from training.splits import to_ns

__all__ = [
    "Period",
    "RealSettings",
    "Result",
    "about_track",
    "real_track",
    "shared_extra",
    "walk_forward_track",
    "years",
]


@dataclass(frozen=True, slots=True)
class RealSettings:
    """How the real track samples; the protocol of the reports by default.

    Parameters
    ----------
    training : TrainSettings
        Of every training.
    test_every : int
        Minutes between two test instants.
    test_accounts : int
        Accounts of a test instant.
    rounds : int
        Most rounds of boosted peers.
    """

    training: TrainSettings = field(default_factory=TrainSettings)
    test_every: int = 420
    test_accounts: int = 40
    rounds: int = 200


@dataclass(frozen=True, slots=True)
class Period:
    """Train from ``start`` to ``cut``, judge from there to ``stop``; nanoseconds UTC."""

    start: int
    cut: int
    stop: int

    @property
    def name(self) -> str:
        """The test period in words."""
        return f"{iso(self.cut)[:10]} to {iso(self.stop)[:10]}"


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Forecasts on the rows of one period.

    Parameters
    ----------
    dataset : Dataset
        Rows.
    forecasts : dict of str to ndarray of float
        Predictions by name.
    notes : list of str
        What a reader should know.
    """

    dataset: Dataset
    forecasts: dict[str, FloatArray]
    notes: list[str]


def real_track(
    panel: MarketPanel,
    period: Period,
    settings: RealSettings | None = None,
    peers: Sequence[str] | None = None,
    progress: Stage | None = None,
) -> dict[str, Any]:
    """Run one period.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    period : Period
        Training and test period.
    settings : RealSettings, optional
        Sampling.
    peers : sequence of str, optional
        Which peers; all by default.
    progress : callable, optional
        Called with (stage, done, in all).

    Returns
    -------
    dict
        about, notes and the keys of `training.benchmark.compare`.
    """
    chosen = settings or RealSettings()
    found = _run(panel, period, chosen, peers, progress)
    about = about_track(panel, chosen, [period], found.dataset)
    return plain({"about": about, "notes": found.notes, **compare(found.dataset, found.forecasts, panel)})


def walk_forward_track(
    panel: MarketPanel,
    periods: Sequence[Period],
    settings: RealSettings | None = None,
    peers: Sequence[str] | None = None,
    progress: Stage | None = None,
) -> dict[str, Any]:
    """Run consecutive periods, each trained on all that came before it.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    periods : sequence of Period
        In order of time.
    settings : RealSettings, optional
        Sampling.
    peers : sequence of str, optional
        Which peers; all by default.
    progress : callable, optional
        Called with (stage, done, in all).

    Returns
    -------
    dict
        about, notes, ``periods`` (what `real_track` gives for each), the comparison over all periods together, and
        ``crashes`` (`training.benchmark.crashes.leave_one_out`).
    """
    chosen = settings or RealSettings()
    found = [_run(panel, period, chosen, peers, progress) for period in periods]
    whole = concatenate([replace(r.dataset, extra=shared_extra(r.dataset, found)) for r in found])
    names = [name for name in found[0].forecasts if all(name in r.forecasts for r in found)]
    forecasts = {name: np.concatenate([r.forecasts[name] for r in found]) for name in names}
    each = {p.name: compare(r.dataset, r.forecasts, panel) for p, r in zip(periods, found, strict=True)}
    return plain(
        {
            "about": about_track(panel, chosen, periods, whole),
            "notes": found[-1].notes,
            "periods": each,
            "crashes": leave_one_out(whole, forecasts[OURS], forecasts["B5"], panel),
            **compare(whole, forecasts, panel),
        }
    )


def years(first: int, last: int, start: int | str, end: int) -> list[Period]:
    """Cut time into test years from July to June.

    Parameters
    ----------
    first, last : int
        Calendar years in which the first and the last test year begin.
    start : int or str
        Begin of every training.
    end : int
        Close of the last bar there is; a last year is cut there, and left out if under 30 days are left.

    Returns
    -------
    list of Period
        In order of time.

    Examples
    --------
    >>> [p.name for p in years(2023, 2024, "2020-01-20", to_ns("2025-01-01"))]
    ['2023-07-01 to 2024-07-01', '2024-07-01 to 2025-01-01']
    """
    edges = [(to_ns(f"{y}-07-01"), min(to_ns(f"{y + 1}-07-01"), end)) for y in range(first, last + 1)]
    return [Period(to_ns(start), cut, stop) for cut, stop in edges if stop - cut >= 30 * DAY_NS]


def _run(
    panel: MarketPanel, period: Period, settings: RealSettings, peers: Sequence[str] | None, progress: Stage | None
) -> Result:
    training = settings.training
    found = fit_contestants(panel, period.start, period.cut, training, peers, settings.rounds, progress)
    test = replace(training, every_minutes=settings.test_every, per_instant=settings.test_accounts)
    prior = found.training.predictor.prior
    dataset = evaluation_set(panel, prior, period.cut, min(period.stop, panel.end), test, progress=progress).dataset
    return Result(dataset, found.forecasts(dataset), found.notes)


def shared_extra(dataset: Dataset, found: Sequence[Result]) -> dict[str, FloatArray]:
    """Extra columns that every period has."""
    return {name: column for name, column in dataset.extra.items() if all(name in r.dataset.extra for r in found)}


def about_track(
    panel: MarketPanel, settings: RealSettings, periods: Sequence[Period], dataset: Dataset
) -> dict[str, Any]:
    return {
        "assets": list(panel.assets),
        "source": list(panel.source),
        "ruleset": settings.training.ruleset,
        "seed": settings.training.seed,
        "train_from": iso(periods[0].start),
        "test": [period.name for period in periods],
        "accounts": len(dataset) // 2,
        "counts": dataset.counts,
    }
