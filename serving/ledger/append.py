"""Say something for good: one page, in the transaction of whoever says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, insert, update

from features.answer import Forecast
from models.errors import InputError
from models.typing import IntArray
from serving.ledger.chain import link
from serving.ledger.page import Page, Particulars, pack, pack_names, rows_of
from serving.store.tables import ledger_pages, shards

__all__ = ["Said", "append"]


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Predictions that are said together, of accounts of one shard.

    Parameters
    ----------
    tenant : str
        The tenant.
    shard : int
        The shard.
    kind : str
        ``"round"`` for a re-scoring of the shard, ``"account"`` for accounts that were just registered.
    close_ns : int
        Close of the newest bar that they know.
    said_ns : int
        When they were said.
    market_seq : int
        ``bars.seq`` of the newest bar that they know.
    model_version : str
        The model.
    account_id : sequence of str
        n accounts, each once.
    version : ndarray of int64, shape (n,)
        Their versions.
    digest : sequence of bytes, or ndarray of uint8, shape (n, 32)
        SHA-256 of their canonical JSON, from `serving.accounts.entry_of`.
    seen : Forecast
        What is said, in the same order.
    """

    tenant: str
    shard: int
    kind: str
    close_ns: int
    said_ns: int
    market_seq: int
    model_version: str
    account_id: Sequence[str]
    version: IntArray
    digest: Sequence[bytes] | NDArray[np.uint8]
    seen: Forecast


def append(connection: Connection, head: Mapping[str, Any], said: Said) -> int:
    """Append one page to the ledger of a shard.

    Parameters
    ----------
    connection : Connection
        In a transaction that holds the lock of the shard.
    head : mapping
        The row of the shard, from `serving.store.Store.lock_shard` in this transaction.
    said : Said
        What is said.

    Returns
    -------
    int
        The number of the page. The shard's ``ledger_seq``, ``ledger_page`` and ``ledger_hash`` are moved to it; where
        nothing is said no page is made and the number is that of the last.

    Raises
    ------
    InputError
        If the row is of another shard, or the columns are not of one length.
    """
    if (head["tenant_id"], head["shard"]) != (said.tenant, said.shard):
        raise InputError("head", f"{head['tenant_id']}/{head['shard']}", f"the row of {said.tenant}/{said.shard}")
    n, seen = len(said.account_id), said.seen
    if not len(said.version) == len(said.digest) == len(seen.p_call) == n:
        raise InputError("said", n, "columns of one length")
    if n == 0:
        return int(head["ledger_page"])
    page = int(head["ledger_page"]) + 1
    known = Particulars(
        said.tenant,
        said.shard,
        page,
        int(head["ledger_seq"]) + 1,
        n,
        said.close_ns,
        said.said_ns,
        said.market_seq,
        said.model_version,
        said.kind,
    )
    names, ends = pack_names(said.account_id)
    rows = rows_of(said.version, said.digest, seen.p_call, seen.p_liquidation, seen.prior, seen.flags, seen.state)
    before = bytes(head["ledger_hash"])
    last, checks = link(before, known.bytes(), names, ends, rows.tobytes())
    single = said.account_id[0] if n == 1 and said.kind == "account" else None
    kept = {"account_id": single, "body": pack(Page(names, ends, rows, checks)), "prev_hash": before, "last_hash": last}
    connection.execute(insert(ledger_pages), _columns(known) | kept)
    own = (shards.c.tenant_id == said.tenant) & (shards.c.shard == said.shard)
    moved = {"ledger_seq": known.first_seq + n - 1, "ledger_page": page, "ledger_hash": last}
    connection.execute(update(shards).where(own).values(moved))
    return page


def _columns(known: Particulars) -> dict[str, Any]:
    named = {name: getattr(known, name) for name in known.__struct_fields__ if name != "tenant"}
    return named | {"tenant_id": known.tenant}
