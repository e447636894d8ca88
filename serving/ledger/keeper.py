"""What a server does for its ledger: read it for requests, mature it in the background, say how true it was."""

from __future__ import annotations

from collections.abc import Callable

from models.market import MarketPanel
from serving.ledger.gauges import CalibrationGauges
from serving.ledger.maturing import Matured, mature
from serving.ledger.read import Reader
from serving.metrics import Metrics
from serving.store import Store

__all__ = ["Keeper"]


class Keeper:
    """The ledger of one server process.

    Parameters
    ----------
    store : Store
        The store.
    metrics : Metrics
        What Prometheus may ask.
    clock : callable
        Nanoseconds since the epoch now.
    market : callable
        The market as it is known now; None while there is none.
    cache_mb : int
        Memory for pages that were read, MB.
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        clock: Callable[[], int],
        market: Callable[[], MarketPanel | None],
        cache_mb: int = 80,
    ) -> None:
        self.store = store
        self.reader = Reader(cache_mb * 2**20)
        self._gauges = CalibrationGauges(metrics)
        self._clock = clock
        self._market = market

    def mature(self, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Mature what is due, and set the gauges.

        Parameters
        ----------
        stopping : callable
            Whether to leave the rest for another time.

        Returns
        -------
        bool
            Whether there was something.
        """
        panel, total = self._market(), Matured()
        while panel is not None and not stopping():
            done = mature(self.store, panel, self._clock(), stopping=stopping)
            total += done
            if not done.pages:
                break
        if not stopping():
            self._gauges.update(self.store, self._clock())
        return total.pages > 0
