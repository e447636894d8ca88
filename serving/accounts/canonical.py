"""The one way to write an account down: the same state gives the same bytes and the same digest."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from models.account import Account

__all__ = ["Entry", "decode_body", "entry_of", "shard_of"]

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Account)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """An account as it is stored.

    Parameters
    ----------
    account_id : str
        The owner's name for it.
    body : bytes
        Canonical JSON.
    digest : bytes
        SHA-256 of the body, 32 bytes.
    as_of_ns : int
        Instant of the state, nanoseconds.
    content : bytes
        SHA-256 of the body without its time: the same for as long as the owner does nothing.
    """

    account_id: str
    body: bytes
    digest: bytes
    as_of_ns: int
    content: bytes


def entry_of(account: Account) -> Entry:
    """Write an account down.

    Parameters
    ----------
    account : Account
        A valid account.

    Returns
    -------
    Entry
        Its time in UTC; fields in the order of the type, with their defaults.

    Examples
    --------
    >>> one = Account(account_id="a", as_of=_EPOCH, ruleset="generic-linear", currency="USDT")
    >>> entry_of(one).digest == entry_of(decode_body(entry_of(one).body)).digest
    True
    """
    as_of = account.as_of.astimezone(UTC)
    body, still = (_encoder.encode(msgspec.structs.replace(account, as_of=when)) for when in (as_of, _EPOCH))
    digest, content = hashlib.sha256(body).digest(), hashlib.sha256(still).digest()
    return Entry(account.account_id, body, digest, (as_of - _EPOCH) // _MICROSECOND * 1000, content)


def decode_body(body: bytes) -> Account:
    """Read what `entry_of` wrote.

    Parameters
    ----------
    body : bytes
        Canonical JSON.

    Returns
    -------
    Account
        The account.
    """
    return _decoder.decode(body)


def shard_of(account_id: str, shards: int) -> int:
    """Say in which shard of its tenant an account is.

    Parameters
    ----------
    account_id : str
        The account.
    shards : int
        How many shards the tenant has, >= 1.

    Returns
    -------
    int
        In [0, shards).

    Examples
    --------
    >>> shard_of("desk-7", 4)
    1
    """
    return zlib.crc32(account_id.encode()) % shards


_MICROSECOND = timedelta(microseconds=1)
