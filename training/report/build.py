"""From an evaluation to a report."""

from __future__ import annotations

from models.market import MarketPanel
from models.predictor.predictor import MarginCallPredictor
from training.report import sections
from training.report.judged import Judged
from training.report.parts import Report
from training.report.replayed import Replayed
from training.scoring import Evaluation

__all__ = ["build_report"]

_ORDER = (
    sections.skill,
    sections.calibration,
    sections.alerts,
    sections.decisions,
    sections.sizes,
    sections.parts,
    sections.course,
    sections.crashes,
    sections.drift,
    sections.limits,
)


def build_report(
    evaluation: Evaluation,
    panel: MarketPanel,
    predictor: MarginCallPredictor,
    title: str = "How good the forecasts are",
    beside: tuple[Evaluation, MarginCallPredictor] | None = None,
    replayed: Replayed | None = None,
) -> Report:
    """Turn an evaluation into words, figures and tables.

    Parameters
    ----------
    evaluation : Evaluation
        From `training.scoring.evaluate`.
    panel : MarketPanel
        The market it ran on.
    predictor : MarginCallPredictor
        The model it judged.
    title : str
        Heading.
    beside : tuple of (Evaluation, MarginCallPredictor), optional
        Another model, judged on the same accounts.
    replayed : Replayed, optional
        What rules for collateral did in a replay.

    Returns
    -------
    Report
        For `training.report.write_page` and `training.report.write_twins`.
    """
    judged = Judged(evaluation, panel, predictor)
    simulated = set(panel.source) == {"simulated"}
    warning = "The market is simulated: no number below says anything about a real one." if simulated else ""
    parts = [part(judged) for part in _ORDER]
    if beside is not None:
        parts.insert(1, sections.compare(judged, Judged(beside[0], panel, beside[1])))
    if replayed is not None:
        parts.insert(-1, sections.replayed(replayed))
    return Report(title, sections.about(judged), sections.headline(judged), parts, warning)
