"""Deliveries, returns, rounding, disputes, what is in flight, and the four levels they amount to."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.csa import (
    CsaTerms,
    PartyTerms,
    PostedCollateral,
    Rounding,
    credit_support,
    csa_levels,
    initial_margin_support,
    round_amount,
)

MILLION = 1e6
TERMS = CsaTerms(
    party=PartyTerms(threshold=2 * MILLION, minimum_transfer_amount=250_000.0),
    counterparty=PartyTerms(minimum_transfer_amount=100_000.0),
    rounding=Rounding(delivery_increment=10_000.0, return_increment=50_000.0),
)

whole = st.integers(0, 10_000_000).map(float)
parties = st.builds(
    PartyTerms,
    threshold=whole,
    minimum_transfer_amount=st.just(0.0) | st.integers(0, 1_000_000).map(float),
    independent_amount=st.just(0.0) | whole,
    in_default=st.booleans(),
)
agreements = st.builds(CsaTerms, party=parties, counterparty=parties)


def cash(value: float) -> list[PostedCollateral]:
    return [PostedCollateral(asset="USD", market_value=value)]


def outcome(exposure: float, posted: float = 0.0, terms: CsaTerms = TERMS, **more: float) -> tuple[str, float]:
    found = credit_support(exposure, terms, cash(posted), **more)  # type: ignore[arg-type]
    return found.action, found.amount


def test_a_delivery_is_due_when_it_reaches_the_minimum_transfer_amount() -> None:
    assert outcome(2 * MILLION + 249_999.99) == ("NO_ACTION", 0.0)
    assert outcome(2 * MILLION + 250_000.0) == ("CALL", 250_000.0)
    assert outcome(2 * MILLION + 250_001.0) == ("CALL", 260_000.0)


def test_a_return_follows_the_transfer_amount_and_rounding_of_the_one_who_returns() -> None:
    assert outcome(3 * MILLION, MILLION + 99_999.0) == ("NO_ACTION", 0.0)
    assert outcome(3 * MILLION, MILLION + 100_000.0) == ("RETURN", 100_000.0)
    assert outcome(3 * MILLION, MILLION + 149_999.0) == ("RETURN", 100_000.0)


def test_no_more_is_returned_than_is_posted() -> None:
    assert outcome(-50 * MILLION, 450_000.0) == ("RETURN", 450_000.0)
    nearest = msgspec.structs.replace(TERMS, rounding=Rounding(return_increment=400_000.0, return_direction="nearest"))
    assert outcome(0.0, 700_000.0, nearest) == ("RETURN", 700_000.0)


def test_a_return_that_rounds_to_nothing_is_no_action() -> None:
    terms = CsaTerms(rounding=Rounding(return_increment=10_000.0))
    assert outcome(1.0, 10_000.0, terms) == ("NO_ACTION", 0.0)


def test_an_infinite_threshold_means_that_this_party_never_delivers() -> None:
    terms = msgspec.structs.replace(TERMS, party=PartyTerms(threshold="infinite"))
    assert outcome(1e12, 0.0, terms) == ("NO_ACTION", 0.0)
    assert outcome(1e12, MILLION, terms) == ("RETURN", MILLION)
    assert csa_levels(terms) == (-math.inf,) * 4


def test_independent_amounts_of_both_parties_are_netted_before_the_threshold() -> None:
    terms = CsaTerms(
        party=PartyTerms(threshold=100.0, independent_amount=70.0), counterparty=PartyTerms(independent_amount=20.0)
    )
    assert outcome(200.0, 0.0, terms) == ("CALL", 150.0)
    assert outcome(50.0, 0.0, terms) == ("NO_ACTION", 0.0)
    assert credit_support(60.0, terms).credit_support_amount == 10.0


def test_transfers_in_flight_count_as_made() -> None:
    assert outcome(3 * MILLION, 0.0, pending_delivery=MILLION) == ("NO_ACTION", 0.0)
    assert outcome(3 * MILLION, 2 * MILLION, pending_return=MILLION) == ("NO_ACTION", 0.0)
    assert outcome(3 * MILLION, MILLION, pending_return=300_000.0) == ("CALL", 300_000.0)
    assert outcome(3 * MILLION, MILLION, pending_delivery=300_000.0) == ("RETURN", 300_000.0)


def test_only_the_undisputed_part_is_transferred() -> None:
    found = credit_support(3 * MILLION, TERMS, disputed=400_000.0)
    assert (found.action, found.amount, found.shortfall) == ("CALL", 600_000.0, MILLION)
    assert outcome(3 * MILLION, 0.0, disputed=800_000.0) == ("NO_ACTION", 0.0)
    assert outcome(3 * MILLION, 2 * MILLION, disputed=400_000.0) == ("RETURN", 600_000.0)


def test_in_default_the_smallest_amount_is_called() -> None:
    failed = msgspec.structs.replace(TERMS.party, in_default=True)
    terms = msgspec.structs.replace(TERMS, party=failed)
    assert outcome(1.0, 0.0, terms) == ("CALL", 10_000.0)


def test_binary_fractions_move_no_threshold() -> None:
    terms = CsaTerms(party=PartyTerms(minimum_transfer_amount=0.3))
    assert 0.1 + 0.7 - 0.5 < 0.3
    assert outcome(0.1 + 0.7, 0.5, terms)[0] == "CALL"
    assert credit_support(0.1 + 0.2, CsaTerms(), cash(0.3)).shortfall == 0.0


@pytest.mark.parametrize(
    ("value", "increment", "direction", "expected"),
    [
        (101.0, 50.0, "up", 150.0),
        (149.0, 50.0, "down", 100.0),
        (125.0, 50.0, "nearest", 150.0),
        (124.9, 50.0, "nearest", 100.0),
        (100.0, 50.0, "up", 100.0),
        (0.3, 0.1, "down", pytest.approx(0.3)),
        (0.1 + 0.2, 0.1, "up", pytest.approx(0.3)),
        (1234.5, None, "up", 1234.5),
        (0.0, 50.0, "up", 0.0),
    ],
)
def test_rounding(value: float, increment: float | None, direction: str, expected: float) -> None:
    assert round_amount(value, increment, direction) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("increment", "direction"), [(0.0, "up"), (-10.0, "down"), (math.nan, "up"), (1.0, "sideways")]
)
def test_rounding_refuses_what_is_no_rule(increment: float, direction: str) -> None:
    with pytest.raises(InputError):
        round_amount(1.0, increment, direction)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["pending_delivery", "pending_return", "disputed"])
def test_negative_amounts_are_refused_by_name(name: str) -> None:
    with pytest.raises(InputError) as raised:
        credit_support(0.0, TERMS, **{name: -1.0})  # type: ignore[arg-type]
    assert raised.value.field == name


@pytest.mark.parametrize("exposure", [math.nan, math.inf])
def test_an_exposure_that_is_no_number_is_refused(exposure: float) -> None:
    with pytest.raises(InputError, match="exposure"):
        credit_support(exposure, TERMS)


@given(agreements, whole, st.integers(-10_000_000, 20_000_000).map(float))
def test_equity_below_the_call_level_is_a_delivery_that_is_due(terms: CsaTerms, posted: float, exposure: float) -> None:
    maintenance, call, initial, release = csa_levels(terms)
    equity = posted - exposure
    found = credit_support(exposure, terms, cash(posted))
    assert maintenance <= call <= initial <= release
    assert (equity < call) == (found.action == "CALL")
    if found.action == "CALL":
        assert found.amount == pytest.approx(initial - equity, abs=1e-3)
    if found.credit_support_amount > 0:
        assert (equity > release) == (found.action == "RETURN")
    elif found.action == "RETURN":
        assert equity > release


def test_the_levels_hold_at_the_very_amount() -> None:
    _, call, initial, release = csa_levels(TERMS)
    assert -2_250_000.0 < call <= -2_249_999.99
    assert initial == -2 * MILLION
    assert -1_900_000.01 <= release < -1_900_000.0


@given(agreements, whole, whole, st.integers(-10_000_000, 20_000_000).map(float))
def test_more_collateral_never_raises_a_call(terms: CsaTerms, posted: float, more: float, exposure: float) -> None:
    rounded = msgspec.structs.replace(terms, rounding=Rounding(delivery_increment=10_000.0, return_increment=10_000.0))
    before = credit_support(exposure, rounded, cash(posted))
    after = credit_support(exposure, rounded, [*cash(posted), *cash(more)])
    call_before, call_after = (o.amount if o.action == "CALL" else 0.0 for o in (before, after))
    assert call_after <= call_before


@given(agreements, whole, st.integers(-10_000_000, 20_000_000).map(float), st.sampled_from([None, 10_000.0]))
def test_after_the_transfer_nothing_more_is_due(
    terms: CsaTerms, posted: float, exposure: float, increment: float | None
) -> None:
    rounding = Rounding(delivery_increment=increment, return_increment=increment)
    terms = msgspec.structs.replace(terms, rounding=rounding)
    found = credit_support(exposure, terms, cash(posted))
    assume(found.action != "NO_ACTION")
    moved = posted + found.amount if found.action == "CALL" else posted - found.amount
    assert credit_support(exposure, terms, cash(moved)).action == "NO_ACTION"


@given(st.sampled_from(["distinct", "allocated", "greater_of"]), whole, whole, whole)
def test_margin_approaches(approach: str, margin: float, owed: float, threshold: float) -> None:
    party = PartyTerms(threshold=threshold, independent_amount=owed)
    terms = CsaTerms(party=party, margin_approach=approach, margin_type="initial_margin")  # type: ignore[arg-type]
    here, elsewhere = initial_margin_support(margin, terms)
    regulatory = max(margin - threshold, 0.0)
    assert here + elsewhere == (regulatory + owed if approach == "distinct" else max(regulatory, owed))
    assert here >= regulatory
    found = credit_support(margin, terms)
    assert (found.credit_support_amount, found.independent_amount) == (here, 0.0)
    assert csa_levels(terms, margin)[2] == here


def test_an_initial_margin_annex_needs_its_margin() -> None:
    with pytest.raises(InputError, match=r"margin_amount.*SIMM"):
        csa_levels(CsaTerms(margin_type="initial_margin"))
    with pytest.raises(InputError, match="margin_amount"):
        initial_margin_support(-1.0, CsaTerms())


def test_close_out_lies_the_slack_below_the_call() -> None:
    maintenance, call, *_ = csa_levels(msgspec.structs.replace(TERMS, close_out_slack=5_000.0))
    assert call - maintenance == pytest.approx(5_000.0)
    maintenance, call, *_ = csa_levels(TERMS)
    assert call - maintenance == pytest.approx(250_000.0)
