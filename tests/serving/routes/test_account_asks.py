"""Explanation, plan and what-if of registered accounts: on the newest bar, as if the same account had been sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from features.sources import write_panel
from serving.instants import instant
from serving.store import Store
from serving.store.tables import ledger_pages
from tests.serving.desks import Desk, desk_of
from tests.serving.live.test_service import BASE, NEW, WHOLE, register, send, step
from tests.serving.made import make_bundle

PATH = "/v1/accounts/desk-7"
POLICY = {"reduce": False, "eligible_assets": ["USDT"], "assets": {"USDT": {"step": 250}}}
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a market and a model."""
    root = tmp_path_factory.mktemp("asked")
    write_panel(BASE, root / "market")
    make_bundle(root / "model", BASE, assets=list(WHOLE.assets))
    return root


@pytest.fixture
def live(store: Store, database: str, folder: Path) -> Iterator[Desk]:
    """Return a server on which one account was told, and two bars came since."""
    more = {"market": str(folder / "market"), "model": str(folder / "model"), "live_seconds": 0, "history_days": 60}
    with desk_of(store, database, BASE.end, **more) as found:
        register(found, "desk-7", cash=6_000.0)
        for column in (WHOLE.n_bars - NEW, WHOLE.n_bars - NEW + 1):
            send(found, column)
            step(found)
        yield found


def sent(live: Desk) -> dict[str, Any]:
    """Return the account as who does not register it would send it now."""
    account = live.ask("GET", PATH).json()["account"]
    return {**account, "as_of": instant(live.runtime.engine.panel.end).isoformat()}


def without_age(body: dict[str, Any]) -> dict[str, Any]:
    """Leave out what depends on when it was asked."""
    return {name: part for name, part in body.items() if name != "market"}


def test_the_explanation_is_of_what_the_round_said(live: Desk) -> None:
    found = live.ask("GET", f"{PATH}/explanation", who="a.predict")
    assert (found.status_code, found.headers["etag"]) == (200, '"1"')
    body = found.json()
    assert without_age(body) == without_age(live.ask("POST", "/v1/predictions", {**sent(live), "explain": True}).json())
    (one,) = body["predictions"]
    p = np.array([row["p_call"] for row in one["rows"]])
    said = live.ask("GET", PATH).json()["said"]
    np.testing.assert_allclose(p, [row["p_call"] for row in said["rows"]], rtol=1e-9)
    assert said["market_as_of"] == one["market_as_of"] == instant(WHOLE.end - 3 * WHOLE.step).isoformat()[:19] + "Z"
    for row, part in zip(p, one["explanation"], strict=True):
        assert part["logit_p_call"] == pytest.approx(part["logit_prior"] + sum(part["parts"].values()))
        assert 1 / (1 + np.exp(-part["logit_p_call"])) == pytest.approx(row, abs=1e-6)


def test_plans_are_those_of_the_same_account_sent(live: Desk) -> None:
    asked = live.ask("GET", f"{PATH}/plan?target=0.001@1440", who="a.predict")
    assert (asked.status_code, asked.headers["etag"]) == (200, '"1"')
    same = live.ask("POST", "/v1/recommendations", {"account": sent(live), "target": "0.001@1440"}).json()
    assert without_age(asked.json()) == without_age(same)
    assert same["recommendations"][0]["status"] == "act"
    under = live.ask("POST", f"{PATH}/plan", {"target": "0.001@1440", "policy": POLICY}, "a.predict").json()
    (plan,) = under["recommendations"][0]["plans"]
    assert plan["actions"][0]["amount"] % 250 == 0
    goal = {"policy": {"limits": {"target": "0.002@240"}}}
    assert live.ask("POST", f"{PATH}/plan", goal).json()["recommendations"][0]["target"]["horizon_minutes"] == 240
    plain = live.ask("GET", f"{PATH}/plan").json()["recommendations"][0]
    assert plain["target"] == {"probability": 0.01, "horizon_minutes": 1440}


def test_what_if_is_that_of_the_same_account_sent(live: Desk) -> None:
    changes = {"collateral": [{"asset": "USDT", "quantity": -3000.0}], "prices": {"BTC": -0.03}}
    found = live.ask("POST", f"{PATH}/what-if", {"changes": changes}, "a.predict")
    assert (found.status_code, found.headers["etag"]) == (200, '"1"')
    body = found.json()
    same = live.ask("POST", "/v1/what-if", {"account": sent(live), "changes": changes}).json()
    assert without_age(body) == without_age(same)
    assert body["after"]["rows"][2]["p_call"] > body["before"]["rows"][2]["p_call"]
    assert live.ask("GET", PATH).json()["version"] == 1  # nothing was stored


def test_questions_leave_nothing_in_the_ledger(live: Desk) -> None:
    def pages() -> int:
        count = select(func.count()).select_from(ledger_pages)
        return int(live.runtime.database.query(lambda c: c.execute(count).scalar_one()))

    before = pages()
    for method, path, body in ASKS:
        assert live.ask(method, PATH + path, body).status_code == 200
    assert pages() == before


ASKS = [
    ("GET", "/explanation", None),
    ("GET", "/plan", None),
    ("POST", "/plan", {}),
    ("POST", "/what-if", {"changes": {}}),
]


def test_another_tenant_learns_nothing(live: Desk) -> None:
    for method, path, body in ASKS:
        foreign, absent = (live.ask(method, f"/v1/accounts/{n}{path}", body, "b.admin") for n in ("desk-7", "desk-8"))
        assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
        assert foreign.text.replace("desk-7", "desk-8") == absent.text
        named = live.ask(method, PATH + path, body, "b.admin", {"margincast-tenant": "a"})
        assert named.status_code == 404


@pytest.mark.parametrize(("method", "path", "body", "field"), [
    ("GET", "/plan?target=1%25", None, "target"),
    ("POST", "/plan", {"target": "2@60"}, "target.probability"),
    ("POST", "/plan", {"policy": {"fee": 1}}, "policy.fee"),
    ("POST", "/plan", {"account": {}}, "account"),
    ("POST", "/what-if", {"changes": {"prices": {"DOGE": 0.1}}}, "changes.prices.DOGE"),
    ("POST", "/what-if", {}, "changes"),
])  # fmt: skip
def test_what_is_wrong_is_named(live: Desk, method: str, path: str, body: Any, field: str) -> None:
    answer = live.ask(method, PATH + path, body)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text


def test_they_follow_the_market_even_where_the_clock_is_behind_it(live: Desk) -> None:
    newest = live.runtime.engine.panel.end
    live.clock.now = newest - 3 * WHOLE.step
    for method, path, body in ASKS:
        found = live.ask(method, PATH + path, body)
        assert found.status_code == 200, found.text
        assert found.json()["market"]["as_of"].startswith(instant(newest).isoformat()[:19])
