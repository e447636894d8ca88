"""A market panel that grows: bars are put in place, panels that were handed out never change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from models.market import MarketPanel
from models.typing import DAY_NS, FloatArray

__all__ = ["BAR_FIELDS", "PanelBuffer"]

BAR_FIELDS: Final = ("open", "high", "low", "close", "volume", "funding_rate")
"""What a bar is made of, in this order everywhere."""
IMPLIED_DAYS: Final = 3
"""How long the newest level of an implied-volatility index is taken to hold, as in `features.sources`."""
_ROOM = 1024


class PanelBuffer:
    """Bars of several assets, with room for those to come.

    Parameters
    ----------
    base : MarketPanel
        History.
    history_bars : int
        Bars that a panel holds at most, the newest ones.

    Notes
    -----
    Columns beyond the panels that were handed out are written in place; a bar before their end is written to a copy.
    Not thread-safe: one writer.

    Examples
    --------
    >>> one = np.ones((1, 3))
    >>> buffer = PanelBuffer(MarketPanel(("BTC",), 60, 0, one, one, one, one, one, one * 0, ("mark",)), 100)
    >>> before = buffer.panel()
    >>> buffer.put(0, 1, (2.0, 2.0, 2.0, 2.0, 1.0, 0.0))
    >>> float(before.close[0, 1]), float(buffer.panel().close[0, 1])
    (1.0, 2.0)
    """

    def __init__(self, base: MarketPanel, history_bars: int) -> None:
        self._base = base
        self._history = max(1, history_bars)
        kept = base.slice(base.n_bars - self._history, base.n_bars)
        self._first = kept.start // kept.step
        self._n = kept.n_bars
        self._values = np.full((len(BAR_FIELDS), len(base.assets), kept.n_bars + _ROOM), np.nan)
        self._values[-1] = 0.0
        for i, name in enumerate(BAR_FIELDS):
            self._values[i, :, : kept.n_bars] = getattr(kept, name)
        self._implied = kept.implied
        self._shown = False

    @property
    def first(self) -> int:
        """Oldest bar that is held, counted from the epoch."""
        return self._first

    @property
    def next(self) -> int:
        """The bar after the newest one that panels show, counted from the epoch."""
        return self._first + self._n

    def get(self, asset: int, index: int) -> FloatArray | None:
        """Give the bar of an asset, shape (6,), in the order of `BAR_FIELDS`; None where there is none."""
        column = index - self._first
        if not 0 <= column < self._values.shape[2]:
            return None
        found = self._values[:, asset, column]
        return found.copy() if np.isfinite(found[:4]).all() else None

    def put(self, asset: int, index: int, bar: tuple[float, ...] | FloatArray) -> None:
        """Put one bar in its place.

        Parameters
        ----------
        asset : int
            Row of the panel.
        index : int
            The bar, counted from the epoch; one before `first` is left out.
        bar : sequence of float, length 6
            In the order of `BAR_FIELDS`.
        """
        if index < self._first:
            return
        self._make_room(index)
        column = index - self._first
        if column < self._n and self._shown:
            self._values = self._values.copy()
            self._shown = False
        self._values[:, asset, column] = bar

    def show_until(self, index: int) -> None:
        """Let panels end with a bar, counted from the epoch; an earlier one changes nothing."""
        self._make_room(index)
        self._n = max(self._n, index - self._first + 1)

    def panel(self) -> MarketPanel:
        """Give the newest bars as a panel; it never changes.

        Returns
        -------
        MarketPanel
            Views of the buffer.
        """
        self._shown = True
        begin = max(0, self._n - self._history)
        cut: dict[str, Any] = {name: self._values[i, :, begin : self._n] for i, name in enumerate(BAR_FIELDS)}
        start = (self._first + begin) * self._base.step
        return replace(self._base, start=start, implied=self._levels(begin), **cut)

    def _levels(self, begin: int) -> FloatArray | None:
        """Implied volatility of the columns shown: the newest level holds for some days."""
        known = self._implied
        if known is None:
            return None
        more = max(0, self._n - known.shape[1])
        held = min(more, IMPLIED_DAYS * DAY_NS // self._base.step)
        newest = np.repeat(known[:, -1:], held, axis=1)
        gone = np.full((len(known), more - held), np.nan)
        return np.ascontiguousarray(np.concatenate([known, newest, gone], axis=1)[:, begin : self._n])

    def _make_room(self, index: int) -> None:
        """Move to larger arrays where the bar lies beyond them; what is older than the history is forgotten."""
        size = self._values.shape[2]
        if index - self._first < size:
            return
        drop = max(0, min(self._n - self._history, size))
        wanted = index + 1 - self._first - drop + _ROOM
        values = np.full((*self._values.shape[:2], wanted), np.nan)
        values[-1] = 0.0
        values[:, :, : size - drop] = self._values[:, :, drop:]
        self._values, self._shown = values, False
        if self._implied is not None:
            level = self._implied
            more = np.repeat(level[:, -1:], max(0, drop + 1 - level.shape[1]), axis=1)
            self._implied = np.concatenate([level, more], axis=1)[:, drop:]
        self._first, self._n = self._first + drop, self._n - drop
