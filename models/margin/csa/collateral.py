"""What posted collateral counts for under a credit support annex: conversion, valuation percentage, haircuts.

``value = market value in base currency * (1 - haircut - FX haircut - additional haircut) - disputed part``, where the
haircut is one minus the valuation percentage. Haircuts add up; they do not multiply.

References
----------
ISDA 2016 credit support annex for variation margin, definition of "Value" (valuation percentage less FX haircut);
FINOS common domain model 6.23, function ``PostedCreditSupportItemAmount`` (sum of the three haircuts, disputed part).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from models.errors import InputError, UnknownAssetError
from models.instrument import is_stable
from models.margin.csa._checks import at_least_zero
from models.margin.csa.terms import CsaTerms

__all__ = ["CASH", "PostedCollateral", "collateral_item_value", "posted_share", "posted_value", "to_base_currency"]

CASH: Final = frozenset({
    "AUD", "BRL", "CAD", "CHF", "CNH", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "IDR", "ILS", "INR", "JPY",
    "KRW", "MXN", "MYR", "NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "TRY", "TWD", "USD", "ZAR",
})  # fmt: skip
"""Codes (ISO 4217, and CNH) of currencies that an account may hold as cash; any other asset is in no currency."""


class PostedCollateral(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One item of posted collateral.

    Parameters
    ----------
    asset : str
        Name of the asset, as in the schedule of eligible collateral.
    market_value : float
        Market value in `currency`, >= 0, before haircuts.
    currency : str or None
        Currency of the market value; the base currency where None.
    haircut : float or None
        Haircut of this item, in [0, 1], in place of that of the schedule.
    disputed : float
        Part of the value after haircuts that is in dispute, in base currency, >= 0; it does not count.

    Raises
    ------
    InputError
        If a value lies outside its range.

    Examples
    --------
    >>> PostedCollateral(asset="UST 1-5y", market_value=1e6, haircut=0.01).disputed
    0.0
    """

    asset: str
    market_value: float
    currency: str | None = None
    haircut: float | None = None
    disputed: float = 0.0

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        at_least_zero("market_value", self.market_value)
        if self.haircut is not None and not 0 <= self.haircut <= 1:
            raise InputError("haircut", self.haircut, "a fraction in [0, 1]")
        at_least_zero("disputed", self.disputed)


def to_base_currency(
    amount: float, currency: str, base_currency: str, rates: Mapping[str, float], field: str = "currency"
) -> float:
    """Convert an amount to the base currency.

    Parameters
    ----------
    amount : float
        Amount in `currency`.
    currency, base_currency : str
        Currency codes.
    rates : mapping of str to float
        Base currency for one unit of each other currency, > 0.
    field : str
        Path of the field, for the error.

    Returns
    -------
    float
        Amount in base currency.

    Raises
    ------
    UnknownAssetError
        If there is no rate for the currency.
    InputError
        If the rate is not above zero.

    Examples
    --------
    >>> to_base_currency(100.0, "EUR", "USD", {"EUR": 1.25})
    125.0
    """
    if currency == base_currency:
        return amount
    rate = rates.get(currency)
    if rate is None:
        known = ", ".join(sorted({base_currency, *rates}))
        raise UnknownAssetError(field, currency, f"a currency with a rate to {base_currency} (known: {known})")
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(f"rates.{currency}", rate, "a finite rate > 0")
    return amount * rate


def collateral_item_value(
    item: PostedCollateral, terms: CsaTerms, rates: Mapping[str, float] | None = None, field: str = "posted"
) -> float:
    """Give what one item counts for.

    Parameters
    ----------
    item : PostedCollateral
        The item.
    terms : CsaTerms
        The agreement.
    rates : mapping of str to float, optional
        Base currency for one unit of each other currency.
    field : str
        Path of the item, for the error.

    Returns
    -------
    float
        Base currency, >= 0.

    Raises
    ------
    UnknownAssetError
        If there is no rate for the currency of the item.

    Examples
    --------
    >>> terms = CsaTerms(fx_haircut=0.08)
    >>> item = PostedCollateral(asset="Bund", market_value=100.0, currency="EUR", haircut=0.02)
    >>> collateral_item_value(item, terms, {"EUR": 1.25})
    112.5
    """
    currency = item.currency or terms.base_currency
    value = to_base_currency(item.market_value, currency, terms.base_currency, rates or {}, f"{field}.currency")
    matched = currency == terms.base_currency or currency in terms.matched_currencies
    haircut = _haircut(item, terms) + (0.0 if matched else terms.fx_haircut)
    return max(value * max(1.0 - haircut, 0.0) - item.disputed, 0.0)


def posted_value(
    posted: Sequence[PostedCollateral],
    terms: CsaTerms,
    rates: Mapping[str, float] | None = None,
    field: str = "posted",
) -> float:
    """Give what all posted collateral counts for.

    Parameters
    ----------
    posted : sequence of PostedCollateral
        The items, in any order.
    terms : CsaTerms
        The agreement.
    rates : mapping of str to float, optional
        Base currency for one unit of each other currency.
    field : str
        Path of the items, for the error.

    Returns
    -------
    float
        Base currency, >= 0.

    Raises
    ------
    UnknownAssetError
        If there is no rate for the currency of an item; the message names the item and the currency.

    Examples
    --------
    >>> cash = PostedCollateral(asset="USD", market_value=500_000.0)
    >>> bond = PostedCollateral(asset="UST", market_value=1e6, haircut=0.02)
    >>> posted_value([cash, bond], CsaTerms())
    1480000.0
    """
    return math.fsum(collateral_item_value(item, terms, rates, f"{field}[{i}]") for i, item in enumerate(posted))


def posted_share(asset: str, terms: CsaTerms) -> float:
    """Give the share of its market value for which an asset of an account counts.

    Parameters
    ----------
    asset : str
        Asset code. Cash is in its currency, a stable coin of the dollar in dollars; a coin is in none, so that its
        valuation percentage says everything.
    terms : CsaTerms
        The agreement.

    Returns
    -------
    float
        Share in [0, 1].

    Examples
    --------
    >>> from models.margin.csa.terms import EligibleCollateral
    >>> terms = CsaTerms(fx_haircut=0.08, eligible_collateral=(
    ...     EligibleCollateral(asset="EUR"), EligibleCollateral(asset="BTC", valuation_percentage=0.8)))
    >>> posted_share("EUR", terms), posted_share("BTC", terms), posted_share("ETH", terms)
    (0.92, 0.8, 0.0)
    """
    currency = _currency(asset)
    matched = currency in (None, _currency(terms.base_currency)) or asset in terms.matched_currencies
    held = terms.base_currency if matched or currency is None else currency
    return collateral_item_value(PostedCollateral(asset=asset, market_value=1.0, currency=held), terms, {held: 1.0})


def _currency(asset: str) -> str | None:
    if is_stable(asset):
        return "USD"
    return asset if asset in CASH else None


def _haircut(item: PostedCollateral, terms: CsaTerms) -> float:
    if item.haircut is not None:
        return item.haircut
    if not terms.eligible_collateral:
        return 0.0
    for line in terms.eligible_collateral:
        if line.asset == item.asset:
            return 1.0 - line.valuation_percentage + line.additional_haircut
    return 1.0
