"""The words of the FINOS common domain model for what a credit support annex says and asks for.

Names of types, attributes and enumerations are those of the model; money is in its shape (`value` and `unit`).

References
----------
FINOS common domain model 6, namespaces ``cdm.event.common`` (``MarginCallBase``, ``MarginCallExposure``,
``MarginCallIssuance``, ``MarginCallResponseAction``, ``CollateralPortfolio``, ``CollateralBalance``) and
``cdm.legaldocumentation.csa``. Sample agreements: finos/common-domain-model at 917ac5e, examples/samples/
legal-agreements/Isda-Credit-Support-Annex-Docs (fictitious parties). Defaults where an agreement is silent: ISDA 1994,
1995, 2016 and 2018 forms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import time
from typing import Any, Literal

from models.errors import InputError
from models.margin.csa.credit_support import CsaOutcome
from models.margin.csa.terms import CsaTerms, Direction, EligibleCollateral, MarginType, PartyTerms, Rounding
from models.margin.csa.timetable import Timetable

__all__ = ["CallType", "terms_from_cdm_sample", "to_cdm"]

CallType = Literal["MarginCall", "ExpectedCall", "Notification"]

_STANDARD_FX_HAIRCUT = 0.08
_ZONES = {"USNY": "America/New_York", "GBEN": "Europe/London"}
_MARGIN_TYPE: dict[str, MarginType] = {
    "VARIATION_MARGIN": "variation_margin",
    "INITIAL_MARGIN": "initial_margin",
    "LEGACY": "legacy",
}
_REG_MARGIN_TYPE = {"variation_margin": "VM", "initial_margin": "RegIM", "legacy": "VM"}
_AGREEMENT_MARGIN_TYPE = {"variation_margin": "VariationMargin", "initial_margin": "InitialMargin"}
_ACTION = {"CALL": "Delivery", "RETURN": "Return"}
_SAMPLE_KEYS = {
    "sample",
    "governing_law",
    "vintage",
    "margin_type",
    "base_currency",
    "minimum_transfer_amount",
    "threshold",
    "rounding",
    "valuation_percentages",
    "notification_time",
    "fx_haircut",
}


def to_cdm(
    outcome: CsaOutcome,
    call_type: CallType = "MarginCall",
    pledgor: str = "party",
    secured: str = "counterparty",
) -> dict[str, Any]:
    """Say an outcome in the words of the common domain model.

    Parameters
    ----------
    outcome : CsaOutcome
        The amounts.
    call_type : {"MarginCall", "ExpectedCall", "Notification"}
        ``CallTypeEnum``: an actual call, one that is forecast, or a notice.
    pledgor, secured : str
        External references of the parties.

    Returns
    -------
    dict
        ``marginCallExposure`` always; ``marginCallIssuance`` and ``marginCallResponseAction`` where a transfer is due.

    Raises
    ------
    InputError
        If the call type is none of the enumeration.

    Examples
    --------
    >>> from models.margin.csa.credit_support import credit_support
    >>> said = to_cdm(credit_support(1e6, CsaTerms()), "ExpectedCall")
    >>> said["marginCallIssuance"]["callAmountInBaseCurrency"]["value"], said["marginCallResponseAction"]
    (1000000.0, {'marginCallAction': 'Delivery'})
    """
    if call_type not in ("MarginCall", "ExpectedCall", "Notification"):
        raise InputError("call_type", call_type, "'MarginCall', 'ExpectedCall' or 'Notification'")
    base = _margin_call_base(outcome, call_type, pledgor, secured)
    exposure = {"aggregateValue": _money(outcome.exposure, outcome)}
    said: dict[str, Any] = {"marginCallExposure": {**base, "overallExposure": exposure}}
    if outcome.action != "NO_ACTION":
        said["marginCallIssuance"] = {**base, "callAmountInBaseCurrency": _money(outcome.amount, outcome)}
        said["marginCallResponseAction"] = {"marginCallAction": _ACTION[outcome.action]}
    return said


def _margin_call_base(outcome: CsaOutcome, call_type: str, pledgor: str, secured: str) -> dict[str, Any]:
    margin_type = _REG_MARGIN_TYPE[outcome.margin_type]
    agreement = {"agreementType": "CreditSupportAgreement", "creditSupportAgreementType": "CreditSupportAnnex"}
    if outcome.margin_type in _AGREEMENT_MARGIN_TYPE:
        agreement["creditSupportAgreementMarginType"] = _AGREEMENT_MARGIN_TYPE[outcome.margin_type]
    balance = {
        "amountBaseCurrency": _money(outcome.effective_collateral, outcome),
        "collateralBalanceStatus": "FullAmount",
        "haircutIndicator": "PostHaircut",
        "payerReceiver": _payer_receiver(pledgor, secured),
    }
    base: dict[str, Any] = {
        "instructionType": {"callType": call_type},
        "callAgreementType": agreement,
        "regMarginType": margin_type,
        "party": [_party(pledgor), _party(secured)],
        "agreementMinimumTransferAmount": _money(outcome.minimum_transfer_amount, outcome),
        "collateralPortfolio": {"value": {"collateralBalance": [balance]}},
    }
    if call_type == "ExpectedCall":
        base["instructionType"]["visibilityIndicator"] = False
    if margin_type == "RegIM":
        base["regIMRole"] = "Secured"
    if math.isfinite(outcome.threshold):
        base["agreementThreshold"] = _money(outcome.threshold, outcome)
    if outcome.rounding_increment is not None:
        base["agreementRounding"] = _money(outcome.rounding_increment, outcome)
    if outcome.independent_amount:
        base["independentAmountBalance"] = {
            "amountBaseCurrency": _money(outcome.independent_amount, outcome),
            "payerReceiver": _payer_receiver(pledgor, secured),
        }
    return base


def terms_from_cdm_sample(sample: Mapping[str, Any]) -> CsaTerms:
    """Read the terms of one sample agreement of the common domain model.

    Parameters
    ----------
    sample : mapping
        One agreement: ``governing_law``, ``vintage``, ``margin_type``, ``base_currency``, ``rounding``, ``fx_haircut``,
        and a value for each party of ``minimum_transfer_amount``, ``threshold``, ``notification_time``;
        ``valuation_percentages`` in percent, those of one party after those of the other.

    Returns
    -------
    CsaTerms
        As the first party sees it. The sample does not name its eligible assets: they are ``"line 1"`` and so on.

    Raises
    ------
    InputError
        If the sample has an unknown field or a value of another shape.

    Notes
    -----
    What a sample leaves open is what the ISDA forms say: US dollars, amounts of zero, 13:00. A value that is given
    once holds for the first party. A 2016 variation margin annex settles on the day of the demand, the others on
    the next business day (for initial margin annexes an assumption).

    Examples
    --------
    >>> terms = terms_from_cdm_sample({"vintage": 2016, "margin_type": "VARIATION_MARGIN", "fx_haircut": "Standard",
    ...     "governing_law": "GBEN", "minimum_transfer_amount": [250_000, 250_000], "valuation_percentages": [100, 98]})
    >>> terms.fx_haircut, terms.eligible_collateral[1].valuation_percentage, terms.timetable.settlement_lag
    (0.08, 0.98, 0)
    """
    unknown = sorted(set(sample) - _SAMPLE_KEYS)
    if unknown:
        raise InputError(unknown[0], sample[unknown[0]], f"one of the fields {', '.join(sorted(_SAMPLE_KEYS))}")
    thresholds = _per_party(sample, "threshold", 0.0)
    minimums = _per_party(sample, "minimum_transfer_amount", 0.0)
    parties = [PartyTerms(threshold=t, minimum_transfer_amount=m) for t, m in zip(thresholds, minimums, strict=True)]
    margin_type = sample.get("margin_type", "VARIATION_MARGIN")
    if margin_type not in _MARGIN_TYPE:
        raise InputError("margin_type", margin_type, "'VARIATION_MARGIN', 'INITIAL_MARGIN' or 'LEGACY'")
    return CsaTerms(
        base_currency=sample.get("base_currency") or "USD",
        party=parties[0],
        counterparty=parties[1],
        rounding=_rounding(sample.get("rounding"), sample.get("base_currency")),
        eligible_collateral=_eligible(sample.get("valuation_percentages") or ()),
        fx_haircut=_fx_haircut(sample.get("fx_haircut")),
        margin_type=_MARGIN_TYPE[margin_type],
        timetable=_timetable(sample),
    )


def _timetable(sample: Mapping[str, Any]) -> Timetable:
    notified = _per_party(sample, "notification_time", "13:00:00")[0]
    try:
        clock = time.fromisoformat(notified)
    except (TypeError, ValueError):
        raise InputError("notification_time[0]", notified, "a time, for example '13:00:00'") from None
    same_day = sample.get("vintage") == 2016 and sample.get("margin_type") == "VARIATION_MARGIN"
    return Timetable(
        notification_time=clock,
        time_zone=_ZONES.get(str(sample.get("governing_law")), "UTC"),
        settlement_lag=0 if same_day else 1,
    )


def _per_party(sample: Mapping[str, Any], field: str, default: Any) -> list[Any]:
    given = sample.get(field) or []
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > 2:
        raise InputError(field, given, "a list of at most two values, one for each party")
    values = list(given)
    return [*values, *([default] * (2 - len(values)))]


def _rounding(given: Mapping[str, Any] | None, base_currency: str | None) -> Rounding:
    if given is None:
        return Rounding()
    if base_currency is not None and given.get("currency", base_currency) != base_currency:
        raise InputError("rounding.currency", given["currency"], f"the base currency {base_currency}")
    return Rounding(
        delivery_increment=given["deliveryAmount"] or None,
        delivery_direction=_direction("rounding.deliveryDirection", given["deliveryDirection"]),
        return_increment=given["returnAmount"] or None,
        return_direction=_direction("rounding.returnDirection", given["returnDirection"]),
    )


def _direction(field: str, given: str) -> Direction:
    directions: dict[str, Direction] = {"UP": "up", "DOWN": "down", "NEAREST": "nearest"}
    if given not in directions:
        raise InputError(field, given, "'UP', 'DOWN' or 'NEAREST'")
    return directions[given]


def _eligible(percentages: Sequence[float]) -> tuple[EligibleCollateral, ...]:
    half = len(percentages) // 2
    if half and list(percentages[:half]) == list(percentages[half:]):
        percentages = percentages[:half]
    lines = enumerate(percentages, start=1)
    return tuple(EligibleCollateral(asset=f"line {i}", valuation_percentage=p / 100.0) for i, p in lines)


def _fx_haircut(given: str | None) -> float:
    if given is None:
        return 0.0
    if given == "Standard":
        return _STANDARD_FX_HAIRCUT
    found = [word.rstrip(".") for word in given.split() if word.rstrip(".").endswith("%")]
    try:
        return float(found[-1].removesuffix("%")) / 100.0
    except (IndexError, ValueError):
        raise InputError("fx_haircut", given, "'Standard', or a text that ends in a percentage") from None


def _money(value: float, outcome: CsaOutcome) -> dict[str, Any]:
    return {"value": value, "unit": {"currency": {"value": outcome.base_currency}}}


def _party(name: str) -> dict[str, Any]:
    return {"partyId": [{"identifier": {"value": name}}]}


def _payer_receiver(pledgor: str, secured: str) -> dict[str, Any]:
    return {
        "payerPartyReference": {"externalReference": pledgor},
        "receiverPartyReference": {"externalReference": secured},
    }
