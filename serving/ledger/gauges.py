"""The calibration of the last four weeks as Prometheus gauges, over all tenants."""

from __future__ import annotations

from prometheus_client import Gauge

from models.typing import DAY_NS
from serving.ledger.report import Calibration, calibration
from serving.metrics import Metrics
from serving.store import Store

__all__ = ["CalibrationGauges"]

DAYS = 28
_TEXT = {
    "judged_predictions": "Predictions of the last 28 days whose outcome is known.",
    "calls": "Calls among them.",
    "expected_calls": "Calls that they said would come: the sum of P(call).",
    "log_loss": "Their mean log loss.",
    "prior_log_loss": "The mean log loss of the prior on them.",
    "calibration_error_ratio": "Mean difference of P(call) and the share called, over bins.",
}


class CalibrationGauges:
    """Gauges by horizon; never a tenant.

    Parameters
    ----------
    metrics : Metrics
        Where they are registered.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._gauges: dict[str, Gauge] = {
            name: metrics.gauge(f"ledger_{name}", text, ("horizon_minutes",)) for name, text in _TEXT.items()
        }
        self._waiting = metrics.gauge("ledger_waiting_pages", "Pages of 28 days that no horizon has passed of yet.")

    def update(self, store: Store, now_ns: int) -> Calibration:
        """Read the calibration of the last four weeks and set the gauges.

        Parameters
        ----------
        store : Store
            The store.
        now_ns : int
            The present.

        Returns
        -------
        Calibration
            What was read.
        """
        found = store.query(lambda connection: calibration(connection, None, now_ns - DAYS * DAY_NS))
        for one in found.horizons:
            values = (one.n, one.called, one.expected, one.log_loss, one.prior_log_loss, one.ece)
            for gauge, value in zip(self._gauges.values(), values, strict=True):
                gauge.labels(str(one.horizon_minutes)).set(float("nan") if value is None else value)
        self._waiting.set(found.waiting)
        return found
