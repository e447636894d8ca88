"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, cast

from starlette.requests import Request

from models.errors import InputError
from serving.problems import ProblemError

__all__ = ["ANYONE", "NO_TENANT", "TENANT_HEADER", "Principal", "Role", "need", "need_service", "need_tenant"]

TENANT_HEADER: Final = "margincast-tenant"
NO_TENANT: Final = "margincast.no_tenant"
"""Where a request's scope has the tenant that was named and is not there."""


class Role(IntEnum):
    """What a key may do; each role may do what those before it may."""

    READ = 1
    PREDICT = 2
    OPERATE = 3
    ADMIN = 4

    @classmethod
    def of(cls, name: str) -> Role:
        """Read the name of a role.

        Parameters
        ----------
        name : str
            For example ``"operate"``.

        Returns
        -------
        Role
            The role.

        Raises
        ------
        InputError
            If there is none of that name.

        Examples
        --------
        >>> Role.of("operate") > Role.of("read")
        True
        """
        found = {role.label: role for role in cls}.get(name)
        if found is None:
            raise InputError("role", name, f"one of {', '.join(role.label for role in cls)}")
        return found

    @property
    def label(self) -> str:
        """Its name in small letters."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Parameters
    ----------
    key_id : str
        Public part of the key, or the subject of a token.
    tenant : str or None
        Whose data it may touch; None: a key of the whole service.
    role : Role
        What it may do.
    """

    key_id: str
    tenant: str | None
    role: Role


ANYONE: Final = Principal("", None, Role.ADMIN)
"""Who asks a server that knows no keys."""


def need(request: Request, role: Role) -> Principal:
    """Say who asks, and refuse who may not.

    Parameters
    ----------
    request : Request
        The request.
    role : Role
        What is needed.

    Returns
    -------
    Principal
        Who asks.

    Raises
    ------
    ProblemError
        403 where the role is lower.
    """
    found = cast("Principal", request.scope.get("principal", ANYONE))
    if found.role < role:
        detail = f"This needs the role {role.label}, the key has {found.role.label}; ask an admin for another key."
        raise ProblemError(403, "forbidden", detail)
    return found


def need_tenant(request: Request, role: Role) -> Principal:
    """Say whose data is asked for; a key of the whole service names the tenant in a header.

    Parameters
    ----------
    request : Request
        The request.
    role : Role
        What is needed.

    Returns
    -------
    Principal
        With a tenant.

    Raises
    ------
    ProblemError
        403 where the role is lower, 400 where a key of the service names no tenant, 404 where it names one that is not
        there.
    """
    found = need(request, role)
    if found.tenant is not None:
        return found
    named = request.headers.get(TENANT_HEADER, "")
    if not named:
        detail = "This key belongs to no tenant: name one in the header Margincast-Tenant."
        raise ProblemError(400, "no_tenant", detail, TENANT_HEADER)
    if request.scope.get(NO_TENANT) == named:
        raise ProblemError(404, "not_found", f"There is no tenant {named!r}.", TENANT_HEADER)
    return replace(found, tenant=named)


def need_service(request: Request, role: Role) -> Principal:
    """Refuse who may touch the data of one tenant only.

    Parameters
    ----------
    request : Request
        The request.
    role : Role
        What is needed.

    Returns
    -------
    Principal
        Without a tenant.

    Raises
    ------
    ProblemError
        403 for keys of a tenant, or where the role is lower.
    """
    found = need(request, role)
    if found.tenant is not None:
        detail = (
            "This concerns all tenants and needs a key of the whole service: margincast keys create without --tenant."
        )
        raise ProblemError(403, "forbidden", detail)
    return found
