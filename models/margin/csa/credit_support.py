"""Deliveries and returns under a credit support annex, and the four levels they amount to.

With the exposure E of the secured party to the pledgor, independent amounts IA, threshold TH and minimum transfer
amount MTA::

    credit support amount = max(E + IA(pledgor) - IA(secured) - TH(pledgor), 0)
    collateral            = value of posted collateral + deliveries in flight - returns in flight
    delivery amount       = credit support amount - collateral      due if it reaches MTA(pledgor), rounded up
    return amount         = collateral - credit support amount      due if it reaches MTA(secured), rounded down

Under an initial margin annex the margin amount takes the place of E and no net independent amount is added
(`initial_margin_support`).

References
----------
ISDA 1994 New York law credit support annex, paragraphs 3 and 4; ISDA 2018 annex for initial margin, paragraph 3(c)
(margin approaches); FINOS common domain model 6.23, functions ``CreditSupportAmount``, ``DeliveryAmount``,
``ReturnAmount`` (a disputed amount is taken off before the minimum transfer amount is tested).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from models.errors import InputError
from models.margin.csa._checks import at_least_zero
from models.margin.csa.collateral import PostedCollateral, posted_value
from models.margin.csa.terms import CsaTerms, Direction

__all__ = ["CsaOutcome", "credit_support", "csa_levels", "initial_margin_support", "round_amount"]

_DIGITS = 4
"""Amounts are compared to a hundredth of a cent, so that binary fractions move no threshold."""


class CsaOutcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is due between the pledgor and the secured party, in base currency.

    Parameters
    ----------
    action : {"CALL", "RETURN", "NO_ACTION"}
        Whether the pledgor delivers, the secured party returns, or nothing is due.
    amount : float
        What is transferred: rounded, without the disputed part.
    credit_support_amount : float
        Collateral that the agreement asks for, >= 0.
    effective_collateral : float
        What is posted after haircuts, with what is in flight.
    shortfall : float
        Credit support amount less collateral, before minimum transfer amount and rounding; negative for an excess.
    disputed : float
        Part of the demand in dispute.
    exposure, independent_amount, threshold, minimum_transfer_amount : float
        What the amounts come from. Net independent amount and threshold are those of the pledgor, the minimum
        transfer amount is that of whoever transfers (of the pledgor where nothing is due).
    rounding_increment : float or None
        Increment of the transfer.
    base_currency : str
        Currency of every amount.
    margin_type : str
        What the agreement covers.
    """

    action: Literal["CALL", "RETURN", "NO_ACTION"]
    amount: float
    credit_support_amount: float
    effective_collateral: float
    shortfall: float
    disputed: float
    exposure: float
    independent_amount: float
    threshold: float
    minimum_transfer_amount: float
    rounding_increment: float | None
    base_currency: str
    margin_type: str


def round_amount(amount: float, increment: float | None, direction: Direction) -> float:
    """Round a transfer to a multiple.

    Parameters
    ----------
    amount : float
        Amount, >= 0.
    increment : float or None
        Multiple, > 0; None leaves the amount as it is.
    direction : {"up", "down", "nearest"}
        Where to; halves go up.

    Returns
    -------
    float
        The rounded amount. A multiple, up to binary fractions, stays one.

    Raises
    ------
    InputError
        If the increment is not above zero or the direction is unknown.

    Examples
    --------
    >>> round_amount(1_234_567.89, 10_000.0, "up"), round_amount(1_234_567.89, 10_000.0, "down")
    (1240000.0, 1230000.0)
    """
    if direction not in ("up", "down", "nearest"):
        raise InputError("direction", direction, "'up', 'down' or 'nearest'")
    if increment is None:
        return amount
    if not (math.isfinite(increment) and increment > 0):
        raise InputError("increment", increment, "an increment > 0, or None for no rounding")
    steps = amount / increment
    whole = round(steps)
    if abs(steps - whole) > 1e-9 * max(1.0, abs(steps)):
        whole = {"up": math.ceil, "down": math.floor, "nearest": lambda x: math.floor(x + 0.5)}[direction](steps)
    return whole * increment


