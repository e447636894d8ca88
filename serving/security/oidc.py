"""Tokens of an OpenID Connect issuer: signed by its keys, for this audience, with a role and a tenant."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import select

from models.errors import InputError, StoreUnavailableError
from serving.security.principal import Principal, Role
from serving.store import Store
from serving.store.tables import tenants

__all__ = ["KeySet", "OidcTokens", "open_tokens"]

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_FRESH_NS = 300_000_000_000
_PAUSE_NS = 30_000_000_000
_LEEWAY_SECONDS = 30
_TIMEOUT_SECONDS = 5
_LOCAL = ("127.0.0.1", "::1", "localhost")


class KeySet:
    """The keys of an issuer, read again every five minutes, or when a token names a key that is not among them.

    Parameters
    ----------
    place : str
        An https address, or a file, with a JSON Web Key Set.
    monotonic : callable
        Nanoseconds of a clock that never goes back.

    Raises
    ------
    InputError
        If it is neither.

    Notes
    -----
    Unknown keys lead to one look in 30 seconds, whoever asks: tokens that anybody can make up cause no traffic.
    """

    def __init__(self, place: str, monotonic: Callable[[], int]) -> None:
        parts = urlsplit(place)
        self._remote = parts.scheme in ("http", "https")
        if parts.scheme == "http" and parts.hostname not in _LOCAL:
            raise InputError("oidc_jwks", place, "an https:// address, what comes over http:// may be anybody's")
        if not self._remote and not Path(place).is_file():
            raise InputError("oidc_jwks", place, "an https:// address or a file with a JSON Web Key Set")
        self._place, self._monotonic = place, monotonic
        self._keys: Mapping[str, Any] = {}
        self._loaded: int | None = None
        self._lock = threading.Lock()

    def find(self, key_id: str) -> Any:
        """Find a key.

        Parameters
        ----------
        key_id : str
            The ``kid`` of a token.

        Returns
        -------
        object or None
            Of PyJWT; None where there is none of this name.

        Raises
        ------
        StoreUnavailableError
            If the keys cannot be read and none are known.
        """
        with self._lock:
            age = None if self._loaded is None else self._monotonic() - self._loaded
            if age is None or age >= _FRESH_NS or (key_id not in self._keys and age >= _PAUSE_NS):
                self._load()
            return self._keys.get(key_id)

    def _load(self) -> None:
        from jwt import PyJWKSet
        from jwt.exceptions import PyJWTError

        try:
            found = PyJWKSet.from_dict(self._read())
        except (OSError, msgspec.DecodeError, PyJWTError, TypeError) as error:
            if not self._keys:
                raise StoreUnavailableError("oidc: expected the keys of the issuer, they cannot be read now") from error
            found = None
        self._loaded = self._monotonic()
        if found is not None:
            self._keys = {key.key_id: key for key in found.keys if key.key_id}

    def _read(self) -> dict[str, Any]:
        if not self._remote:
            return msgspec.json.decode(Path(self._place).read_bytes(), type=dict[str, Any])
        from jwt import PyJWKClient
        from jwt.exceptions import PyJWKClientError

        try:
            return dict(PyJWKClient(self._place, cache_jwk_set=False, timeout=_TIMEOUT_SECONDS).fetch_data())
        except PyJWKClientError as error:
            raise OSError(str(error)) from error


class OidcTokens:
    """Says who a token belongs to.

    Parameters
    ----------
    keys : KeySet
        The keys of the issuer.
    issuer, audience : str
        What the claims ``iss`` and ``aud`` must say.
    role_claim, tenant_claim : str
        Which claims name the role and the tenant.
    store : Store
        Where the tenants are.
    clock : callable
        Nanoseconds since the epoch now.

    Notes
    -----
    Only signatures by a private key are taken: none, or a shared secret, are no proof. A token never opens more than
    one tenant.
    """

    def __init__(
        self,
        keys: KeySet,
        issuer: str,
        audience: str,
        role_claim: str,
        tenant_claim: str,
        store: Store,
        clock: Callable[[], int],
    ) -> None:
        self._keys, self._issuer, self._audience = keys, issuer, audience
        self._role_claim, self._tenant_claim = role_claim, tenant_claim
        self._store, self._clock = store, clock

    def principal(self, token: str) -> tuple[Principal, int | None] | None:
        """Say whose token it is and when it ends.

        Parameters
        ----------
        token : str
            What came as a bearer token.

        Returns
        -------
        tuple of (Principal, int) or None
            None where it proves nothing.

        Raises
        ------
        StoreUnavailableError
            If the keys or the tenants cannot be read.
        """
        claims = self._claims(token)
        if claims is None:
            return None
        role, tenant = claims.get(self._role_claim), claims.get(self._tenant_claim)
        if not isinstance(role, str) or not isinstance(tenant, str) or not self._is_open(tenant):
            return None
        try:
            may = Role.of(role)
        except InputError:
            return None
        return Principal(f"oidc:{claims['sub']}"[:64], tenant, may), int(claims["exp"] * 1e9)

    def _claims(self, token: str) -> dict[str, Any] | None:
        import jwt

        try:
            head = jwt.get_unverified_header(token)
            key = self._keys.find(str(head.get("kid", ""))) if head.get("alg") in _ALGORITHMS else None
            if key is None:
                return None
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "verify_exp": False,  # by the clock of the server, here and at every later use
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.exceptions.PyJWTError:
            return None
        return claims if self._is_time(claims) else None

    def _is_time(self, claims: Mapping[str, Any]) -> bool:
        begins, ends, now = claims.get("nbf", 0), claims["exp"], self._clock() / 1e9
        if any(isinstance(t, bool) or not isinstance(t, int | float) for t in (begins, ends)):
            return False
        return bool(begins - _LEEWAY_SECONDS <= now < ends < 2**33)

    def _is_open(self, tenant: str) -> bool:
        known = select(tenants.c.id).where(tenants.c.id == tenant, tenants.c.disabled_ns.is_(None))
        return self._store.query(lambda connection: connection.execute(known).one_or_none()) is not None


def open_tokens(
    store: Store, issuer: str, audience: str, jwks: str, claims: tuple[str, str], clocks: tuple[Callable[[], int], ...]
) -> OidcTokens:
    """Take tokens of an issuer.

    Parameters
    ----------
    store : Store
        Where the tenants are.
    issuer, audience : str
        What the tokens must say.
    jwks : str
        Where the keys of the issuer are.
    claims : tuple of (str, str)
        Which claims name the role and the tenant.
    clocks : tuple of callable
        Nanoseconds since the epoch now, and of a clock that never goes back.

    Returns
    -------
    OidcTokens
        For `serving.security.directory.Directory`.

    Raises
    ------
    InputError
        If a value is missing, or the extra ``oidc`` is not installed.
    """
    try:
        import cryptography  # noqa: F401
        import jwt  # noqa: F401
    except ModuleNotFoundError:
        raise InputError("oidc_issuer", issuer, "the extra 'oidc': pip install 'margincast[oidc]'") from None
    for name, value in (("oidc_audience", audience), ("oidc_jwks", jwks)):
        if not value:
            raise InputError(name, value, "a value beside oidc_issuer")
    return OidcTokens(KeySet(jwks, clocks[1]), issuer, audience, *claims, store, clocks[0])
