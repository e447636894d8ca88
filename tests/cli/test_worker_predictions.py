"""Predictions on workers are those of one process, whatever the lines that a worker sees cannot tell."""

from __future__ import annotations

import json
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.sources.accounts import read_account_chunks, write_account_columns
from margincast.cli import books, worker_predictions
from margincast.cli.batch import Answer
from margincast.cli.books import Chunk
from margincast.cli.markets import MarketWindow
from margincast.cli.predictions import Told, prediction_answers
from margincast.cli.worker_predictions import answers_of_workers
from models.errors import InputError, MissingMarketError
from models.prior import PriorModel
from serving.model_source import PRIOR
from tests.cli.conftest import Write, account, position
from training.workers import Here

pytestmark = pytest.mark.filterwarnings("error")
LATE = "2022-06-20T00:00:00Z"
EARLY = "2022-06-10T00:00:00Z"


class Elsewhere(Here):
    """Three items ahead of the results, everything pickled both ways; counts what was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def map(self, function: Callable[..., Any], items: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        waiting: deque[Any] = deque()
        for item in items:
            self.calls += 1
            waiting.append(pickle.dumps(function(*pickle.loads(pickle.dumps(item)))))
            if len(waiting) > 3:
                yield pickle.loads(waiting.popleft())
        while waiting:
            yield pickle.loads(waiting.popleft())


class Strict(Told):
    """Has no answer where the market does not hold what it wants, as a stricter engine might."""

    def answer(self, chunk: Chunk, prior: PriorModel) -> Answer:
        if "ETH" not in chunk.panel.assets and any("b" in name for name in chunk.book.account_id):
            raise MissingMarketError("no ETH")
        if any("c" in name for name in chunk.book.account_id):
            raise MissingMarketError("nothing at all")
        return super().answer(chunk, prior)


@pytest.fixture(autouse=True)
def _four_lines_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (books, worker_predictions):
        monkeypatch.setattr(module, "CHUNK", 4)


def _window(root: Path) -> MarketWindow:
    """A market that grows: the prior is fitted on what is loaded, so an answer tells from what it was given."""
    return MarketWindow(root, days=100)


def _here(path: Path, root: Path, at: int | None = None) -> list[Answer]:
    return list(map(prediction_answers(Told(PRIOR)), books.read_books(path, _window(root), at)))


def _there(path: Path, root: Path, at: int | None = None) -> tuple[list[Answer], int]:
    workers = Elsewhere()
    found = list(answers_of_workers(path, _window(root), at, Told(PRIOR), workers, "plain"))
    return found, workers.calls


def _equal(ours: list[Answer], theirs: list[Answer]) -> None:
    assert [(a.accounts, list(a.failures)) for a in ours] == [(a.accounts, list(a.failures)) for a in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert list(mine.columns) == list(other.columns)
        for name, values in mine.columns.items():
            np.testing.assert_array_equal(values, other.columns[name], err_msg=name)


def _many(count: int, as_of: str = LATE, first: int = 0, **more: Any) -> list[dict[str, Any]]:
    held = [[{"asset": "USDT", "quantity": 4_000.0 + 900.0 * i}] for i in range(first, first + count)]
    return [account(f"a{first + i}", as_of, collateral=held[i], **more) for i in range(count)]


def test_nothing_is_asked_twice_where_nothing_hangs_together(write: Write, long_market: Path) -> None:
    path = write(*_many(10))
    found, calls = _there(path, long_market)
    assert calls == 3
    assert [a.accounts for a in found] == [4, 4, 2]
    _equal(_here(path, long_market), found)


def test_accounts_that_come_again_in_their_chunk_or_a_later_one_are_named(write: Write, long_market: Path) -> None:
    lines = _many(12)
    lines[2] = lines[1]
    lines[9] = lines[0] | {"positions": []}
    path = write(*lines)
    found, calls = _there(path, long_market)
    assert calls == 5, "two chunks of three are answered again"
    assert [(f.row, f.code, f.account_id) for a in found for f in a.failures] == [
        (3, "duplicate", "a1"),
        (10, "duplicate", "a0"),
    ]
    _equal(_here(path, long_market), found)


@pytest.mark.parametrize(
    "wider",
    [
        {"as_of": EARLY},
        {"positions": [position(symbol="ETH/USDT:USDT", entry_price=2_000.0)]},
        {"as_of": "2022-01-01T01:00:00Z"},
    ],
    ids=["earlier", "another asset", "before what is loaded"],
)
def test_a_market_that_a_later_chunk_makes_larger(write: Write, long_market: Path, wider: dict[str, Any]) -> None:
    lines = _many(20)
    lines[6] |= wider
    path = write(*lines)
    found, calls = _there(path, long_market)
    assert calls > 5, "chunks sent with the smaller market are answered again"
    _equal(_here(path, long_market), found)
    alone = _here(write(*_many(20), name="alone.jsonl"), long_market)
    assert not np.array_equal(alone[-1].columns["prior"], found[-1].columns["prior"]), "the market must matter"


def test_an_error_counts_only_if_it_is_that_of_the_right_market(write: Write, long_market: Path) -> None:
    eth = [position(symbol="ETH/USDT:USDT", entry_price=2_000.0)]
    lines = [*_many(8), account("b", LATE), account("e", LATE, positions=eth)]

    def answers(path: Path) -> list[Answer]:
        return list(answers_of_workers(path, _window(long_market), None, Strict(PRIOR), Elsewhere(), "plain"))

    assert sum(a.accounts for a in answers(write(*lines))) == 10
    with pytest.raises(MissingMarketError, match="nothing at all"):
        answers(write(*lines, account("c", LATE)))


def test_bad_and_blank_lines_keep_their_numbers_and_their_chunks(write: Write, long_market: Path) -> None:
    good = [json.dumps(a) for a in _many(7)]
    path = write(
        *good[:2], "{", "", *[""] * 4, good[2], "[]", *good[3:], json.dumps(account("f", "2999-01-01T00:00:00Z"))
    )
    found, _ = _there(path, long_market)
    assert [(a.accounts, [f.row for f in a.failures]) for a in found] == [(2, [3]), (3, [10]), (2, [15])]
    _equal(_here(path, long_market), found)


def test_one_instant_for_all_and_repeats_by_the_accounts_own(write: Write, long_market: Path) -> None:
    lines = [*_many(3), *_many(3, EARLY)]
    path = write(*lines)
    at = int(np.datetime64("2022-06-25T00:00:00", "ns").astype(np.int64))
    found, calls = _there(path, long_market, at)
    assert (calls, sum(a.accounts for a in found)) == (2, 6)
    _equal(_here(path, long_market, at), found)


def test_twins_go_the_same_way(write: Write, long_market: Path, tmp_path: Path) -> None:
    (whole,) = read_account_chunks(write(*_many(6)))
    write_account_columns(tmp_path / "twins", *whole.columns)
    _equal(_here(tmp_path / "twins", long_market), _there(tmp_path / "twins", long_market)[0])


def test_a_file_without_a_good_line_is_refused(write: Write, long_market: Path) -> None:
    path = write(*['{"foo": 1}'] * 1003)
    with pytest.raises(InputError, match=r"no good one in 1000 lines: .*foo"):
        _there(path, long_market)
