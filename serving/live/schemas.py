"""What goes over the wire about alerts and webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from serving.accounts.schemas import instant
from serving.store.tables import AnyRow

__all__ = [
    "AlertInfo",
    "AlertPage",
    "DeliveryInfo",
    "DeliveryList",
    "WebhookInfo",
    "WebhookList",
    "WebhookRequest",
    "alert_info",
    "delivery_info",
    "webhook_info",
]


class AlertInfo(Struct, frozen=True, kw_only=True):
    """An alert: what was found, at which close of the market, and whether it is over or somebody has seen to it."""

    id: str
    account_id: str
    kind: str
    severity: str
    opened: datetime
    market_as_of: datetime
    closed: datetime | None
    over_budget: bool
    acknowledged: datetime | None
    acknowledged_by: str | None
    message: str
    value: float | None
    threshold: float | None
    p_call: dict[str, float | None]
    model_version: str


class AlertPage(Struct, frozen=True, kw_only=True):
    """Alerts, newest first; ``next`` goes into ``before`` to read on, and is null on the last page."""

    alerts: list[AlertInfo]
    next: str | None


class WebhookRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where events are to go; ``kinds`` of alert, alert_ended and digest, all of them where it is empty."""

    url: str
    kinds: list[str] = []


class WebhookInfo(Struct, frozen=True, kw_only=True):
    """A webhook; its secret is shown once, when it is made."""

    id: str
    url: str
    kinds: list[str]
    created: datetime
    disabled: datetime | None
    secret: str | UnsetType = UNSET


class WebhookList(Struct, frozen=True, kw_only=True):
    """The webhooks of a tenant."""

    webhooks: list[WebhookInfo]


class DeliveryInfo(Struct, frozen=True, kw_only=True):
    """One event on its way to a webhook: pending, delivered, or dead after the last attempt."""

    event: int
    status: str
    attempts: int
    next_attempt: datetime | None
    delivered: datetime | None
    last_error: str | None


class DeliveryList(Struct, frozen=True, kw_only=True):
    """Deliveries of a webhook, newest first."""

    deliveries: list[DeliveryInfo]


def alert_info(row: AnyRow) -> AlertInfo:
    """Give a row of `alerts` as it goes out."""
    body: dict[str, Any] = row.body
    return AlertInfo(
        id=row.id,
        account_id=row.account_id,
        kind=row.kind,
        severity=row.severity,
        opened=instant(row.opened_ns),
        market_as_of=instant(row.close_ns),
        closed=_maybe(row.closed_ns),
        over_budget=row.over_budget,
        acknowledged=_maybe(row.acknowledged_ns),
        acknowledged_by=row.acknowledged_by,
        **{name: body[name] for name in ("message", "value", "threshold", "p_call", "model_version")},
    )


def webhook_info(row: AnyRow) -> WebhookInfo:
    """Give a row of `webhooks` as it goes out, without its secret."""
    created, disabled = instant(row.created_ns), _maybe(row.disabled_ns)
    return WebhookInfo(id=row.id, url=row.url, kinds=row.kinds, created=created, disabled=disabled)


def delivery_info(row: AnyRow) -> DeliveryInfo:
    """Give a row of `deliveries` as it goes out."""
    return DeliveryInfo(
        event=row.event_seq,
        status=row.status,
        attempts=row.attempts,
        next_attempt=instant(row.next_ns) if row.status == "pending" else None,
        delivered=_maybe(row.delivered_ns),
        last_error=row.last_error,
    )


def _maybe(ns: int | None) -> datetime | None:
    return None if ns is None else instant(ns)
