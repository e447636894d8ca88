"""A report on disk: the page, its numbers as JSON and as CSV."""

from __future__ import annotations

from pathlib import Path

from models.market import MarketPanel
from models.predictor.predictor import MarginCallPredictor
from training.evaluate.report import write_metrics
from training.report.build import build_report
from training.report.document import Ownership, build_document
from training.report.page import write_page
from training.report.replayed import Replayed
from training.report.twins import write_twins
from training.scoring import Evaluation

__all__ = ["write_report"]


def write_report(
    evaluation: Evaluation,
    panel: MarketPanel,
    predictor: MarginCallPredictor,
    folder: str | Path,
    beside: tuple[Evaluation, MarginCallPredictor] | None = None,
    about: Ownership | None = None,
    replayed: Replayed | None = None,
) -> Path:
    """Write ``report.html``, ``model.html``, ``metrics.json`` and ``data/*.csv`` to a folder.

    Parameters
    ----------
    evaluation : Evaluation
        From `training.scoring.evaluate`.
    panel : MarketPanel
        The market it ran on.
    predictor : MarginCallPredictor
        The model it judged.
    folder : str or Path
        Created if it is not there; files of the same name are replaced.
    beside : tuple of (Evaluation, MarginCallPredictor), optional
        Another model, judged on the same accounts.
    about : Ownership, optional
        Who answers for the model, for its document.
    replayed : Replayed, optional
        What rules for collateral did in a replay.

    Returns
    -------
    Path
        The page.
    """
    target = Path(folder)
    report = build_report(evaluation, panel, predictor, beside=beside, replayed=replayed)
    document = build_document(evaluation, panel, predictor, about or Ownership())
    write_twins(report, target / "data")
    write_metrics(evaluation.metrics, target / "metrics.json")
    write_page(document, target / "model.html")
    return write_page(report, target / "report.html")
