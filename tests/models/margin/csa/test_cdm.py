"""The words of the common domain model, out and in."""

from __future__ import annotations

import json
from datetime import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.errors import InputError
from models.margin.csa import (
    CsaTerms,
    PartyTerms,
    PostedCollateral,
    Rounding,
    credit_support,
    csa_levels,
    terms_from_cdm_sample,
    to_cdm,
)

TERMS = CsaTerms(
    base_currency="EUR",
    party=PartyTerms(threshold=2e6, minimum_transfer_amount=250_000.0, independent_amount=5.0),
    rounding=Rounding(delivery_increment=10_000.0),
)
SAMPLE = {
    "sample": "a",
    "governing_law": "USNY",
    "vintage": 1994,
    "margin_type": "LEGACY",
    "base_currency": "USD",
    "minimum_transfer_amount": [100_000, 200_000],
    "threshold": [3_000_000],
    "rounding": {
        "currency": "USD",
        "deliveryAmount": 50_000,
        "deliveryDirection": "DOWN",
        "returnAmount": 10_000,
        "returnDirection": "DOWN",
    },
    "valuation_percentages": [100, 90, 100, 90],
    "notification_time": ["10:00:00", "10:00:00"],
    "fx_haircut": None,
}


def changed(**fields: Any) -> dict[str, Any]:
    return {**SAMPLE, **fields}


def test_a_call_is_said_with_its_terms() -> None:
    posted = [PostedCollateral(asset="Bund", market_value=1e6, haircut=0.01)]
    said = to_cdm(credit_support(5e6, TERMS, posted), "ExpectedCall", "fund", "bank")
    call = said["marginCallIssuance"]
    assert call["callAmountInBaseCurrency"] == {"value": 2_020_000.0, "unit": {"currency": {"value": "EUR"}}}
    assert call["instructionType"]["callType"] == "ExpectedCall"
    assert call["regMarginType"] == "VM"
    assert call["agreementThreshold"]["value"] == 2e6
    assert call["agreementMinimumTransferAmount"]["value"] == 250_000.0
    assert call["agreementRounding"]["value"] == 10_000.0
    assert call["independentAmountBalance"]["amountBaseCurrency"]["value"] == 5.0
    (balance,) = call["collateralPortfolio"]["value"]["collateralBalance"]
    assert (balance["amountBaseCurrency"]["value"], balance["haircutIndicator"]) == (990_000.0, "PostHaircut")
    assert balance["payerReceiver"]["payerPartyReference"] == {"externalReference": "fund"}
    assert said["marginCallExposure"]["overallExposure"]["aggregateValue"]["value"] == 5e6
    assert said["marginCallResponseAction"] == {"marginCallAction": "Delivery"}
    json.dumps(said, allow_nan=False)


def test_a_return_and_nothing_due_are_told_apart() -> None:
    posted = [PostedCollateral(asset="Bund", market_value=1e6)]
    assert to_cdm(credit_support(0.0, TERMS, posted))["marginCallResponseAction"] == {"marginCallAction": "Return"}
    assert set(to_cdm(credit_support(0.0, TERMS))) == {"marginCallExposure"}


def test_an_initial_margin_call_names_its_role_and_an_infinite_threshold_is_left_out() -> None:
    terms = CsaTerms(party=PartyTerms(threshold="infinite"), margin_type="initial_margin")
    said = to_cdm(credit_support(1e6, terms))["marginCallExposure"]
    assert (said["regMarginType"], said["regIMRole"]) == ("RegIM", "Secured")
    assert said["callAgreementType"]["creditSupportAgreementMarginType"] == "InitialMargin"
    assert "agreementThreshold" not in said
    json.dumps(said, allow_nan=False)


def test_an_unknown_call_type_is_refused() -> None:
    with pytest.raises(InputError, match="call_type"):
        to_cdm(credit_support(0.0, TERMS), "Reminder")  # type: ignore[arg-type]


