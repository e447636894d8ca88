"""What was said last, or up to an instant; and the order of risk."""

import tracemalloc

import numpy as np
import pytest

from models.typing import HORIZONS
from serving.accounts import shard_of
from serving.ledger.read import Reader, Statement
from serving.ledger.schemas import shown
from serving.store import Store
from tests.serving.ledger.builders import said_of, say, tenant_of

NAMES = [name for name in (f"desk-{i}" for i in range(40)) if shard_of(name, 2) == 0][:5]


def _past(store: Store, name: str, **more: int) -> list[Statement]:
    return store.query(lambda c: list(Reader().past(c, "a", 0, name, **more)))


def test_newest_first_and_only_ones_own(store: Store) -> None:
    tenant_of(store)
    for seed in range(3):
        say(store, said_of(NAMES, seed))
    say(store, said_of(NAMES[1:2], 5, kind="account"))
    say(store, said_of(NAMES[2:3], 6, kind="account"))
    say(store, said_of(NAMES[:1], 7))
    found = _past(store, NAMES[1])
    assert [(one.page, one.seq, one.close_ns) for one in found] == [(4, 16, 500), (3, 12, 200), (2, 7, 100), (1, 2, 0)]
    assert np.array_equal(found[1].row["p_call"], said_of(NAMES, 2).seen.p_call[1])
    assert [one.page for one in _past(store, NAMES[1], until_ns=101)] == [2, 1]
    assert [one.page for one in _past(store, NAMES[1], until_ns=100)] == [1]
    assert [one.page for one in _past(store, NAMES[1], before=3)] == [2, 1]
    assert _past(store, "desk") == []


def test_far_back_is_found_behind_the_pages_of_others(store: Store) -> None:
    tenant_of(store)
    say(store, said_of(NAMES, 0))
    for seed in range(1, 70):
        say(store, said_of(NAMES[:2], seed))
    assert [one.page for one in _past(store, NAMES[4])] == [1]
    assert len(_past(store, NAMES[0])) == 70


def test_the_order_of_risk_is_that_of_what_was_said_last(store: Store) -> None:
    tenant_of(store)
    reader = Reader()
    say(store, said_of([*NAMES, "gone"], 0))
    first = said_of(NAMES, 1)
    first.seen.p_call[0] = np.nan
    first.seen.p_call[1, 2] = first.seen.p_call[2, 2] = 0.25
    say(store, first)
    other = said_of(("z",), 3, shard=1)
    say(store, other)
    expected = sorted(
        [(-p, n) for p, n in zip(first.seen.p_call[1:, 2], NAMES[1:], strict=True)] + [(-other.seen.p_call[0, 2], "z")]
    )
    for _ in range(2):
        found = store.query(lambda c: list(reader.ranked(c, "a", 2)))
        assert [rank for rank, _ in found] == expected
    assert [name for (_, name), _ in found][:0] == []
    late = said_of(NAMES[3:4], 9, kind="account")
    late.seen.p_call[:] = 0.9999
    say(store, late)
    found = store.query(lambda c: list(reader.ranked(c, "a", 2)))
    assert (found[0][0], found[0][1].page) == ((-0.9999, NAMES[3]), 3)
    rest = store.query(lambda c: list(reader.ranked(c, "a", 2, found[1][0])))
    assert [rank for rank, _ in rest] == [rank for rank, _ in found[2:]]
    assert store.query(lambda c: list(reader.ranked(c, "b", 2))) == []


def test_what_is_not_a_number_goes_out_as_null(store: Store) -> None:
    tenant_of(store)
    said = said_of(NAMES, 0)
    said.seen.p_call[0], said.seen.state[0] = np.nan, -1
    say(store, said)
    found = shown(_past(store, NAMES[0])[0])
    assert (found.state, [row.horizon_minutes for row in found.rows]) == ("unknown", list(HORIZONS))
    assert [row.p_call for row in found.rows] == [None] * 4
    assert found.rows[3].prior == pytest.approx(said.seen.prior[0, 3])


def test_kept_pages_take_no_more_memory_than_they_may_however_small_they_are(store: Store) -> None:
    tenant_of(store)
    reader, pages = Reader(most_bytes=300_000), 400
    for seed in range(pages):
        say(store, said_of(NAMES[:1], seed, kind="account"))
    tracemalloc.start()
    try:
        assert len(store.query(lambda c: list(reader.past(c, "a", 0, NAMES[0])))) == pages
        taken = tracemalloc.get_traced_memory()[0]
        kept = len(reader._pages)
    finally:
        tracemalloc.stop()
    assert 100 < kept < pages
    assert taken < 2 * 300_000


def test_an_order_that_is_out_of_date_is_not_kept(store: Store) -> None:
    tenant_of(store)
    reader = Reader()
    for seed in range(6):
        say(store, said_of(NAMES, seed))
        for horizon in (0, 2, 2):
            list(store.query(lambda c, h=horizon: list(reader.ranked(c, "a", h))))
    assert list(reader._orders) == [("a", 0), ("a", 2)]
