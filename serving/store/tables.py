"""The tables. Every time is in nanoseconds since the epoch, UTC, and its column ends in ``_ns``.

The order of locks, to be kept by every transaction: rows of `shards`, then the row of `tenants`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

__all__ = [
    "AnyRow",
    "account_versions",
    "accounts",
    "alert_states",
    "alerts",
    "api_keys",
    "audit",
    "bars",
    "deliveries",
    "events",
    "ledger_outcomes",
    "ledger_pages",
    "metadata",
    "shards",
    "tenants",
    "webhooks",
]

AnyRow: TypeAlias = Row[*tuple[Any, ...]]
"""A row, whatever its columns."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_COUNTER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only in a column of type INTEGER


def _id(name: str, **more: Any) -> Column[str]:
    return Column(name, String(200), nullable=False, **more)


def _tenant(**more: Any) -> Column[str]:
    return Column("tenant_id", String(64), ForeignKey("tenants.id"), nullable=False, **more)


def _need(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]] = BigInteger, **more: Any) -> Column[Any]:
    return Column(name, kind, nullable=False, **more)


def _may(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]] = BigInteger) -> Column[Any]:
    return Column(name, kind, nullable=True)


tenants = Table(
    "tenants",
    metadata,
    Column("id", String(64), primary_key=True),
    _need("name", String(200)),
    _need("shards", Integer),
    _need("event_seq", server_default="0"),
    _need("settings", JSON),
    _need("created_ns"),
    _may("disabled_ns"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant_id", String(64), ForeignKey("tenants.id"), nullable=True, index=True),
    _need("role", String(16)),
    _need("secret_hash", LargeBinary(32)),
    _need("name", String(200)),
    _need("created_ns"),
    _may("expires_ns"),
    _may("revoked_ns"),
)

# One row is the lock, the head of the ledger and the mark of the last re-scoring for the accounts of one tenant with
# crc32(account_id) % tenants.shards == shard.
shards = Table(
    "shards",
    metadata,
    _tenant(primary_key=True),
    _need("shard", Integer, primary_key=True, autoincrement=False),
    _need("accounts_version", server_default="0"),
    _need("ledger_seq", server_default="0"),
    _need("ledger_page", server_default="0"),
    _need("ledger_hash", LargeBinary(32)),
    _may("scored_close_ns"),
    _may("scored_market_seq"),
)

accounts = Table(
    "accounts",
    metadata,
    _tenant(primary_key=True),
    _id("account_id", primary_key=True),
    _need("shard", Integer),
    _need("version", Integer),
    _need("body", LargeBinary),
    _need("digest", LargeBinary(32)),
    _need("as_of_ns"),
    _need("changed"),
    _need("updated_ns"),
    _need("deleted", Boolean),
    Index(None, "tenant_id", "shard", "changed"),
)

account_versions = Table(
    "account_versions",
    metadata,
    _tenant(primary_key=True),
    _id("account_id", primary_key=True),
    _need("version", Integer, primary_key=True, autoincrement=False),
    _may("body", LargeBinary),
    _may("as_of_ns"),
    _may("content", LargeBinary(32)),  # digest of the body without its time: the same while the owner does nothing
    _need("since_ns"),
    _may("key_id", String(64)),
)

bars = Table(
    "bars",
    metadata,
    Column("seq", _COUNTER, primary_key=True),
    _need("asset", String(64)),
    _need("open_ns"),
    _need("revision", Integer),
    *(_need(name, Double) for name in ("open", "high", "low", "close")),
    _may("volume", Double),
    _may("funding_rate", Double),
    _need("source", String(64)),
    _need("received_ns"),
    UniqueConstraint("asset", "open_ns", "revision"),
    Index(None, "open_ns"),
    sqlite_autoincrement=True,
)

ledger_pages = Table(
    "ledger_pages",
    metadata,
    _tenant(primary_key=True),
    _need("shard", Integer, primary_key=True, autoincrement=False),
    _need("page", primary_key=True, autoincrement=False),
    _need("first_seq"),
    _need("n", Integer),
    _need("close_ns"),
    _need("said_ns"),
    _need("market_seq"),
    _need("model_version", String(200)),
    _need("kind", String(16)),
    _may("account_id", String(200)),  # of a page of one account
    _need("body", LargeBinary),
    _need("prev_hash", LargeBinary(32)),
    _need("last_hash", LargeBinary(32)),
    ForeignKeyConstraint(["tenant_id", "shard"], ["shards.tenant_id", "shards.shard"]),
    Index(None, "tenant_id", "account_id", "page"),
    Index(None, "tenant_id", "shard", "close_ns"),
)

ledger_outcomes = Table(
    "ledger_outcomes",
    metadata,
    _tenant(primary_key=True),
    _need("shard", Integer, primary_key=True, autoincrement=False),
    _need("page", primary_key=True, autoincrement=False),
    _need("close_ns"),
    _need("known_minutes", Integer),  # how far the market after the page had been seen
    _need("body", LargeBinary),
    _need("summary", JSON),
    _need("complete", Boolean),  # every horizon is known
    _need("matured_ns"),
    ForeignKeyConstraint(
        ["tenant_id", "shard", "page"], ["ledger_pages.tenant_id", "ledger_pages.shard", "ledger_pages.page"]
    ),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", String(64), primary_key=True),
    _tenant(),
    _id("account_id"),
    _need("kind", String(32)),
    _need("severity", String(16)),
    _need("opened_ns"),
    _need("close_ns"),
    _may("closed_ns"),
    _need("body", JSON),
    _need("over_budget", Boolean),
    _may("acknowledged_ns"),
    _may("acknowledged_by", String(64)),
    Index(None, "tenant_id", "opened_ns"),
    Index(None, "tenant_id", "account_id", "opened_ns"),
)

alert_states = Table(
    "alert_states",
    metadata,
    _tenant(primary_key=True),
    _id("account_id", primary_key=True),
    _need("kind", String(32), primary_key=True),
    Column("alert_id", String(64), ForeignKey("alerts.id"), nullable=False),
    _need("level", Integer),
    _need("since_ns"),
    _need("value", Double),
)

events = Table(
    "events",
    metadata,
    _tenant(primary_key=True),
    _need("seq", primary_key=True, autoincrement=False),
    _need("kind", String(32)),
    _need("body", JSON),
    _need("created_ns"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(64), primary_key=True),
    _tenant(index=True),
    _need("url", String(2000)),
    _need("secret", String(200)),
    _need("kinds", JSON),
    _need("created_ns"),
    _may("disabled_ns"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _COUNTER, primary_key=True),
    Column("webhook_id", String(64), ForeignKey("webhooks.id"), nullable=False),
    _tenant(),
    _need("event_seq"),
    _need("attempts", Integer),
    _need("next_ns"),
    _need("status", String(16)),
    _may("last_error", String(500)),
    _may("delivered_ns"),
    UniqueConstraint("webhook_id", "event_seq"),
    Index(None, "status", "next_ns"),
    Index(None, "tenant_id", "status"),
    sqlite_autoincrement=True,
)

audit = Table(
    "audit",
    metadata,
    Column("seq", _COUNTER, primary_key=True),
    Column("tenant_id", String(64), nullable=True),
    _may("key_id", String(64)),
    _need("action", String(64)),
    _need("subject", String(300)),
    _need("detail", JSON),
    _need("at_ns"),
    Index(None, "tenant_id", "seq"),
    sqlite_autoincrement=True,
)
