"""Dated parameters of the venues: read from the package, checked against their ranges, picked by instant.

Each file has versions, rising in time, each with its public source and a flat set of numbers for every symbol or
asset. Before the first version the earliest one stands in, and the answer says so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from models.errors import InputError, UnknownRulesetError, UnknownSymbolError

__all__ = ["RANGES", "VenueParameters", "load_parameters", "parameter_changes", "venue_names"]

Range = tuple[float, float]
_WEIGHT: Final = (0.0, 10_000.0)
_LIABILITY: Final = (10_000.0, 100_000.0)
_PPM: Final = (0.0, 1e6)
_CAP: Final = (0.0, 1e18)
RANGES: Final[Mapping[str, Mapping[str, Range]]] = {
    "aave": {
        "ltv": (0.0, 1.0),
        "liquidation_threshold": (0.0, 1.0),
        "liquidation_bonus": (0.0, 1.0),
        "protocol_fee": (0.0, 1.0),
        "category": (0.0, 255.0),
    },
    "dydx": {
        "initial_margin_ppm": _PPM,
        "maintenance_fraction_ppm": _PPM,
        "lower_cap": _CAP,
        "upper_cap": _CAP,
        "atomic_resolution": (-18.0, 18.0),
    },
    "drift": {
        "initial_asset_weight": _WEIGHT,
        "maintenance_asset_weight": _WEIGHT,
        "initial_liability_weight": _LIABILITY,
        "maintenance_liability_weight": _LIABILITY,
        "margin_ratio_initial": (1.0, 10_000.0),
        "margin_ratio_maintenance": (1.0, 10_000.0),
        "imf_factor": (0.0, 1e6),
    },
    "mango": {
        "maint_asset_weight": (0.0, 1.0),
        "init_asset_weight": (0.0, 1.0),
        "maint_liab_weight": (1.0, 10.0),
        "init_liab_weight": (1.0, 10.0),
        "deposit_scale_start": (0.0, 1e18),
        "borrow_scale_start": (0.0, 1e18),
        "maint_base_asset_weight": (0.0, 1.0),
        "init_base_asset_weight": (0.0, 1.0),
        "maint_base_liab_weight": (1.0, 10.0),
        "init_base_liab_weight": (1.0, 10.0),
        "maint_overall_asset_weight": (0.0, 1.0),
        "init_overall_asset_weight": (0.0, 1.0),
    },
    "synthetix": {
        "skew_scale": (1e-12, 1e30),
        "initial_margin_fraction": (0.0, 1e6),
        "minimum_initial_margin_ratio": (0.0, 10.0),
        "maintenance_margin_scalar": (0.0, 1.0),
        "liquidation_reward_ratio": (0.0, 1.0),
        "minimum_position_margin": (0.0, 1e12),
        "minimum_reward": (0.0, 1e12),
        "maximum_reward": (0.0, 1e12),
        "maximum_funding_velocity": (0.0, 1e6),
        "collateral_skew_scale": (0.0, 1e30),
        "discount_scalar": (0.0, 1e6),
        "lower_discount": (0.0, 1.0),
        "upper_discount": (0.0, 1.0),
    },
    "vega": {
        "risk_factor_long": (0.0, 100.0),
        "risk_factor_short": (0.0, 100.0),
        "risk_aversion": (1e-12, 0.5),
        "tau_years": (1e-12, 1.0),
        "sigma": (1e-6, 50.0),
        "mu": (-1.0, 1.0),
        "linear_slippage": (0.0, 1e6),
        "quadratic_slippage": (0.0, 1e6),
        "search": (1.0, 100.0),
        "initial": (1.0, 100.0),
        "release": (1.0, 100.0),
        "margin_funding_factor": (0.0, 1.0),
        "interest_rate": (-1.0, 1.0),
        "clamp_lower": (-1.0, 1.0),
        "clamp_upper": (-1.0, 1.0),
    },
}
"""Allowed range of every parameter of every model."""
_ORDERED: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "aave": (("ltv", "liquidation_threshold"),),
    "dydx": (("lower_cap", "upper_cap"),),
    "drift": (
        ("initial_asset_weight", "maintenance_asset_weight"),
        ("maintenance_liability_weight", "initial_liability_weight"),
        ("margin_ratio_maintenance", "margin_ratio_initial"),
    ),
    "mango": (
        ("init_asset_weight", "maint_asset_weight"),
        ("maint_liab_weight", "init_liab_weight"),
        ("init_base_asset_weight", "maint_base_asset_weight"),
        ("maint_base_liab_weight", "init_base_liab_weight"),
    ),
    "synthetix": (("lower_discount", "upper_discount"), ("minimum_reward", "maximum_reward")),
    "vega": (("search", "initial"), ("initial", "release"), ("clamp_lower", "clamp_upper")),
}


class _Version(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    effective_from: datetime
    source: str
    parameters: dict[str, dict[str, float]]


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    title: str
    source: str
    model: str
    versions: list[_Version]
    assumed: dict[str, str]

    def __post_init__(self) -> None:
        if self.model not in RANGES:
            raise InputError("model", self.model, "one of " + ", ".join(sorted(RANGES)))
        stamps = [v.effective_from for v in self.versions]
        if not stamps or any(s.tzinfo is None for s in stamps) or sorted(set(stamps)) != stamps:
            raise InputError("versions", [str(s) for s in stamps], "at least one, with rising dates that have a zone")
        for i, version in enumerate(self.versions):
            for symbol, values in version.parameters.items():
                _check_values(self.model, f"versions[{i}].parameters[{symbol}]", values)


@dataclass(frozen=True, slots=True)
class VenueParameters:
    """Parameters of a venue in force at an instant.

    Parameters
    ----------
    name, model : str
        Of the venue and of its margin model.
    effective_from : datetime
        Date of the version.
    source : str
        Public source of the version.
    backdated : bool
        Whether the version is a later one, used before its date.
    assumed : mapping of str to str
        What is assumed, by symbol or field.
    parameters : mapping
        Numbers by symbol or asset.
    """

    name: str
    model: str
    effective_from: datetime
    source: str
    backdated: bool
    assumed: Mapping[str, str]
    parameters: Mapping[str, Mapping[str, float]]

    def of(self, symbol: str) -> Mapping[str, float]:
        """Give the parameters of one symbol or asset.

        Parameters
        ----------
        symbol : str
            As in the file: ccxt unified symbol of a contract, or the code of an asset.

        Returns
        -------
        mapping of str to float
            Its numbers.

        Raises
        ------
        UnknownSymbolError
            If the version does not have it.

        Examples
        --------
        >>> now = datetime(2025, 6, 1, tzinfo=UTC)
        >>> load_parameters("dydx", now).of("BTC/USDC:USDC")["initial_margin_ppm"]
        20000.0
        """
        try:
            return self.parameters[symbol]
        except KeyError:
            raise UnknownSymbolError("symbol", symbol, "one of " + ", ".join(sorted(self.parameters))) from None


@cache
def venue_names() -> tuple[str, ...]:
    """Give the names of the venues whose parameters are shipped.

    Returns
    -------
    tuple of str
        Sorted names.

    Examples
    --------
    >>> venue_names()
    ('aave', 'drift', 'dydx', 'mango', 'synthetix', 'vega')
    """
    found = (item.name for item in files(__package__).joinpath("data").iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in found if name.endswith(".json")))


def load_parameters(venue: str, as_of: datetime) -> VenueParameters:
    """Give the parameters of a venue in force at an instant.

    Parameters
    ----------
    venue : str
        One of `venue_names`.
    as_of : datetime
        Instant, timezone-aware.

    Returns
    -------
    VenueParameters
        The newest version dated at or before the instant; the earliest one, marked, before its date.

    Raises
    ------
    UnknownRulesetError
        If there is no venue of that name.
    InputError
        If `as_of` has no zone.

    Examples
    --------
    >>> found = load_parameters("drift", datetime(2024, 6, 1, tzinfo=UTC))
    >>> found.of("SOL")["imf_factor"], found.backdated
    (3000.0, False)
    """
    if not isinstance(venue, str) or venue not in venue_names():
        raise UnknownRulesetError("venue", venue, "one of " + ", ".join(venue_names()))
    if as_of.tzinfo is None:
        raise InputError("as_of", as_of.isoformat(), "a time with a zone, for example 2025-03-01T12:00:00Z")
    document = _document(venue)
    at = bisect_right(document.versions, as_of.astimezone(UTC), key=lambda v: v.effective_from) - 1
    version = document.versions[max(at, 0)]
    return VenueParameters(
        document.name,
        document.model,
        version.effective_from,
        version.source,
        at < 0,
        document.assumed,
        version.parameters,
    )


def parameter_changes(venue: str) -> tuple[datetime, ...]:
    """Give the instants from which on each version of a venue's parameters holds.

    Parameters
    ----------
    venue : str
        One of `venue_names`.

    Returns
    -------
    tuple of datetime
        Rising, UTC.

    Examples
    --------
    >>> [f"{at:%Y-%m}" for at in parameter_changes("drift")]
    ['2024-01', '2024-12']
    """
    return tuple(v.effective_from.astimezone(UTC) for v in _document(venue).versions)


@cache
def _document(venue: str) -> _Document:
    return _decode(files(__package__).joinpath("data", f"{venue}.json").read_bytes())


def _decode(text: bytes) -> _Document:
    return msgspec.json.decode(text, type=_Document)


def _check_values(model: str, path: str, values: Mapping[str, float]) -> None:
    ranges = RANGES[model]
    for key, value in values.items():
        if key not in ranges:
            raise InputError(f"{path}.{key}", value, "one of " + ", ".join(sorted(ranges)))
        low, high = ranges[key]
        if not low <= value <= high:
            raise InputError(f"{path}.{key}", value, f"a number in [{low:g}, {high:g}]")
    for lower, upper in _ORDERED[model]:
        if lower in values and upper in values and values[lower] > values[upper]:
            raise InputError(f"{path}.{lower}", values[lower], f"at most {upper}, {values[upper]:g}")
