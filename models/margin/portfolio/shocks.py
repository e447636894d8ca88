"""Shocks of a scenario ruleset: moves of price, of the level of volatility, of its skew, and their scenarios."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from models.errors import InputError

__all__ = ["Extended", "Grid", "Point", "Scenario", "Skew", "VolKind", "VolShock", "points", "within"]

VolKind = Literal["none", "up", "down", "linear", "absolute"]
SKEWS: Final = ("linear", "absolute")


def within(field: str, value: float, low: float, high: float) -> None:
    """Refuse a parameter that is not a finite number of its range.

    Parameters
    ----------
    field : str
        Its name.
    value : float
        What was given.
    low, high : float
        The range, both ends allowed.

    Raises
    ------
    InputError
        If the value lies outside.
    """
    if not (math.isfinite(value) and low <= value <= high):
        raise InputError(field, value, f"a number in [{low:g}, {high:g}]")


class VolShock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far implied volatility moves, by time to expiry.

    With ``x = (reference_days / max(days, floor_days)) ** power`` a volatility v becomes ``v * (1 + up * x)``, at
    least `least_up`, or ``v * (1 - down * x)``, at least 0. Under ``absolute`` the shocks are added: ``v + up * x``.

    Parameters
    ----------
    kind : {"relative", "absolute"}
        Whether shocks are fractions of the volatility or are added to it.
    up, down : float
        Shock at `reference_days`, fraction or points (0.25 is 25 points).
    short_power, long_power : float
        Exponent up to `split_days` and above.
    split_days, reference_days, floor_days : float
        Days to expiry.
    least_up : float
        Floor of the volatility after an up shock.
    """

    kind: Literal["relative", "absolute"] = "relative"
    up: float
    down: float
    short_power: float = 0.0
    long_power: float = 0.0
    split_days: float = 30.0
    reference_days: float = 30.0
    floor_days: float = 1.0
    least_up: float = 0.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for field in ("up", "down", "short_power", "long_power"):
            within(field, getattr(self, field), 0.0, 20.0)
        for field in ("split_days", "reference_days"):
            within(field, getattr(self, field), 1.0, 3650.0)
        within("floor_days", self.floor_days, 0.0, 3650.0)
        within("least_up", self.least_up, 0.0, 20.0)

    def scale(self, days: float) -> float:
        """Multiple of the shock at this many days to expiry, > 0."""
        bounded = max(days, self.floor_days)
        power = self.short_power if bounded <= self.split_days else self.long_power
        return float((self.reference_days / bounded) ** power)


