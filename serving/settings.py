"""Settings of the server: one typed object, read from the environment when the app is built."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from models.errors import InputError
from models.predictor.fallback import Fallback

__all__ = ["LOG_FORMATS", "PREFIX", "Secret", "Settings", "settings_from_env", "settings_shown"]

PREFIX = "MARGINCAST_"
LOG_FORMATS = ("text", "json")


class Secret(str):
    """A text that never shows itself when printed or logged.

    Examples
    --------
    >>> Secret("hunter2")
    Secret('****')
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('****')" if self else "Secret('')"

    __str__ = __repr__

    def reveal(self) -> str:
        """The text itself."""
        return str.__str__(self)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the server needs to know.

    Parameters
    ----------
    market : str
        Root of the market data; empty: not ready until one is set.
    bar : str
        Bar of the market files, for example ``"1h"``.
    assets : tuple of str
        Assets to load; empty: those of the model, all there are where there is no model.
    history_days : int
        Days of history kept in memory, in [60, 3650].
    refresh_seconds : float
        Seconds between looks at the market files, in [0, 86400]; 0: never look again.
    model : str
        Folder of an exported bundle, or an MLflow reference ``models:/name@alias``; empty: the prior only.
    shadow : str
        The same for a challenger that is scored beside, never in answers; empty: none.
    tracking_uri : Secret
        MLflow tracking URI for such a reference (may carry a password).
    model_cache : str
        Folder that keeps bundles fetched from MLflow, so that a restart can do without it; empty: a temporary one.
    model_refresh_seconds : float
        MLflow is asked again for the version behind a reference after so long, in [0, 86400]; 0: only on
        ``POST /v1/models/reload``. Each time costs a short process of its own. Folders are looked at every
        ``refresh_seconds``.
    model_timeout_seconds : float
        Longest time that MLflow may take, in [1, 3600].
    policy : str
        Policy file (TOML) for recommendations that bring none.
    database : Secret
        ``sqlite:///FILE`` or ``postgresql://USER@HOST/DATABASE``; empty: nothing is kept.
    database_pool : int
        Most connections to it, in [1, 100].
    database_wait_seconds : float
        Longest wait for a connection or a lock of it, in [0.05, 600].
    ledger_cache_mb : int
        Memory for pages of the ledger that were read, MB, in [1, 100000].
    mature_seconds : float
        Seconds between comparisons of the ledger with what came, in [0, 86400]; 0: never.
    api_key : Secret
        A key of the whole service, for ``Authorization: Bearer KEY``; anybody may ask where neither it
        nor a database is set.
    host : str
        Address to listen on.
    port : int
        Port to listen on, in [0, 65535].
    max_body_bytes : int
        Largest request body, in [1024, 2**30].
    max_accounts : int
        Most accounts in one request, in [1, 1_000_000].
    max_bulk_bytes : int
        Largest body of accounts to register, in [1024, 2**31].
    max_bulk_accounts : int
        Most accounts to register in one request, in [1, 1_000_000].
    oidc_issuer : str
        Issuer of OpenID Connect tokens that are taken beside keys (extra ``oidc``); empty: none.
    oidc_audience : str
        What their claim ``aud`` must name.
    oidc_jwks : str
        Where the issuer's keys are: an https address or a file with a JSON Web Key Set.
    oidc_role_claim, oidc_tenant_claim : str
        Claims that name the role and the tenant.
    rate_limit : float
        Requests a second of one key and process, in [0, 1e6]; 0: no limit.
    rate_burst : float
        Most requests at once of one key, in [1, 1e6].
    timeout_seconds : float
        Longest time for one request, in (0, 3600].
    threads : int
        Threads for batches, in [1, 64].
    inline_accounts : int
        Batches up to this size are computed on the event loop, in [0, 1000]; 0: single accounts that arrive together
        are not predicted together either.
    clock_skew_seconds : float
        How far ahead of the server's clock an account may be, in [0, 3600].
    most_missing : float
        Largest share of missing features; beyond it the prior answers in place of the model. In [0, 1].
    most_stale_minutes : float
        Largest age of the oldest price of an account; beyond it the prior answers. In [0, 10080].
    drain_seconds : float
        How long requests are still taken after SIGTERM, while ``/readyz`` says 503 already, in [0, 300].
    grace_seconds : float
        How long a bar of one asset waits for those of the others before accounts are scored again, in [0, 86400].
    live_seconds : float
        Pause between two looks at the database for bars of other processes, in [0, 3600]; 0: accounts are not scored
        again by this process.
    max_bars : int
        Most bars in one request, in [1, 1000000].
    max_streams : int
        Most streams of events at a time, in [0, 100000].
    stream_url : Secret
        NATS server with JetStream, ``nats://HOST:4222`` (extra ``stream``): bars come in, events go out, and processes
        share the work of a round; empty: none.
    stream_prefix : str
        First word of its subjects, and name of its streams: letters, digits, dashes.
    stream_ack_seconds : float
        After how long another process takes over what one began and did not finish, in [1, 3600].
    poll_exchange : str
        A ccxt exchange that is asked for closed bars, for example ``binanceusdm`` (extra ``exchange``); empty: none.
    poll_symbols : tuple of str
        Its unified symbols, one for each asset, for example ``BTC/USDT:USDT``.
    poll_seconds : float
        Pause between two questions, in [1, 86400].
    silence_minutes : float
        Age of the newest bar beyond which every desk is alerted that the market is silent, in [0, 1000000]; 0: never.
    webhook_private : bool
        Whether webhooks may lead to private addresses and over plain HTTP; for tests, and targets of one's own.
    webhook_timeout_seconds : float
        Longest time for one attempt to deliver, in [0.05, 300].
    webhook_attempts : int
        Attempts before a delivery is dead, in [1, 100].
    webhook_first_seconds : float
        Mean pause after the first failure, which doubles with each, in [0.01, 3600].
    log_format : str
        ``text``, or ``json``: one object a line.
    log_requests : bool
        Whether each request has a line in the log.
    otel_endpoint : str
        Address of an OpenTelemetry collector (OTLP over HTTP) that gets spans; empty: none. Needs the extra ``otel``.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    market: str = ""
    bar: str = "1h"
    assets: tuple[str, ...] = ()
    history_days: int = 400
    refresh_seconds: float = 5.0
    model: str = ""
    shadow: str = ""
    model_cache: str = ""
    model_refresh_seconds: float = 300.0
    model_timeout_seconds: float = 120.0
    tracking_uri: Secret = field(default_factory=Secret)
    policy: str = ""
    database: Secret = field(default_factory=Secret)
    database_pool: int = 8
    database_wait_seconds: float = 10.0
    ledger_cache_mb: int = 80
    mature_seconds: float = 300.0
    api_key: Secret = field(default_factory=Secret)
    host: str = "127.0.0.1"
    port: int = 8000
    max_body_bytes: int = 16 * 1024 * 1024
    max_accounts: int = 20_000
    max_bulk_bytes: int = 128 * 1024 * 1024
    max_bulk_accounts: int = 100_000
    oidc_issuer: str = ""
    oidc_audience: str = ""
    oidc_jwks: str = ""
    oidc_role_claim: str = "margincast_role"
    oidc_tenant_claim: str = "margincast_tenant"
    rate_limit: float = 0.0
    rate_burst: float = 100.0
    timeout_seconds: float = 30.0
    threads: int = 2
    inline_accounts: int = 8
    clock_skew_seconds: float = 60.0
    most_missing: float = 0.2
    most_stale_minutes: float = 360.0
    drain_seconds: float = 5.0
    grace_seconds: float = 20.0
    live_seconds: float = 1.0
    max_bars: int = 10_000
    max_streams: int = 200
    stream_url: Secret = field(default_factory=Secret)
    stream_prefix: str = "margincast"
    stream_ack_seconds: float = 30.0
    poll_exchange: str = ""
    poll_symbols: tuple[str, ...] = ()
    poll_seconds: float = 30.0
    silence_minutes: float = 180.0
    webhook_private: bool = False
    webhook_timeout_seconds: float = 10.0
    webhook_attempts: int = 8
    webhook_first_seconds: float = 5.0
    log_format: str = "text"
    log_requests: bool = True
    otel_endpoint: str = ""

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(name, value, f"a number in [{low:g}, {high:g}]")
        if self.market and not Path(self.market).is_dir():
            raise InputError("market", self.market, "a folder with market data")
        if self.log_format not in LOG_FORMATS:
            raise InputError("log_format", self.log_format, f"one of {', '.join(LOG_FORMATS)}")
        if self.policy and not Path(self.policy).is_file():
            raise InputError("policy", self.policy, "a policy file (TOML)")

    @property
    def fallback(self) -> Fallback:
        """When the prior answers in place of the model."""
        return Fallback(self.most_missing, self.most_stale_minutes)


