"""What goes over the wire about keys, tenants and the record of changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

__all__ = [
    "AuditNote",
    "AuditPage",
    "KeyInfo",
    "KeyList",
    "KeyRequest",
    "NewKeyInfo",
    "TenantInfo",
    "TenantList",
    "TenantRequest",
]


class KeyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to make: what it may do (read, predict, operate, admin), what it is for, and for how many days."""

    role: str
    name: str
    expires_days: float | None = None


class KeyInfo(Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    key_id: str
    tenant: str | None
    role: str
    name: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None


class NewKeyInfo(Struct, frozen=True, kw_only=True):
    """A key that was just made; ``key`` is shown this once."""

    key_id: str
    key: str


class KeyList(Struct, frozen=True, kw_only=True):
    """Keys, oldest first."""

    keys: list[KeyInfo]


class TenantRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tenant to make; ``shards`` is into how many parts its accounts are split for re-scoring."""

    tenant: str
    name: str
    shards: int = 4


class TenantInfo(Struct, frozen=True, kw_only=True):
    """A tenant."""

    tenant: str
    name: str
    shards: int
    created: datetime
    disabled: datetime | None


class TenantList(Struct, frozen=True, kw_only=True):
    """Tenants, oldest first."""

    tenants: list[TenantInfo]


class AuditNote(Struct, frozen=True, kw_only=True):
    """Who changed what, and when."""

    seq: int
    tenant: str | None
    key_id: str | None
    action: str
    subject: str
    detail: dict[str, Any]
    at: datetime


class AuditPage(Struct, frozen=True, kw_only=True):
    """What was done, newest first; ``next`` goes into ``before`` to read on."""

    notes: list[AuditNote]
    next: int | None