def credit_support(
    exposure: float,
    terms: CsaTerms,
    posted: Sequence[PostedCollateral] = (),
    *,
    rates: Mapping[str, float] | None = None,
    pending_delivery: float = 0.0,
    pending_return: float = 0.0,
    disputed: float = 0.0,
) -> CsaOutcome:
    """Give what `terms.party`, as the pledgor, must deliver or gets back.

    Parameters
    ----------
    exposure : float
        What the counterparty would lose if the party failed, base currency: minus the value of the trades to the
        party. Under an initial margin annex, the margin amount.
    terms : CsaTerms
        The agreement, seen from the pledgor (`models.margin.csa.view` turns it round).
    posted : sequence of PostedCollateral
        What the pledgor has posted and what has arrived.
    rates : mapping of str to float, optional
        Base currency for one unit of each other currency.
    pending_delivery, pending_return : float
        Values after haircuts of deliveries and returns on their way, base currency, >= 0.
    disputed : float
        Part of the demand that its addressee disputes, base currency, >= 0. The rest is transferred.

    Returns
    -------
    CsaOutcome
        The amounts.

    Raises
    ------
    InputError
        If the exposure is no finite number or another amount is negative.
    UnknownAssetError
        If there is no rate for the currency of an item.

    Examples
    --------
    >>> from models.margin.csa.terms import PartyTerms, Rounding
    >>> terms = CsaTerms(party=PartyTerms(threshold=2e6, minimum_transfer_amount=250_000.0),
    ...                  rounding=Rounding(delivery_increment=10_000.0, return_increment=10_000.0))
    >>> outcome = credit_support(5e6, terms, [PostedCollateral(asset="UST", market_value=1e6, haircut=0.01)])
    >>> outcome.action, outcome.amount, outcome.effective_collateral
    ('CALL', 2010000.0, 990000.0)
    """
    if not math.isfinite(exposure):
        raise InputError("exposure", exposure, "a finite amount in base currency")
    for name, value in (("pending_delivery", pending_delivery), ("pending_return", pending_return)):
        at_least_zero(name, value)
    at_least_zero("disputed", disputed)
    required = _credit_support_amount(exposure, terms)
    collateral = posted_value(posted, terms, rates) + pending_delivery - pending_return
    shortfall = round(required - collateral, _DIGITS)
    rounding, delivers = terms.rounding, shortfall >= 0
    minimum = (terms.party if delivers else terms.counterparty).effective_transfer_amount
    increment = rounding.delivery_increment if delivers else rounding.return_increment
    direction = rounding.delivery_direction if delivers else rounding.return_direction
    amount = _transfer(abs(shortfall) - disputed, minimum, increment, direction)
    if not delivers:
        amount = min(amount, max(collateral, 0.0))
    return CsaOutcome(
        action="NO_ACTION" if amount == 0 else ("CALL" if delivers else "RETURN"),
        amount=amount,
        credit_support_amount=required,
        effective_collateral=collateral,
        shortfall=shortfall,
        disputed=disputed,
        exposure=exposure,
        independent_amount=_net_independent_amount(terms),
        threshold=terms.party.effective_threshold,
        minimum_transfer_amount=minimum,
        rounding_increment=increment,
        base_currency=terms.base_currency,
        margin_type=terms.margin_type,
    )


