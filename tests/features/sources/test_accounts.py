"""Accounts on disk: good rows are kept, bad ones are named with their line, garbage is refused early."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.sources import read_account_chunks, read_accounts, write_account_columns, write_accounts
from features.sources.account_lines import FIRST_LINES, MAX_LINE
from models.book import Book
from models.errors import Failure, InputError

AS_OF = "2025-03-01T12:00:00Z"
NOON = 1_740_830_400_000_000_000


def _account(name: str, **more: Any) -> dict[str, Any]:
    return {
        "account_id": name,
        "as_of": AS_OF,
        "ruleset": "generic-linear",
        "currency": "USDT",
        "collateral": [{"asset": "USDT", "quantity": 1000.0}, {"asset": "BTC", "quantity": 0.1}],
        "positions": [
            {"symbol": "BTC/USDT:USDT", "quantity": 0.5, "entry_price": 84_000},
            {"symbol": "ETH/USDT:USDT", "quantity": -3, "entry_price": 2_200.5, "margin_mode": "isolated",
             "isolated_margin": 500, "leverage": 10},
        ],
        **more,
    }  # fmt: skip


def _write(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def _failures(path: Path) -> list[Failure]:
    return [failure for piece in read_account_chunks(path) for failure in piece.failures]


@pytest.mark.parametrize("target", ["accounts.jsonl", "twins"])
def test_round_trip(tmp_path: Path, target: str) -> None:
    source = _write(tmp_path / "in.jsonl", [_account("a"), _account("b", positions=[], collateral=[]), _account("c")])
    accounts, failures = read_accounts(source)
    assert failures == []
    assert write_accounts(tmp_path / target, accounts) == 3
    assert read_accounts(tmp_path / target) == (accounts, [])
    assert accounts[0].positions[1].isolated_margin == 500
    assert accounts[0].positions[0].leverage is None


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
@pytest.mark.parametrize("twins", [False, True])
def test_chunks_are_cut_exactly_and_rows_point_into_them(tmp_path: Path, chunk: int, twins: bool) -> None:
    path = _write(
        tmp_path / "a.jsonl", [_account(f"n{i}", positions=_account("")["positions"][: i % 3]) for i in range(7)]
    )
    if twins:
        (whole,) = read_account_chunks(path)
        write_account_columns(tmp_path / "twins", *whole.columns)
        path = tmp_path / "twins"
    pieces = list(read_account_chunks(path, chunk))
    assert [len(piece) for piece in pieces] == [chunk] * (7 // chunk) + [7 % chunk] * bool(7 % chunk)
    assert np.concatenate([piece.line for piece in pieces]).tolist() == [1, 2, 3, 4, 5, 6, 7]
    for piece in pieces:
        for i, name in enumerate(piece.accounts["account_id"]):
            assert np.count_nonzero(piece.positions["row"] == i) == int(name[1:]) % 3
            assert np.count_nonzero(piece.collateral["row"] == i) == 2
        assert (piece.accounts["as_of"] == NOON).all()


def test_columns_go_into_a_book_and_its_failures_get_their_lines(tmp_path: Path) -> None:
    owed = _account("owed", collateral=[{"asset": "BTC", "quantity": -1.0}])
    path = _write(tmp_path / "a.jsonl", [_account("a"), "", owed, _account("b")])
    (piece,) = read_account_chunks(path)
    book, failures = Book.from_columns(*piece.columns, ["BTC", "ETH"])
    assert book.account_id.tolist() == ["a", "b"]
    (failure,) = piece.at_lines(failures)
    assert (failure.row, failure.account_id, failure.field) == (3, "owed", "collateral[0].quantity")


@pytest.mark.parametrize(
    ("line", "field", "message"),
    [
        (_account("x", postions=[]), "postions", "expected a known field, was 'postions'"),
        (
            _account("x", positions=[{"symbol": "BTC/USDT:USDT", "quantity": 1, "entry_price": 1, "qty": 2}]),
            "positions[0].qty",
            "expected a known field",
        ),
        (_account("x", positions=[{"symbol": "BTC/USDT:USDT", "quantity": 1}]), "positions[0].entry_price", "required"),
        (_account("x", collateral=[{"asset": "USDT", "quantity": "1"}]), "collateral[0].quantity", "expected float"),
        (_account("x", as_of="2025-03-01T12:00:00"), "as_of", "a time with a zone"),
        (_account("x", as_of="soon"), "as_of", "RFC3339"),
        ('{"account_id": "x", "as_of"', "line", "one account a line, as JSON"),
        (json.dumps(_account("x")).replace("1000.0", "NaN"), "quantity", "a finite number"),
        ("[1, 2]", "line", "expected object"),
    ],
)
def test_a_bad_line_is_named_and_loses_no_good_one(tmp_path: Path, line: Any, field: str, message: str) -> None:
    path = _write(tmp_path / "a.jsonl", [_account("a"), line, _account("b")])
    (piece,) = read_account_chunks(path)
    assert piece.accounts["account_id"].tolist() == ["a", "b"]
    assert piece.line.tolist() == [1, 3]
    (failure,) = piece.failures
    assert (failure.row, failure.field, failure.code) == (2, field, "invalid_input")
    assert message in failure.message
    assert failure.account_id in ("x", "")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"collateral": [{"asset": "BTC", "quantity": -1}]}, "collateral[0].quantity"),
        ({"positions": [{"symbol": "BTC/USDT:USDT", "quantity": 0, "entry_price": 1}]}, "positions[0].quantity"),
        ({"positions": [{"symbol": "BTC/USDT:USDT", "quantity": 1, "entry_price": 0}]}, "positions[0].entry_price"),
        ({"positions": [{"symbol": "BTCUSDT", "quantity": 1, "entry_price": 1}]}, "positions[0].symbol"),
    ],
)
def test_values_are_checked_when_read_one_by_one(tmp_path: Path, more: dict[str, Any], field: str) -> None:
    path = _write(tmp_path / "a.jsonl", [_account("bad", **more), _account("good")])
    accounts, failures = read_accounts(path)
    assert [account.account_id for account in accounts] == ["good"]
    assert [(f.row, f.account_id, f.field) for f in failures] == [(1, "bad", field)]


def test_the_account_currency_may_be_owed(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", [_account("a", collateral=[{"asset": "USDT", "quantity": -5.0}])])
    assert read_accounts(path)[1] == []


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_repeated_accounts_are_flagged_across_chunks(tmp_path: Path, chunk: int) -> None:
    later = _account("a", as_of="2025-03-01T13:00:00Z")
    path = _write(
        tmp_path / "a.jsonl", [_account("a"), _account("b"), later, _account("a"), _account("c"), _account("b")]
    )
    pieces = list(read_account_chunks(path, chunk))
    assert [name for piece in pieces for name in piece.accounts["account_id"]] == ["a", "b", "a", "c"]
    failures = [failure for piece in pieces for failure in piece.failures]
    assert [(f.row, f.code, f.account_id) for f in failures] == [(4, "duplicate", "a"), (6, "duplicate", "b")]
    for piece in pieces:
        assert len(piece.collateral["row"]) == 2 * len(piece)
        assert set(piece.collateral["row"].tolist()) == set(range(len(piece)))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"PAR1....", "this is a parquet file; pass the folder"),
        (b"\x1f\x8b\x08", "this is a gzip file"),
        (b'{"a": 1}\0\0\0', "this is binary"),
        (b"[{}]", "without the [ ] and commas"),
        (b"account_id,as_of\n", "starting with {"),
        (b"  \n\n", "the file is empty"),
        (b"", "the file is empty"),
        (b"\xff\xfe\x41", "starting with {"),
    ],
)
def test_what_is_no_json_lines_is_told_from_its_first_bytes(tmp_path: Path, head: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(head)
    with pytest.raises(InputError) as caught:
        next(read_account_chunks(path))
    assert message in str(caught.value)


def test_a_huge_file_of_one_line_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b'{"account_id": "' + b"x" * (MAX_LINE + 1_000_000))
        os.truncate(file.fileno(), 2**30)  # a hole: 1 GiB that takes no room
    with pytest.raises(InputError, match="the first line is longer than 1 MiB"):
        next(read_account_chunks(path))


def test_many_bad_lines_at_the_head_are_refused_early(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.jsonl", ['{"foo": 1}'] * FIRST_LINES)
    with pytest.raises(InputError, match=r"no good one in \d+ lines: .*foo"):
        list(read_account_chunks(path))
    few = _write(tmp_path / "b.jsonl", ['{"foo": 1}'] * 5)
    assert len(_failures(few)) == 5


@pytest.mark.parametrize("ending", ["\n", ""])
def test_a_line_that_is_too_long_is_skipped_in_the_middle(tmp_path: Path, ending: str) -> None:
    long = json.dumps(_account("x" * (3 * MAX_LINE)))
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([json.dumps(_account("a")), long, json.dumps(_account("b"))]) + ending)
    pieces = list(read_account_chunks(path))
    assert [name for piece in pieces for name in piece.accounts["account_id"]] == ["a", "b"]
    assert [line for piece in pieces for line in piece.line] == [1, 3]
    assert [f.row for f in _failures(path)] == [2]


def test_a_byte_order_mark_and_windows_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(_account("a")).encode() + b"\r\n")
    assert [account.account_id for account in read_accounts(path)[0]] == ["a"]


def test_twins_in_any_order_are_joined_and_orphans_named(tmp_path: Path) -> None:
    (piece,) = read_account_chunks(_write(tmp_path / "a.jsonl", [_account("a"), _account("b")]))
    write_account_columns(tmp_path / "t", *piece.columns)
    positions = pq.read_table(tmp_path / "t/positions.parquet")
    stray = positions.slice(0, 1).set_column(0, "account_id", pa.array(["ghost"]))
    pq.write_table(pa.concat_tables([stray, positions.take([3, 0, 2, 1])]), tmp_path / "t/positions.parquet")
    (back,) = read_account_chunks(tmp_path / "t")
    assert back.positions["row"].tolist() == [0, 0, 1, 1]
    assert back.positions["symbol"].tolist() == ["BTC/USDT:USDT", "ETH/USDT:USDT", "ETH/USDT:USDT", "BTC/USDT:USDT"]
    (failure,) = back.failures
    assert (failure.row, failure.account_id, failure.field) == (1, "ghost", "positions.account_id")


def test_twins_with_a_wrong_column_are_refused(tmp_path: Path) -> None:
    (piece,) = read_account_chunks(_write(tmp_path / "a.jsonl", [_account("a")]))
    write_account_columns(tmp_path / "t", *piece.columns)
    table = pq.read_table(tmp_path / "t/accounts.parquet")
    naive = table.set_column(1, "as_of", table["as_of"].cast(pa.timestamp("us")))
    pq.write_table(naive, tmp_path / "t/accounts.parquet")
    with pytest.raises(InputError, match="as_of: expected a timestamp with a time zone"):
        next(read_account_chunks(tmp_path / "t"))
    pq.write_table(table.drop_columns(["currency"]), tmp_path / "t/accounts.parquet")
    with pytest.raises(InputError, match="columns: expected account_id, as_of, ruleset, currency, csa and no other"):
        next(read_account_chunks(tmp_path / "t"))
    (tmp_path / "t/collateral.parquet").unlink()
    pq.write_table(table, tmp_path / "t/accounts.parquet")
    with pytest.raises(InputError, match="path: expected a file that exists, next to its two twins"):
        next(read_account_chunks(tmp_path / "t"))


def test_paths_and_chunks_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="path: expected a file that exists"):
        next(read_account_chunks(tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match="chunk: expected at least 1"):
        next(read_account_chunks(tmp_path / "none.jsonl", 0))
    with pytest.raises(InputError, match=r"path: expected a name that ends in \.jsonl"):
        write_accounts(tmp_path / "a.csv", [])


def test_twins_in_several_row_groups_and_with_coded_text(tmp_path: Path) -> None:
    lines = [_account(f"n{i}", ruleset=f"r{i % 2}") for i in range(6)]
    (piece,) = read_account_chunks(_write(tmp_path / "a.jsonl", lines))
    write_account_columns(tmp_path / "t", *piece.columns)
    for name, text in (("accounts", "ruleset"), ("positions", "symbol")):
        table = pq.read_table(tmp_path / f"t/{name}.parquet")
        coded = table.set_column(table.schema.get_field_index(text), text, table[text].dictionary_encode())
        pq.write_table(coded, tmp_path / f"t/{name}.parquet", row_group_size=3)
    back = list(read_account_chunks(tmp_path / "t", 4))
    for given, name in ((piece.accounts, "ruleset"), (piece.accounts, "account_id"), (piece.positions, "symbol")):
        part = "positions" if name == "symbol" else "accounts"
        assert [v for b in back for v in getattr(b, part)[name]] == given[name].tolist()
    back[0].accounts["as_of"][:] = 0  # columns are the caller's to change


def test_empty_twins_are_no_accounts(tmp_path: Path) -> None:
    assert write_accounts(tmp_path / "t", []) == 0
    (piece,) = read_account_chunks(tmp_path / "t")
    assert len(piece) == 0
    assert len(piece.positions["row"]) == 0
