"""The market of one process: bars in, files and bars as one market, an engine on each new one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from features.moment import moment_at
from models.market import MarketPanel
from models.typing import DAY_NS
from serving.engine import Engine
from serving.live.bars import Bar, BarReport, BarRules
from serving.live.feed import bars_after, bars_now, store_bars
from serving.live.market import LiveMarket, Published
from serving.live.poll import Poller
from serving.live.scoring import View
from serving.model_source import Model
from serving.store import Store

if TYPE_CHECKING:
    from serving.runtime import Runtime

__all__ = ["Following"]

_SECOND = 1_000_000_000


class Following:
    """Follows the bars of the store by their numbers, whichever process brought them.

    Parameters
    ----------
    runtime : Runtime
        Settings, clock, metrics and the engine in use.
    store : Store
        Where the bars are.
    """

    def __init__(self, runtime: Runtime, store: Store) -> None:
        self.runtime = runtime
        self.store = store
        self.view: View | None = None
        self.lock = threading.RLock()
        self._market: LiveMarket | None = None
        self._built: WeakKeyDictionary[Engine, LiveMarket] = WeakKeyDictionary()
        self._wake = threading.Event()

    def build(self, panel: MarketPanel, model: Model) -> Engine:
        """Make an engine on the files and all bars of the store; it is not in use yet.

        Parameters
        ----------
        panel : MarketPanel
            The files.
        model : Model
            The model.

        Returns
        -------
        Engine
            For `serving.runtime.Runtime.use`.
        """
        settings = self.runtime.settings
        length = settings.history_days * DAY_NS // panel.step
        market = LiveMarket(panel, length, int(settings.grace_seconds * _SECOND))
        market.put(self.store.query(lambda c: bars_now(c, panel.end - length * panel.step)))
        market.publish(self.runtime.clock())
        shown = market.now_shown()
        engine = Engine(shown.panel, model, self.runtime.clock, settings.clock_skew_seconds, settings.fallback)
        self._built[engine] = market
        return engine

    def adopt(self, engine: Engine) -> None:
        """Follow the market of an engine that is in use now."""
        with self.lock:
            market = self._built.pop(engine, None)
            if market is not None:
                self._market = market
            if self._market is not None:
                self.view = View(engine.newest, self._market.shown_seq, engine.model.version)
        self._wake.set()

    def ingest(self, bars: Sequence[Bar], source: str) -> BarReport:
        """Check and store bars; what is counted is committed.

        Parameters
        ----------
        bars : sequence of Bar
            As they came.
        source : str
            Where they came from.

        Returns
        -------
        BarReport
            What became of them.

        Raises
        ------
        ProblemError
            503 while there is no market.
        StoreError
            If the database cannot take them; nothing is kept then.
        """
        panel, now, settings = self.runtime.engine.panel, self.runtime.clock(), self.runtime.settings
        latest = now + int(settings.clock_skew_seconds * _SECOND)
        rules = BarRules(dict(zip(panel.assets, panel.source, strict=True)), panel.step, latest)
        good, failures = rules.check(bars)
        outcomes: list[str] = []
        newest = panel.end
        if good:
            outcomes, _ = self.store.run(
                lambda c: store_bars(self.store, c, good, self._known, source, now), idempotent=True
            )
        late = sum(
            one.open_ns + panel.step <= newest and outcome != "duplicate"
            for one, outcome in zip(good, outcomes, strict=True)
        )
        counts = {what: outcomes.count(what) for what in ("accepted", "revised", "duplicate")}
        for what, n in ({**counts, "late": late, "refused": len(failures)}).items():
            self.runtime.metrics.bars.labels(source, what).inc(n)
        self._wake.set()
        return BarReport(**counts, late=late, failures=failures)

    def catch_up(self, until: int = 0) -> bool:
        """Take the bars that came since, from whichever process; swap in a new market where there is one.

        Parameters
        ----------
        until : int
            Bars that close at or before it wait for no others.

        Returns
        -------
        bool
            Whether there is a new market.
        """
        with self.lock:
            market = self._market
            if market is None:
                return False
            market.put(self.store.query(lambda c: bars_after(c, market.seq)))
            shown = market.publish(self.runtime.clock(), until)
            if shown is not None:
                self.runtime.use(self._engine(shown))
            return shown is not None

    def poll(self, poller: Poller) -> int:
        """Ask an exchange for the bars that closed since.

        Parameters
        ----------
        poller : Poller
            Who asks.

        Returns
        -------
        int
            How many bars were new; 0 while there is no market.
        """
        with self.lock:
            if self._market is None:
                return 0
            newest, panel = self._market.newest_close(), self.runtime.engine.panel
        sources = dict(zip(panel.assets, panel.source, strict=True))
        return poller.poll(newest, sources, panel.step, self.runtime.clock())

    def age_minutes(self) -> dict[str, float]:
        """Minutes since the close of the newest bar of each asset; empty while there is no market."""
        with self.lock:
            return {} if self._market is None else self._market.age_minutes(self.runtime.clock())

    def _known(self, asset: str, open_ns: int) -> tuple[float, ...] | None:
        with self.lock:
            return None if self._market is None else self._market.get(asset, open_ns)

    def _engine(self, shown: Published) -> Engine:
        old, settings = self.runtime.engine, self.runtime.settings
        prior, model = old.prior, old.model
        known = (prior, model.predictor, settings.fallback, shown.features)
        newest = moment_at(shown.panel, shown.panel.end, *known)
        skew = settings.clock_skew_seconds
        return Engine(shown.panel, model, self.runtime.clock, skew, settings.fallback, prior, newest)
