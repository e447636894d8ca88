"""Groups for IN: the same rows, from few statements."""

import string
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, event, insert, select

from serving.accounts.lookup import find_all
from serving.store import Store
from serving.store.lists import MOST, in_groups
from serving.store.tables import tenants

_NAMES = [a + b for a in string.ascii_lowercase for b in string.ascii_lowercase]


def _names(connection: Connection, wanted: Sequence[str]) -> list[str]:
    c = tenants.c
    return [
        name
        for some in in_groups(wanted)
        for name in connection.execute(select(c.id).where(c.id.in_(some)).order_by(c.id)).scalars()
    ]


def test_rows_are_found_once_and_by_few_statements(store: Store) -> None:
    rows = [{"id": name, "name": name, "shards": 1, "settings": {}, "created_ns": 1} for name in _NAMES]
    store.run(lambda connection: connection.execute(insert(tenants), rows))
    said: set[str] = set()
    event.listen(store.engine, "before_cursor_execute", lambda *given: said.add(given[2]))
    lengths = (0, 1, 2, 3, *range(5, 130), MOST - 1, MOST, MOST + 1, len(_NAMES))
    for n in lengths:
        assert store.query(lambda connection, n=n: _names(connection, _NAMES[:n])) == _NAMES[:n]  # type: ignore[misc]
    assert len([one for one in said if "IN" in one.split()]) <= 10  # 1, 2, 4, ... 512


@pytest.mark.parametrize("n", [3, 70])
def test_accounts_that_are_not_there_are_left_out(store: Store, n: int) -> None:
    assert store.query(lambda connection: find_all(connection, "desk", _NAMES[:n])) == {}
