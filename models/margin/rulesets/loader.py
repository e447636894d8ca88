"""Finds the ruleset documents and hands out the one in force at an instant.

A document changes at known instants only, so a `Ruleset` is cached per document and interval
between changes: a batch with a million instants touches a few hundred objects.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from datetime import datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

import msgspec

from models.errors import UnknownRulesetError
from models.margin.rulesets.document import Document, to_utc
from models.margin.rulesets.ruleset import Ruleset
from models.margin.rulesets.venues import VENUE_MODELS
from models.margin.tiers import TierSchedule
from models.margin.venues.parameters import parameter_changes

__all__ = [
    "LENDERS",
    "keep_document",
    "load_ruleset",
    "ruleset_dates",
    "ruleset_digest",
    "ruleset_model",
    "ruleset_names",
    "ruleset_title",
    "shipped_names",
]

LENDERS: Final = ("lending", "unified")
"""Margin models under which any asset may be owed."""


_OWN: Final[dict[str, Document]] = {}


@lru_cache(maxsize=1)
def shipped_names() -> tuple[str, ...]:
    """Give the names of the rulesets that are shipped.

    Returns
    -------
    tuple of str
        Sorted names.
    """
    found = (item.name for item in files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in found if name.endswith(".json")))


def ruleset_names() -> tuple[str, ...]:
    """Give the names of all rulesets: those that are shipped and those that were registered.

    Returns
    -------
    tuple of str
        Sorted names.

    Examples
    --------
    >>> "binance-usdm" in ruleset_names()
    True
    """
    return tuple(sorted((*shipped_names(), *_OWN))) if _OWN else shipped_names()


def keep_document(document: Document) -> None:
    """Make a user's own ruleset known under its name for this process.

    Parameters
    ----------
    document : Document
        Checked document.
    """
    _OWN[document.name] = document
    for cached in (_document, ruleset_model, _ruleset):
        cached.cache_clear()


def load_ruleset(name: str, as_of: datetime) -> Ruleset:
    """Give the rules of a venue in force at an instant.

    For each table the newest version dated at or before `as_of` is used. Before the first date of a
    table its earliest version stands in, and the ruleset says so (`Ruleset.backdated`,
    `Ruleset.tier_backdated`).

    Parameters
    ----------
    name : str
        One of `ruleset_names`.
    as_of : datetime
        Instant, timezone-aware.

    Returns
    -------
    Ruleset
        The rules, the same object for every instant between two changes.

    Raises
    ------
    UnknownRulesetError
        If there is no ruleset of that name.
    InputError
        If `as_of` has no zone.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> rules = load_ruleset("hyperliquid", datetime(2025, 7, 1, tzinfo=timezone.utc))
    >>> rules.tier("BTC/USDC:USDC").lookup(1_000_000)
    (0.0125, 0.0)
    """
    if not isinstance(name, str) or name not in ruleset_names():
        raise UnknownRulesetError("ruleset", name, "one of " + ", ".join(ruleset_names()))
    _, changes, _ = _document(name)
    return _ruleset(name, bisect_right(changes, to_utc(as_of)))


def ruleset_dates(name: str, since: datetime, until: datetime) -> list[datetime]:
    """List the instants at which anything in a ruleset changes.

    Parameters
    ----------
    name : str
        One of `ruleset_names`.
    since, until : datetime
        Timezone-aware; changes after `since`, up to and with `until`.

    Returns
    -------
    list of datetime
        UTC, rising. A later version may say the same as the one before.

    Raises
    ------
    UnknownRulesetError
        If there is no ruleset of that name.
    InputError
        If an instant has no zone.

    Examples
    --------
    >>> from datetime import timezone
    >>> ruleset_dates("generic-linear", *(datetime(year, 1, 1, tzinfo=timezone.utc) for year in (2011, 2031)))
    []
    """
    if name not in ruleset_names():
        raise UnknownRulesetError("ruleset", name, "one of " + ", ".join(ruleset_names()))
    _, changes, _ = _document(name)
    return changes[bisect_right(changes, to_utc(since)) : bisect_right(changes, to_utc(until))]


@cache
def ruleset_model(name: str) -> str:
    """Give the margin model of a ruleset.

    Parameters
    ----------
    name : str
        Any name.

    Returns
    -------
    str
        For example ``"inverse"``; ``"linear"`` where there is no ruleset of that name.

    Examples
    --------
    >>> ruleset_model("hyperliquid")
    'linear'
    """
    return _document(name)[0].model if name in ruleset_names() else "linear"


def ruleset_title(name: str) -> tuple[str, str, str]:
    """Give the name, the margin model and the title of a ruleset.

    Parameters
    ----------
    name : str
        One of `ruleset_names`.

    Returns
    -------
    tuple of str
        Name, model, title.
    """
    document = _document(name)[0]
    return document.name, document.model, document.title


def ruleset_digest(name: str) -> str:
    """Digest of everything that a ruleset says, at every date.

    Parameters
    ----------
    name : str
        One of `ruleset_names`.

    Returns
    -------
    str
        SHA-256, hexadecimal; another one as soon as any parameter changes.

    Examples
    --------
    >>> ruleset_digest("generic-linear") == ruleset_digest("generic-inverse")
    False
    """
    return hashlib.sha256(msgspec.json.encode(_document(name)[0])).hexdigest()


@cache
def _document(name: str) -> tuple[Document, list[datetime], dict[tuple[str, int, float], TierSchedule]]:
    document = _OWN.get(name)
    if document is None:
        text = files(__package__).joinpath(f"{name}.json").read_bytes()
        document = msgspec.json.decode(text, type=Document)
    return document, _changes(document), {}


def _changes(document: Document) -> list[datetime]:
    """Every instant at which the rules change: those of the document, of what it extends and of its parameters."""
    found = set(document.changes())
    for name in document.extends:
        found.update(_document(name)[1])
    if document.model in VENUE_MODELS or document.model == "lending":
        found.update(parameter_changes(document.parameters))
    return sorted(found)


@lru_cache(maxsize=4096)
def _ruleset(name: str, interval: int) -> Ruleset:
    document, changes, cache = _document(name)
    instant = changes[interval - 1] if interval else datetime.min.replace(tzinfo=changes[0].tzinfo)
    settings = document.settings[max(bisect_right(document.settings, instant, key=lambda s: s.effective_from) - 1, 0)]
    return Ruleset(
        name=document.name,
        effective_from=changes[max(interval - 1, 0)],
        source=document.source,
        call_ratio=settings.call_ratio,
        release_factor=settings.release_factor,
        default_leverage=settings.default_leverage,
        stale_after_minutes=settings.stale_after_minutes,
        taker_fee=settings.taker_fee,
        funding_interval_hours=settings.funding_interval_hours,
        initial_factor=settings.initial_factor,
        maintenance_scale=settings.maintenance_scale,
        loan_rate=settings.loan_rate,
        backdated=instant < document.changes()[0],
        _document=document,
        _instant=instant,
        _cache=cache,
    )
