"""The sections of a report, one file each: numbers to words, figures and tables."""

from training.report.sections.alerts import alerts
from training.report.sections.calibration import calibration
from training.report.sections.compare import compare
from training.report.sections.course import course
from training.report.sections.crashes import crashes
from training.report.sections.decisions import decisions
from training.report.sections.drift import drift
from training.report.sections.headline import about, headline
from training.report.sections.limits import limits
from training.report.sections.parts import parts
from training.report.sections.replayed import replayed
from training.report.sections.sizes import sizes
from training.report.sections.skill import skill

__all__ = [
    "about",
    "alerts",
    "calibration",
    "compare",
    "course",
    "crashes",
    "decisions",
    "drift",
    "headline",
    "limits",
    "parts",
    "replayed",
    "sizes",
    "skill",
]
