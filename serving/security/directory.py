"""Keys to principals, remembered for a few seconds so that a request costs no query."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import select

from models.errors import StoreUnavailableError
from serving.security.keys import find_principal
from serving.security.limits import Bucket, Limiter
from serving.security.principal import Principal, Role
from serving.store import Store
from serving.store.tables import tenants

__all__ = ["Directory", "Known", "Tokens"]

FRESH_NS = 5_000_000_000
GRACE_NS = 300_000_000_000
_MOST = 10_000
_SCHEME = b"Bearer "


class Tokens(Protocol):
    """Whatever else can say who a bearer token belongs to."""

    def principal(self, token: str) -> tuple[Principal, int | None] | None:
        """Say whose token it is and when it ends; None where it is none of theirs."""


@dataclass(slots=True)
class Known:
    """What is remembered of an ``Authorization`` header.

    Parameters
    ----------
    principal : Principal or None
        Whose it is; None: nobody's.
    expires_ns : int or None
        When the key ends.
    bucket : Bucket or None
        Limits it, where there is a limit.
    loaded_ns : int
        When it was looked up.
    """

    principal: Principal | None
    expires_ns: int | None
    bucket: Bucket | None
    loaded_ns: int


class Directory:
    """Says who asks.

    Parameters
    ----------
    store : Store or None
        Where the keys are; None: only `static` opens.
    static : str
        A key of the whole service from the settings; empty: none.
    limiter : Limiter
        Limits each key.
    clock : callable
        Nanoseconds since the epoch now.
    monotonic : callable
        Nanoseconds of a clock that never goes back.
    run : callable
        Runs blocking work in a thread.
    tokens : Tokens, optional
        Asked for what is not an API key.

    Notes
    -----
    A key that was revoked by another process is refused after 5 seconds at the latest. While the database does not
    answer, what was known before holds for 5 minutes more, so that predictions go on.
    """

    def __init__(
        self,
        store: Store | None,
        static: str,
        limiter: Limiter,
        clock: Callable[[], int],
        monotonic: Callable[[], int],
        run: Callable[[Callable[[], Any]], Awaitable[Any]],
        tokens: Tokens | None = None,
    ) -> None:
        self.store = store
        self.monotonic = monotonic
        self._static = hashlib.sha256(_SCHEME + static.encode()).digest() if static else None
        self._limiter = limiter
        self._clock = clock
        self._run = run
        self._tokens = tokens
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._tenants: dict[str, int] = {}

    async def find(self, header: bytes) -> Known:
        """Say whose header it is.

        Parameters
        ----------
        header : bytes
            Value of ``Authorization``.

        Returns
        -------
        Known
            Its principal is None where it is nobody's, or has ended.

        Raises
        ------
        StoreUnavailableError
            If the database does not answer and nothing recent is known.
        """
        mark, now = hashlib.sha256(header).digest(), self._clock()
        found = self._known.get(mark)
        if found is None or not 0 <= now - found.loaded_ns < FRESH_NS:
            found = await self._load(mark, header, found, now)
        if found.expires_ns is not None and now >= found.expires_ns:
            return Known(None, None, None, now)
        return found

    async def has_tenant(self, name: str) -> bool:
        """Say whether there is a tenant, for whoever may touch the data of all.

        Parameters
        ----------
        name : str
            Its id.

        Returns
        -------
        bool
            True, too, on a server that keeps nothing.

        Raises
        ------
        StoreUnavailableError
            If the database does not answer and the tenant was not there a little before.
        """
        store, now = self.store, self._clock()
        seen = self._tenants.get(name)
        if store is None or (seen is not None and 0 <= now - seen < FRESH_NS):
            return True
        own = select(tenants.c.id).where(tenants.c.id == name)
        try:
            there = await self._run(lambda: store.query(lambda c: c.execute(own).first() is not None))
        except StoreUnavailableError:
            if seen is None or not 0 <= now - seen < GRACE_NS:
                raise
            return True
        if there:
            self._tenants[name] = now
        else:
            self._tenants.pop(name, None)
        return bool(there)

    def forget(self) -> None:
        """Look every key up again: one was changed."""
        self._known.clear()

    async def _load(self, mark: bytes, header: bytes, before: Known | None, now: int) -> Known:
        try:
            found = await self._run(lambda: self._look_up(mark, header, now))
        except StoreUnavailableError:
            if before is None or before.principal is None or not 0 <= now - before.loaded_ns < GRACE_NS:
                raise
            return before
        self._known[mark] = found
        self._known.move_to_end(mark)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return found

    def _look_up(self, mark: bytes, header: bytes, now: int) -> Known:
        found = self._principal(mark, header)
        if found is None:
            return Known(None, None, None, now)
        bucket = self._limiter.bucket(found[0].key_id, self.monotonic())
        return Known(found[0], found[1], bucket, now)

    def _principal(self, mark: bytes, header: bytes) -> tuple[Principal, int | None] | None:
        if self._static is not None and hmac.compare_digest(mark, self._static):
            return Principal("settings", None, Role.ADMIN), None
        if not header.startswith(_SCHEME):
            return None
        text = header[len(_SCHEME) :].decode("ascii", "replace")
        if text.startswith("mck_") and self.store is not None:
            return self.store.query(lambda connection: find_principal(connection, text))
        return None if self._tokens is None else self._tokens.principal(text)
