"""Every part of the accounts that a desk would ask about, failures flagged."""

from __future__ import annotations

from training.evaluate.segments import RANGE, SMALLEST
from training.report.judged import Judged
from training.report.parts import Section, Table

__all__ = ["parts"]


def parts(judged: Judged) -> Section:
    """List predicted over observed by part.

    Parameters
    ----------
    judged : Judged
        The evaluation.

    Returns
    -------
    Section
        One table of the parts that are judged, one of the others.
    """
    found = judged.metrics.get("calibration", [])
    words = (
        f"Parts with at least {SMALLEST} calls, chosen by what was known at the time, are judged: predicted over "
        f"observed outside {RANGE[0]:g} to {RANGE[1]:g} is a failure. Parts chosen by what came later (days before a "
        "crash) are listed and not judged: no forecast is calibrated on rows that were picked for their outcome.",
    )
    judged_rows = [part for part in found if part["judged"]]
    others = [part for part in found if not part["judged"]]
    tables = [
        _table("parts-judged", "Judged, the furthest from 1 first", sorted(judged_rows, key=_away)),
        _table("parts-small", "Not judged: too few calls, or chosen by what came later", others),
    ]
    return Section("parts", "Where does it fail?", words, tables=tables)


def _away(part: dict[str, float]) -> float:
    ratio = part["ratio"]
    return -max(ratio, 1.0 / ratio) if ratio else float("-inf")


def _table(name: str, caption: str, found: list[dict[str, float]]) -> Table:
    rows = tuple((p["trait"], p["part"], p["forecasts"], p["calls"], p["ratio"], bool(p["flagged"])) for p in found)
    columns = ("trait", "part", "forecasts", "calls", "predicted / observed", "failure")
    flagged = frozenset(i for i, p in enumerate(found) if p["flagged"])
    return Table(name, caption, columns, rows, ("", "", ",", ",", ".3f", ""), flagged)
