"""Named tuples that compiled code takes as one pointer."""

from __future__ import annotations

import copy
import gc
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
from numba import njit, typeof
from numba.core.errors import NumbaError

from models._by_pointer import by_pointer
from models.typing import FloatArray, Int32Array


@by_pointer
class Columns(NamedTuple):
    """Three fields of different kinds."""

    start: Int32Array
    value: FloatArray
    cube: FloatArray


class Holder(NamedTuple):
    """A plain tuple around it, as plans of replay are."""

    columns: Columns
    factor: float


@njit
def weighted(c: Columns, k: float) -> float:
    """Read every field, by index, by slice and by shape."""
    total = 0.0
    for i in range(len(c.start) - 1):
        total += c.value[c.start[i] : c.start[i + 1]].sum() * (i + 1)
    for i in range(c.cube.shape[0]):
        total += k * c.cube[i, 1, c.cube.shape[2] - 1] + c.cube[i].sum()
    return total


@njit
def through(h: Holder) -> float:
    """A kernel that is handed the tuple inside another."""
    return weighted(h.columns, h.factor)


def sample(seed: int = 0) -> Columns:
    """Some columns."""
    rng = np.random.default_rng(seed)
    return Columns(np.array([0, 2, 5], np.int32), rng.normal(size=5), rng.normal(size=(2, 3, 4)))


def expected(c: Columns, k: float) -> float:
    """The same in numpy."""
    return float(c.value[:2].sum() + 2 * c.value[2:].sum() + k * c.cube[:, 1, 3].sum() + c.cube.sum())


@pytest.mark.parametrize("seed", range(3))
def test_kernels_read_what_python_reads(seed: int) -> None:
    c = sample(seed)
    assert weighted(c, 2.0) == pytest.approx(expected(c, 2.0), rel=1e-12)
    assert through(Holder(c, 3.0)) == pytest.approx(expected(c, 3.0), rel=1e-12)


def test_it_stays_a_named_tuple() -> None:
    c = sample()
    assert Columns._fields == ("start", "value", "cube")
    assert isinstance(c, tuple)
    assert c[1] is c.value
    assert Columns.__name__ == "Columns"
    assert Columns.__doc__ == "Three fields of different kinds."


def test_arrays_written_after_the_first_call_are_seen() -> None:
    c = sample()
    weighted(c, 1.0)
    c.value[:] = 7.0
    assert weighted(c, 1.0) == pytest.approx(expected(c, 1.0), rel=1e-12)


def test_a_replaced_field_gets_a_table_of_its_own() -> None:
    c = sample()
    weighted(c, 1.0)
    changed = c._replace(value=c.value + 1.0)
    assert weighted(changed, 1.0) == pytest.approx(expected(changed, 1.0), rel=1e-12)
    assert weighted(c, 1.0) == pytest.approx(expected(c, 1.0), rel=1e-12)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies_leave_the_addresses_behind(again) -> None:  # type: ignore[no-untyped-def]
    c = sample()
    weighted(c, 1.0)
    new = again(c)
    wanted = expected(c, 1.0)
    assert type(new) is Columns
    assert "_kept" not in new.__dict__
    assert "_address" not in new.__dict__
    del c
    gc.collect()
    assert weighted(new, 1.0) == pytest.approx(wanted, rel=1e-12)


def test_other_kinds_of_fields_are_another_type() -> None:
    c = sample()
    other = c._replace(start=c.start.astype(np.int64))
    flat = Columns(c.start, c.value, c.value)
    assert len({typeof(x) for x in (c, other, flat)}) == 3
    assert typeof(sample(1)) == typeof(c)
    assert weighted(other, 2.0) == pytest.approx(expected(other, 2.0), rel=1e-12)


def test_read_only_fields_are_read() -> None:
    c = sample()
    c.value.flags.writeable = False
    assert typeof(c) == typeof(sample())
    assert weighted(c, 2.0) == pytest.approx(expected(c, 2.0), rel=1e-12)


def test_what_is_not_contiguous_is_refused() -> None:
    c = sample()._replace(value=np.arange(10.0)[::2])
    with pytest.raises((NumbaError, TypeError), match="field 1: expected a C-contiguous array"):
        weighted(c, 1.0)


def test_threads_that_meet_at_the_first_call_agree() -> None:
    weighted(sample(), 1.0)
    for seed in range(20):
        c = sample(seed)
        with ThreadPoolExecutor(4) as pool:
            seen = set(pool.map(lambda _, held=c: weighted(held, 1.0), range(8)))
        assert seen == {weighted(c, 1.0)}
