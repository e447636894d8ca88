"""Training sets on disk: whole or not at all, the same whichever way they were written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.sources.parts import CONTENTS, is_folder
from models.errors import InputError
from models.typing import DAY_NS
from training.dataset import Dataset, batches, concatenate
from training.dataset_files import Part, encode_part, read_dataset, write_dataset, write_parts


def pairs(n: int) -> Dataset:
    rng = np.random.default_rng(3)
    return Dataset(
        feature_names=("a", "b", "c"),
        x=rng.normal(size=(n * 4, 3)).astype(np.float32),
        prior=rng.uniform(size=(n, 4)),
        y=rng.uniform(size=(n, 4)) < 0.2,
        usable=rng.uniform(size=(n, 4)) < 0.9,
        as_of=np.arange(n) // 3 * DAY_NS,
        level=np.tile(np.array([0, 1], np.int8), n // 2),
        factor=rng.uniform(1, 2, n),
        kind=rng.integers(0, 2, n).astype(np.int16),
        legs=rng.integers(1, 4, n).astype(np.int16),
        minutes=np.where(rng.uniform(size=n) < 0.5, np.nan, 60.0),
        amount=np.full(n, np.nan),
        size_base=rng.uniform(size=n),
        size_scale=rng.uniform(size=n),
        kinds=("retail", "core"),
        extra={"last_call": rng.uniform(size=n), "prior_har": rng.uniform(size=(n, 4))},
        fingerprint="0" * 64,
    )


def pieces() -> list[Dataset]:
    cut = list(batches(pairs(40), 14))
    return [replace(p, fingerprint=str(i) * 64, counts={"gap": i, "refused": 1}) for i, p in enumerate(cut)]


def same(one: Dataset, other: Dataset) -> None:
    for name in ("x", "prior", "y", "usable", "as_of", "level", "factor", "kind", "legs", "minutes", "size_base"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    for name, column in one.extra.items():
        np.testing.assert_array_equal(other.extra[name], column)
    assert (one.counts, one.kinds, one.fingerprint) == (other.counts, other.kinds, other.fingerprint)


def test_a_folder_and_a_file_hold_the_same_values(tmp_path: Path) -> None:
    rows = write_parts(map(encode_part, pieces()), tmp_path / "set")
    assert rows == write_dataset(pieces(), tmp_path / "set.parquet") == 160
    whole = concatenate(pieces())
    same(whole, read_dataset(tmp_path / "set"))
    same(whole, read_dataset(tmp_path / "set.parquet"))


def test_a_folder_of_parts_is_one_table_for_other_readers(tmp_path: Path) -> None:
    write_parts(map(encode_part, pieces()), tmp_path / "set")
    table = pd.read_parquet(tmp_path / "set")
    np.testing.assert_array_equal(table["x.b"].to_numpy(), pairs(40).x[:, 1])


def test_parts_are_numbered_in_their_order_and_an_old_set_is_replaced_whole(tmp_path: Path) -> None:
    write_parts([encode_part(pairs(8))] * 12, tmp_path / "set")
    write_parts(map(encode_part, pieces()), tmp_path / "set")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set"]
    names = [f"part-{i:05d}.parquet" for i in range(3)]
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == [CONTENTS, *names]
    assert json.loads((tmp_path / "set" / CONTENTS).read_text())["counts"] == {"gap": 3, "refused": 3}


@pytest.mark.parametrize("name", ["set", "set.parquet"])
def test_a_build_that_breaks_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    def broken() -> Iterator[Dataset]:
        yield pieces()[0]
        raise OSError("the disk is gone")

    def write(given: Iterator[Dataset] | list[Dataset]) -> None:
        if name == "set":
            write_parts((encode_part(piece) for piece in given), tmp_path / name)
        else:
            write_dataset(given, tmp_path / name)

    with pytest.raises(OSError, match="the disk"):
        write(broken())
    assert list(tmp_path.iterdir()) == []
    write(pieces())
    with pytest.raises(OSError, match="the disk"):
        write(broken())
    assert [p.name for p in tmp_path.iterdir()] == [name]
    same(concatenate(pieces()), read_dataset(tmp_path / name))
    with pytest.raises(InputError, match="at least one piece"):
        write([])


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.txt").write_text("ten years")
    with pytest.raises(InputError, match="a new folder, or one that holds parts"):
        write_parts(map(encode_part, pieces()), tmp_path / "set")
    assert (tmp_path / "set" / "thesis.txt").read_text() == "ten years"
    (tmp_path / "file").write_text("a file")
    with pytest.raises(InputError, match="a new folder"):
        write_parts(map(encode_part, pieces()), tmp_path / "file")


def test_an_unfinished_or_incomplete_folder_is_refused(tmp_path: Path) -> None:
    write_parts(map(encode_part, pieces()), tmp_path / "set")
    (tmp_path / "set" / "part-00001.parquet").unlink()
    with pytest.raises(InputError, match=r"part-00001\.parquet"):
        read_dataset(tmp_path / "set")
    (tmp_path / "set" / CONTENTS).unlink()
    with pytest.raises(InputError, match="a folder of parts written by margincast"):
        read_dataset(tmp_path / "set")


def test_another_suffix_is_refused() -> None:
    assert is_folder("a/set", (".parquet",))
    assert not is_folder("a/set.parquet", (".parquet",))
    with pytest.raises(InputError, match=r"--out: expected a name that ends in \.parquet, or one without a suffix"):
        is_folder("set.csv", (".parquet",))


def test_a_part_says_what_it_holds() -> None:
    part = encode_part(pieces()[1])
    assert isinstance(part, Part)
    assert (part.rows, part.fingerprint, part.counts) == (56, "1" * 64, {"gap": 1, "refused": 1})
