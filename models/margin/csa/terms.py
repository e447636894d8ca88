"""What a credit support annex says: thresholds, transfer amounts, independent amounts, rounding, collateral.

The two parties of an agreement are ``party`` (the one whose account it is) and ``counterparty``. Every amount is in the
base currency of the agreement; a valuation percentage and a haircut are fractions.

References
----------
ISDA Credit Support Annexes: 1994 New York law, 1995 English law, 2016 variation margin, 2018 initial margin (names of
the terms); FINOS common domain model 6, ``CollateralRounding`` and ``MarginApproachEnum`` (elections).
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from msgspec import Struct

from models.errors import InputError
from models.margin.csa._checks import at_least_zero
from models.margin.csa.timetable import Timetable

__all__ = [
    "Amount",
    "CsaTerms",
    "Direction",
    "EligibleCollateral",
    "MarginApproach",
    "MarginType",
    "PartyTerms",
    "Rounding",
]

Amount: TypeAlias = float | Literal["infinite"]
Direction: TypeAlias = Literal["up", "down", "nearest"]
MarginType: TypeAlias = Literal["legacy", "variation_margin", "initial_margin"]
MarginApproach: TypeAlias = Literal["distinct", "allocated", "greater_of"]


class PartyTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms of one party as the one who delivers.

    Parameters
    ----------
    threshold : float or "infinite"
        Exposure that the other party carries without collateral, >= 0; ``"infinite"`` where this party never delivers.
    minimum_transfer_amount : float
        Smallest delivery or return that this party makes, >= 0.
    independent_amount : float
        What this party owes on top of the exposure, >= 0.
    in_default : bool
        Whether an event of default, termination event or specified condition holds for this party; its minimum
        transfer amount is then zero.
    zero_threshold_on_default : bool
        Whether its threshold is zero as well while it holds.

    Raises
    ------
    InputError
        If an amount is negative or not a number.

    Examples
    --------
    >>> PartyTerms(threshold=2e6, minimum_transfer_amount=250_000.0, in_default=True).effective_transfer_amount
    0.0
    """

    threshold: Amount = 0.0
    minimum_transfer_amount: float = 0.0
    independent_amount: float = 0.0
    in_default: bool = False
    zero_threshold_on_default: bool = True

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        if self.threshold != "infinite" and not self.threshold >= 0:
            raise InputError("threshold", self.threshold, "an amount >= 0, or 'infinite'")
        at_least_zero("minimum_transfer_amount", self.minimum_transfer_amount)
        at_least_zero("independent_amount", self.independent_amount)

    @property
    def effective_threshold(self) -> float:
        """Threshold that applies now; inf where it is infinite."""
        if self.in_default and self.zero_threshold_on_default:
            return 0.0
        return math.inf if self.threshold == "infinite" else self.threshold

    @property
    def effective_transfer_amount(self) -> float:
        """Minimum transfer amount that applies now: zero in default."""
        return 0.0 if self.in_default else self.minimum_transfer_amount


class Rounding(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How deliveries and returns are rounded.

    Parameters
    ----------
    delivery_increment, return_increment : float or None
        Multiple to which the amount is rounded, > 0; None where it is not rounded.
    delivery_direction, return_direction : {"up", "down", "nearest"}
        Where to.

    Raises
    ------
    InputError
        If an increment is not above zero.

    Examples
    --------
    >>> Rounding(delivery_increment=10_000.0, return_increment=10_000.0).delivery_direction
    'up'
    """

    delivery_increment: float | None = None
    delivery_direction: Direction = "up"
    return_increment: float | None = None
    return_direction: Direction = "down"

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for name in ("delivery_increment", "return_increment"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(name, value, "an increment > 0, or null for no rounding")


class EligibleCollateral(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the schedule of eligible collateral.

    Parameters
    ----------
    asset : str
        Name of the asset; a currency code for cash.
    valuation_percentage : float
        What counts of its market value, in (0, 1]: one minus the haircut.
    additional_haircut : float
        Further haircut of this line, in [0, 1).

    Raises
    ------
    InputError
        If a fraction lies outside its range.

    Examples
    --------
    >>> EligibleCollateral(asset="UST 1-5y", valuation_percentage=0.98).additional_haircut
    0.0
    """

    asset: str
    valuation_percentage: float = 1.0
    additional_haircut: float = 0.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        if not 0 < self.valuation_percentage <= 1:
            expected = "a fraction in (0, 1], for example 0.98 for a valuation percentage of 98%"
            raise InputError("valuation_percentage", self.valuation_percentage, expected)
        if not 0 <= self.additional_haircut < 1:
            raise InputError("additional_haircut", self.additional_haircut, "a fraction in [0, 1)")


class CsaTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A credit support annex, as one party sees it.

    Parameters
    ----------
    base_currency : str
        Currency of every amount below.
    party, counterparty : PartyTerms
        Terms of the party whose account it is, and of the other one.
    rounding : Rounding
        Rounding of deliveries and returns.
    eligible_collateral : tuple of EligibleCollateral
        What counts as collateral, the same for both parties. Empty where the agreement lists nothing: everything
        then counts in full. An asset that is not on a list counts for nothing.
    fx_haircut : float
        Haircut of collateral in a currency that is neither the base currency nor matched, in [0, 1); 0.08 is the
        standard one.
    matched_currencies : tuple of str
        Currencies that bear no such haircut, besides the base currency.
    margin_type : {"legacy", "variation_margin", "initial_margin"}
        What the agreement covers.
    margin_approach : {"distinct", "allocated", "greater_of"}
        How an initial margin agreement treats the independent amounts of the other agreement.
    close_out_slack : float or None
        How far equity falls below the call level before the trades are closed out, >= 0. The default is one more
        minimum transfer amount (or rounding increment, if that is larger): a second call that is not met.
    timetable : Timetable
        Notification time, lags and holidays.

    Raises
    ------
    InputError
        If a value lies outside its range, with the name of the field.

    Examples
    --------
    >>> import msgspec
    >>> document = '{"party": {"threshold": "infinite"}, "rounding": {"delivery_increment": 1e4}}'
    >>> msgspec.json.decode(document, type=CsaTerms).party.effective_threshold
    inf
    """

    base_currency: str = "USD"
    party: PartyTerms = PartyTerms()
    counterparty: PartyTerms = PartyTerms()
    rounding: Rounding = Rounding()
    eligible_collateral: tuple[EligibleCollateral, ...] = ()
    fx_haircut: float = 0.0
    matched_currencies: tuple[str, ...] = ()
    margin_type: MarginType = "variation_margin"
    margin_approach: MarginApproach = "distinct"
    close_out_slack: float | None = None
    timetable: Timetable = Timetable()

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        if not self.base_currency:
            raise InputError("base_currency", self.base_currency, "a currency code, for example 'USD'")
        if not 0 <= self.fx_haircut < 1:
            raise InputError("fx_haircut", self.fx_haircut, "a fraction in [0, 1)")
        if self.close_out_slack is not None:
            at_least_zero("close_out_slack", self.close_out_slack)
        names = [line.asset for line in self.eligible_collateral]
        if len(set(names)) < len(names):
            raise InputError("eligible_collateral", names, "each asset once")

    @property
    def net_independent_amount(self) -> float:
        """Independent amount of the party less that of the counterparty, base currency."""
        return self.party.independent_amount - self.counterparty.independent_amount

    @property
    def effective_close_out_slack(self) -> float:
        """Distance from the call level to close-out, base currency."""
        if self.close_out_slack is not None:
            return self.close_out_slack
        return max(self.party.effective_transfer_amount, self.rounding.delivery_increment or 0.0)
