"""/v1/accounts: states that are kept, versions, conditions, history, and nothing of another tenant."""

import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from sqlalchemy import func, select

from models.typing import MINUTE_NS
from serving.accounts import Condition, changed_since, decode_body, entry_of
from serving.accounts.service import put_accounts
from serving.decode import decode_accounts
from serving.instants import instant
from serving.problems import ProblemError
from serving.security import Principal, Role
from serving.security.tenants import create_tenant
from serving.store import Store
from serving.store.tables import account_versions, shards
from tests.serving.desks import NOW, Desk, account_json

PATH = "/v1/accounts/desk-7"


def test_what_is_put_is_what_is_got(desk: Desk) -> None:
    sent = account_json()
    made = desk.ask("PUT", PATH, sent)
    assert (made.status_code, made.headers["etag"], made.json()["version"]) == (201, '"1"', 1)
    got = desk.ask("GET", PATH, who="a.read")
    assert (got.status_code, got.headers["etag"]) == (200, '"1"')
    assert got.json() == made.json()
    given = got.json()["account"]
    assert {name: given[name] for name in ("account_id", "ruleset", "currency")} == {
        name: sent[name] for name in ("account_id", "ruleset", "currency")
    }
    assert [(p["symbol"], p["quantity"]) for p in given["positions"]] == [("BTC/USDT:USDT", 1.5)]


def test_the_same_state_twice_is_one_version(desk: Desk) -> None:
    sent = account_json()
    shuffled = dict(reversed(sent.items()))
    zoned = sent | {"as_of": sent["as_of"].replace("+00:00", "Z")}
    for minute, body in enumerate((sent, shuffled, zoned)):
        desk.clock.now = NOW + minute * MINUTE_NS
        done = desk.ask("PUT", PATH, body)
        assert done.json()["version"] == 1
        assert done.json()["updated"] == instant(NOW).isoformat().replace("+00:00", "Z")
    assert done.status_code == 200
    assert desk.ask("PUT", PATH, account_json(minutes_ago=4)).json()["version"] == 2


def test_an_older_state_does_not_replace_a_newer_one(desk: Desk) -> None:
    desk.ask("PUT", PATH, account_json(minutes_ago=5))
    late = desk.ask("PUT", PATH, account_json(minutes_ago=6))
    assert (late.status_code, late.json()["code"], late.json()["field"]) == (409, "older_state", "as_of")
    assert desk.ask("GET", PATH).headers["etag"] == '"1"'


def test_conditions(desk: Desk) -> None:
    def put(minutes_ago: float, **headers: str) -> tuple[int, str | None]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        done = desk.ask("PUT", PATH, account_json(minutes_ago=minutes_ago), headers=sent)
        return done.status_code, done.headers.get("etag")

    assert put(9, if_match="*") == (412, None)
    assert put(9, if_match='"1"') == (412, None)
    assert put(9, if_none_match="*") == (201, '"1"')
    assert put(8, if_none_match="*") == (412, None)
    assert put(8, if_match='"1"') == (200, '"2"')
    assert put(7, if_match='"1"') == (412, None)
    assert put(7, if_match='"1", "2"') == (200, '"3"')
    assert put(6, if_match="one") == (400, None)
    assert put(6, if_none_match='"3"') == (400, None)
    assert desk.ask("DELETE", PATH, headers={"if-match": '"2"'}).status_code == 412
    assert desk.ask("DELETE", PATH, headers={"if-match": '"3"'}).status_code == 204


def test_a_version_is_never_used_twice(desk: Desk) -> None:
    desk.ask("PUT", PATH, account_json())
    assert desk.ask("DELETE", PATH).status_code == 204
    assert desk.ask("GET", PATH).status_code == 404
    assert desk.ask("DELETE", PATH).status_code == 404
    back = desk.ask("PUT", PATH, account_json(minutes_ago=50))
    assert (back.status_code, back.headers["etag"]) == (201, '"3"')


def test_history_says_what_was_known_when_and_by_whom(desk: Desk) -> None:
    for minute, who in ((0, "a.operate"), (10, "a.admin")):
        desk.clock.now = NOW + minute * MINUTE_NS
        desk.ask("PUT", PATH, account_json(minutes_ago=5 - minute), who=who)
    desk.clock.now = NOW + 20 * MINUTE_NS
    desk.ask("DELETE", PATH)
    found = desk.ask("GET", PATH + "/history").json()
    assert [one["version"] for one in found["versions"]] == [3, 2, 1]
    assert found["versions"][0]["account"] is None
    ids = [desk.keys[who].split("_")[1] for who in ("a.admin", "a.operate")]
    assert [one["key_id"] for one in found["versions"][1:]] == ids
    first = desk.ask("GET", PATH + "/history?limit=1").json()
    assert (first["next"], [one["version"] for one in first["versions"]]) == (3, [3])
    rest = desk.ask("GET", PATH + f"/history?limit=5&before={first['next']}").json()
    assert ([one["version"] for one in rest["versions"]], rest["next"]) == ([2, 1], None)


