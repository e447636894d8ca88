"""A server with a database, two tenants on it, and a key of every role for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from serving.app import create_app
from serving.runtime import Runtime
from serving.security import Role
from serving.security.keys import create_key
from serving.security.tenants import create_tenant
from serving.settings import Secret, Settings
from serving.store import Store
from tests.serving.client import Client, request_of

__all__ = ["NOW", "Clock", "Desk", "account_json", "desk_of"]

NOW = 1_760_000_000 * 10**9


class Clock:
    """A clock that stands where it is put."""

    def __init__(self, now_ns: int = NOW) -> None:
        self.now = now_ns

    def __call__(self) -> int:
        return self.now


@dataclass
class Desk:
    """A server, and who may ask it."""

    client: Client
    keys: dict[str, str]
    clock: Clock
    runtime: Runtime

    def ask(
        self, method: str, path: str, body: Any = None, who: str = "a.admin", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Ask with the key of TENANT.ROLE; an empty name brings no key."""
        key = {"authorization": f"Bearer {self.keys[who]}"} if who else {}
        return self.client.ask(method, path, body, key | (headers or {}))


@contextmanager
def desk_of(store: Store, database: str, now_ns: int = NOW, **settings: Any) -> Iterator[Desk]:
    """Run the server on a database that has tables."""
    keys = {}
    with store.begin() as connection:
        for tenant in ("a", "b"):
            create_tenant(connection, tenant, f"desk {tenant}", 3, now_ns)
        for tenant in ("a", "b", None):
            for role in Role:
                made = create_key(connection, tenant, role, f"{tenant} {role.label}", now_ns)
                keys[f"{tenant or 'service'}.{role.label}"] = made.text
    clock = Clock(now_ns)
    app = create_app(Settings(database=Secret(database), refresh_seconds=0, **settings), clock)
    with Client(app) as client:
        yield Desk(client, keys, clock, app.state.runtime)


def account_json(name: str = "desk-7", minutes_ago: float = 5.0, now_ns: int = NOW, **more: Any) -> dict[str, Any]:
    """Return the JSON of one account."""
    return request_of(now_ns, minutes_ago, account_id=name, **more)
