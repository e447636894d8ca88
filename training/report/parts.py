"""What a report is made of: sections of paragraphs, figures and tables, every figure with its numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.errors import InputError

__all__ = ["Cell", "Figure", "Report", "Section", "Table"]

Cell = str | float | int | bool | None
_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers under one heading; the page shows them rounded, the CSV twin whole.

    Parameters
    ----------
    name : str
        Lower-case words with hyphens: the name of the CSV file.
    caption : str
        What the rows are.
    columns : tuple of str
        Headings, the first one of the names of the rows.
    rows : tuple of tuple
        Cells: text, numbers, or None for what is undefined.
    formats : tuple of str
        Format of the numbers of each column, for example ``".2%"``; empty where a column is text.
    flagged : frozenset of int
        Rows that stand out as failures.

    Raises
    ------
    InputError
        If the name is not made of such words, or a row or the formats have another length than the columns.

    Examples
    --------
    >>> Table("skill", "Skill", ("horizon", "skill"), (("1 h", 0.0123),), ("", ".1%")).shown()
    [('1 h', '1.2%')]
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    formats: tuple[str, ...]
    flagged: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError("name", self.name, "lower-case words with hyphens")
        for name, found in (("formats", self.formats), *(("rows", row) for row in self.rows)):
            if len(found) != len(self.columns):
                raise InputError(f"{self.name}.{name}", len(found), f"{len(self.columns)}, one for each column")

    def shown(self) -> list[tuple[str, ...]]:
        """Text of the cells.

        Returns
        -------
        list of tuple of str
            One tuple a row; a dash where nothing is known.
        """
        return [tuple(_shown(c, f) for c, f in zip(row, self.formats, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, what it says in a sentence, and its numbers.

    Parameters
    ----------
    title : str
        Heading.
    says : str
        What a reader should see in it; it is also the description for those who cannot see it.
    svg : str
        The drawing, an ``<svg>`` element.
    table : Table
        The numbers drawn.
    """

    title: str
    says: str
    svg: str
    table: Table


@dataclass(frozen=True, slots=True)
class Section:
    """Part of a report.

    Parameters
    ----------
    name : str
        Anchor in the page.
    title : str
        Heading.
    words : sequence of str
        Paragraphs.
    figures : sequence of Figure
        Charts.
    tables : sequence of Table
        Tables that are shown open.
    """

    name: str
    title: str
    words: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report.

    Parameters
    ----------
    title : str
        Heading of the page.
    about : str
        One line under it: model, period, data.
    headline : sequence of str
        The findings in words, the most important first.
    sections : sequence of Section
        In the order of the page.
    warning : str
        Said before everything else, for example that the market is simulated; empty: nothing.
    """

    title: str
    about: str
    headline: Sequence[str]
    sections: Sequence[Section]
    warning: str = ""

    def tables(self) -> list[Table]:
        """Every table of the report, those of figures included.

        Returns
        -------
        list of Table
            In the order of the page.
        """
        return [t for s in self.sections for t in (*(f.table for f in s.figures), *s.tables)]


def _shown(cell: Any, form: str) -> str:
    if cell is None or cell != cell:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, str) or not form:
        return str(cell)
    return format(cell, form).replace("-", "−")
