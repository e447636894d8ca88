"""The chain: whatever is changed, missing, moved or cut off is found, and named."""

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from sqlalchemy import Connection, delete, select, update

from serving.ledger.chain import genesis, link
from serving.ledger.page import Page, pack, unpack
from serving.ledger.verify import Anchor, Fault, Verified, heads, verify
from serving.store import Store
from serving.store.tables import ledger_pages, shards
from tests.serving.ledger.builders import said_of, say, tenant_of

NAMES = ("desk-1", "desk", "ü-3", "desk-10")
Tamper = Callable[[Connection], object]


@pytest.fixture
def ledger(store: Store) -> Store:
    """Return a store with three pages in one shard and one in another."""
    tenant_of(store)
    for seed in range(3):
        say(store, said_of(NAMES, seed))
    say(store, said_of(NAMES[:1], 7, shard=1, kind="account"))
    return store


def _verify(store: Store, *anchors: Anchor) -> Verified:
    return store.query(lambda connection: verify(connection, anchors))


def _page(number: int) -> object:
    c = ledger_pages.c
    return (c.tenant_id == "a") & (c.shard == 0) & (c.page == number)


def _body(connection: Connection, number: int) -> Page:
    return unpack(bytes(connection.execute(select(ledger_pages.c.body).where(_page(number))).scalar_one()))  # type: ignore[arg-type]


def _put(connection: Connection, number: int, **values: object) -> None:
    connection.execute(update(ledger_pages).where(_page(number)).values(**values))  # type: ignore[arg-type]


def test_a_ledger_that_nobody_touched_is_right(ledger: Store) -> None:
    assert _verify(ledger) == Verified(2, 4, 13, [])
    assert _verify(ledger, *ledger.query(heads)) == Verified(2, 4, 13, [])


def test_each_row_carries_the_hash_of_the_row_before() -> None:
    """The chain, written out by hand."""
    rows = [b"rowA", b"rowB"]
    last = hashlib.sha256(genesis("a", 0) + (2).to_bytes(4, "little") + b"hd").digest()
    for name, row in zip([b"x", b"yz"], rows, strict=True):
        last = hashlib.sha256(last + len(name).to_bytes(2, "little") + name + row).digest()
    found, checks = link(genesis("a", 0), b"hd", b"xyz", np.array([1, 3]), b"".join(rows))
    assert (found, checks[4:]) == (last, last[:4])


def _one_probability(connection: Connection) -> None:
    page = _body(connection, 2)
    rows = page.rows.copy()
    rows["p_call"][2, 3] = np.nextafter(rows["p_call"][2, 3], 1)
    _put(connection, 2, body=pack(Page(page.names, page.ends, rows, page.checks)))


def _one_name(connection: Connection) -> None:
    page = _body(connection, 2)
    _put(connection, 2, body=pack(Page(page.names.replace("ü-3".encode(), b"u--3"), page.ends, page.rows, page.checks)))


def _a_letter_from_one_name_to_the_next(connection: Connection) -> None:
    page = _body(connection, 2)
    ends = page.ends.copy()
    ends[1] += 1
    _put(connection, 2, body=pack(Page(page.names, ends, page.rows, page.checks)))


def _without_a_row(connection: Connection) -> None:
    page = _body(connection, 2)
    keep = [0, 1, 3]
    names = page.account_ids()
    text = "".join(names[i] for i in keep).encode()
    ends = np.cumsum([len(names[i].encode()) for i in keep])
    checks = b"".join(page.checks[4 * i : 4 * i + 4] for i in keep)
    _put(connection, 2, body=pack(Page(text, ends, page.rows[keep], checks)), n=3)


def _rows_moved(connection: Connection) -> None:
    page = _body(connection, 2)
    rows = page.rows.copy()
    rows[[1, 2]] = rows[[2, 1]]
    _put(connection, 2, body=pack(Page(page.names, page.ends, rows, page.checks)))


