"""Keys: shown once, kept as a hash, ended by time or by hand; and the record of all that."""

import pytest
from sqlalchemy import select

from models.errors import InputError
from models.typing import DAY_NS
from serving.security import Role
from serving.security.directory import FRESH_NS
from serving.security.keys import create_key, find_principal
from serving.security.tenants import create_tenant, disable_tenant
from serving.store import Store
from serving.store.tables import api_keys, audit
from tests.serving.desks import NOW, Desk


def _make(desk: Desk, who: str = "a.admin", headers: dict[str, str] | None = None, **more: object) -> dict[str, str]:
    found = desk.ask("POST", "/v1/keys", {"role": "operate", "name": "x"} | more, who, headers)
    assert found.status_code == 201, found.text
    return dict(found.json())


def test_a_new_key_opens_and_its_secret_is_nowhere(desk: Desk, store: Store) -> None:
    made = _make(desk)
    desk.keys["new"] = made["key"]
    assert desk.ask("GET", "/v1/accounts", who="new").status_code == 200
    secret = made["key"].split("_", 2)[2]
    with store.read() as connection:
        kept = repr([tuple(row) for row in connection.execute(select(api_keys))])
        noted = repr([tuple(row) for row in connection.execute(select(audit))])
    assert secret not in kept + noted + desk.ask("GET", "/v1/keys").text


@pytest.mark.parametrize("change", ["secret", "public", "case", "more"])
def test_a_key_that_is_nearly_right_is_wrong(desk: Desk, change: str) -> None:
    _, public, secret = desk.keys["a.admin"].split("_", 2)
    other = desk.keys["b.admin"].split("_", 2)[1]
    desk.keys["near"] = {
        "secret": f"mck_{public}_{secret[:-1]}{'A' if secret[-1] != 'A' else 'B'}",
        "public": f"mck_{other}_{secret}",
        "case": f"mck_{public}_{secret.swapcase()}",
        "more": f"mck_{public}_{secret}A",
    }[change]
    assert desk.ask("GET", "/v1/models", who="near").status_code == 401


def test_a_key_ends_at_its_time(desk: Desk) -> None:
    desk.keys["short"] = _make(desk, expires_days=1)["key"]
    assert desk.ask("GET", "/v1/accounts", who="short").status_code == 200
    desk.clock.now = NOW + DAY_NS - 1
    assert desk.ask("GET", "/v1/accounts", who="short").status_code == 200
    desk.clock.now = NOW + DAY_NS  # remembered or not
    assert desk.ask("GET", "/v1/accounts", who="short").status_code == 401


def test_a_revoked_key_is_refused_at_once_here_and_soon_elsewhere(desk: Desk, store: Store) -> None:
    made = _make(desk)
    desk.keys["new"] = made["key"]
    assert desk.ask("GET", "/v1/accounts", who="new").status_code == 200
    assert desk.ask("DELETE", f"/v1/keys/{made['key_id']}").status_code == 204
    assert desk.ask("GET", "/v1/accounts", who="new").status_code == 401
    other = _make(desk)
    desk.keys["new"] = other["key"]
    desk.ask("GET", "/v1/accounts", who="new")
    with store.begin() as connection:  # as another process would
        connection.execute(api_keys.update().where(api_keys.c.id == other["key_id"]).values(revoked_ns=NOW))
    desk.clock.now = NOW + FRESH_NS
    assert desk.ask("GET", "/v1/accounts", who="new").status_code == 401


def test_keys_of_a_disabled_tenant_are_refused(desk: Desk, store: Store) -> None:
    with store.begin() as connection:
        assert disable_tenant(connection, "a", NOW)
    assert desk.ask("GET", "/v1/accounts", who="a.read").status_code == 401
    assert desk.ask("GET", "/v1/accounts", who="b.read").status_code == 200


