"""The same accounts by file, by API and by stream: the same numbers to 1e-9, with a model and in several regimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from features.sources import write_panel
from margincast.cli import app
from serving.accounts.schemas import instant
from serving.ledger.page import unpack
from serving.store import Store
from serving.store.tables import ledger_pages
from tests.serving.desks import Desk, desk_of
from tests.serving.live.test_service import BASE, NEW, WHOLE, send, step
from tests.serving.made import make_bundle

COLUMNS = ("p_call", "p_liquidation", "prior")


def some_accounts(as_of: str) -> list[dict[str, Any]]:
    """Return accounts of four regimes, near enough to a call that their probabilities differ."""
    btc, eth = (float(BASE.close[WHOLE.column(a), -1]) for a in ("BTC", "ETH"))
    usdt = {"asset": "USDT", "quantity": 0.12 * btc}
    long = {"symbol": "BTC/USDT:USDT", "quantity": 1.0, "entry_price": btc}
    short = {"symbol": "ETH/USDT:USDT", "quantity": -10.0, "entry_price": eth}
    alone = long | {"margin_mode": "isolated", "isolated_margin": 0.1 * btc}
    coin = {"symbol": "BTC/USD:BTC", "quantity": 2.0 * btc, "entry_price": btc}
    plain = {"as_of": as_of, "ruleset": "generic-linear", "currency": "USDT"}
    return [
        {"account_id": "one", **plain, "collateral": [usdt], "positions": [long]},
        {
            "account_id": "two",
            **plain,
            "collateral": [usdt, {"asset": "BTC", "quantity": 0.1}],
            "positions": [long, short],
        },
        {"account_id": "alone", **plain, "collateral": [usdt], "positions": [alone]},
        {
            "account_id": "coin",
            "as_of": as_of,
            "ruleset": "binance-coinm",
            "currency": "BTC",
            "collateral": [{"asset": "BTC", "quantity": 0.3}],
            "positions": [coin],
        },
    ]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_file_api_and_stream_say_the_same(store: Store, database: str, tmp_path: Path) -> None:
    write_panel(BASE, tmp_path / "base")
    write_panel(WHOLE, tmp_path / "whole")
    bundle = make_bundle(tmp_path / "bundle", BASE, assets=list(WHOLE.assets))
    more = {"market": str(tmp_path / "base"), "model": str(bundle), "live_seconds": 0, "history_days": 60}
    with desk_of(store, database, BASE.end, **more) as desk:
        for account in some_accounts(instant(BASE.end).isoformat()):
            answer = desk.ask("PUT", f"/v1/accounts/{account['account_id']}", account, "a.operate")
            assert answer.status_code == 201, answer.text
        for column in range(WHOLE.n_bars - NEW, WHOLE.n_bars):
            send(desk, column)
            step(desk)
        stream = _stream(desk)
        accounts = some_accounts(instant(WHOLE.end).isoformat())
        answer = desk.ask("POST", "/v1/predictions", {"accounts": accounts}, "a.predict").json()
    assert answer["failures"] == []
    assert answer["model_version"] == "test-1"
    api = {one["account_id"]: [[row[c] for c in COLUMNS] for row in one["rows"]] for one in answer["predictions"]}
    file = _file(tmp_path, accounts, bundle)
    assert set(stream) == set(api) == set(file) == {"one", "two", "alone", "coin"}
    for name in file:
        np.testing.assert_allclose(stream[name], file[name], rtol=1e-9, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(api[name], file[name], rtol=1e-9, atol=1e-12, err_msg=name)
    assert len({round(rows[2][0], 6) for rows in file.values()}) > 1  # the accounts are not all alike
    assert any(abs(rows[2][0] - rows[2][2]) > 1e-6 for rows in file.values())  # the trees had a say


def _stream(desk: Desk) -> dict[str, list[list[float]]]:
    """Return what the rounds on the last bar put into the ledger."""
    c = ledger_pages.c
    wanted = select(c.body).where(c.kind == "round", c.close_ns == WHOLE.end, c.tenant_id == "a")
    found = {}
    for body in desk.runtime.database.query(lambda connection: connection.execute(wanted).scalars().all()):
        page = unpack(bytes(body))
        for i, name in enumerate(page.account_ids()):
            found[name] = np.stack([page.rows[column][i] for column in COLUMNS], axis=1).tolist()
    return found


def _file(folder: Path, accounts: list[dict[str, Any]], bundle: Path) -> dict[str, list[list[float]]]:
    """Return what ``margincast predict`` writes for a file of the accounts."""
    given, out = folder / "accounts.jsonl", folder / "out.parquet"
    given.write_text("\n".join(json.dumps(account) for account in accounts))
    words = ["predict", given, "--market", folder / "whole", "--model", bundle, "--out", out, "--threads", 1]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(out)
    return {name: rows[list(COLUMNS)].to_numpy().tolist() for name, rows in table.groupby("account_id")}