def test_a_sample_is_read_party_by_party() -> None:
    terms = terms_from_cdm_sample(SAMPLE)
    assert (terms.party.threshold, terms.counterparty.threshold) == (3_000_000, 0.0)
    assert (terms.party.minimum_transfer_amount, terms.counterparty.minimum_transfer_amount) == (100_000, 200_000)
    assert (terms.rounding.delivery_direction, terms.rounding.return_increment) == ("down", 10_000)
    assert [line.valuation_percentage for line in terms.eligible_collateral] == [1.0, 0.9]
    assert (terms.timetable.notification_time, terms.timetable.time_zone) == (time(10), "America/New_York")
    assert (terms.fx_haircut, terms.timetable.settlement_lag, terms.margin_type) == (0.0, 1, "legacy")


@pytest.mark.parametrize(
    ("text", "haircut"),
    [(None, 0.0), ("Standard", 0.08), ("means, with respect to each item, 0%.", 0.0), ("each party, 2.5%", 0.025)],
)
def test_currency_haircuts_are_read_from_words(text: str | None, haircut: float) -> None:
    assert terms_from_cdm_sample(changed(fx_haircut=text)).fx_haircut == pytest.approx(haircut)


def test_what_a_sample_leaves_open_is_what_the_forms_say() -> None:
    terms = terms_from_cdm_sample({})
    assert (terms.base_currency, terms.rounding, terms.eligible_collateral) == ("USD", Rounding(), ())
    assert terms.timetable.notification_time == time(13)


def test_valuation_percentages_that_differ_between_halves_are_kept_whole() -> None:
    read = terms_from_cdm_sample(changed(valuation_percentages=[100, 98])).eligible_collateral
    assert [line.valuation_percentage for line in read] == [1.0, 0.98]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"treshold": [1]}, "treshold"),
        ({"threshold": [1, 2, 3]}, "threshold"),
        ({"threshold": 5}, "threshold"),
        ({"threshold": [-1, 0]}, "threshold"),
        ({"margin_type": "HOUSE"}, "margin_type"),
        ({"notification_time": ["noon"]}, "notification_time[0]"),
        ({"fx_haircut": "as agreed"}, "fx_haircut"),
        ({"rounding": {**SAMPLE["rounding"], "deliveryDirection": "OUT"}}, "rounding.deliveryDirection"),  # type: ignore[dict-item]
        ({"rounding": {**SAMPLE["rounding"], "currency": "JPY"}}, "rounding.currency"),  # type: ignore[dict-item]
        ({"valuation_percentages": [0]}, "valuation_percentage"),
    ],
)
def test_a_sample_of_another_shape_is_refused_by_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as raised:
        terms_from_cdm_sample(changed(**fields))
    assert raised.value.field == field


def test_every_sample_agreement_is_read(reference_root: Path) -> None:
    document = json.loads((reference_root / "rules" / "csa_terms_cdm_samples.json").read_text())
    agreements = document["agreements"]
    assert len(agreements) == 31
    for sample in agreements:
        terms = terms_from_cdm_sample(sample)
        assert msgspec.json.decode(msgspec.json.encode(terms), type=CsaTerms) == terms, sample["sample"]
        stated = [*sample["threshold"], 0, 0][:2]
        assert [terms.party.threshold, terms.counterparty.threshold] == stated, sample["sample"]
        minimums = [*sample["minimum_transfer_amount"], 0, 0][:2]
        assert [terms.party.minimum_transfer_amount, terms.counterparty.minimum_transfer_amount] == minimums
        counted = [100 * line.valuation_percentage for line in terms.eligible_collateral]
        assert counted == pytest.approx(sample["valuation_percentages"][: len(counted)]), sample["sample"]
        assert bool(counted) == bool(sample["valuation_percentages"])
        margin = 0.0 if terms.margin_type == "initial_margin" else None
        levels = csa_levels(terms, margin)
        assert sorted(levels) == list(levels), sample["sample"]
    read = {s["sample"]: terms_from_cdm_sample(s) for s in agreements}
    assert read["02-1995-Eng-Law-CSA"].rounding.delivery_direction == "down"
    assert sum(t.fx_haircut == 0.08 for t in read.values()) == 8