class Skew(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How volatility tilts (``linear``) or bends (``absolute``) with the strike.

    With t years to expiry and k = ln(strike / forward), the volatility moves by the fraction
    ``sign * min(a * |k| / w, a)``, where ``a = cap + slope * sqrt(t)`` and the wing
    ``w = max(least_wing, width * (vol_static + vol_slope * sqrt(t)) * sqrt(t))``. The sign is that of k for the tilt
    and + for the bend. The loss of an expiry is the size of its change, whichever way it goes.

    Parameters
    ----------
    linear_cap, linear_slope, absolute_cap, absolute_slope : float
        Amplitude of tilt and bend, fraction of the volatility.
    least_wing, width : float
        Log moneyness at which the amplitude is reached: its floor, and its multiple of a deviation.
    vol_static, vol_slope : float
        The volatility that deviation is taken at.
    """

    linear_cap: float
    linear_slope: float = 0.0
    absolute_cap: float
    absolute_slope: float = 0.0
    least_wing: float = 0.0
    width: float
    vol_static: float
    vol_slope: float = 0.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for field in ("linear_cap", "absolute_cap", "least_wing", "width", "vol_static"):
            within(field, getattr(self, field), 0.0, 20.0)
        for field in ("linear_slope", "absolute_slope", "vol_slope"):
            within(field, getattr(self, field), -20.0, 20.0)

    def amplitude(self, tilt: bool, root: float) -> float:
        """Give the amplitude at the root of the years to expiry."""
        cap, slope = (self.linear_cap, self.linear_slope) if tilt else (self.absolute_cap, self.absolute_slope)
        return cap + slope * root

    def wing(self, root: float) -> float:
        """Log moneyness from which on the amplitude holds."""
        return max(self.least_wing, self.width * (self.vol_static + self.vol_slope * root) * root)


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scenario.

    Parameters
    ----------
    price : float
        Move of the price, fraction > -1.
    vol : {"none", "up", "down", "linear", "absolute"}
        Move of the volatilities; the last two are those of `Skew` and leave the price where it is.
    weight : float
        Share of the profit or loss that counts, >= 0.
    hours : float
        Time that passes, >= 0.
    tail : bool
        Whether it is reported among the extreme moves.
    """

    price: float
    vol: VolKind = "none"
    weight: float = 1.0
    hours: float = 0.0
    tail: bool = False

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        within("price", self.price, -0.999, 20.0)
        within("weight", self.weight, 0.0, 20.0)
        within("hours", self.hours, 0.0, 8760.0)


class Grid(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every price move with every volatility move.

    Parameters
    ----------
    prices : tuple of float
        Price moves, rising, 0 among them.
    vols : tuple
        Volatility moves.
    """

    prices: tuple[float, ...]
    vols: tuple[VolKind, ...] = ("down", "none", "up")

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for i, price in enumerate(self.prices):
            within(f"prices[{i}]", price, -0.999, 20.0)
        if list(self.prices) != sorted(set(self.prices)) or 0.0 not in self.prices:
            raise InputError("prices", list(self.prices), "rising price moves, the zero move among them (add 0)")
        if not self.vols or len(set(self.vols)) < len(self.vols):
            raise InputError("vols", list(self.vols), "each volatility move once, at least one")


class Extended(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Moves far beyond the grid, scaled back to its edge and dampened.

    With R the furthest move of the grid, a move m counts for ``factor * R / |m|`` of its profit or loss, and up to
    ``(|m| / R - 1) * dampener`` of that is taken off.

    Parameters
    ----------
    prices : tuple of float
        Price moves, none 0.
    vol : {"none", "up", "down"}
        Move of the volatilities.
    factor : float
        Multiple of the share.
    dampener : float
        Quote currency.
    """

    prices: tuple[float, ...]
    vol: Literal["none", "up", "down"] = "up"
    factor: float = 1.0
    dampener: float = 0.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for i, price in enumerate(self.prices):
            within(f"prices[{i}]", price, -0.999, 20.0)
            if price == 0.0:
                raise InputError(f"prices[{i}]", price, "a move other than 0 (the zero move belongs to the grid)")
        within("factor", self.factor, 0.0, 20.0)
        within("dampener", self.dampener, 0.0, 1e12)


class Point(NamedTuple):
    """One scenario as it is computed."""

    price: float
    vol: VolKind
    weight: float
    hours: float
    edge: float  # price move at which a coin profit or loss is converted, that of the grid's edge for extended moves
    dampener: float  # quote currency
    extended: bool


def points(grid: Grid | None, extended: Extended | None, scenarios: Iterable[Scenario]) -> tuple[Point, ...]:
    """List the scenarios of a ruleset: grid (by price, then volatility), extended moves, single scenarios."""
    out = [] if grid is None else [Point(p, v, 1.0, 0.0, p, 0.0, False) for p in grid.prices for v in grid.vols]
    if grid is not None and extended is not None:
        reach = max(abs(p) for p in grid.prices)
        out += [_far(p, extended, reach) for p in extended.prices]
    singles = list(scenarios)
    return (*out, *(Point(s.price, s.vol, s.weight, s.hours, s.price, 0.0, s.tail) for s in singles))


def _far(price: float, extended: Extended, reach: float) -> Point:
    ratio = abs(price) / reach
    edge = math.copysign(reach, price)
    share = extended.factor / ratio
    return Point(price, extended.vol, share, 0.0, edge, (max(ratio, 1.0) - 1.0) * extended.dampener, True)
