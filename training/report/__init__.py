"""The evaluation report: one HTML file that opens from disk, with its numbers beside it as CSV and JSON."""

from training.report.build import build_report
from training.report.hindcast import build_hindcast
from training.report.page import write_page
from training.report.parts import Figure, Report, Section, Table
from training.report.replayed import Replayed, load_replay
from training.report.twins import write_twins
from training.report.write import write_report

__all__ = [
    "Figure",
    "Replayed",
    "Report",
    "Section",
    "Table",
    "build_hindcast",
    "build_report",
    "load_replay",
    "write_page",
    "write_report",
    "write_twins",
]
