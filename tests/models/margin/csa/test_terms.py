"""Terms of an agreement: JSON shape, ranges, what holds in default."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from models.errors import InputError
from models.margin.csa import CsaTerms, EligibleCollateral, PartyTerms, Rounding


def decode(document: str) -> CsaTerms:
    return msgspec.json.decode(document.encode(), type=CsaTerms)


def test_terms_survive_json() -> None:
    terms = CsaTerms(
        base_currency="EUR",
        party=PartyTerms(threshold="infinite", minimum_transfer_amount=250_000.0, independent_amount=1e6),
        rounding=Rounding(delivery_increment=10_000.0, return_direction="nearest"),
        eligible_collateral=(EligibleCollateral(asset="Bund", valuation_percentage=0.98),),
        fx_haircut=0.08,
    )
    assert decode(msgspec.json.encode(terms).decode()) == terms


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="treshold"):
        decode('{"party": {"treshold": 1}}')


def test_a_wrong_value_in_json_is_refused_with_its_field() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"threshold: expected an amount >= 0.*\$\.party"):
        decode('{"party": {"threshold": -1}}')


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: PartyTerms(threshold=-0.01), "threshold"),
        (lambda: PartyTerms(threshold=math.nan), "threshold"),
        (lambda: PartyTerms(minimum_transfer_amount=-1.0), "minimum_transfer_amount"),
        (lambda: PartyTerms(minimum_transfer_amount=math.inf), "minimum_transfer_amount"),
        (lambda: PartyTerms(independent_amount=-1.0), "independent_amount"),
        (lambda: Rounding(delivery_increment=0.0), "delivery_increment"),
        (lambda: Rounding(return_increment=-10.0), "return_increment"),
        (lambda: EligibleCollateral(asset="a", valuation_percentage=0.0), "valuation_percentage"),
        (lambda: EligibleCollateral(asset="a", valuation_percentage=98.0), "valuation_percentage"),
        (lambda: EligibleCollateral(asset="a", additional_haircut=1.0), "additional_haircut"),
        (lambda: CsaTerms(fx_haircut=8.0), "fx_haircut"),
        (lambda: CsaTerms(fx_haircut=-0.01), "fx_haircut"),
        (lambda: CsaTerms(base_currency=""), "base_currency"),
        (lambda: CsaTerms(close_out_slack=-1.0), "close_out_slack"),
        (lambda: CsaTerms(eligible_collateral=(EligibleCollateral(asset="a"),) * 2), "eligible_collateral"),
    ],
)
def test_values_out_of_range_are_refused(make: Any, field: str) -> None:
    with pytest.raises(InputError) as raised:
        make()
    assert raised.value.field == field


def test_the_ends_of_the_ranges_are_accepted() -> None:
    assert PartyTerms(threshold=0.0, minimum_transfer_amount=0.0).effective_threshold == 0.0
    assert PartyTerms(threshold=math.inf).effective_threshold == math.inf
    assert EligibleCollateral(asset="a", valuation_percentage=1.0, additional_haircut=0.0).valuation_percentage == 1.0
    assert CsaTerms(fx_haircut=0.0, close_out_slack=0.0).effective_close_out_slack == 0.0


def test_in_default_the_transfer_amount_is_zero_and_the_threshold_where_elected() -> None:
    sound = PartyTerms(threshold=2e6, minimum_transfer_amount=250_000.0)
    assert (sound.effective_threshold, sound.effective_transfer_amount) == (2e6, 250_000.0)
    failed = msgspec.structs.replace(sound, in_default=True)
    assert (failed.effective_threshold, failed.effective_transfer_amount) == (0.0, 0.0)
    kept = msgspec.structs.replace(failed, zero_threshold_on_default=False)
    assert (kept.effective_threshold, kept.effective_transfer_amount) == (2e6, 0.0)


def test_close_out_slack_defaults_to_one_more_call() -> None:
    party = PartyTerms(minimum_transfer_amount=100.0)
    assert CsaTerms(party=party).effective_close_out_slack == 100.0
    assert CsaTerms(party=party, rounding=Rounding(delivery_increment=1e4)).effective_close_out_slack == 1e4
    assert CsaTerms(party=party, close_out_slack=7.0).effective_close_out_slack == 7.0
