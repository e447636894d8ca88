"""The live market: bars by event time, in any order; a new moment when a bar is complete or its time is up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from features.stream import MarketStream
from features.window import warmup_bars
from models.market import MarketPanel
from models.typing import DAY_NS, MINUTE_NS, FloatArray
from serving.live.buffer import BAR_FIELDS, PanelBuffer

__all__ = ["LiveMarket", "Published", "StoredBar"]


@dataclass(frozen=True, slots=True)
class StoredBar:
    """One bar as it is stored.

    Parameters
    ----------
    seq : int
        Its place in the order of arrival.
    asset : str
        Base code.
    open_ns : int
        Open stamp, nanoseconds.
    values : tuple of float, length 6
        In the order of `BAR_FIELDS`; volume may be NaN.
    received_ns : int
        When it came, nanoseconds.
    """

    seq: int
    asset: str
    open_ns: int
    values: tuple[float, ...]
    received_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """A market that is ready to be scored on.

    Parameters
    ----------
    panel : MarketPanel
        The bars; it never changes.
    features : ndarray, shape (A, F)
        Market features at its end.
    seq : int
        The newest stored bar that it shows, the same in every process; 0 where it shows none.
    late : bool
        Whether it changes bars that an earlier one showed.
    """

    panel: MarketPanel
    features: FloatArray
    seq: int
    late: bool


class LiveMarket:
    """Bars of files and of the store as one market.

    Parameters
    ----------
    base : MarketPanel
        The files.
    history_bars : int
        Bars in memory.
    grace_ns : int
        How long a bar waits, after the first asset brought it, for the others.

    Notes
    -----
    A bar of an asset that the panel does not have, or older than what is in memory, changes nothing. The moment of
    the newest close does not depend on the order in which bars came, nor on how often. Not thread-safe: one writer.

    Examples
    --------
    >>> from features.sources import simulate_market
    >>> whole = simulate_market(("BTC",), days=90, seed=1)
    >>> live = LiveMarket(whole.slice(0, 2000), 2160, 0)
    >>> bar = tuple(float(getattr(whole, name)[0, 2000]) for name in BAR_FIELDS)
    >>> live.put([StoredBar(1, "BTC", whole.start + 2000 * whole.step, bar, 0)])
    >>> live.publish(now=0).panel.n_bars
    2001
    """

    def __init__(self, base: MarketPanel, history_bars: int, grace_ns: int) -> None:
        self.assets = base.assets
        self.step = base.step
        self.seq = 0  # the newest bar that was taken
        self.shown_seq = 0  # the newest one that is shown
        self._row = {asset: i for i, asset in enumerate(base.assets)}
        self._grace = grace_ns
        self._buffer = PanelBuffer(base, history_bars)
        self._waiting: dict[int, int] = {}
        self._waiting_seq: dict[int, int] = {}
        self._came = np.full(len(base.assets), -1, np.int64)  # newest bar of each asset, counted from the epoch
        for i in range(len(base.assets)):
            there = np.flatnonzero(np.isfinite(base.close[i]))
            self._came[i] = base.start // base.step + there[-1] if len(there) else -1
        self._stream = MarketStream(base.assets, base.bar_minutes)
        self._features = self._rebuild()
        self._late = False

    @property
    def close(self) -> int:
        """Close of the newest bar that is shown, nanoseconds."""
        return self._buffer.next * self.step

    def get(self, asset: str, open_ns: int) -> tuple[float, ...] | None:
        """Give the present bar of an asset; None where there is none in memory."""
        row = self._row.get(asset)
        found = None if row is None else self._buffer.get(row, open_ns // self.step)
        return None if found is None else tuple(found.tolist())

    def put(self, bars: Iterable[StoredBar]) -> None:
        """Take bars in the order of the store; of one asset and stamp the last one counts.

        Parameters
        ----------
        bars : iterable of StoredBar
            The bars.
        """
        for bar in bars:
            self.seq = max(self.seq, bar.seq)
            row, index = self._row.get(bar.asset), bar.open_ns // self.step
            if row is None or index < self._buffer.first:
                continue
            if index < self._buffer.next:
                self.shown_seq = max(self.shown_seq, bar.seq)
                before = self._buffer.get(row, index)
                if before is not None and np.array_equal(before, bar.values, equal_nan=True):
                    continue
                self._late = True
            else:
                self._waiting.setdefault(index, bar.received_ns)
                self._waiting_seq[index] = max(bar.seq, self._waiting_seq.get(index, 0))
            self._buffer.put(row, index, bar.values)
            self._came[row] = max(self._came[row], index)

    def due_ns(self) -> int | None:
        """When `publish` next has something new though nothing comes, nanoseconds; None where nothing waits.

        Returns
        -------
        int or None
            In the past where it has something now.
        """
        if self._late:
            return 0
        return min((0 if self._complete(i) else came + self._grace for i, came in self._waiting.items()), default=None)

    def publish(self, now: int, until: int = 0) -> Published | None:
        """Show the bars that are complete or have waited long enough.

        Parameters
        ----------
        now : int
            Nanoseconds since the epoch.
        until : int
            Bars that close at or before it wait no longer: somebody else has shown them already.

        Returns
        -------
        Published or None
            None where nothing has changed.
        """
        for i, came in self._waiting.items():
            self._waiting[i] = min(came, now)  # a clock that was set back must not prolong the grace
        ready = [
            i
            for i, came in self._waiting.items()
            if now >= came + self._grace or (i + 1) * self.step <= until or self._complete(i)
        ]
        if not ready and not self._late:
            return None
        late, self._late = self._late, False
        before = self._buffer.next
        if ready:
            self._buffer.show_until(max(ready))
        for index in [i for i in self._waiting if i < self._buffer.next]:
            del self._waiting[index]
            self.shown_seq = max(self.shown_seq, self._waiting_seq.pop(index))
        panel = self._buffer.panel()
        self._features = self._rebuild() if late else self._advance(panel, before)
        return Published(panel, self._features, self.shown_seq, late)

    def now_shown(self) -> Published:
        """Give the market as it is shown now.

        Returns
        -------
        Published
            Of all bars that are shown.
        """
        return Published(self._buffer.panel(), self._features, self.shown_seq, False)

    def age_minutes(self, now: int) -> dict[str, float]:
        """Minutes since the close of the newest bar of each asset; infinite where there was none.

        Parameters
        ----------
        now : int
            Nanoseconds since the epoch.

        Returns
        -------
        dict of str to float
            By asset; a bar that still waits for the others counts.
        """
        closes = zip(self.assets, self._came.tolist(), strict=True)
        return {a: (now - (i + 1) * self.step) / MINUTE_NS if i >= 0 else np.inf for a, i in closes}

    def newest_close(self) -> dict[str, int]:
        """Close of the newest bar of each asset, nanoseconds; of the oldest bar in memory where there is none."""
        oldest = self._buffer.first * self.step
        closes = zip(self.assets, self._came.tolist(), strict=True)
        return {asset: (i + 1) * self.step if i >= 0 else oldest for asset, i in closes}

    def _complete(self, index: int) -> bool:
        """Whether every asset that is alive has brought this bar: one seen within the day before it."""
        alive = self._came >= index - DAY_NS // self.step
        return all(self._buffer.get(i, index) is not None for i in np.flatnonzero(alive).tolist())

    def _advance(self, panel: MarketPanel, before: int) -> FloatArray:
        """Push the bars that are newly shown."""
        out = self._features
        for t in range(panel.n_bars - (self._buffer.next - before), panel.n_bars):
            out = self._stream.push(panel.start + t * panel.step, *(getattr(panel, name)[:, t] for name in BAR_FIELDS))
        return out

    def _rebuild(self) -> FloatArray:
        """Start the stream again from as much history as a column may depend on."""
        panel = self._buffer.panel()
        self._stream = MarketStream(panel.assets, panel.bar_minutes)
        tail = panel.slice(panel.n_bars - warmup_bars(panel.bar_minutes), panel.n_bars)
        return np.ascontiguousarray(self._stream.extend(tail)[:, -1])
