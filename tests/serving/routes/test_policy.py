"""/v1/settings/policy: the desk's own policy makes its plans and tells it how long it may wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from features.sources import write_panel
from models.errors import StoreUnavailableError
from models.rebalance import Policy
from serving.policies import Policies
from serving.store import Store
from tests.serving.desks import Desk, desk_of
from tests.serving.live.test_service import BASE, NEW, WHOLE, register, send, step

PATH = "/v1/settings/policy"
SLOW: dict[str, Any] = {
    "reduce": False,
    "eligible_assets": ["USDT"],
    "assets": {"USDT": {"step": 250}},
    "places": {"bank": {"inventory": {"USDT": 1e6}}},
    "routes": [{"name": "wire", "source": "bank", "to": ["*"], "assets": ["USDT"], "lag": [[0.95, 4000]]}],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a market."""
    root = tmp_path_factory.mktemp("policy-market")
    write_panel(BASE, root)
    return root


@pytest.fixture
def live(store: Store, database: str, files: Path) -> Iterator[Desk]:
    """Return a server with a market."""
    with desk_of(store, database, BASE.end, market=str(files), live_seconds=0, history_days=60) as found:
        yield found


def test_it_is_set_shown_noted_and_dropped_for_one_desk_only(live: Desk) -> None:
    register(live, "desk-7")
    account = live.ask("GET", "/v1/accounts/desk-7").json()["account"]
    sent = ("POST", "/v1/recommendations", {"account": account, "target": "0.001@1440"})
    kept = ("GET", "/v1/accounts/desk-7/plan?target=0.001@1440", None)

    def amounts(ask: tuple[str, str, Any], who: str) -> list[float]:
        plans = live.ask(*ask, who=who).json()["recommendations"][0]["plans"]
        return [plan["actions"][0]["amount"] for plan in plans]

    assert live.ask("GET", PATH, who="a.read").json()["own"] is False
    assert len(amounts(kept, "a.predict")) > 1
    answer = live.ask("PUT", PATH, SLOW, "a.operate")
    assert answer.status_code == 200, answer.text
    found = live.ask("GET", PATH, who="a.read").json()
    assert (found["own"], found["policy"]["routes"][0]["lag"]) == (True, [[0.95, 4000.0]])
    for ask in (sent, kept):
        (amount,) = amounts(ask, "a.predict")
        assert amount % 250 == 0
    assert len(amounts(sent, "b.predict")) > 1
    assert live.ask("GET", PATH, who="b.read").json()["own"] is False
    (noted,) = [n for n in live.ask("GET", "/v1/audit").json()["notes"] if n["action"] == "settings.policy"]
    assert noted["detail"]["assets"]["USDT"]["step"] == 250
    assert live.ask("PUT", "/v1/settings/alerts", {}, "a.operate").status_code == 200  # neither takes the other out
    assert live.ask("GET", PATH, who="a.read").json()["own"] is True
    assert live.ask("DELETE", PATH, who="a.operate").status_code == 204
    assert live.ask("GET", PATH, who="a.read").json() == live.ask("GET", PATH, who="b.read").json()


def test_the_last_safe_minute_is_that_of_its_fastest_route(live: Desk) -> None:
    """A wire of 4,000 minutes is too slow for any account at risk; half an hour is not."""
    live.ask("PUT", "/v1/settings/alerts", {"warn_minutes": 30.0, "lag_minutes": 30.0}, "a.operate")
    told: dict[str, Any] = {}
    live.ask("PUT", PATH, SLOW, "a.operate")
    for name, tenant in (("slow", "a"), ("plain", "b")):
        register(live, name, cash=6_000.0, who=f"{tenant}.operate")
        (told[tenant],) = [*live.ask("GET", "/v1/alerts?kind=last_safe", who=f"{tenant}.read").json()["alerts"], None][
            :1
        ]
    assert (told["a"]["severity"], told["a"]["value"]) == ("critical", 0.0)
    assert told["b"] is None
    fast = SLOW | {"routes": [SLOW["routes"][0], {**SLOW["routes"][0], "name": "chain", "lag": [[0.95, 10]]}]}
    live.ask("PUT", PATH, fast, "a.operate")
    send(live, WHOLE.n_bars - NEW)
    step(live)
    (over,) = live.ask("GET", "/v1/alerts?kind=last_safe").json()["alerts"]
    assert over["closed"] is not None


@pytest.mark.parametrize(("body", "field"), [
    ({"route_lag_minutes": -1}, "route_lag_minutes"),
    ({"routes": [{**SLOW["routes"][0], "source": "attic"}]}, "routes[0].source"),
    ({"target": "0.01@60"}, "target"),
])  # fmt: skip
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_wrong_is_named(live: Desk, body: dict[str, Any], field: str) -> None:
    answer = live.ask("PUT", PATH, body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    nobody = live.ask("PUT", PATH, {}, "service.operate", {"margincast-tenant": "nobody"})
    assert nobody.status_code == 404


def test_the_policy_read_last_holds_while_the_database_does_not_answer() -> None:
    class Broken:
        found: Policy | None = Policy(reduce=False)

        def query(self, _: object) -> Policy | None:
            if self.found is None:
                raise StoreUnavailableError("database: expected an answer, it is not available now; try again")
            return self.found

    store, server = Broken(), Policy(release=False)
    policies = Policies(server, store)  # type: ignore[arg-type]
    assert policies.of("a").reduce is False
    store.found = None
    assert policies.of("a").reduce is False
    assert policies.of(None) is server
    with pytest.raises(StoreUnavailableError):
        policies.of("b")
