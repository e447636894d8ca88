"""Account files of every margin regime: agreements, debts, coin-margined contracts, options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.sources import read_account_chunks, read_accounts, write_account_columns, write_accounts
from models.book import Book
from models.errors import Failure
from models.margin.csa import CsaTerms, EligibleCollateral, PartyTerms, Rounding
from models.margin.levels import margin_levels
from models.margin.valuation import valued

AS_OF = "2025-03-01T12:00:00Z"
TERMS: dict[str, Any] = {
    "party": {"threshold": 100_000.0, "minimum_transfer_amount": 50_000.0},
    "counterparty": {"threshold": "infinite"},
    "rounding": {"delivery_increment": 10_000.0},
    "eligible_collateral": [{"asset": "USD"}, {"asset": "BTC", "valuation_percentage": 0.8}],
    "timetable": {"notification_time": "10:00:00", "holidays": ["2025-12-25"]},
}


def _account(name: str, ruleset: str, currency: str, held: dict[str, float], legs: list[Any], **more: Any) -> Any:
    collateral = [{"asset": asset, "quantity": quantity} for asset, quantity in held.items()]
    positions = [dict(zip(("symbol", "quantity", "entry_price"), leg, strict=False)) | leg[3] for leg in legs]
    whole = {"account_id": name, "as_of": AS_OF, "ruleset": ruleset, "currency": currency}
    return whole | {"collateral": collateral, "positions": positions} | more


ACCOUNTS: list[Any] = [
    _account("coin", "binance-coinm", "BTC", {"BTC": 0.2}, [("BTC/USD:BTC", 1e5, 84_000.0, {"margin_mode": "cross"})]),
    _account("loan", "aave-v3", "USDC", {"BTC": 1.0, "USDC": -55_000.0}, []),
    _account("csa", "csa", "USD", {"USD": 2e5, "BTC": 1.0}, [("BTC/USDT:USDT", 20.0, 1e5, {})], csa=TERMS),
    _account("option", "deribit-standard", "BTC", {"BTC": 0.5}, [
        ("BTC/USD:BTC-250328-100000-C", -2.0, 0.02, {}),
        ("BTC/USD:BTC-250328-70000-P", -1.0, 0.02, {"implied_volatility": 0.6}),
    ]),
    _account("unified", "binance-pm", "USDT", {"BTC": 1.0, "USDT": -3e4}, [("ETH/USDT:USDT", -10.0, 2_200.0, {})]),
]  # fmt: skip


def _write(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _figures(path: Path) -> Any:
    """Levels of every account of a file, through columns."""
    (piece,) = read_account_chunks(path)
    book, failures = Book.from_columns(*piece.columns, ["BTC", "ETH"])
    assert failures == []
    price = np.array([84_000.0, 2_200.0])
    found = margin_levels(valued(book, price, np.array([0.55, 0.7])), price)
    return np.column_stack([found.equity, found.maintenance, found.call, found.initial, found.release])


def test_json_lines_carry_every_field(tmp_path: Path) -> None:
    accounts, failures = read_accounts(_write(tmp_path / "a.jsonl", ACCOUNTS))
    assert failures == []
    terms = accounts[2].csa
    assert terms is not None
    assert terms.counterparty.threshold == "infinite"
    assert terms.timetable.holidays[0].year == 2025
    assert [a.csa is None for a in accounts] == [True, True, False, True, True]
    assert [p.implied_volatility for p in accounts[3].positions] == [None, 0.6]
    assert accounts[1].collateral[1].quantity == -55_000.0
    assert accounts[0].currency == "BTC"


@pytest.mark.parametrize("target", ["accounts.jsonl", "twins"])
def test_round_trip_to_accounts_and_to_a_book(tmp_path: Path, target: str) -> None:
    source = _write(tmp_path / "in.jsonl", ACCOUNTS)
    accounts, _ = read_accounts(source)
    write_accounts(tmp_path / target, accounts)
    assert read_accounts(tmp_path / target) == (accounts, [])
    assert _figures(tmp_path / target) == pytest.approx(_figures(source), rel=1e-12, nan_ok=False)


def test_lines_to_twins_by_columns_in_chunks(tmp_path: Path) -> None:
    source = _write(tmp_path / "in.jsonl", ACCOUNTS)
    (piece,) = read_account_chunks(source)
    write_account_columns(tmp_path / "twins", *piece.columns)
    stored = pq.read_table(tmp_path / "twins/accounts.parquet")
    assert stored["csa"].type == pa.string()
    assert [text is None for text in stored["csa"].to_pylist()] == [True, True, False, True, True]
    pieces = list(read_account_chunks(tmp_path / "twins", 2))
    assert [terms for part in pieces for terms in part.accounts["csa"]] == piece.accounts["csa"].tolist()
    write_account_columns(tmp_path / "back.jsonl", *piece.columns)
    assert read_accounts(tmp_path / "back.jsonl") == read_accounts(source)


def test_twins_without_the_newer_columns_are_read(tmp_path: Path) -> None:
    accounts, _ = read_accounts(_write(tmp_path / "in.jsonl", [ACCOUNTS[0]]))
    write_accounts(tmp_path / "twins", accounts)
    for name, column in (("accounts", "csa"), ("positions", "implied_volatility")):
        table = pq.read_table(tmp_path / f"twins/{name}.parquet").drop_columns([column])
        pq.write_table(table, tmp_path / f"twins/{name}.parquet")
    assert read_accounts(tmp_path / "twins") == (accounts, [])


def test_agreements_written_by_others_as_coded_text_or_as_nothing_at_all(tmp_path: Path) -> None:
    accounts, _ = read_accounts(_write(tmp_path / "in.jsonl", ACCOUNTS))
    write_accounts(tmp_path / "twins", accounts)
    table = pq.read_table(tmp_path / "twins/accounts.parquet")
    at = table.schema.get_field_index("csa")
    pq.write_table(table.set_column(at, "csa", table["csa"].dictionary_encode()), tmp_path / "twins/accounts.parquet")
    assert read_accounts(tmp_path / "twins") == (accounts, [])
    nothing = table.set_column(at, "csa", pa.nulls(len(table)))
    pq.write_table(nothing, tmp_path / "twins/accounts.parquet")
    assert [a.csa for a in read_accounts(tmp_path / "twins")[0]] == [None] * len(ACCOUNTS)


_BAD = [
    ({"party": {"treshold": 1.0}}, "csa.party.treshold", "expected a known field, was 'treshold'"),
    ({"party": {"threshold": -1.0}}, "csa.party.threshold", "expected an amount >= 0, or 'infinite', was -1.0"),
    ({"party": {"threshold": "inf"}}, "csa.party.threshold", "expected a name that the field knows, was 'inf'"),
    ({"rounding": {"delivery_increment": "1"}}, "csa.rounding.delivery_increment", "expected float"),
    (
        {"eligible_collateral": [{"asset": "USD"}, {"asset": "BTC", "valuation_percentage": 80}]},
        "csa.eligible_collateral[1].valuation_percentage",
        "expected a fraction in (0, 1]",
    ),
]


@pytest.mark.parametrize(("terms", "field", "message"), _BAD)
def test_wrong_terms_are_refused_with_their_path_and_lose_no_other_account(
    tmp_path: Path, terms: dict[str, Any], field: str, message: str
) -> None:
    bad = ACCOUNTS[2] | {"account_id": "bad", "csa": terms}
    (piece,) = read_account_chunks(_write(tmp_path / "a.jsonl", [ACCOUNTS[0], bad, ACCOUNTS[2]]))
    _check_refused(piece.failures, field, message)
    assert piece.accounts["account_id"].tolist() == ["coin", "csa"]

    good, _ = read_accounts(
        _write(tmp_path / "b.jsonl", [ACCOUNTS[0], ACCOUNTS[2] | {"account_id": "bad"}, ACCOUNTS[2]])
    )
    write_accounts(tmp_path / "twins", good)
    table = pq.read_table(tmp_path / "twins/accounts.parquet")
    texts = table["csa"].to_pylist()
    texts[1] = json.dumps(terms)
    at = table.schema.get_field_index("csa")
    pq.write_table(table.set_column(at, "csa", pa.array(texts, pa.string())), tmp_path / "twins/accounts.parquet")
    (piece,) = read_account_chunks(tmp_path / "twins")
    _check_refused(piece.failures, field, message)
    assert piece.accounts["account_id"].tolist() == ["coin", "csa"]
    assert piece.line.tolist() == [1, 3]
    assert piece.positions["row"].tolist() == [0, 1]
    assert [a.account_id for a in read_accounts(tmp_path / "twins")[0]] == ["coin", "csa"]


def _check_refused(failures: tuple[Failure, ...], field: str, message: str) -> None:
    (failure,) = failures
    assert (failure.row, failure.account_id, failure.field) == (2, "bad", field)
    assert message in failure.message


@pytest.mark.parametrize("text", ["", "terms", "[1]"])
def test_terms_that_are_no_json_object_are_named(tmp_path: Path, text: str) -> None:
    accounts, _ = read_accounts(_write(tmp_path / "in.jsonl", ACCOUNTS))
    write_accounts(tmp_path / "twins", accounts)
    table = pq.read_table(tmp_path / "twins/accounts.parquet")
    at = table.schema.get_field_index("csa")
    pq.write_table(table.set_column(at, "csa", pa.array([text] * 5, pa.string())), tmp_path / "twins/accounts.parquet")
    good, failures = read_accounts(tmp_path / "twins")
    assert good == []
    assert {(f.field, "the terms as a JSON object" in f.message) for f in failures} == {("csa", True)}


def test_terms_are_numbers_of_the_format_to_the_last_digit(tmp_path: Path) -> None:
    terms = CsaTerms(
        party=PartyTerms(threshold=1 / 3, independent_amount=0.1 + 0.2),
        rounding=Rounding(return_increment=1e-3),
        eligible_collateral=(EligibleCollateral(asset="UST 1-5y", valuation_percentage=0.98),),
    )
    accounts, _ = read_accounts(_write(tmp_path / "in.jsonl", [ACCOUNTS[2]]))
    exact = msgspec.structs.replace(accounts[0], csa=terms)
    write_accounts(tmp_path / "twins", [exact])
    assert read_accounts(tmp_path / "twins")[0] == [exact]