@pytest.mark.parametrize(("minute", "version"), [(-1, None), (0, 1), (9, 1), (10, 2), (19, 2), (20, None)])
def test_as_of_gives_what_was_known_then(desk: Desk, minute: int, version: int | None) -> None:
    for put_at in (0, 10):
        desk.clock.now = NOW + put_at * MINUTE_NS
        desk.ask("PUT", PATH, account_json(minutes_ago=5 - put_at))
    desk.clock.now = NOW + 20 * MINUTE_NS
    desk.ask("DELETE", PATH)
    when = instant(NOW + minute * MINUTE_NS).isoformat().replace("+00:00", "Z")
    found = desk.ask("GET", f"{PATH}?as_of={when}")
    assert found.status_code == (404 if version is None else 200)
    assert version is None or found.json()["version"] == version


def test_pages_hold_every_account_once(desk: Desk) -> None:
    names = sorted(f"account {i} ü?%" for i in range(7))
    desk.ask("PUT", "/v1/accounts", {"accounts": [account_json(name) for name in names]})
    desk.ask("DELETE", f"/v1/accounts/{quote(names[3])}")
    seen, after = [], ""
    for _ in range(10):
        found = desk.ask("GET", f"/v1/accounts?limit=2&after={after}").json()
        seen += [one["account"]["account_id"] for one in found["accounts"]]
        after = found["next"]
        if after is None:
            break
    assert sorted(seen) == [name for name in names if name != names[3]]


def test_many_at_once_and_the_bad_ones_by_reason(desk: Desk) -> None:
    desk.ask("PUT", PATH, account_json(minutes_ago=5))
    sent = [
        account_json("x"),
        account_json("y", currency=7),
        account_json("x"),
        account_json("a/b"),
        account_json(minutes_ago=50),
        account_json("z", positions=[{"symbol": "BTC/USDT:USDT", "quantity": 0, "entry_price": 1}]),
        account_json("w"),
    ]
    found = desk.ask("PUT", "/v1/accounts", {"accounts": sent}).json()
    assert {name: found[name] for name in ("created", "changed", "unchanged")} == {
        "created": 2, "changed": 0, "unchanged": 0,
    }  # fmt: skip
    assert [(f["row"], f["code"], f["field"]) for f in found["failures"]] == [
        (1, "invalid_input", "accounts[1].currency"),
        (2, "duplicate", "accounts[2].account_id"),
        (3, "invalid_input", "accounts[3].account_id"),
        (4, "older_state", "accounts[4].as_of"),
        (5, "invalid_input", "accounts[5].positions[0].quantity"),
    ]
    lines = b"\n".join(json.dumps(account_json(name, minutes_ago=1)).encode() for name in ("x", "w", "v")) + b"\n\n{"
    found = desk.ask("PUT", "/v1/accounts", lines, headers={"content-type": "application/x-ndjson"}).json()
    assert (found["created"], found["changed"], [f["row"] for f in found["failures"]]) == (1, 2, [3])
    again = desk.ask("PUT", "/v1/accounts", {"accounts": [account_json(name, minutes_ago=1) for name in "xwv"]}).json()
    assert (again["created"], again["changed"], again["unchanged"]) == (0, 0, 3)


def test_more_than_are_looked_up_by_name(desk: Desk) -> None:
    sent = {"accounts": [account_json(f"{i}") for i in range(600)]}
    assert desk.ask("PUT", "/v1/accounts", sent).json()["created"] == 600
    assert desk.ask("PUT", "/v1/accounts", sent).json()["unchanged"] == 600
    sent["accounts"].append(account_json("600"))
    assert desk.ask("PUT", "/v1/accounts", sent).status_code == 413


def test_no_other_tenant_sees_or_changes_it(desk: Desk) -> None:
    desk.ask("PUT", PATH, account_json())
    foreign = [desk.ask(method, path, who="b.admin") for method, path in _READS]
    nothing = [desk.ask(method, path.replace("desk-7", "desk-8"), who="b.admin") for method, path in _READS]
    for mine, none in zip(foreign, nothing, strict=True):
        assert (mine.status_code, mine.text.replace("desk-7", "desk-8")) == (none.status_code, none.text)
    assert desk.ask("PUT", PATH, account_json(minutes_ago=60), who="b.admin").headers["etag"] == '"1"'
    assert (
        desk.ask("GET", PATH).json()["account"]["as_of"]
        != desk.ask("GET", PATH, who="b.read").json()["account"]["as_of"]
    )
    assert desk.ask("DELETE", PATH, who="b.admin").status_code == 204
    assert desk.ask("GET", PATH).status_code == 200


