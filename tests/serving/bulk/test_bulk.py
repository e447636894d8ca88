"""POST /v1/predictions/bulk: the numbers of the JSON answers, row by row, and every account is accounted for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from models.market import MarketPanel
from models.typing import HORIZONS
from serving.app import create_app
from serving.bulk.streams import MEDIA_TYPE
from serving.settings import Settings
from tests.serving.client import Client, request_of
from tests.serving.made import make_bundle

PATH = "/v1/predictions/bulk"
FIGURES = (
    "p_call", "p_liquidation", "prior", "call_amount_q10", "call_amount_q25", "call_amount_q50", "call_amount_q75",
    "call_amount_q90", "call_amount_q95", "call_amount_q99", "time_to_call", "time_to_call_q10", "time_to_call_q90",
)  # fmt: skip


@pytest.fixture(scope="module")
def modelled(panel: MarketPanel, market: Path, now: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a client of an app with a model."""
    bundle = make_bundle(tmp_path_factory.mktemp("bundle"), panel)
    settings = Settings(market=str(market), refresh_seconds=0, model=str(bundle), max_bulk_accounts=300)
    with Client(create_app(settings, lambda: now)) as found:
        yield found


def tables(accounts: list[dict[str, Any]]) -> list[pa.Table]:
    """Return the three tables of accounts that are given as JSON."""
    stamp = pa.timestamp("us", "UTC")

    def keyed(name: str, fields: dict[str, pa.DataType]) -> pa.Table:
        rows = [(a, x) for a in accounts for x in a.get(name, [])]
        columns = {field: pa.array([x.get(field) for _, x in rows], kind) for field, kind in fields.items()}
        return pa.table({**keys([a for a, _ in rows]), **columns})

    def keys(held: list[dict[str, Any]]) -> dict[str, pa.Array]:
        times = [np.datetime64(a["as_of"].removesuffix("+00:00"), "us") for a in held]
        return {
            "account_id": pa.array([a["account_id"] for a in held], pa.string()),
            "as_of": pa.array(np.array(times, "datetime64[us]")).cast(stamp),
        }

    text = {name: pa.array([a[name] for a in accounts], pa.string()) for name in ("ruleset", "currency")}
    number = pa.float64()
    return [
        pa.table({**keys(accounts), **text}),
        keyed("positions", {"symbol": pa.string(), "quantity": number, "entry_price": number}),
        keyed("collateral", {"asset": pa.string(), "quantity": number}),
    ]


def streams(*given: pa.Table, compression: str | None = None) -> bytes:
    """Return tables as streams one after the other."""
    sink = pa.BufferOutputStream()
    for table in given:
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
            stream.write_table(table)
    return bytes(sink.getvalue())


def post(client: Client, body: bytes, kind: str = MEDIA_TYPE) -> httpx.Response:
    """POST a body of Arrow."""
    return client.post(PATH, body, {"content-type": kind})


def read(answer: httpx.Response) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Return predictions and failures."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    source = pa.BufferReader(answer.content)
    found = []
    for _ in range(2):
        with pa.ipc.open_stream(source) as stream:
            found.append(stream.read_all())
    assert source.tell() == len(answer.content)
    return found[0], found[1].to_pylist()


def crowd(panel: MarketPanel, now: int, count: int) -> list[dict[str, Any]]:
    """Return accounts of several assets, instants and states."""
    out = []
    for i in range(count):
        asset = panel.assets[i % len(panel.assets)]
        price = float(panel.close[panel.column(asset), -1])
        leg = {"symbol": f"{asset}/USDT:USDT", "quantity": (-1) ** i * 30_000 / price, "entry_price": price}
        cash = [{"asset": "USDT", "quantity": 300.0 + 170 * i}, {"asset": "BTC", "quantity": 0.001 * (i % 4)}]
        more = {"account_id": f"a{i}", "positions": [leg] if i % 11 else [], "collateral": cash}
        out.append(request_of(now, (0, 5, 95, 60 * 30)[i % 4], **more))
    return out


def test_the_numbers_are_those_of_the_json_answers(modelled: Client, panel: MarketPanel, now: int) -> None:
    accounts = crowd(panel, now, 120)
    table, failures = read(post(modelled, streams(*tables(accounts))))
    expected = modelled.post("/v1/predictions", {"accounts": accounts}).json()["predictions"]
    assert failures == []
    assert table.num_rows == len(accounts) * len(HORIZONS)
    columns = table.to_pydict()
    assert columns["account_id"] == [a["account_id"] for a in expected for _ in HORIZONS]
    assert columns["horizon_minutes"] == list(HORIZONS) * len(accounts)
    for name in FIGURES:
        given = [row[name] for a in expected for row in a["rows"]]
        assert [x is None for x in columns[name]] == [x is None for x in given], name
        np.testing.assert_allclose(
            np.array(columns[name], float), np.array(given, float), rtol=1e-12, atol=1e-12, err_msg=name
        )
    for name in ("state", "source", "novel", "market_age_minutes"):
        assert columns[name] == [a[name] for a in expected for _ in HORIZONS], name
    for name, words in (("flags", "flags"), ("source_reason", "source_reason")):
        assert columns[name] == [";".join(a[words]) for a in expected for _ in HORIZONS]
    for name in ("as_of", "market_as_of"):
        given = [a[name].replace("Z", "+00:00") for a in expected for _ in HORIZONS]
        assert [x.isoformat() for x in columns[name]] == given
    assert {"call", "ok"} & set(columns["state"])
    assert len(set(columns["market_as_of"])) == 3
    assert table.schema.metadata[b"model_version"] == b"test-1"


