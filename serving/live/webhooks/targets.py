"""Where a webhook may lead: public addresses only, checked when it is registered and again at every connection.

A name is resolved once for a connection, every address it has is checked, and the connection goes to a checked address,
so that a name that changes its mind between check and connection gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import httpcore

from models.errors import InputError

__all__ = ["Checked", "Targets", "is_public"]

Resolve = Callable[[str, int], list[str]]
_FIELD = "url"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Tell whether an address may be connected to.

    Parameters
    ----------
    address : str
        IPv4 or IPv6.

    Returns
    -------
    bool
        False for private, loopback, link-local, multicast, reserved and unspecified ones, also where an IPv4 address is
        wrapped in an IPv6 one.

    Examples
    --------
    >>> [is_public(a) for a in ("1.1.1.1", "10.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1")]
    [True, False, False, False, False]
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def resolve(host: str, port: int) -> list[str]:
    """Look a name up.

    Parameters
    ----------
    host : str
        Name or address.
    port : int
        Port.

    Returns
    -------
    list of str
        Its addresses.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Targets:
    """Decides which targets are allowed.

    Parameters
    ----------
    private : bool
        Whether private addresses and plain HTTP are.
    lookup : callable
        From name and port to addresses.

    Examples
    --------
    >>> Targets(lookup=lambda host, port: ["10.0.0.1"]).check("https://inside.example/hook")
    Traceback (most recent call last):
    ...
    models.errors.InputError: url: expected a public address, as MARGINCAST_WEBHOOK_PRIVATE is not set, was \
'https://inside.example/hook'
    """

    def __init__(self, private: bool = False, lookup: Resolve = resolve) -> None:
        self._private = private
        self._lookup = lookup

    def check(self, url: str) -> None:
        """Refuse a target that is not allowed.

        Parameters
        ----------
        url : str
            The target.

        Raises
        ------
        InputError
            If it is not an https URL of a public host, cannot be resolved, or carries a password.
        """
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        schemes = ("https", "http") if self._private else ("https",)
        if parts.scheme not in schemes or not host or len(url) > 2000 or not url.isascii() or not url.isprintable():
            raise InputError(_FIELD, url, f"a URL that begins with {' or '.join(schemes)}://, up to 2000 characters")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise InputError(_FIELD, f"{parts.scheme}://...@{host}", "no user, password or fragment in it")
        try:
            self.addresses(host, port or (443 if parts.scheme == "https" else 80))
        except OSError:
            raise InputError(_FIELD, url, "a host that can be resolved") from None
        except InputError as error:
            raise InputError(_FIELD, url, error.expected) from None

    def addresses(self, host: str, port: int) -> list[str]:
        """Look a host up, and refuse it where any of its addresses is not allowed.

        Parameters
        ----------
        host : str
            Name or address.
        port : int
            Port.

        Returns
        -------
        list of str
            Addresses that may be connected to.

        Raises
        ------
        InputError
            If one of them is not public.
        OSError
            If it cannot be resolved.
        """
        found = self._lookup(host, port)
        if not found:
            raise OSError(f"{host}: no address")
        if not self._private and not all(is_public(address) for address in found):
            raise InputError(_FIELD, host, "a public address, as MARGINCAST_WEBHOOK_PRIVATE is not set")
        return found


class Checked(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked just now.

    Parameters
    ----------
    targets : Targets
        The check.
    run : callable
        Runs the look-up in a thread.
    """

    def __init__(self, targets: Targets, run: Callable[..., Any]) -> None:
        self._targets = targets
        self._run = run
        self._below = httpcore.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:  # fmt: skip
        """Look the host up, check it, connect to the address."""
        try:
            addresses = await self._run(lambda: self._targets.addresses(host, port))
        except (InputError, OSError) as error:
            raise httpcore.ConnectError(str(error)) from None
        return await self._below.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: a webhook is never a socket of this machine."""
        raise httpcore.ConnectError("no socket of this machine")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._below.sleep(seconds)
