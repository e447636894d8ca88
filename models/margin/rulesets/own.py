"""The user's own rulesets: a document of tiers or formulas, or scenario rules, checked and made known by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import pairwise

import msgspec

from models._decoding import decode_document
from models.errors import InputError
from models.margin.portfolio.loader import keep_portfolio_rules, parse_portfolio_rules
from models.margin.portfolio.rules import PortfolioRules
from models.margin.rulesets.document import Document, Settings, Version
from models.margin.rulesets.loader import keep_document, shipped_names
from models.margin.tiers import TierSchedule

__all__ = ["parse_ruleset", "register_ruleset"]

_PAR = ("USD", "USDC", "USDT")


def parse_ruleset(text: bytes | str) -> Document:
    """Decode and check a ruleset document.

    Parameters
    ----------
    text : bytes or str
        JSON in the shape of the files in ``models/margin/rulesets``.

    Returns
    -------
    Document
        The document.

    Raises
    ------
    InputError
        If a field is missing, unknown or out of range, or a version names a table or a date that is not there.

    Examples
    --------
    >>> parse_ruleset('{"name": "mine"}')
    Traceback (most recent call last):
    ...
    models.errors.InputError: title: expected a value: the field is required, was None
    """
    document = decode_document(text, Document, "ruleset")
    if not document.settings:
        raise InputError("settings", [], "at least one entry with effective_from")
    _rising("settings", [s.effective_from for s in document.settings])
    for symbol, versions in document.symbols.items():
        _check_versions(f"symbols.{symbol}", versions, document, len(document.tables), "tables")
    _check_versions("default_tables", document.default_tables, document, len(document.tables), "tables")
    for asset, versions in document.collateral.items():
        _check_versions(f"collateral.{asset}", versions, document, len(document.ratio_tables), "ratio_tables")
    _check_versions(
        "default_collateral", document.default_collateral, document, len(document.ratio_tables), "ratio_tables"
    )
    _check_tables("tables", len(document.tables), document.tier_schedule)
    _check_tables("ratio_tables", len(document.ratio_tables), document.ratio_schedule)
    return document


def register_ruleset(text: bytes | str) -> str:
    """Make a ruleset known under its name for this process.

    Parameters
    ----------
    text : bytes or str
        A ruleset document, or scenario rules (`models.margin.portfolio.portfolio_rules_schema`).

    Returns
    -------
    str
        The name that accounts give in ``ruleset``.

    Raises
    ------
    InputError
        If the text is not valid, or has the name of a ruleset that is shipped.
    """
    try:
        fields = msgspec.json.decode(text)
    except msgspec.DecodeError:
        fields = {}
    scenario = isinstance(fields, dict) and "settings" not in fields and "symbols" not in fields
    document = _wrap(parse_portfolio_rules(text)) if scenario else parse_ruleset(text)
    if document.name in shipped_names():
        raise InputError("name", document.name, "a name of your own: a ruleset of this name is shipped")
    if scenario:
        keep_portfolio_rules(parse_portfolio_rules(text))
    keep_document(document)
    return document.name


def _wrap(rules: PortfolioRules) -> Document:
    """Scenario rules as a document, with margincast's default levels."""
    start = datetime(2010, 1, 1, tzinfo=UTC)
    settings = Settings(
        effective_from=start,
        source=rules.title,
        call_ratio=0.8,
        release_factor=1.25,
        default_leverage=10.0,
        stale_after_minutes=120,
        taker_fee=0.0005,
        funding_interval_hours=8,
        assumed=("call_ratio, release_factor and stale_after_minutes: margincast defaults",),
    )
    par = [Version(0, 0)]
    return Document(
        name=rules.name,
        title=rules.title,
        source=rules.title,
        basis="notional",
        model="scenario",
        parameters=rules.name,
        settings=[settings],
        dates=[(start, rules.title)],
        tables=[],
        symbols={},
        default_tables=[],
        ratio_tables=[([0.0], [1.0])],
        collateral={asset: par for asset in (*_PAR, "BTC", "ETH")},
        default_collateral=[],
        assumed={},
    )


def _check_versions(path: str, versions: Iterable[Version], document: Document, tables: int, where: str) -> None:
    for i, version in enumerate(versions):
        if not 0 <= version.table < tables:
            raise InputError(f"{path}[{i}].table", version.table, f"an index into {where}, which has {tables}")
        if not 0 <= version.date < len(document.dates):
            expected = f"an index into dates, which has {len(document.dates)}"
            raise InputError(f"{path}[{i}].date", version.date, expected)
    _rising(path, [document.dates[v.date][0] for v in versions])


def _rising(path: str, dates: list[datetime]) -> None:
    for i, (early, late) in enumerate(pairwise(dates)):
        if late <= early:
            raise InputError(f"{path}[{i + 1}]", late.isoformat(), f"a date after {early.isoformat()}")


def _check_tables(path: str, count: int, make: Callable[[Version], TierSchedule]) -> None:
    for i in range(count):
        try:
            make(Version(0, i))
        except InputError as error:
            raise InputError(f"{path}[{i}].{error.field}", error.value, error.expected) from None
