"""The data files: what one JSON document of a ruleset holds, decoded strictly.

A document keeps every distinct table once. Dates are an index into ``dates`` (stamp and public
source), so that each version of each symbol carries its own date and source.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from models.errors import InputError
from models.margin.tiers import TierSchedule

__all__ = ["Document", "Model", "Settings", "Version", "pick", "to_utc"]

Model = Literal[
    "linear", "inverse", "unified", "lending", "csa", "vega", "synthetix", "dydx", "drift", "mango",
    "deribit-standard", "srm", "regt", "scenario", "dynamic",
]  # fmt: skip
"""How the rules of a document are computed: what its positions may be, and which module has the formula."""

TierTable = tuple[list[float], list[float], list[float]]
RatioTable = tuple[list[float], list[float]]


class Version(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which table holds from which date on.

    ``price`` is given for quantity tiers only: the price that turns their bounds into notionals.
    """

    date: int
    table: int
    price: float = 0.0


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Venue-wide parameters from a date on."""

    effective_from: datetime
    source: str
    call_ratio: float
    release_factor: float
    default_leverage: float
    stale_after_minutes: int
    taker_fee: float
    funding_interval_hours: int
    initial_factor: float = 0.0
    maintenance_scale: float = 1.0
    loan_rate: float = 0.0
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        _between("call_ratio", self.call_ratio, 0.01, 1.0)
        _between("release_factor", self.release_factor, 1.0, 100.0)
        _between("default_leverage", self.default_leverage, 1.0, 1000.0)
        _between("stale_after_minutes", self.stale_after_minutes, 1, 10_080)
        _between("taker_fee", self.taker_fee, -0.01, 0.1)
        _between("funding_interval_hours", self.funding_interval_hours, 1, 24)
        _between("initial_factor", self.initial_factor, 0.0, 100.0)
        _between("maintenance_scale", self.maintenance_scale, 1.0, 2.0)
        _between("loan_rate", self.loan_rate, 0.0, 1.0)


class Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ruleset file."""

    name: str
    title: str
    source: str
    basis: Literal["notional", "quantity"]
    model: Model = "linear"
    parameters: str = ""
    extends: tuple[str, ...] = ()
    settings: list[Settings]
    dates: list[tuple[datetime, str]]
    tables: list[TierTable]
    symbols: dict[str, list[Version]]
    default_tables: list[Version]
    ratio_tables: list[RatioTable]
    collateral: dict[str, list[Version]]
    default_collateral: list[Version]
    assumed: dict[str, str]

    def changes(self) -> list[datetime]:
        """Give every instant at which some table or setting of the document changes, rising."""
        return sorted({d for d, _ in self.dates} | {s.effective_from for s in self.settings})

    def tier_schedule(self, version: Version) -> TierSchedule:
        """Build the maintenance schedule of one version, in notional."""
        floor, rate, leverage = self.tables[version.table]
        scale = version.price or 1.0
        return TierSchedule.from_rates([f * scale for f in floor], rate, leverage)

    def ratio_schedule(self, version: Version) -> TierSchedule:
        """Build the collateral ratio schedule of one version, in value."""
        return TierSchedule.from_rates(*self.ratio_tables[version.table])


def pick(versions: list[Version], dates: list[tuple[datetime, str]], instant: datetime) -> tuple[Version, bool]:
    """Give the version in force at an instant, and whether it is a later one used before its date."""
    at = bisect_right(versions, instant, key=lambda v: dates[v.date][0]) - 1
    return versions[max(at, 0)], at < 0


def to_utc(instant: datetime) -> datetime:
    """Give the instant in UTC; a time without a zone is refused."""
    if instant.tzinfo is None:
        raise InputError("as_of", instant.isoformat(), "a time with a zone, for example 2025-03-01T12:00:00Z")
    return instant.astimezone(UTC)


def _between(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(field, value, f"a number in [{low}, {high}]")
