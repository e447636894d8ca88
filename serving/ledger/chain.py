"""The hash chain: each row carries the hash of the row before, each page begins with its own particulars."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from models.typing import IntArray

__all__ = ["CHECK_BYTES", "first_wrong", "genesis", "link"]

CHECK_BYTES = 4
"""Of each row's hash so many bytes are kept, so that a wrong row can be named; the whole chain is what proves."""


def genesis(tenant: str, shard: int) -> bytes:
    """Give the hash before the first row; each shard has its own, so that none can stand in for another.

    Parameters
    ----------
    tenant : str
        The tenant.
    shard : int
        The shard.

    Returns
    -------
    bytes
        32 bytes.

    Examples
    --------
    >>> genesis("desk", 0) == genesis("desk", 1)
    False
    """
    return hashlib.sha256(f"margincast ledger 1\n{tenant}\n{shard}".encode()).digest()


def link(before: bytes, head: bytes, names: bytes, ends: IntArray, rows: bytes) -> tuple[bytes, bytes]:
    """Chain the rows of one page.

    Parameters
    ----------
    before : bytes
        Hash of the last row of the page before.
    head : bytes
        The page's particulars; they are hashed ahead of its first row.
    names : bytes
        Names of the accounts, one after the other.
    ends : ndarray of int64, shape (n,)
        Where each name ends.
    rows : bytes
        The rest of the rows, of equal length.

    Returns
    -------
    tuple of (bytes, bytes)
        Hash of the last row, and the first `CHECK_BYTES` of the hash of each.

    Notes
    -----
    ``hash = SHA-256(hash before || length of the name, 2 bytes || name || row)``. The page's particulars take the
    place of a row before the first.
    """
    sha, n = hashlib.sha256, len(ends)
    last = sha(before + len(head).to_bytes(4, "little") + head).digest()
    width = len(rows) // n if n else 0
    checks, start, at = [], 0, 0
    for end in ends.tolist():
        last = sha(
            b"%b%b%b%b" % (last, (end - start).to_bytes(2, "little"), names[start:end], rows[at : at + width])
        ).digest()
        checks.append(last[:CHECK_BYTES])
        start, at = end, at + width
    return last, b"".join(checks)


def first_wrong(found: bytes, kept: bytes) -> int | None:
    """Name the first row whose hash is not the one that was kept.

    Parameters
    ----------
    found : bytes
        Checks as computed now.
    kept : bytes
        Checks as they were written.

    Returns
    -------
    int or None
        The row; None where all are equal.

    Examples
    --------
    >>> first_wrong(b"aaaabbbb", b"aaaabbbc")
    1
    """
    if found == kept:
        return None
    pairs: Sequence[int] = range(0, max(len(found), len(kept)), CHECK_BYTES)
    return next(i // CHECK_BYTES for i in pairs if found[i : i + CHECK_BYTES] != kept[i : i + CHECK_BYTES])
