"""Every route asks for a key, a role and, where it is set, patience."""

from pathlib import Path

import pytest

from serving.app import create_app
from serving.settings import Secret, Settings
from serving.store import Store
from tests.serving.client import Client
from tests.serving.desks import NOW, Desk, account_json, desk_of

ABSENT = "0123456789abcdef"
ROLES = ("read", "predict", "operate", "admin")
KEY = {"role": "read", "name": "x"}
TENANT = {"tenant": "c", "name": "c"}
# method, path, body, least role, whether only a key of the whole service may
ROUTES = [
    ("POST", "/v1/predictions", {"accounts": []}, "predict", False),
    ("POST", "/v1/recommendations", {"accounts": []}, "predict", False),
    ("POST", "/v1/predictions/bulk", None, "predict", False),
    ("POST", "/v1/what-if", {"account": account_json(), "changes": {}}, "predict", False),
    ("GET", "/v1/models", None, "read", False),
    ("POST", "/v1/models/reload", None, "admin", True),
    ("PUT", "/v1/accounts/desk-7", account_json(), "operate", False),
    ("PUT", "/v1/accounts", {"accounts": [account_json()]}, "operate", False),
    ("GET", "/v1/accounts", None, "read", False),
    ("GET", "/v1/accounts/desk-7", None, "read", False),
    ("GET", "/v1/accounts/desk-7/history", None, "read", False),
    ("GET", "/v1/accounts/desk-7/predictions", None, "read", False),
    ("GET", "/v1/accounts/desk-7/explanation", None, "predict", False),
    ("GET", "/v1/accounts/desk-7/plan", None, "predict", False),
    ("POST", "/v1/accounts/desk-7/plan", {}, "predict", False),
    ("POST", "/v1/accounts/desk-7/what-if", {"changes": {}}, "predict", False),
    ("DELETE", "/v1/accounts/desk-7", None, "operate", False),
    ("POST", "/v1/market/bars", {"bars": []}, "operate", True),
    ("GET", "/v1/events?after=-1", None, "read", False),
    ("GET", "/v1/alerts", None, "read", False),
    ("POST", "/v1/alerts/alert-1/acknowledge", None, "predict", False),
    ("GET", "/v1/settings/alerts", None, "read", False),
    ("PUT", "/v1/settings/alerts", {}, "operate", False),
    ("GET", "/v1/settings/policy", None, "read", False),
    ("PUT", "/v1/settings/policy", {}, "operate", False),
    ("DELETE", "/v1/settings/policy", None, "operate", False),
    ("POST", "/v1/webhooks", {}, "operate", False),
    ("GET", "/v1/webhooks", None, "read", False),
    ("DELETE", "/v1/webhooks/hook-1", None, "operate", False),
    ("POST", "/v1/webhooks/hook-1/test", None, "operate", False),
    ("POST", "/v1/webhooks/hook-1/retry", None, "operate", False),
    ("GET", "/v1/webhooks/hook-1/deliveries", None, "read", False),
    ("GET", "/v1/ledger/calibration", None, "read", False),
    ("GET", "/v1/ledger/heads", None, "read", False),
    ("POST", "/v1/keys", KEY, "admin", False),
    ("GET", "/v1/keys", None, "admin", False),
    ("DELETE", f"/v1/keys/{ABSENT}", None, "admin", False),
    ("GET", "/v1/audit", None, "admin", False),
    ("POST", "/v1/tenants", TENANT, "admin", True),
    ("GET", "/v1/tenants", None, "admin", True),
]


def test_every_route_is_in_the_table(desk: Desk) -> None:
    paths = desk.client.get("/openapi.json").json()["paths"]
    there = {(m.upper(), p) for p, methods in paths.items() for m in methods if p.startswith("/v1/")}
    named = {(method, _template(path)) for method, path, *_ in ROUTES}
    assert there == named


def _template(path: str) -> str:
    for given, name in (
        ("desk-7", "account_id"),
        ("alert-1", "alert_id"),
        ("hook-1", "webhook_id"),
        (ABSENT, "key_id"),
    ):
        path = path.replace(given, f"{{{name}}}")
    return path.partition("?")[0]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_each_route_asks_for_its_role(desk: Desk) -> None:
    for method, path, body, least, service in ROUTES:
        for wrong in ("", "none"):
            desk.keys["none"] = "mck_0123456789abcdef_" + "x" * 43
            found = desk.ask(method, path, body, who=wrong)
            assert (found.status_code, found.headers["www-authenticate"]) == (401, "Bearer"), (method, path)
        for role in ROLES:
            status = desk.ask(method, path, body, who=f"a.{role}").status_code
            allowed = not service and ROLES.index(role) >= ROLES.index(least)
            assert (status != 403) == allowed, (method, path, role, status)
            assert status != 401
        assert desk.ask(method, path, body, who=f"service.{least}").status_code != 403, (method, path)


def test_each_route_keeps_a_key_to_its_rate(store: Store, database: str) -> None:
    with desk_of(store, database, rate_limit=0.001, rate_burst=1.0) as desk:
        first = desk.ask("GET", "/v1/models", who="a.admin")
        assert (first.headers["ratelimit-policy"], first.headers["ratelimit"]) == (
            '"key";q=1;w=1000', '"key";r=0;t=1000',
        )  # fmt: skip
        for method, path, body, *_ in ROUTES:
            found = desk.ask(method, path, body, who="a.admin")
            assert (found.status_code, found.json()["code"]) == (429, "too_many_requests"), (method, path)
            assert 990 <= int(found.headers["retry-after"]) <= 1000
        assert desk.ask("GET", "/v1/models", who="a.read").status_code == 200  # each key has its own
        assert desk.client.get("/livez").status_code == 200


def test_without_a_database_the_single_key_goes_on(tmp_path: Path) -> None:
    settings = Settings(api_key=Secret("hunter2"))
    with Client(create_app(settings, lambda: NOW)) as client:
        right = {"authorization": "Bearer hunter2"}
        assert client.ask("GET", "/v1/models").status_code == 401
        assert client.ask("GET", "/v1/models", headers={"authorization": "Bearer hunter3"}).status_code == 401
        assert client.ask("GET", "/v1/models", headers={"authorization": "Basic hunter2"}).status_code == 401
        assert client.ask("GET", "/v1/models", headers=right).status_code == 200
        found = client.ask("GET", "/v1/accounts", headers=right | {"margincast-tenant": "a"})
        assert (found.status_code, found.json()["code"]) == (409, "no_database")
        assert "MARGINCAST_DATABASE" in found.json()["detail"]


def test_with_a_database_the_single_key_is_one_of_the_service(store: Store, database: str) -> None:
    with desk_of(store, database, api_key=Secret("hunter2")) as desk:
        desk.keys["settings"] = "hunter2"
        assert len(desk.ask("GET", "/v1/tenants", who="settings").json()["tenants"]) == 2


def test_answers_carry_the_headers_that_tame_browsers(desk: Desk) -> None:
    for path in ("/v1/accounts", "/livez", "/docs", "/nowhere", "/v1/nowhere"):
        headers = desk.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert headers["x-frame-options"] == "DENY"
