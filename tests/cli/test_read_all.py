"""The accounts of a file at once: a limit counts good accounts, not lines."""

from __future__ import annotations

import json

import numpy as np
import pytest

from features.sources.account_tables import accounts_of
from features.sources.accounts import read_accounts
from margincast.cli import books
from margincast.cli.books import read_all
from models.account import Account
from models.errors import InputError
from tests.cli.conftest import Write, account, position

BAD = ["", "{", "[]", ""]


@pytest.fixture(autouse=True)
def _two_lines_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "CHUNK", 2)


def _lines() -> list[str]:
    several = [position(), position(symbol="ETH/USDT:USDT", entry_price=2_000.0)]
    return [json.dumps(account(f"a{i}", positions=several[: i % 3])) for i in range(5)]


def test_blank_and_bad_lines_and_repeats_do_not_count(write: Write) -> None:
    good = _lines()
    path = write(*BAD, *good[:3], *BAD, good[0], *good[3:])
    whole = read_all(path, 5)
    expected: list[Account] = read_accounts(path)[0]
    assert list(accounts_of(*whole.columns)) == expected
    assert whole.line.tolist() == [5, 6, 7, 13, 14]
    assert [(f.row, f.code) for f in whole.failures] == [
        (2, "invalid_input"), (3, "invalid_input"), (9, "invalid_input"), (10, "invalid_input"), (12, "duplicate"),
    ]  # fmt: skip
    assert np.all(np.diff(whole.positions["row"]) >= 0)


@pytest.mark.parametrize(("lines", "count"), [(_lines(), 5), (BAD, 0)])
def test_none_and_too_many_are_refused_with_how_many_there_are(write: Write, lines: list[str], count: int) -> None:
    with pytest.raises(InputError, match=f"ACCOUNTS: expected from 1 to 4 good accounts, was {count}"):
        read_all(write("{", *lines), 4)
