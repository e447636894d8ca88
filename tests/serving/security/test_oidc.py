"""Tokens of an issuer: what is signed by its keys, for us, in time, with role and tenant opens; nothing else does."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

from models.errors import InputError, StoreUnavailableError
from serving.security.directory import FRESH_NS
from serving.security.oidc import _FRESH_NS, _PAUSE_NS, KeySet
from serving.store import Store
from tests.serving.desks import NOW, Desk, account_json, desk_of

ISSUER, AUDIENCE = "https://login.example", "margincast"
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
SECONDS = NOW // 10**9


def _jwks(**keys: Any) -> str:
    out = []
    for name, key in keys.items():
        kind = ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else RSAAlgorithm
        alg = "ES256" if kind is ECAlgorithm else "RS256"
        out.append(kind.to_jwk(key.public_key(), as_dict=True) | {"kid": name, "alg": alg, "use": "sig"})
    return json.dumps({"keys": out})


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Return the file of the issuer's keys."""
    path = tmp_path / "jwks.json"
    path.write_text(_jwks(one=KEY, two=RSA))
    return path


@pytest.fixture
def server(keys: Path, store: Store, database: str) -> Iterator[Desk]:
    """Return a server that takes the issuer's tokens."""
    given = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks": str(keys)}
    with desk_of(store, database, **given) as desk:
        yield desk


def _token(key: Any = KEY, kid: str = "one", alg: str = "ES256", **claims: Any) -> str:
    whole = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": SECONDS + 600,
        "margincast_role": "operate", "margincast_tenant": "a",
    } | claims  # fmt: skip
    return jwt.encode({k: v for k, v in whole.items() if v is not None}, key, alg, {"kid": kid})


def _status(desk: Desk, token: str, path: str = "/v1/accounts") -> int:
    desk.keys["token"] = token
    return desk.ask("GET", path, who="token").status_code


def test_a_token_opens_its_tenant_with_its_role(server: Desk) -> None:
    server.keys["ada"] = _token()
    assert server.ask("PUT", "/v1/accounts/desk-7", account_json(), who="ada").status_code == 201
    assert server.ask("GET", "/v1/audit", who="ada").status_code == 403
    assert server.ask("GET", "/v1/accounts/desk-7", who="b.read").status_code == 404
    assert server.ask("GET", "/v1/audit").json()["notes"][0]["key_id"] == "oidc:ada"
    assert _status(server, _token(RSA, "two", "RS256")) == 200
    assert server.ask("GET", "/v1/accounts").status_code == 200  # keys go on


_WORTHLESS: dict[str, str] = {
    "another's key": _token(OTHER), "unknown key": _token(kid="none"), "issuer": _token(iss="https://other"),
    "audience": _token(aud="other"), "expired": _token(exp=SECONDS), "never expires": _token(exp=None),
    "nobody": _token(sub=None), "not yet": _token(nbf=SECONDS + 31), "unknown role": _token(margincast_role="root"),
    "no role": _token(margincast_role=None), "roles": _token(margincast_role=["admin"]),
    "unknown tenant": _token(margincast_tenant="nobody"), "no tenant": _token(margincast_tenant=None),
    "algorithm of another key": _token(RSA, "one", "RS256"), "endless": _token(exp=float("inf")),
    "shared secret": _token("shared secret that is long enough for it", "one", "HS256"),
    "unsigned": _token(None, "one", "none"), "three parts": "a.b.c", "one part": "x",
}  # fmt: skip


@pytest.mark.parametrize("token", _WORTHLESS.values(), ids=_WORTHLESS)
def test_what_proves_nothing_opens_nothing(server: Desk, token: str) -> None:
    assert _status(server, token) == 401


def test_the_public_key_is_no_shared_secret(server: Desk) -> None:
    """The known confusion of algorithms: the text of the public key used as a secret."""
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = base64url_encode(json.dumps({"alg": "HS256", "kid": "two", "typ": "JWT"}).encode())
    signed = head + b"." + _token().split(".")[1].encode()
    mark = base64url_encode(hmac.new(public, signed, "sha256").digest())
    assert _status(server, (signed + b"." + mark).decode()) == 401


def test_a_token_ends_at_its_time(server: Desk) -> None:
    token = _token(exp=SECONDS + 3)
    assert _status(server, token) == 200
    server.clock.now = NOW + 3 * 10**9
    assert _status(server, token) == 401


def test_a_disabled_tenant_is_shut(server: Desk) -> None:
    from serving.security.tenants import disable_tenant

    assert _status(server, _token()) == 200
    store: Store = server.runtime.database
    store.run(lambda c: disable_tenant(c, "a", NOW))
    server.clock.now = NOW + FRESH_NS
    assert _status(server, _token()) == 401


def test_keys_are_exchanged_while_it_runs(keys: Path) -> None:
    now = [0]
    found = KeySet(str(keys), lambda: now[0])
    assert found.find("one") is not None
    keys.write_text(_jwks(three=OTHER))
    assert found.find("three") is None  # looked a moment ago
    now[0] = _PAUSE_NS
    assert found.find("three") is not None
    assert found.find("one") is None  # taken back by the issuer
    keys.write_text("{")
    now[0] += _FRESH_NS
    assert found.find("three") is not None  # what was known holds while nothing can be read
    keys.write_text(_jwks(one=KEY))
    now[0] += _PAUSE_NS
    assert found.find("one") is not None


def test_keys_come_over_http(keys: Path) -> None:
    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(keys.parent))) as issuer:
        threading.Thread(target=issuer.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{issuer.server_port}"
        assert KeySet(f"{place}/jwks.json", lambda: 0).find("two") is not None
        with pytest.raises(StoreUnavailableError):
            KeySet(f"{place}/nothing", lambda: 0).find("two")
        issuer.shutdown()


def test_without_any_key_it_is_said(keys: Path) -> None:
    found = KeySet(str(keys), lambda: 0)
    keys.write_text("{")
    with pytest.raises(StoreUnavailableError, match="keys of the issuer"):
        found.find("one")


@pytest.mark.parametrize("place", ["http://login.example/keys", "/no/such/file", "ftp://x/y"])
def test_other_places_of_keys_are_refused(place: str) -> None:
    with pytest.raises(InputError, match="oidc_jwks"):
        KeySet(place, lambda: 0)


@pytest.mark.parametrize("missing", ["oidc_audience", "oidc_jwks"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_half_a_setting_is_refused(store: Store, database: str, keys: Path, missing: str) -> None:
    given = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks": str(keys)} | {missing: ""}
    with pytest.raises(InputError, match=missing), desk_of(store, database, **given):
        pass
