"""Predictions to say, without a market."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection

from features.answer import Forecast, empty_forecast
from serving.ledger import Said, append
from serving.security.tenants import create_tenant
from serving.store import Store

__all__ = ["forecast_of", "said_of", "say", "tenant_of"]


def forecast_of(n: int, seed: int = 0) -> Forecast:
    """Return predictions that rise with the horizon."""
    out, random = empty_forecast(n, False), np.random.default_rng(seed)
    out.p_call[:] = np.sort(random.random((n, 4)), axis=1)
    out.p_liquidation[:], out.prior[:] = 0.5 * out.p_call, 0.9 * out.p_call
    out.flags[:], out.state[:] = 0, 1
    return out


def said_of(names: Sequence[str], seed: int = 0, tenant: str = "a", shard: int = 0, kind: str = "round") -> Said:
    """Return what is said of these accounts at the instant `seed`."""
    n = len(names)
    digests = [hashlib.sha256(name.encode()).digest() for name in names]
    version = np.full(n, seed + 1, np.int64)
    seen = forecast_of(n, seed)
    return Said(tenant, shard, kind, seed * 100, seed * 100 + 1, seed, "prior", names, version, digests, seen)


def say(store: Store, said: Said) -> int:
    """Append a page."""

    def work(connection: Connection) -> int:
        return append(connection, store.lock_shard(connection, said.tenant, said.shard), said)

    return store.run(work)


def tenant_of(store: Store, tenant: str = "a", shards: int = 2) -> None:
    """Make a tenant."""
    store.run(lambda connection: create_tenant(connection, tenant, tenant, shards, 1))
