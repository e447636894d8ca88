"""Pages: what was said comes back to the bit, in the transaction of whoever said it."""

import numpy as np
import pytest
from sqlalchemy import Connection, func, select

from models.errors import InputError, StoreError
from serving.ledger import append
from serving.ledger.page import unpack
from serving.store import Store
from serving.store.tables import ledger_pages, shards
from tests.serving.ledger.builders import said_of, say, tenant_of

NAMES = ("desk-1", "desk", "ü-3", "desk-10")


def test_what_was_said_comes_back(store: Store) -> None:
    tenant_of(store)
    said = said_of(NAMES)
    said.seen.p_call[1] = np.nan
    said.seen.state[1], said.seen.flags[2] = -1, 1 << 40
    say(store, said)
    row = store.query(lambda connection: connection.execute(select(ledger_pages)).one())
    page = unpack(bytes(row.body))
    assert page.account_ids() == list(NAMES)
    assert [page.find(name) for name in (*NAMES, "desk-", "-1desk", "")] == [0, 1, 2, 3, None, None, None]
    for name in ("p_call", "p_liquidation", "prior", "flags", "state"):
        assert np.array_equal(page.rows[name], getattr(said.seen, name), equal_nan=name != "flags" and name != "state")
    assert [bytes(digest) for digest in page.rows["digest"]] == said.digest
    assert (row.first_seq, row.n, row.kind, row.account_id) == (1, 4, "round", None)


def test_pages_follow_each_other(store: Store) -> None:
    tenant_of(store)
    assert [say(store, said_of(NAMES, 0)), say(store, said_of(NAMES[:1], 1, kind="account"))] == [1, 2]
    assert say(store, said_of((), 2)) == 2  # nothing said, nothing written
    rows = store.query(lambda c: c.execute(select(ledger_pages).order_by(ledger_pages.c.page)).all())
    head = store.query(lambda c: c.execute(select(shards).where(shards.c.shard == 0)).one())
    assert [(row.first_seq, row.account_id) for row in rows] == [(1, None), (5, "desk-1")]
    assert bytes(rows[1].prev_hash) == bytes(rows[0].last_hash)
    assert (head.ledger_seq, head.ledger_page, bytes(head.ledger_hash)) == (5, 2, bytes(rows[1].last_hash))


def test_what_is_taken_back_was_never_said(store: Store) -> None:
    tenant_of(store)
    say(store, said_of(NAMES, 0))

    def work(connection: Connection) -> None:
        append(connection, store.lock_shard(connection, "a", 0), said_of(NAMES, 1))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.run(work)
    assert say(store, said_of(NAMES, 2)) == 2
    assert store.query(lambda c: c.execute(select(func.count()).select_from(ledger_pages)).scalar_one()) == 2


def test_the_row_of_another_shard_is_refused(store: Store) -> None:
    tenant_of(store)
    with store.begin() as connection:
        head = store.lock_shard(connection, "a", 1)
        with pytest.raises(InputError, match="a/0"):
            append(connection, head, said_of(NAMES))


@pytest.mark.parametrize("body", [b"", b"MCL1", b"x" * 100])
def test_other_bytes_are_not_a_page(body: bytes) -> None:
    with pytest.raises(StoreError, match="expected a page"):
        unpack(body)
