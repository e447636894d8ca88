"""An SVG drawing that grows element by element; all text is escaped, all colour is left to the page's style."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["Canvas"]

_idents = itertools.count(1)


class Canvas:
    """A drawing.

    Parameters
    ----------
    width, height : float
        Of its view box.
    title, description : str
        What those hear who cannot see it.

    Examples
    --------
    >>> canvas = Canvas(10, 10, "A", "B")
    >>> canvas.line((0, 0), (1, 1), "axis")
    >>> 'class="axis"' in canvas.svg() and 'role="img"' in canvas.svg()
    True
    """

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self._size = (width, height)
        self._words = (title, description)
        self._parts: list[str] = []

    def line(self, start: tuple[float, float], stop: tuple[float, float], kind: str) -> None:
        """Draw a straight line."""
        ends = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{stop[0]:.1f}" y2="{stop[1]:.1f}"'
        self._parts.append(f'<line {ends} class="{kind}"/>')

    def path(self, points: Sequence[tuple[float, float] | None], kind: str, closed: bool = False) -> None:
        """Draw a line through points; None breaks it."""
        words, pen = [], "M"
        for point in points:
            if point is None:
                pen = "M"
                continue
            words.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
            pen = "L"
        if words:
            self._parts.append(f'<path d="{"".join(words)}{"Z" if closed else ""}" class="{kind}"/>')

    def mark(self, at: tuple[float, float], shape: int, kind: str, size: float = 3.4) -> None:
        """Draw a point as a circle, square, triangle or diamond."""
        x, y = at
        if shape % 4 == 0:
            self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" class="{kind}"/>')
            return
        corners = (
            ((-1, -1), (1, -1), (1, 1), (-1, 1)),
            ((0, -1.2), (1.1, 0.9), (-1.1, 0.9)),
            ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)),
        )[shape % 4 - 1]
        self.path([(x + size * a, y + size * b) for a, b in corners], kind, closed=True)

    def box(self, at: tuple[float, float], size: tuple[float, float], kind: str) -> None:
        """Draw a rectangle from its upper left corner."""
        width, height = max(size[0], 0.0), max(size[1], 0.0)
        place = f'x="{at[0]:.1f}" y="{at[1]:.1f}" width="{width:.1f}" height="{height:.1f}"'
        self._parts.append(f'<rect {place} class="{kind}"/>')

    def text(self, at: tuple[float, float], words: str, kind: str = "label", anchor: str = "start") -> None:
        """Write a line of text."""
        place = f'x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}"'
        self._parts.append(f'<text {place} class="{kind}">{escape(words)}</text>')

    def extend(self, parts: Iterable[str]) -> None:
        """Add elements that are already written."""
        self._parts.extend(parts)

    def svg(self) -> str:
        """Give the whole element.

        Returns
        -------
        str
            An ``<svg>`` with a title and a description.
        """
        ident = f"chart-{next(_idents)}"
        width, height = self._size
        title, description = (escape(w) for w in self._words)
        head = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{ident}-t {ident}-d">'
        words = f'<title id="{ident}-t">{title}</title><desc id="{ident}-d">{description}</desc>'
        return head + words + "".join(self._parts) + "</svg>"
