"""Single accounts that arrive together: each gets the answer that it would have got alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from models.market import MarketPanel
from serving.batching import MOST, Batcher
from serving.decode import Accounts, decode_accounts
from serving.engine import Engine
from serving.model_source import load_model
from serving.problems import ProblemError
from serving.schemas import PredictionResponse
from tests.serving.client import request_of


@pytest.fixture(scope="module")
def engine(panel: MarketPanel, now: int) -> Engine:
    return Engine(panel, load_model(""), lambda: now)


def _requests(now: int, price: float, n: int) -> list[Accounts]:
    """Long and short, small and large, on an earlier market, and on an asset that nobody knows."""
    found = []
    for i in range(n):
        leg = {"symbol": "BTC/USDT:USDT", "quantity": (-1) ** i * (0.5 + i % 5), "entry_price": price}
        body = request_of(now, 1 + i % 7 + (90 if i % 6 == 3 else 0), account_id=f"a{i % 3}", positions=[leg])
        if i % 6 == 5:
            body["positions"][0]["symbol"] = "NOPE/USDT:USDT"
        found.append(decode_accounts(json.dumps(body).encode(), 10))
    return found


async def _together(batcher: Batcher, requests: Sequence[Accounts]) -> list[Any]:
    return await asyncio.gather(*(batcher.predict(one) for one in requests), return_exceptions=True)


def _alone(engine: Engine, request: Accounts) -> PredictionResponse | ProblemError:
    try:
        return engine.predict(request)
    except ProblemError as error:
        return error


def test_each_gets_its_own_answer(engine: Engine, now: int, price: float) -> None:
    requests = _requests(now, price, 3 * MOST + 2)
    found = asyncio.run(_together(Batcher(lambda: engine), requests))
    assert sum(isinstance(one, ProblemError) for one in found) == len(requests) // 6
    for got, request in zip(found, requests, strict=True):
        expected = _alone(engine, request)
        if isinstance(expected, ProblemError):
            assert (got.status, got.code, got.field, got.detail) == (
                expected.status, expected.code, expected.field, expected.detail,
            )  # fmt: skip
        else:
            got, expected = msgspec.to_builtins(got), msgspec.to_builtins(expected)
            assert _shape(got) == _shape(expected)
            assert _numbers(got) == pytest.approx(_numbers(expected), rel=1e-9, nan_ok=True)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shape(one) for one in value]
    return "number" if isinstance(value, float) else value


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict | list):
        return [x for one in (value.values() if isinstance(value, dict) else value) for x in _numbers(one)]
    return [value] if isinstance(value, float) else []


def test_they_are_few_calls(engine: Engine, now: int, price: float, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    whole = engine.predict_each

    def counted(requests: Sequence[Accounts]) -> list[PredictionResponse | ProblemError]:
        sizes.append(len(requests))
        return whole(requests)

    monkeypatch.setattr(engine, "predict_each", counted)
    asyncio.run(_together(Batcher(lambda: engine), _requests(now, price, 2 * MOST + 3)))
    assert sizes == [MOST, MOST, 3]


def test_a_fault_is_of_one_alone(engine: Engine, now: int, price: float, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = _requests(now, price, 5)
    whole = engine.predict

    def faulty(request: Accounts) -> PredictionResponse:
        if any(one is requests[2].accounts[0] for one in request.accounts):
            raise ZeroDivisionError
        return whole(request)

    monkeypatch.setattr(engine, "predict", faulty)
    found = asyncio.run(_together(Batcher(lambda: engine), requests))
    assert [type(one) for one in found] == [*[PredictionResponse] * 2, ZeroDivisionError, *[PredictionResponse] * 2]


def test_without_a_market_everybody_hears_it(now: int, price: float) -> None:
    def none() -> Engine:
        raise ProblemError(503, "not_ready", "no market")

    found = asyncio.run(_together(Batcher(none), _requests(now, price, 3)))
    assert [one.status for one in found] == [503] * 3


def test_who_gives_up_holds_up_nobody(engine: Engine, now: int, price: float) -> None:
    async def run() -> list[Any]:
        batcher = Batcher(lambda: engine)
        requests = _requests(now, price, 4)
        tasks = [asyncio.create_task(batcher.predict(one)) for one in requests]
        await asyncio.sleep(0)  # all are waiting, none is answered
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(run())
    assert isinstance(found[1], asyncio.CancelledError)
    assert all(isinstance(found[i], PredictionResponse) for i in (0, 2, 3))
