"""API keys: shown once, kept as a hash, found by their public part."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from models.errors import InputError
from serving.security.principal import Principal, Role
from serving.store.tables import AnyRow, api_keys, tenants

__all__ = ["NewKey", "create_key", "find_principal", "list_keys", "parse_key", "revoke_key"]

_FORM = re.compile(r"mck_(?P<public>[0-9a-f]{16})_(?P<secret>[A-Za-z0-9_-]{43})")
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; its text is known now and never again.

    Parameters
    ----------
    key_id : str
        Public part.
    text : str
        What the client sends, ``mck_PUBLIC_SECRET``.
    """

    key_id: str
    text: str


def parse_key(text: str) -> tuple[str, bytes] | None:
    """Take a key apart.

    Parameters
    ----------
    text : str
        ``mck_PUBLIC_SECRET``.

    Returns
    -------
    tuple of (str, bytes) or None
        The public part and the hash of the secret one, SHA-256: the secret has 256 random bits, so that a slow hash
        would add nothing. None where it is not a key.

    Examples
    --------
    >>> parse_key("mck_none") is None
    True
    """
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    return found["public"], hashlib.sha256(found["secret"].encode()).digest()


def create_key(
    connection: Connection, tenant: str | None, role: Role, name: str, now_ns: int, expires_ns: int | None = None
) -> NewKey:
    """Make a key.

    Parameters
    ----------
    connection : Connection
        In a transaction that writes.
    tenant : str or None
        Whose data it may touch; None: a key of the whole service.
    role : Role
        What it may do.
    name : str
        What it is for.
    now_ns : int
        The present.
    expires_ns : int, optional
        When it ends; never where None.

    Returns
    -------
    NewKey
        The only time that its text is known.

    Raises
    ------
    InputError
        If there is no such tenant, the name is empty or too long, or it would end before it begins.
    """
    if not 0 < len(name) <= 200:
        raise InputError("name", name, "1 to 200 characters that say what the key is for")
    if expires_ns is not None and expires_ns <= now_ns:
        raise InputError("expires", expires_ns, "a time after now")
    if tenant is not None:
        check_tenant(connection, tenant)
    public, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    row: dict[str, Any] = {"id": public, "tenant_id": tenant, "role": role.label, "name": name, "created_ns": now_ns}
    row |= {"secret_hash": hashlib.sha256(secret.encode()).digest(), "expires_ns": expires_ns}
    connection.execute(insert(api_keys), row)
    return NewKey(public, f"mck_{public}_{secret}")


def check_tenant(connection: Connection, tenant: str) -> None:
    """Refuse a tenant that does not exist.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        The tenant.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if connection.execute(select(tenants.c.id).where(tenants.c.id == tenant)).one_or_none() is None:
        raise InputError("tenant", tenant, "one of 'margincast tenants list'")


def revoke_key(connection: Connection, key_id: str, tenant: str | None, now_ns: int, *, any_tenant: bool) -> bool:
    """End a key.

    Parameters
    ----------
    connection : Connection
        In a transaction that writes.
    key_id : str
        Its public part.
    tenant : str or None
        Whose key it must be.
    now_ns : int
        The present.
    any_tenant : bool
        Whether it may be anybody's.

    Returns
    -------
    bool
        Whether there is such a key; one that has ended before stays as it was.
    """
    mine = api_keys.c.id == key_id
    if not any_tenant:
        mine = mine & (api_keys.c.tenant_id == tenant)
    if connection.execute(select(api_keys.c.id).where(mine)).one_or_none() is None:
        return False
    connection.execute(update(api_keys).where(mine, api_keys.c.revoked_ns.is_(None)).values(revoked_ns=now_ns))
    return True


def list_keys(connection: Connection, tenant: str | None, *, any_tenant: bool) -> list[AnyRow]:
    """List keys, without what is secret.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str or None
        Whose.
    any_tenant : bool
        Everybody's.

    Returns
    -------
    list of Row
        id, tenant_id, role, name, created_ns, expires_ns, revoked_ns; oldest first.
    """
    wanted = select(*(c for c in api_keys.c if c.name != "secret_hash")).order_by(api_keys.c.created_ns, api_keys.c.id)
    return list(connection.execute(wanted if any_tenant else wanted.where(api_keys.c.tenant_id == tenant)))


def find_principal(connection: Connection, text: str) -> tuple[Principal, int | None] | None:
    """Find whose key it is.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    text : str
        What the client sent.

    Returns
    -------
    tuple of (Principal, int or None) or None
        With the time at which the key ends. None where it is no key, revoked, or of a tenant that is disabled; the
        comparison takes as long where there is no such key.
    """
    parts = parse_key(text)
    if parts is None:
        return None
    public, given = parts
    joined = api_keys.outerjoin(tenants, api_keys.c.tenant_id == tenants.c.id)
    wanted = select(api_keys, tenants.c.disabled_ns).select_from(joined).where(api_keys.c.id == public)
    row = connection.execute(wanted).one_or_none()
    right = secrets.compare_digest(given, _NOBODY if row is None else bytes(row.secret_hash))
    if row is None or not right or row.revoked_ns is not None or row.disabled_ns is not None:
        return None
    return Principal(row.id, row.tenant_id, Role.of(row.role)), row.expires_ns
