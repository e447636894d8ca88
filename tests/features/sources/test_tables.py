"""Tables are written whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.sources import TableWriter, atomic_path, write_table
from models.errors import InputError


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_pieces_become_one_table(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"t.{suffix}"
    with TableWriter(path) as table:
        table.write({"id": ["a", "b"], "p": np.array([0.1, 0.2])})
        table.write({"p": np.array([0.3]), "id": ["c"]})
        assert not path.exists()
    assert table.rows == 3
    if suffix == "parquet":
        assert pq.read_table(path).to_pylist()[2] == {"id": "c", "p": 0.3}
    elif suffix == "csv":
        assert path.read_text().splitlines() == ['"id","p"', '"a",0.1', '"b",0.2', '"c",0.3']
    else:
        assert json.loads(path.read_text().splitlines()[2]) == {"id": "c", "p": 0.3}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_error_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_table(path, {"x": [1]})
    old = path.read_text()
    with pytest.raises(pa.ArrowInvalid), TableWriter(path) as table:
        table.write({"x": [2, 3], "y": [1]})
    assert path.read_text() == old
    with pytest.raises(ZeroDivisionError), atomic_path(path) as part:
        part.write_text(f"half {1 / 0}")
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_times_are_utc_and_other_suffixes_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", {"as_of": np.array(["2025-01-01"], "datetime64[us]")})
    assert str(pq.read_schema(tmp_path / "t.parquet").field("as_of").type) == "timestamp[us, tz=UTC]"
    with pytest.raises(InputError, match=r"path: expected a name that ends in \.parquet, \.csv, \.jsonl"):
        write_table(tmp_path / "t.xlsx", {"x": [1]})
