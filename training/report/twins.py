"""The tables of a report as CSV files, with all digits."""

from __future__ import annotations

import csv
from pathlib import Path

from training.report.parts import Report

__all__ = ["write_twins"]


def write_twins(report: Report, folder: str | Path) -> list[Path]:
    """Write each table to a CSV file of its name.

    Parameters
    ----------
    report : Report
        The report.
    folder : str or Path
        Created if it is not there; files of the same name are replaced.

    Returns
    -------
    list of Path
        The files.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for table in report.tables():
        path = target / f"{table.name}.csv"
        with path.open("w", newline="", encoding="utf-8") as handle:
            out = csv.writer(handle, lineterminator="\n")
            out.writerow(table.columns)
            out.writerows([["" if c is None or c != c else c for c in row] for row in table.rows])
        written.append(path)
    return written