def initial_margin_support(margin_amount: float, terms: CsaTerms) -> tuple[float, float]:
    """Give what an initial margin annex asks for, and what is left of the independent amount elsewhere.

    Parameters
    ----------
    margin_amount : float
        Initial margin of the pledgor (SIMM or schedule), base currency, >= 0.
    terms : CsaTerms
        The annex. `terms.party.independent_amount` is what the pledgor owes under the other agreement.

    Returns
    -------
    tuple of float
        Credit support amount (IM) and the independent amount that remains under the other agreement.

    Raises
    ------
    InputError
        If the margin amount is negative or not a number.

    Notes
    -----
    Distinct: both are owed in full. Allocated: the independent amount is reduced by the initial margin. Greater of:
    the larger one is owed here and nothing elsewhere.

    Examples
    --------
    >>> from models.margin.csa.terms import PartyTerms
    >>> party = PartyTerms(threshold=10.0, independent_amount=25.0)
    >>> [initial_margin_support(30.0, CsaTerms(party=party, margin_approach=a))
    ...  for a in ("distinct", "allocated", "greater_of")]
    [(20.0, 25.0), (20.0, 5.0), (25.0, 0.0)]
    """
    at_least_zero("margin_amount", margin_amount)
    owed = terms.party.independent_amount
    regulatory = max(margin_amount - terms.party.effective_threshold, 0.0)
    if terms.margin_approach == "greater_of":
        return max(regulatory, owed), 0.0
    if terms.margin_approach == "allocated":
        return regulatory, max(owed - regulatory, 0.0)
    return regulatory, owed


def csa_levels(terms: CsaTerms, margin_amount: float | None = None) -> tuple[float, float, float, float]:
    """Give the four levels of requirement that an agreement amounts to for its `party`.

    Equity is the value of the collateral that the party has posted, after haircuts and with what is in flight, plus
    the value of the trades to the party (minus the counterparty's exposure).

    Parameters
    ----------
    terms : CsaTerms
        The agreement, seen from the party.
    margin_amount : float, optional
        Initial margin to be posted (SIMM or schedule), for an initial margin annex: equity is then the collateral
        alone.

    Returns
    -------
    tuple of float
        ``(maintenance, call, initial, release)`` in base currency; -inf throughout where the threshold is infinite.

    Raises
    ------
    InputError
        If an initial margin annex is given no margin amount, or a negative one.

    Notes
    -----
    ``initial = IA - TH`` is what a delivery restores, ``call = initial - MTA`` where one is due,
    ``release = initial + MTA(counterparty)`` where a return is due, ``maintenance = call - close_out_slack``. A
    transfer is due when it *reaches* the minimum transfer amount while accounts compare strictly (``equity < call``),
    so call and release lie one floating-point step inside. Equity < call holds exactly when a delivery is due. Equity >
    release holds exactly when a return is due as long as the credit support amount is above zero; below that what can
    come back is limited to what is posted.

    Examples
    --------
    >>> from models.margin.csa.terms import PartyTerms
    >>> terms = CsaTerms(party=PartyTerms(threshold=2e6, minimum_transfer_amount=250_000.0))
    >>> [round(level, 2) for level in csa_levels(terms)]
    [-2500000.0, -2250000.0, -2000000.0, -2000000.0]
    """
    if margin_amount is None:
        if terms.margin_type == "initial_margin":
            raise InputError("margin_amount", None, "the initial margin to be posted, from SIMM or the schedule")
        initial = _net_independent_amount(terms) - terms.party.effective_threshold
    else:
        initial, _ = initial_margin_support(margin_amount, terms)
    delivery, back = terms.party.effective_transfer_amount, terms.counterparty.effective_transfer_amount
    if math.isinf(initial):
        return initial, initial, initial, initial
    call = math.nextafter(initial - delivery, math.inf) if delivery else initial
    release = math.nextafter(initial + back, -math.inf) if back else initial
    return call - terms.effective_close_out_slack, call, initial, release


def _credit_support_amount(exposure: float, terms: CsaTerms) -> float:
    if terms.margin_type == "initial_margin":
        return initial_margin_support(exposure, terms)[0]
    return max(exposure + _net_independent_amount(terms) - terms.party.effective_threshold, 0.0)


def _net_independent_amount(terms: CsaTerms) -> float:
    return 0.0 if terms.margin_type == "initial_margin" else terms.net_independent_amount


def _transfer(undisputed: float, minimum: float, increment: float | None, direction: Direction) -> float:
    undisputed = round(undisputed, _DIGITS)
    if undisputed <= 0 or undisputed < minimum:
        return 0.0
    return round_amount(undisputed, increment, direction)
