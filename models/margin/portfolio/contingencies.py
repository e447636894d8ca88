"""What a scenario ruleset adds to the worst scenario loss: one struct for each kind of contingency."""

from __future__ import annotations

from msgspec import Struct

from models.errors import InputError
from models.margin.portfolio.shocks import within

__all__ = [
    "Basis",
    "Confidence",
    "DeltaShock",
    "Discount",
    "Factors",
    "Minimum",
    "Offset",
    "Peg",
    "RateShock",
    "Rates",
    "Roll",
    "Vega",
    "tiered_charge",
]


class Factors(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Share of the scenario requirement that is maintenance and initial margin."""

    maintenance: float = 1.0
    initial: float = 1.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        within("maintenance", self.maintenance, 0.0, 20.0)
        within("initial", self.initial, 0.0, 20.0)


class Discount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Static discount: in a scenario an expiry worth something counts for less, one that owes something for more.

    With r the rate (at least 0) and t the years, a value v > 0 counts for ``v * long_factor * exp(-t * (r *
    long_multiple + long_add))`` and a debt for ``v * min(short_factor * exp(t * (r * short_multiple + short_add)),
    exp(r * t))``.
    """

    long_factor: float = 1.0
    long_multiple: float = 0.0
    long_add: float = 0.0
    short_factor: float = 1.0
    short_multiple: float = 0.0
    short_add: float = 0.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for field in self.__struct_fields__:
            within(field, getattr(self, field), 0.0, 20.0)


class Basis(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Forward contingency: each expiry on its own loses ``add + multiple * years`` of its worse loss at two moves.

    Parameters
    ----------
    up, down : float
        Price moves, fractions (0.045 and -0.045).
    add, multiple : float
        Share of the loss, and its slope in years.
    """

    up: float
    down: float
    add: float
    multiple: float

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        within("up", self.up, 0.0, 20.0)
        within("down", self.down, -0.999, 0.0)
        within("add", self.add, 0.0, 20.0)
        within("multiple", self.multiple, 0.0, 20.0)


class Roll(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Roll shock: the net delta of every expiry times ``max(least, annualised * years)`` of the price."""

    annualised: float
    least: float = 0.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        within("annualised", self.annualised, 0.0, 20.0)
        within("least", self.least, 0.0, 20.0)


class DeltaShock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Liquidity of a large delta: ``|delta| * min(cap, slope * (|delta| - threshold / price))`` of the price.

    Parameters
    ----------
    threshold : float
        Delta that costs nothing, quote currency.
    slope : float
        Share of the price for each coin above.
    cap : float
        Largest share.
    """

    threshold: float
    slope: float
    cap: float

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        within("threshold", self.threshold, 0.0, 1e15)
        within("slope", self.slope, 0.0, 20.0)
        within("cap", self.cap, 0.0, 20.0)


class Vega(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Term structure of volatility: `hedged` points on the vega that expiries hold against each other."""

    hedged: float

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        within("hedged", self.hedged, 0.0, 20.0)


class RateShock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move of the discount rate of all expiries together, a year."""

    move: float

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        within("move", self.move, 0.0, 1.0)


class Rates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares of notional at spot; `initial` comes on top of `maintenance`, outside the factors.

    Parameters
    ----------
    perpetual_maintenance, perpetual_initial : float
        Of perpetuals.
    option_maintenance, option_initial : float
        Of short options, net by expiry and strike, calls and puts together.
    provision : float
        Of perpetuals, for funding and fees, at both levels.
    """

    perpetual_maintenance: float = 0.0
    perpetual_initial: float = 0.0
    option_maintenance: float = 0.0
    option_initial: float = 0.0
    provision: float = 0.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for field in self.__struct_fields__:
            within(field, getattr(self, field), 0.0, 20.0)


class Minimum(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Least scenario requirement, a share of notional at spot.

    Parameters
    ----------
    net_delta, hedged_delta : float
        Of the net delta, and of the delta that is held on both sides.
    linear, short_option : float
        Of perpetuals and futures, and of each short option.
    tiers : tuple of (float or None, float)
        Upper bound and multiplier of each slice of the sum; the last bound is None.
    """

    net_delta: float = 0.0
    hedged_delta: float = 0.0
    linear: float = 0.0
    short_option: float = 0.0
    tiers: tuple[tuple[float | None, float], ...] = ()

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for field in ("net_delta", "hedged_delta", "linear", "short_option"):
            within(field, getattr(self, field), 0.0, 20.0)
        check_tiers(self.tiers)


class Offset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gains of a currency pair count for `share` of themselves, up to `most` quote currency, against other losses."""

    share: float
    most: float

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        within("share", self.share, 0.0, 1.0)
        within("most", self.most, 0.0, 1e15)


class Confidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Oracle contingency: ``(1 - confidence) * margin`` of notional where the confidence lies below `threshold`."""

    threshold: float
    margin: float

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        within("threshold", self.threshold, 0.0, 1.0)
        within("margin", self.margin, 0.0, 20.0)


class Peg(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stable coin off its peg: the initial factor grows by `factor` for each unit below `threshold`."""

    threshold: float
    factor: float

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        within("threshold", self.threshold, 0.0, 100.0)
        within("factor", self.factor, 0.0, 20.0)


def check_tiers(tiers: tuple[tuple[float | None, float], ...]) -> None:
    """Refuse tiers whose bounds do not rise."""
    least = 0.0
    for i, (bound, multiplier) in enumerate(tiers):
        within(f"tiers[{i}][1]", multiplier, 0.0, 1000.0)
        if bound is None and i + 1 < len(tiers):
            raise InputError(f"tiers[{i}][0]", bound, "a number (only the last tier has no bound)")
        if bound is not None and not bound > least:
            raise InputError(f"tiers[{i}][0]", bound, f"a bound above {least:g}, bounds rise")
        least = bound if bound is not None else least


def tiered_charge(raw: float, tiers: tuple[tuple[float | None, float], ...]) -> float:
    """Multiply each slice of an amount by the multiplier of its tier.

    Parameters
    ----------
    raw : float
        Amount, >= 0.
    tiers : tuple of (float or None, float)
        Upper bound and multiplier of each slice, bounds rising; above the last bound its multiplier goes on.

    Returns
    -------
    float
        The charge; `raw` itself where there are no tiers.

    Raises
    ------
    InputError
        If the amount is negative or the bounds do not rise.

    References
    ----------
    OKX, "Portfolio margin mode: cross margin trading", MR7 minimum charge (support article 4417291853837, 2025-01).

    Examples
    --------
    >>> tiered_charge(30_000, ((10_000, 1), (70_000, 2)))
    50000.0
    """
    within("raw", raw, 0.0, 1e18)
    check_tiers(tiers)
    total, floor = 0.0, 0.0
    for i, (bound, multiplier) in enumerate(tiers):
        top = raw if bound is None or i + 1 == len(tiers) else min(raw, bound)
        total += max(top - floor, 0.0) * multiplier
        floor = max(top, floor)
    return total if tiers else float(raw)
