"""Value of posted collateral: haircuts add up, currencies convert, what is not eligible counts for nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError, UnknownAssetError
from models.margin.csa import (
    CsaTerms,
    EligibleCollateral,
    PostedCollateral,
    collateral_item_value,
    posted_share,
    posted_value,
    to_base_currency,
)

LISTED = CsaTerms(
    eligible_collateral=(
        EligibleCollateral(asset="USD"),
        EligibleCollateral(asset="UST", valuation_percentage=0.98, additional_haircut=0.01),
    ),
    fx_haircut=0.08,
    matched_currencies=("GBP",),
)
RATES = {"EUR": 1.25, "GBP": 1.5}

items = st.builds(
    PostedCollateral,
    asset=st.sampled_from(["USD", "UST", "other"]),
    market_value=st.floats(0.0, 1e9),
    currency=st.sampled_from([None, "USD", "EUR", "GBP"]),
    haircut=st.none() | st.floats(0.0, 1.0),
    disputed=st.just(0.0) | st.floats(0.0, 1e6),
)


def value(**fields: object) -> float:
    return collateral_item_value(PostedCollateral(market_value=1000.0, **fields), LISTED, RATES)  # type: ignore[arg-type]


def test_haircuts_add_up_and_do_not_multiply() -> None:
    assert value(asset="UST") == pytest.approx(970.0)
    assert value(asset="UST", currency="EUR") == pytest.approx(1250.0 * (1 - 0.02 - 0.01 - 0.08))


def test_a_matched_currency_bears_no_currency_haircut() -> None:
    assert value(asset="USD", currency="GBP") == 1500.0
    assert value(asset="USD", currency="EUR") == pytest.approx(1250.0 * 0.92)


@pytest.mark.parametrize(("base", "asset", "share"), [
    ("USD", "USD", 1.0), ("USD", "EUR", 0.92), ("USD", "GBP", 1.0), ("USD", "USDC", 1.0), ("USD", "BTC", 1.0),
    ("USDT", "USDT", 1.0), ("USDT", "USD", 1.0), ("USDT", "EUR", 0.92),
    ("EUR", "EUR", 1.0), ("EUR", "USD", 0.92), ("EUR", "USDT", 0.92), ("EUR", "BTC", 1.0),
])  # fmt: skip
def test_cash_of_an_account_is_in_its_currency_and_coins_are_in_none(base: str, asset: str, share: float) -> None:
    terms = CsaTerms(base_currency=base, fx_haircut=0.08, matched_currencies=("GBP",))
    assert posted_share(asset, terms) == pytest.approx(share)


def test_the_currency_haircut_of_an_account_adds_to_that_of_the_schedule() -> None:
    line = EligibleCollateral(asset="EUR", valuation_percentage=0.99, additional_haircut=0.02)
    terms = CsaTerms(eligible_collateral=(line,), fx_haircut=0.08)
    assert posted_share("EUR", terms) == pytest.approx(1 - 0.01 - 0.02 - 0.08)
    assert posted_share("GBP", terms) == 0.0


def test_an_asset_that_is_not_listed_counts_for_nothing_unless_its_haircut_is_given() -> None:
    assert value(asset="shares") == 0.0
    assert value(asset="shares", haircut=0.25) == 750.0
    free = CsaTerms()
    assert collateral_item_value(PostedCollateral(asset="shares", market_value=1000.0), free) == 1000.0


def test_the_disputed_part_comes_off_after_the_haircut() -> None:
    assert value(asset="UST", disputed=100.0) == pytest.approx(870.0)
    assert value(asset="UST", disputed=5000.0) == 0.0


def test_a_haircut_never_turns_collateral_into_a_debt() -> None:
    assert value(asset="UST", haircut=0.95, currency="EUR") == 0.0


def test_an_unknown_currency_is_named_with_its_path() -> None:
    posted = [
        PostedCollateral(asset="USD", market_value=1.0),
        PostedCollateral(asset="X", market_value=1.0, currency="JPY"),
    ]
    with pytest.raises(UnknownAssetError, match=r"posted\[1\]\.currency.*rate to USD.*EUR, GBP, USD.*'JPY'"):
        posted_value(posted, LISTED, RATES)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_is_no_rate_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match=r"rates\.EUR"):
        to_base_currency(1.0, "EUR", "USD", {"EUR": rate})


@pytest.mark.parametrize(
    "fields",
    [{"market_value": -1.0}, {"market_value": math.nan}, {"haircut": 1.01}, {"haircut": -0.1}, {"disputed": -1.0}],
)
def test_values_out_of_range_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(InputError) as raised:
        PostedCollateral(**{"asset": "a", "market_value": 1.0, **fields})  # type: ignore[arg-type]
    assert raised.value.field == next(iter(fields))


@given(st.lists(items, max_size=6), st.randoms())
def test_the_order_of_collateral_does_not_matter(posted: list[PostedCollateral], random: object) -> None:
    shuffled = list(posted)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert posted_value(shuffled, LISTED, RATES) == posted_value(posted, LISTED, RATES)


@given(items)
def test_value_lies_between_nothing_and_the_market_value(item: PostedCollateral) -> None:
    full = to_base_currency(item.market_value, item.currency or "USD", "USD", RATES)
    assert 0.0 <= collateral_item_value(item, LISTED, RATES) <= full
