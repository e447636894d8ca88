"""The hash chain: each row carries the hash of the row before."""

from __future__ import annotations

import hashlib

__all__ = ["genesis"]


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