@pytest.mark.parametrize(("tamper", "row"), [
    (_one_probability, 2), (_one_name, 2), (_a_letter_from_one_name_to_the_next, 1), (_rows_moved, 1),
])  # fmt: skip
def test_a_changed_row_is_named(ledger: Store, tamper: Tamper, row: int) -> None:
    ledger.run(tamper)
    (fault,) = _verify(ledger).faults
    assert (fault.tenant, fault.shard, fault.page, fault.row) == ("a", 0, 2, row)
    assert fault.account_id is not None


@pytest.mark.parametrize("column", ["close_ns", "said_ns", "market_seq", "model_version", "kind"])
def test_what_a_page_says_of_itself_is_part_of_it(ledger: Store, column: str) -> None:
    value = "other" if column in ("model_version", "kind") else 12_345
    ledger.run(lambda connection: _put(connection, 2, **{column: value}))
    (fault,) = _verify(ledger).faults
    assert (fault.page, fault.row) == (2, 0)


def _exchanged(connection: Connection) -> None:
    _put(connection, 2, page=99)
    _put(connection, 3, page=2, first_seq=5)
    _put(connection, 99, page=3, first_seq=9)


def _last_gone_and_its_mark(connection: Connection) -> None:
    before = connection.execute(select(ledger_pages).where(_page(3))).one()  # type: ignore[arg-type]
    connection.execute(delete(ledger_pages).where(_page(3)))  # type: ignore[arg-type]
    values = {"ledger_page": 2, "ledger_seq": 8, "ledger_hash": before.prev_hash}
    connection.execute(update(shards).where(shards.c.shard == 0).values(values))


@pytest.mark.parametrize(("tamper", "page"), [
    (lambda c: _put(c, 2, body=b"MCL1 something else"), 2),
    (lambda c: _put(c, 2, body=pack(_body(c, 2))[:-9]), 2),
    (lambda c: _put(c, 2, last_hash=bytes(32)), 2),
    (lambda c: _put(c, 2, prev_hash=bytes(32)), 2),
    (lambda c: c.execute(delete(ledger_pages).where(_page(2))), 2),
    (lambda c: c.execute(delete(ledger_pages).where(_page(1))), 1),
    (lambda c: c.execute(delete(ledger_pages).where(_page(3))), 3),
    (_exchanged, 2), (_without_a_row, 2),
])  # fmt: skip
def test_a_page_that_is_not_as_it_was_is_named(ledger: Store, tamper: Tamper, page: int) -> None:
    ledger.run(tamper)
    (fault,) = _verify(ledger).faults
    assert (fault.tenant, fault.shard, fault.page) == ("a", 0, page)


def test_a_tail_cut_off_with_its_mark_is_found_by_the_anchor_only(ledger: Store) -> None:
    anchors = ledger.query(heads)
    ledger.run(_last_gone_and_its_mark)
    assert _verify(ledger).faults == []
    (fault,) = _verify(ledger, *anchors).faults
    assert (fault.page, "cut off" in fault.what) == (3, True)


def test_a_ledger_written_anew_is_found_by_the_anchor_only(ledger: Store) -> None:
    anchors = ledger.query(heads)

    def anew(connection: Connection) -> None:
        connection.execute(delete(ledger_pages).where(ledger_pages.c.shard == 0))
        values = {"ledger_page": 0, "ledger_seq": 0, "ledger_hash": genesis("a", 0)}
        connection.execute(update(shards).where(shards.c.shard == 0).values(values))

    ledger.run(anew)
    for seed in (0, 1, 5, 6):
        say(ledger, said_of(NAMES, seed))
    assert _verify(ledger).faults == []
    (fault,) = _verify(ledger, *anchors).faults
    assert (fault.page, "anchor" in fault.what) == (3, True)


def test_an_older_anchor_still_proves(ledger: Store) -> None:
    anchors = ledger.query(heads)
    say(ledger, said_of(NAMES, 4))
    assert _verify(ledger, *anchors).faults == []


def test_a_shard_that_is_gone_is_named(ledger: Store) -> None:
    gone = Anchor("a", 9, 1, 1, "00")
    assert _verify(ledger, gone).faults == [Fault("a", 9, 0, "expected the shard of the anchor, it is gone")]
