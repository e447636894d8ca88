"""What was said, over HTTP: of an account, in the order of risk, up to an instant, and how true it was."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from models.market import MarketPanel
from models.typing import HOUR_NS, MINUTE_NS
from serving.accounts import shard_of
from serving.instants import instant
from serving.ledger.verify import Anchor, verify
from serving.store import Store
from tests.serving.desks import NOW, Desk, account_json, desk_of
from tests.serving.ledger.builders import said_of, say

NAMES = [f"x{i}" for i in range(12)]


def _say(store: Store, seed: int, names: list[str] | None = None, said_ns: int = NOW) -> dict[str, float]:
    """Say something of accounts of tenant a; P(call within a day) by name."""
    out = {}
    for shard in range(3):
        mine = [name for name in names or NAMES if shard_of(name, 3) == shard]
        said = said_of(mine, seed, shard=shard)
        object.__setattr__(said, "said_ns", said_ns)
        say(store, said)
        out |= dict(zip(mine, said.seen.p_call[:, 2].tolist(), strict=True))
    return out


def test_the_order_of_risk_page_by_page(desk: Desk, store: Store) -> None:
    desk.ask("PUT", "/v1/accounts", {"accounts": [account_json(name) for name in NAMES]})
    p = _say(store, 1)
    desk.ask("DELETE", "/v1/accounts/x3")
    expected = sorted((name for name in NAMES if name != "x3"), key=lambda name: (-p[name], name))
    seen, after = [], ""
    while after is not None:
        page = desk.ask("GET", f"/v1/accounts?order=p_call&limit=4&after={after}", who="a.read").json()
        seen += [(one["account"]["account_id"], one["said"]["rows"][2]["p_call"]) for one in page["accounts"]]
        after = page["next"]
    assert seen == [(name, pytest.approx(p[name], abs=1e-15)) for name in expected]
    hour = desk.ask("GET", "/v1/accounts?order=p_call&horizon=60&limit=1").json()["accounts"][0]["said"]
    assert hour["rows"][0]["horizon_minutes"] == 60
    assert desk.ask("GET", "/v1/accounts?order=p_call", who="b.read").json() == {"accounts": [], "next": None}


def test_at_an_instant_it_is_what_was_known_and_said_then(desk: Desk, store: Store) -> None:
    desk.ask("PUT", "/v1/accounts/x1", account_json("x1"))
    first = _say(store, 1, ["x1"], NOW + HOUR_NS)["x1"]
    second = _say(store, 2, ["x1"], NOW + 2 * HOUR_NS)["x1"]
    desk.clock.now = NOW + 3 * HOUR_NS
    desk.ask("PUT", "/v1/accounts/x1", account_json("x1", minutes_ago=-170))

    def at(ns: int) -> tuple[int, float | None]:
        when = instant(ns).isoformat().replace("+00:00", "Z")
        found = desk.ask("GET", f"/v1/accounts/x1?as_of={when}").json()
        return found["version"], found["said"]["rows"][2]["p_call"] if "said" in found else None

    assert at(NOW + HOUR_NS - 1000) == (1, None)
    assert at(NOW + HOUR_NS) == (1, first)
    assert at(NOW + 2 * HOUR_NS) == (1, second)
    assert at(NOW + 3 * HOUR_NS) == (2, second)
    now = desk.ask("GET", "/v1/accounts/x1").json()
    assert (now["version"], now["said"]["rows"][2]["p_call"], now["said"]["version"]) == (2, second, 3)
    told = desk.ask("GET", "/v1/accounts/x1/predictions?limit=1").json()
    assert (len(told["predictions"]), told["next"]) == (1, 2)
    rest = desk.ask("GET", f"/v1/accounts/x1/predictions?before={told['next']}").json()
    assert ([one["rows"][2]["p_call"] for one in rest["predictions"]], rest["next"]) == ([first], None)


def test_what_was_said_to_another_tenant_is_not_there(desk: Desk, store: Store) -> None:
    desk.ask("PUT", "/v1/accounts/x1", account_json("x1"))
    _say(store, 1, ["x1"])
    desk.ask("PUT", "/v1/accounts/x1", account_json("x1"), who="b.operate")
    assert "said" in desk.ask("GET", "/v1/accounts/x1").json()
    assert "said" not in desk.ask("GET", "/v1/accounts/x1", who="b.read").json()
    assert desk.ask("GET", "/v1/accounts/x1/predictions", who="b.read").json()["predictions"] == []
    assert desk.ask("GET", "/v1/accounts/x2/predictions", who="b.read").status_code == 404
    heads = desk.ask("GET", "/v1/ledger/heads", who="b.read").json()["heads"]
    assert {(head["tenant"], head["page"]) for head in heads} == {("b", 0)}
    assert len(desk.ask("GET", "/v1/ledger/heads", who="service.read").json()["heads"]) == 6


def test_heads_are_an_anchor(desk: Desk, store: Store) -> None:
    _say(store, 1)
    anchors = [Anchor(**head) for head in desk.ask("GET", "/v1/ledger/heads").json()["heads"]]
    assert store.query(lambda c: verify(c, anchors)).faults == []
    wrong = [Anchor(a.tenant, a.shard, a.page, a.seq, "00" * 32) for a in anchors]
    assert len(store.query(lambda c: verify(c, wrong)).faults) == 3


def test_a_server_matures_what_it_said_and_says_how_true_it_was(
    store: Store, database: str, market: Path, panel: MarketPanel
) -> None:
    close = panel.end - 24 * HOUR_NS
    price = float(panel.close[panel.column("BTC"), panel.n_bars - 25])
    leg = {"symbol": "BTC/USDT:USDT", "quantity": 1.0, "entry_price": price}
    sent = [
        account_json(
            name, 0, close, positions=[leg], collateral=[{"asset": "USDT", "quantity": (0.02 + 0.01 * i) * price}]
        )
        for i, name in enumerate(NAMES)
    ]
    with desk_of(store, database, panel.end + MINUTE_NS, market=str(market)) as desk:
        assert desk.ask("PUT", "/v1/accounts", {"accounts": sent}).json()["created"] == len(NAMES)
        for shard in range(3):
            said = said_of([name for name in NAMES if shard_of(name, 3) == shard], 0, shard=shard)
            object.__setattr__(said, "close_ns", close)
            say(store, said)
        desk.runtime.mature()
        found = desk.ask("GET", "/v1/ledger/calibration?days=7", who="a.read").json()
        by_horizon = {one["horizon_minutes"]: one for one in found["horizons"]}
        assert [by_horizon[h]["n"] for h in (60, 240, 1440, 4320)] == [12, 12, 12, by_horizon[4320]["called"]]
        assert by_horizon[1440]["expected"] > 0
        assert by_horizon[1440]["log_loss"] > 0
        assert datetime.fromisoformat(found["since"]) == instant(desk.clock.now - 7 * 24 * HOUR_NS)
        assert desk.ask("GET", "/v1/ledger/calibration", who="b.read").json()["horizons"][0]["n"] == 0
        text = desk.client.get("/metrics").text
        assert 'margincast_ledger_judged_predictions{horizon_minutes="1440"} 12.0' in text
        assert "x1" not in text
        log_loss = float(
            next(
                li for li in text.splitlines() if li.startswith('margincast_ledger_log_loss{horizon_minutes="1440"')
            ).split()[-1]
        )
        assert log_loss == pytest.approx(by_horizon[1440]["log_loss"])
        assert np.isfinite(log_loss)


@pytest.mark.parametrize("path", [
    "/v1/accounts?order=risk", "/v1/accounts?order=p_call&horizon=7", "/v1/accounts?order=p_call&after=eA",
    "/v1/accounts/x/predictions?limit=101", "/v1/ledger/calibration?days=0", "/v1/ledger/calibration?days=nan",
])  # fmt: skip
def test_bad_parameters_are_problems(desk: Desk, path: str) -> None:
    found = desk.ask("GET", path)
    assert (found.status_code, found.json()["code"]) == (422, "invalid_input")
