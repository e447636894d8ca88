"""The report as one HTML file: no script, no request, light and dark, on screen and on paper."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from training.report.parts import Report

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["render_page", "write_page"]

_HERE = Path(__file__).parent


def render_page(report: Report) -> str:
    """Write a report as HTML.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    str
        A whole document; all text is escaped.
    """
    style = (_HERE / "report.css").read_text(encoding="utf-8")
    return _template().render(report=report, style=style)


def write_page(report: Report, path: str | Path) -> Path:
    """Write a report to an HTML file, at once or not at all.

    Parameters
    ----------
    report : Report
        The report.
    path : str or Path
        The file; replaced if it is there.

    Returns
    -------
    Path
        The file.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    part.write_text(render_page(report), encoding="utf-8")
    return part.replace(target)


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2")
