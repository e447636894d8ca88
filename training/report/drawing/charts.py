"""The charts of a report: lines over an axis, intervals beside names, and a fan of quantiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.report.drawing.axis import Axis, axis_over
from training.report.drawing.canvas import Canvas
from training.report.drawing.series import Band, Series, as_array

__all__ = ["Look", "fan_chart", "interval_chart", "line_chart"]

WIDTH, HEIGHT = 480.0, 300.0
LEFT, RIGHT, BOTTOM = 58.0, 12.0, 42.0
_ROW = 15.0
Text = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Look:
    """How a chart is labelled.

    Parameters
    ----------
    x, y : str
        Names of the axes, with their unit.
    x_text, y_text : callable
        Text of a tick.
    x_log, y_log : bool
        Logarithmic axes.
    x_keep, y_keep : tuple of float
        Values that are seen in any case.
    diagonal : bool
        Whether the line where both are equal is drawn.
    across : tuple of (float, str)
        Level lines, and their names.
    """

    x: str
    y: str
    x_text: Text = "{:g}".format
    y_text: Text = "{:g}".format
    x_log: bool = False
    y_log: bool = False
    x_keep: tuple[float, ...] = ()
    y_keep: tuple[float, ...] = ()
    diagonal: bool = False
    across: tuple[tuple[float, str], ...] = ()


def line_chart(title: str, says: str, series: Sequence[Series], look: Look, bands: Sequence[Band] = ()) -> str:
    """Draw lines or points over two axes.

    Parameters
    ----------
    title, says : str
        What the chart is, and what it says.
    series : sequence of Series
        At most six are told apart.
    look : Look
        Axes.
    bands : sequence of Band
        Areas under the lines, the widest first.

    Returns
    -------
    str
        An ``<svg>`` element.

    Examples
    --------
    >>> drawn = line_chart("t", "d", [Series("a", [0.0, 1.0], [1.0, 2.0])], Look("x", "y"))
    >>> drawn.startswith("<svg") and "<path" in drawn
    True
    """
    names = [(f"b{i}", b.name) for i, b in enumerate(bands)] + [(f"s{i}", s.name) for i, s in enumerate(series)]
    rows = _legend_rows([n for _, n in names])
    top = 8.0 + _ROW * len(rows)
    canvas = Canvas(WIDTH, HEIGHT + top, title, says)
    x, y = _axes(series, bands, look, top)
    _frame(canvas, x, y, look)
    _legend(canvas, rows, [k for k, _ in names])
    for i, band in enumerate(bands):
        _draw_band(canvas, band, x, y, f"band b{i}")
    for i, one in enumerate(series):
        _draw_series(canvas, one, x, y, i)
    return canvas.svg()


def fan_chart(title: str, says: str, bands: Sequence[Band], series: Sequence[Series], look: Look) -> str:
    """Draw a fan of quantiles, and what happened.

    Parameters
    ----------
    title, says : str
        What the chart is, and what it says.
    bands : sequence of Band
        The widest first.
    series : sequence of Series
        Lines over them.
    look : Look
        Axes.

    Returns
    -------
    str
        An ``<svg>`` element.

    Examples
    --------
    >>> fan_chart("t", "d", [Band("90%", [0, 1], [0, 0], [1, 2])], [], Look("x", "y")).count("<path")
    1
    """
    return line_chart(title, says, series, look, bands)


def interval_chart(
    title: str,
    says: str,
    names: Sequence[str],
    value: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    look: Look,
    zero: float = 0.0,
) -> str:
    """Draw a value with its interval beside each name.

    Parameters
    ----------
    title, says : str
        What the chart is, and what it says.
    names : sequence of str, length n
        One row each, from the top.
    value, low, high : sequence of float, length n
        The values and the ends of their intervals.
    look : Look
        ``x`` and ``x_text`` are used.
    zero : float
        Where the line of no difference stands.

    Returns
    -------
    str
        An ``<svg>`` element.

    Examples
    --------
    >>> interval_chart("t", "d", ["a"], [0.1], [0.0], [0.2], Look("x", "")).count("<circle")
    1
    """
    left = 16.0 + 6.6 * max((len(n) for n in names), default=1)
    step = 24.0
    bottom = 12.0 + step * len(names)
    canvas = Canvas(WIDTH, bottom + BOTTOM, title, says)
    x = axis_over([*value, *low, *high], left, WIDTH - RIGHT - 6, keep=(zero, *look.x_keep))
    _ticks_below(canvas, x, look, 6.0, bottom)
    canvas.line((x.at(zero), 6.0), (x.at(zero), bottom), "level")
    for i, name in enumerate(names):
        y = 12.0 + step * (i + 0.5)
        canvas.text((left - 8, y + 4), name, "label", "end")
        if not np.isfinite(value[i]):
            continue
        sure = low[i] > zero or high[i] < zero
        canvas.line((x.at(low[i]), y), (x.at(high[i]), y), "whisker s0")
        canvas.mark((x.at(value[i]), y), 0, "mark s0" if sure else "mark s0 open", 4.6)
    return canvas.svg()


def _axes(series: Sequence[Series], bands: Sequence[Band], look: Look, top: float) -> tuple[Axis, Axis]:
    xs = [v for part in series for v in as_array(part.x)] + [v for part in bands for v in as_array(part.x)]
    ys = [v for s in series for part in (s.y, s.low, s.high) if part is not None for v in as_array(part)]
    ys += [v for b in bands for part in (b.low, b.high) for v in as_array(part)] + [v for v, _ in look.across]
    if look.diagonal:
        xs = ys = [*xs, *ys]
    x = axis_over(xs, LEFT, WIDTH - RIGHT, look.x_log, look.x_keep)
    y = axis_over(ys, top + HEIGHT - BOTTOM, top + 4.0, look.y_log, look.y_keep)
    return x, y


def _frame(canvas: Canvas, x: Axis, y: Axis, look: Look) -> None:
    _ticks_below(canvas, x, look, y.stop, y.start)
    for value in y.ticks(5):
        canvas.line((x.start, y.at(value)), (x.stop, y.at(value)), "grid")
        canvas.text((x.start - 6, y.at(value) + 4), look.y_text(value), "tick", "end")
    middle = (y.start + y.stop) / 2
    turned = f'<text transform="translate(12 {middle:.1f}) rotate(-90)" text-anchor="middle" class="label">'
    canvas.extend([turned + _plain(look.y) + "</text>"])
    if look.diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        canvas.line((x.at(low), y.at(low)), (x.at(high), y.at(high)), "level")
    above = -float("inf")
    for value, name in sorted(look.across, reverse=True):
        canvas.line((x.start, y.at(value)), (x.stop, y.at(value)), "level")
        crowded = y.at(value) - above < 16  # the name of the level above would be written over
        canvas.text((x.stop - 4, y.at(value) + (14 if crowded else -4)), name, "tick", "end")
        above = y.at(value)


def _ticks_below(canvas: Canvas, x: Axis, look: Look, top: float, bottom: float) -> None:
    for value in x.ticks(6):
        canvas.line((x.at(value), top), (x.at(value), bottom), "grid")
        canvas.text((x.at(value), bottom + 16), look.x_text(value), "tick", "middle")
    canvas.line((x.start, bottom), (x.stop, bottom), "axis")
    canvas.text(((x.start + x.stop) / 2, bottom + 34), look.x, "label", "middle")


def _draw_band(canvas: Canvas, band: Band, x: Axis, y: Axis, kind: str) -> None:
    along = as_array(band.x)
    upper = [(x.at(a), y.at(b)) for a, b in zip(along, as_array(band.high), strict=True)]
    lower = [(x.at(a), y.at(b)) for a, b in zip(along, as_array(band.low), strict=True)]
    canvas.path([*upper, *reversed(lower)], kind, closed=True)


def _draw_series(canvas: Canvas, one: Series, x: Axis, y: Axis, index: int) -> None:
    places = [
        (x.at(a), y.at(b)) if np.isfinite(a) and np.isfinite(b) and not (y.log and b <= 0) else None
        for a, b in zip(as_array(one.x), as_array(one.y), strict=True)
    ]
    if one.low is not None and one.high is not None:
        for place, low, high in zip(places, as_array(one.low), as_array(one.high), strict=True):
            if place is not None and np.isfinite(low) and np.isfinite(high):
                canvas.line((place[0], y.at(low)), (place[0], y.at(high)), f"whisker s{index}")
    if one.line:
        canvas.path(places, f"line s{index}")
    if one.marks:
        for place in places:
            if place is not None:
                canvas.mark(place, index, f"mark s{index}")


def _legend_rows(names: Sequence[str]) -> list[list[str]]:
    """Names in rows that fit the width."""
    rows: list[list[str]] = []
    used = WIDTH
    for name in names:
        need = 40.0 + 7.2 * len(name)
        if used + need > WIDTH - LEFT:
            rows.append([])
            used = 0.0
        rows[-1].append(name)
        used += need
    return rows


def _legend(canvas: Canvas, rows: Sequence[Sequence[str]], kinds: Sequence[str]) -> None:
    found = iter(kinds)
    for i, row in enumerate(rows):
        place, y = LEFT, 10.0 + _ROW * i
        for name in row:
            kind = next(found)
            if kind.startswith("b"):
                canvas.box((place, y - 5), (20, 10), f"band {kind}")
            else:
                canvas.line((place, y), (place + 20, y), f"line {kind}")
                canvas.mark((place + 10, y), int(kind[1:]), f"mark {kind}")
            canvas.text((place + 25, y + 4), name, "label")
            place += 40.0 + 7.2 * len(name)


def _plain(text: str) -> str:
    from html import escape

    return escape(text)