def test_an_admin_sees_and_ends_the_keys_of_the_own_tenant_only(desk: Desk) -> None:
    mine = {key["tenant"] for key in desk.ask("GET", "/v1/keys").json()["keys"]}
    assert mine == {"a"}
    foreign = desk.keys["b.read"].split("_")[1]
    refused, absent = (desk.ask("DELETE", f"/v1/keys/{key}") for key in (foreign, "0" * 16))
    assert (refused.status_code, refused.text.replace(foreign, "0" * 16)) == (404, absent.text)
    assert desk.ask("GET", "/v1/accounts", who="b.read").status_code == 200
    everything = desk.ask("GET", "/v1/keys", who="service.admin").json()["keys"]
    assert {key["tenant"] for key in everything} == {"a", "b", None}
    stranger = _make(desk, headers={"margincast-tenant": "b"})
    assert stranger["key_id"] in desk.ask("GET", "/v1/keys").text  # still a key of a


def test_the_service_makes_a_tenant_and_its_first_key(desk: Desk) -> None:
    made = desk.ask("POST", "/v1/tenants", {"tenant": "new-desk", "name": "New", "shards": 2}, who="service.admin")
    assert made.status_code == 201
    named = {"margincast-tenant": "new-desk"}
    desk.keys["n"] = _make(desk, "service.admin", named, role="admin")["key"]
    assert desk.ask("GET", "/v1/accounts", who="n").json() == {"accounts": [], "next": None}
    assert {key["tenant"] for key in desk.ask("GET", "/v1/keys", who="n").json()["keys"]} == {"new-desk"}


@pytest.mark.parametrize("body", [
    {"role": "root", "name": "x"}, {"role": "read", "name": ""}, {"role": "read"},
    {"role": "read", "name": "x", "y": 1},
    {"role": "read", "name": "x", "expires_days": 0}, {"role": "read", "name": "x", "expires_days": 1e9},
    {"role": "read", "name": "x" * 201},
])  # fmt: skip
def test_bad_keys_are_refused(desk: Desk, body: dict[str, object]) -> None:
    assert desk.ask("POST", "/v1/keys", body).status_code == 422


@pytest.mark.parametrize("body", [
    {"tenant": "a", "name": "taken"}, {"tenant": "A B", "name": "x"}, {"tenant": "c", "name": ""},
    {"tenant": "c", "name": "c", "shards": 0}, {"tenant": "c", "name": "c", "shards": 65},
    {"tenant": "-c", "name": "c"},
])  # fmt: skip
def test_bad_tenants_are_refused(desk: Desk, body: dict[str, object]) -> None:
    assert desk.ask("POST", "/v1/tenants", body, who="service.admin").status_code == 422
    assert len(desk.ask("GET", "/v1/tenants", who="service.admin").json()["tenants"]) == 2


def test_the_record_names_who_and_what_for_the_own_tenant_only(desk: Desk) -> None:
    made = _make(desk)
    desk.ask("DELETE", f"/v1/keys/{made['key_id']}")
    _make(desk, "b.admin")
    notes = desk.ask("GET", "/v1/audit").json()["notes"]
    mine = desk.keys["a.admin"].split("_")[1]
    assert [(n["action"], n["subject"], n["key_id"]) for n in notes] == [
        ("key.revoke", made["key_id"], mine), ("key.create", made["key_id"], mine),
    ]  # fmt: skip
    page = desk.ask("GET", "/v1/audit?limit=1").json()
    older = desk.ask("GET", f"/v1/audit?before={page['next']}").json()["notes"]
    assert page["notes"] + older == notes
    assert len(desk.ask("GET", "/v1/audit", who="service.admin").json()["notes"]) == 3


def test_a_note_is_not_without_its_change(desk: Desk) -> None:
    assert desk.ask("POST", "/v1/keys", {"role": "root", "name": "x"}).status_code == 422
    assert desk.ask("DELETE", "/v1/keys/0123456789abcdef").status_code == 404
    assert desk.ask("GET", "/v1/audit").json()["notes"] == []


def test_ends_of_ranges(store: Store) -> None:
    with store.begin() as connection:
        create_tenant(connection, "x" * 63, "n" * 200, 64, NOW)
        made = create_key(connection, "x" * 63, Role.READ, "k", NOW, NOW + 1)
        assert find_principal(connection, made.text) is not None
        with pytest.raises(InputError, match="after now"):
            create_key(connection, None, Role.READ, "k", NOW, NOW)
        with pytest.raises(InputError, match="tenants list"):
            create_key(connection, "nobody", Role.READ, "k", NOW)
