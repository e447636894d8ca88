"""What Prometheus may ask of one server: instruments by its naming rules, never a tenant, account or key as a label."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

__all__ = ["Metrics"]

_log = logging.getLogger("margincast.serving")

_PREFIX = "margincast"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_DIFFERENCES = (1e-4, 1e-3, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_CLASSES = ("", "1xx", "2xx", "3xx", "4xx", "5xx")


class Metrics:
    """Instruments of one app, in a registry of its own.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.accounts.inc(3)
    >>> b"margincast_accounts_total 3.0" in metrics.render("")[0]
    True
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        self._hooks: list[Callable[[], None]] = []
        self._requests()
        self._answers()
        self._models()
        self._live()

    def _requests(self) -> None:
        labels = ("method", "route", "status")
        self.request_seconds = self.histogram(
            "http_request_duration_seconds", "From the first byte of a request to the last of its answer.", labels
        )
        self.in_progress = self.gauge("http_requests_in_progress", "Requests that are being answered.")
        self.refused = self.counter("http_requests_refused", "Requests turned away before any work.", ("reason",))
        self._timed: dict[tuple[str, str, int], Histogram] = {}

    def _answers(self) -> None:
        self.accounts = self.counter("accounts", "Accounts read for a prediction.")
        self.failures = self.counter("account_failures", "Accounts that could not be read.")
        self.recommendations = self.counter("recommendations", "Accounts read for a recommendation.")
        self.market_reloads = self.counter("market_reloads", "Times that a newer market was swapped in.")
        self.market_age = self.gauge("market_age_seconds", "Time since the close of the newest bar.")
        self.asset_age = self.gauge("asset_age_seconds", "Time since the close of the newest bar.", ("asset",))

    def _models(self) -> None:
        self.model_info = self.gauge("model_info", "The models in use; always 1.", ("role", "name", "version"))
        self.model_reloads = self.counter("model_reloads", "Models that were swapped in.", ("role",))
        self.model_failures = self.counter("model_reload_failures", "Models that could not be used.", ("role",))
        self.prior_only = self.gauge("model_prior_only", "1 while the prior answers alone.")
        self.shadow_accounts = self.counter("shadow_accounts", "Accounts that the challenger scored beside.")
        self.shadow_dropped = self.counter("shadow_dropped_accounts", "Accounts left out as the challenger was behind.")
        self.shadow_difference = self.histogram(
            "shadow_p_call_difference_ratio",
            "Size of the difference between the challenger's P(call) and what was answered.",
            ("horizon_minutes",),
            _DIFFERENCES,
        )

    def _live(self) -> None:
        self.bars = self.counter("bars", "Bars that arrived.", ("source", "outcome"))
        self.rounds = self.counter("rounds", "Times that the accounts of a shard were scored again.", ("outcome",))
        self.round_accounts = self.counter("round_accounts", "Accounts scored again by rounds.")
        self.round_seconds = self.histogram("round_duration_seconds", "Time to score a shard and to commit.")
        self.alerts = self.counter("alerts", "Alerts that were opened.", ("kind", "severity"))
        self.deliveries = self.counter("deliveries", "Attempts to deliver an event.", ("sink", "outcome"))
        self.delivery_backlog = self.gauge("delivery_backlog", "Deliveries that wait for their next attempt.")
        self.ledger_rows = self.counter("ledger_rows", "Predictions appended to the ledger.")

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """Add a counter; its name ends in ``_total`` when scraped."""
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """Add a gauge."""
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = _SECONDS
    ) -> Histogram:
        """Add a histogram."""
        return Histogram(f"{_PREFIX}_{name}", text, labels, buckets=buckets, registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note a request that was answered.

        Parameters
        ----------
        method : str
            HTTP method.
        route : str
            Template of the route, never the path itself.
        status : int
            HTTP status.
        seconds : float
            How long it took.
        """
        key = (method, route, status // 100)
        timed = self._timed.get(key)
        if timed is None:
            timed = self._timed[key] = self.request_seconds.labels(method, route, _CLASSES[status // 100])
        timed.observe(seconds)

    def at_scrape(self, hook: Callable[[], None]) -> None:
        """Call something before every scrape, to set gauges.

        Parameters
        ----------
        hook : callable
            Cheap; what it raises is logged and spoils nothing else.
        """
        self._hooks.append(hook)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Give the text of a scrape.

        Parameters
        ----------
        accept : str
            The ``Accept`` header of the request.

        Returns
        -------
        tuple of (bytes, str)
            Body and content type: Prometheus text, or OpenMetrics where it is asked for.
        """
        for hook in self._hooks:
            try:
                hook()
            except Exception:
                _log.exception("a metric could not be computed")
        encode, kind = choose_encoder(accept)
        return encode(self.registry), kind