def test_files_may_be_sent_as_they_are(modelled: Client, panel: MarketPanel, now: int, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from features.sources.account_tables import columns_of
    from features.sources.account_twins import write_twins
    from serving.decode import decode_accounts

    body = json.dumps({"accounts": crowd(panel, now, 20)}).encode()
    write_twins(tmp_path, *columns_of(decode_accounts(body, 100).accounts))
    files = [pq.read_table(tmp_path / f"{name}.parquet") for name in ("accounts", "positions", "collateral")]
    for compression in (None, "zstd", "lz4"):
        table, failures = read(post(modelled, streams(*files, compression=compression)))
        assert (table.num_rows, failures) == (80, [])


def test_what_is_wrong_is_told_beside_what_is_right(modelled: Client, panel: MarketPanel, now: int) -> None:
    good = crowd(panel, now, 3)
    wrong = [
        good[0] | {"account_id": "rules", "ruleset": "none"},
        good[1] | {"account_id": "future", "as_of": request_of(now, -500)["as_of"]},
        good[1] | {"account_id": "old", "as_of": request_of(panel.start, 500)["as_of"]},
        good[1] | {"account_id": "asset", "positions": [{"symbol": "DOGE/USDT:USDT", "quantity": 1, "entry_price": 1}]},
        good[2],
    ]
    given = tables([good[0], *wrong[:4], *good[1:], wrong[4]])
    orphan = {"account_id": ["nobody"], "as_of": given[2]["as_of"][:1], "asset": ["USDT"], "quantity": [1.0]}
    given[2] = pa.concat_tables([given[2], pa.table(orphan)])
    table, failures = read(post(modelled, streams(*given)))
    assert table["account_id"].to_pylist() == ["a0"] * 4 + ["a1"] * 4 + ["a2"] * 4
    told = {(f["account_id"], f["row"]): f for f in failures}
    orphaned = given[2].num_rows
    assert set(told) == {("rules", 2), ("future", 3), ("old", 4), ("asset", 5), ("a2", 8), ("nobody", orphaned)}
    assert "ruleset" in told["rules", 2]["message"]
    assert "not in the future" in told["future", 3]["message"]
    assert "DOGE" in told["asset", 5]["message"]
    assert told["a2", 8]["code"] == "duplicate"
    alone = modelled.post("/v1/predictions", {"accounts": [good[0]]}).json()["predictions"][0]
    assert table["p_call"].to_pylist()[:4] == pytest.approx([r["p_call"] for r in alone["rows"]], abs=1e-12)


def test_no_accounts_are_no_rows(modelled: Client, panel: MarketPanel, now: int) -> None:
    table, failures = read(post(modelled, streams(*(t.slice(0, 0) for t in tables(crowd(panel, now, 1))))))
    assert (table.num_rows, failures) == (0, [])
    assert set(FIGURES) <= set(table.column_names)


def test_bodies_that_are_not_three_tables_are_refused(modelled: Client, panel: MarketPanel, now: int) -> None:
    given = tables(crowd(panel, now, 2))
    whole = streams(*given)
    for body in (b"", b"{}", whole[:-40], whole[: len(whole) // 2], whole + b"x", streams(*given[:2]), whole[8:]):
        answer = post(modelled, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_arrow"), body[:20]
    for kind in ("application/json", "application/octet-stream", ""):
        assert post(modelled, whole, kind).status_code == 415


def test_tables_with_other_columns_are_refused_by_name(modelled: Client, panel: MarketPanel, now: int) -> None:
    a, p, c = tables(crowd(panel, now, 2))
    for given, words in (
        ((a.drop_columns("ruleset"), p, c), "accounts: columns"),
        ((a, p.append_column("odd", p["quantity"]), c), "positions: columns"),
        ((a, p, c.set_column(3, "quantity", pa.array(["x"] * c.num_rows))), "collateral: quantity"),
        ((a.set_column(1, "as_of", a["as_of"].cast(pa.timestamp("us"))), p, c), "accounts: as_of"),
        ((a.set_column(2, "ruleset", pa.array([None, "b"])), p, c), "accounts: ruleset row 1"),
    ):
        answer = post(modelled, streams(*given))
        assert answer.status_code == 422
        assert words in answer.json()["detail"]


def test_too_many_and_what_unpacks_to_too_much(modelled: Client, panel: MarketPanel, now: int) -> None:
    many = tables(crowd(panel, now, 1))
    answer = post(modelled, streams(pa.concat_tables([many[0]] * 301), *many[1:]))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_accounts")
    zeros = pa.table({"quantity": np.zeros(4_000_000)})
    answer = post(modelled, streams(zeros, *many[1:], compression="zstd"))
    assert answer.status_code == 400
    assert "unpacks to more than" in answer.json()["detail"]