_RANGES: Mapping[str, tuple[float, float]] = {
    "history_days": (60, 3650),
    "refresh_seconds": (0, 86_400),
    "model_refresh_seconds": (0, 86_400),
    "model_timeout_seconds": (1, 3600),
    "port": (0, 65_535),
    "database_pool": (1, 100),
    "database_wait_seconds": (0.05, 600),
    "ledger_cache_mb": (1, 100_000),
    "mature_seconds": (0, 86_400),
    "max_body_bytes": (1024, 2**30),
    "max_accounts": (1, 1_000_000),
    "max_bulk_bytes": (1024, 2**31),
    "max_bulk_accounts": (1, 1_000_000),
    "rate_limit": (0, 1_000_000),
    "rate_burst": (1, 1_000_000),
    "timeout_seconds": (0.01, 3600),
    "threads": (1, 64),
    "inline_accounts": (0, 1000),
    "clock_skew_seconds": (0, 3600),
    "most_missing": (0, 1),
    "most_stale_minutes": (0, 10_080),
    "drain_seconds": (0, 300),
    "grace_seconds": (0, 86_400),
    "live_seconds": (0, 3600),
    "max_bars": (1, 1_000_000),
    "max_streams": (0, 100_000),
    "stream_ack_seconds": (1, 3600),
    "poll_seconds": (1, 86_400),
    "silence_minutes": (0, 1_000_000),
    "webhook_timeout_seconds": (0.05, 300),
    "webhook_attempts": (1, 100),
    "webhook_first_seconds": (0.01, 3600),
}


