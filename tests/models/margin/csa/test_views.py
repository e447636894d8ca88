"""Both parties' views of one agreement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.csa import CsaTerms, PartyTerms, PostedCollateral, Rounding, credit_support, two_way, view
from tests.models.margin.csa.test_credit_support import agreements, whole

values = st.integers(-20_000_000, 20_000_000).map(float)


def cash(value: float) -> list[PostedCollateral]:
    return [PostedCollateral(asset="USD", market_value=value)]


@given(agreements)
def test_a_view_of_a_view_is_the_agreement(terms: CsaTerms) -> None:
    assert view(terms, "party") == terms
    other = view(terms, "counterparty")
    assert (other.party, other.counterparty) == (terms.counterparty, terms.party)
    assert view(other, "counterparty") == terms


@given(agreements, values, whole, whole, st.sampled_from([None, 10_000.0]))
def test_what_one_must_deliver_the_other_must_receive(
    terms: CsaTerms, value: float, posted: float, held: float, increment: float | None
) -> None:
    both = Rounding(delivery_increment=increment, return_increment=increment)
    terms = CsaTerms(party=terms.party, counterparty=terms.counterparty, rounding=both)
    ours = two_way(value, terms, cash(posted), cash(held))
    theirs = two_way(-value, view(terms, "counterparty"), cash(held), cash(posted))
    assert (ours.pays, ours.receives) == (theirs.receives, theirs.pays)
    assert (ours.as_pledgor, ours.as_secured) == (theirs.as_secured, theirs.as_pledgor)


@given(agreements, values, whole, whole)
def test_never_both_deliver_at_once(terms: CsaTerms, value: float, posted: float, held: float) -> None:
    found = two_way(value, terms, cash(posted), cash(held))
    assert not (found.as_pledgor.action == "CALL" and found.as_secured.action == "CALL")
    assert min(found.as_pledgor.credit_support_amount, found.as_secured.credit_support_amount) == 0.0


def test_a_party_delivers_and_returns_in_one_go_when_the_exposure_turns() -> None:
    found = two_way(-3e6, CsaTerms(), held=cash(1e6))
    assert (found.as_pledgor.action, found.as_secured.action) == ("CALL", "RETURN")
    assert (found.pays, found.receives) == (4e6, 0.0)


def test_each_side_uses_its_own_terms() -> None:
    terms = CsaTerms(party=PartyTerms(threshold=1e6), counterparty=PartyTerms(threshold="infinite"))
    assert two_way(-3e6, terms).as_pledgor == credit_support(3e6, terms)
    assert two_way(-3e6, terms).pays == 2e6
    assert two_way(3e6, terms).receives == 0.0


def test_an_unknown_party_is_refused() -> None:
    with pytest.raises(InputError, match="party"):
        view(CsaTerms(), "broker")  # type: ignore[arg-type]