_READS = [("GET", PATH), ("GET", PATH + "/history"), ("GET", PATH + "?as_of=2026-01-01T00:00:00Z"), ("DELETE", PATH)]


def test_a_key_of_the_service_names_the_tenant(desk: Desk) -> None:
    assert desk.ask("PUT", PATH, account_json(), who="service.operate").status_code == 400
    named = {"margincast-tenant": "b"}
    assert desk.ask("PUT", PATH, account_json(), who="service.operate", headers=named).status_code == 201
    assert desk.ask("GET", PATH).status_code == 404
    assert desk.ask("GET", PATH, who="b.read").status_code == 200
    of_b = desk.ask("GET", PATH, headers=named)
    assert of_b.status_code == 404  # a tenant's key stays with its tenant, whatever it names
    nobody = desk.ask("PUT", PATH, account_json(), who="service.operate", headers={"margincast-tenant": "c"})
    assert (nobody.status_code, nobody.json()["field"]) == (404, "margincast-tenant")


def test_writes_at_once_give_each_its_version(store: Store) -> None:
    with store.begin() as connection:
        create_tenant(connection, "a", "a", 1, NOW)
    principal = Principal("k", "a", Role.OPERATE)
    states = [_entry(minutes_ago=100 - i) for i in range(24)]

    def put(i: int) -> int | None:
        try:
            return put_accounts(store, principal, [states[i]], NOW, Condition(frozenset({1})) if i else None)[0].version
        except ProblemError:
            return None

    assert put(0) == 1
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(put, range(1, 24)))
    assert sorted(v for v in found if v) == [2]
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(account_versions)).scalar_one() == 2


def test_what_changed_is_found_by_the_version_of_the_shard(desk: Desk, store: Store) -> None:
    desk.ask("PUT", "/v1/accounts", {"accounts": [account_json(f"{i}") for i in range(30)]})
    held = _versions(store)
    desk.ask("PUT", "/v1/accounts/3", account_json("3", minutes_ago=1))
    desk.ask("DELETE", "/v1/accounts/4")
    found = []
    with store.read() as connection:
        for shard, version in held.items():
            found += changed_since(connection, "a", shard, version)
            assert len(changed_since(connection, "b", shard, 0)) == 0
    assert {(row.account_id, row.version, row.deleted) for row in found} == {("3", 2, False), ("4", 2, True)}
    kept = next(row for row in found if row.account_id == "3")
    assert entry_of(decode_body(bytes(kept.body))).digest == bytes(kept.digest)
    assert sum(_versions(store).values()) > sum(held.values())


def _versions(store: Store) -> dict[int, int]:
    with store.read() as connection:
        rows = connection.execute(select(shards.c.shard, shards.c.accounts_version).where(shards.c.tenant_id == "a"))
        return {row.shard: row.accounts_version for row in rows}


def _entry(**more: float) -> object:
    body = json.dumps(account_json(**more)).encode()
    return entry_of(decode_accounts(body, 1).accounts[0])


@pytest.mark.parametrize(("body", "status"), [
    (b"", 400), (b"{", 400), (b"[]", 422), (b"{}", 422), (b'{"account_id": "other"}', 422),
])  # fmt: skip
def test_bad_bodies(desk: Desk, body: bytes, status: int) -> None:
    found = desk.ask("PUT", PATH, body, headers={"content-type": "application/json"})
    assert found.status_code == status
    assert found.headers["content-type"] == "application/problem+json"
    assert desk.ask("GET", PATH).status_code == 404


@pytest.mark.parametrize("path", [
    "/v1/accounts?limit=0", "/v1/accounts?limit=1001", "/v1/accounts?limit=x", "/v1/accounts?after=!!",
    PATH + "?as_of=yesterday", PATH + "?as_of=2025-01-01T00:00:00", PATH + "/history?before=0",
])  # fmt: skip
def test_bad_parameters_are_problems(desk: Desk, path: str) -> None:
    found = desk.ask("GET", path)
    assert (found.status_code, found.json()["code"]) == (422, "invalid_input")
    assert found.json()["field"] in ("limit", "after", "as_of", "before")


def test_too_large_is_refused(desk: Desk) -> None:
    assert desk.ask("PUT", PATH, b"x" * 100_001).status_code == 413
    assert desk.ask("PUT", "/v1/accounts", b" " * 100_001 + b"{}").status_code == 422  # bulk may be larger
    assert desk.ask("PUT", "/v1/accounts", b"x" * 2_000_001).status_code == 413
    assert desk.ask("PUT", PATH, b"x", headers={"content-type": "text/plain"}).status_code == 415