def settings_from_env(environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Read settings from ``MARGINCAST_*`` variables; what is given by name wins.

    Parameters
    ----------
    environ : mapping, optional
        The environment; that of the process by default.
    **given : object
        Fields of `Settings`, for example from the command line; None is ignored.

    Returns
    -------
    Settings
        The settings.

    Raises
    ------
    InputError
        If a variable is not of its type or outside its range.

    Examples
    --------
    >>> settings_from_env({"MARGINCAST_PORT": "9000", "MARGINCAST_ASSETS": "BTC,ETH"}).assets
    ('BTC', 'ETH')
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for item in fields(Settings):
        text = environ.get(PREFIX + item.name.upper())
        if text is not None and text != "":
            values[item.name] = _convert(item.name, str(item.type), text)
    values.update({name: value for name, value in given.items() if value is not None})
    return Settings(**values)


def settings_shown(settings: Settings) -> dict[str, str]:
    """Settings as the variables that would give them, secrets masked.

    Parameters
    ----------
    settings : Settings
        The settings.

    Returns
    -------
    dict
        Value by name of the variable.

    Examples
    --------
    >>> shown = settings_shown(Settings(assets=("BTC", "ETH"), api_key=Secret("hunter2")))
    >>> shown["MARGINCAST_ASSETS"], shown["MARGINCAST_API_KEY"], shown["MARGINCAST_PORT"]
    ('BTC,ETH', '****', '8000')
    """
    return {PREFIX + item.name.upper(): _shown(getattr(settings, item.name)) for item in fields(settings)}


def _shown(value: Any) -> str:
    if isinstance(value, Secret):
        return "****" if value else ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_FLAGS: Mapping[str, bool] = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_TYPES: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "Secret": (Secret, "a text"),
    "str": (str, "a text"),
    "bool": (lambda text: _FLAGS[text.strip().lower()], "true or false"),
    "tuple[str, ...]": (_names, "names with commas"),
}


def _convert(name: str, kind: str, text: str) -> Any:
    convert, expected = _TYPES[kind]
    try:
        return convert(text)
    except (ValueError, KeyError):
        raise InputError(PREFIX + name.upper(), text, expected) from None
