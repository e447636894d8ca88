"""Schedule initial margin: classes, buckets, netting, net-to-gross ratio; and the standardised haircuts."""

from __future__ import annotations

import json
import math
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.schedule_im import (
    SCHEDULE_RATES,
    ScheduleTrade,
    bcbs_haircut,
    net_to_gross_ratio,
    residual_years,
    schedule_margin,
    schedule_rate,
)

amounts = st.integers(-1_000_000, 1_000_000).map(float)
trades = st.builds(
    ScheduleTrade,
    trade_id=st.integers(0, 10**9).map(str),
    product_class=st.sampled_from(sorted(SCHEDULE_RATES)),
    years=st.floats(0.0, 50.0),
    notional=amounts,
    present_value=amounts,
)
books = st.lists(trades, max_size=6, unique_by=lambda t: t.trade_id)


def trade(name: str = "1", **fields: Any) -> ScheduleTrade:
    return ScheduleTrade(**{"trade_id": name, "product_class": "Rates", "years": 1.0, "notional": 1000.0, **fields})


@pytest.mark.parametrize(
    ("product", "years", "rate"),
    [
        ("Rates", 0.0, 0.01),
        ("Rates", 2.0, 0.01),
        ("Rates", 2.001, 0.02),
        ("Rates", 5.0, 0.02),
        ("Rates", 5.001, 0.04),
        ("Credit", 2.0, 0.02),
        ("Credit", 5.0, 0.05),
        ("Credit", 5.001, 0.10),
        ("FX", 30.0, 0.06),
        ("Equity", 0.0, 0.15),
        ("Commodity", 30.0, 0.15),
        ("Other", 1.0, 0.15),
    ],
)
def test_rates_by_class_and_bucket_with_inclusive_bounds(product: str, years: float, rate: float) -> None:
    assert schedule_rate(product, years) == rate


def test_anniversaries_are_whole_years_across_leap_days() -> None:
    assert residual_years(date(2019, 3, 1), date(2021, 3, 1)) == 2.0
    assert residual_years(date(2019, 3, 1), date(2021, 3, 2)) > 2.0
    assert residual_years(date(2022, 2, 28), date(2024, 2, 29)) == 2.0
    assert residual_years(date(2020, 2, 29), date(2025, 2, 28)) < 5.0
    assert residual_years(date(2020, 1, 1), date(2019, 1, 1)) == 0.0


@given(st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.integers(0, 20_000), st.integers(1, 400))
def test_residual_years_rise_with_the_end_date(start: date, days: int, more: int) -> None:
    end = start + timedelta(days)
    assert residual_years(start, end) <= residual_years(start, end + timedelta(more))
    assert residual_years(start, end) == pytest.approx(days / 365.25, abs=0.01)


def test_legs_of_a_trade_are_netted_and_trades_are_not() -> None:
    legs = [trade(notional=1000.0), trade(notional=-400.0)]
    assert schedule_margin(legs).gross == pytest.approx(6.0)
    assert schedule_margin([trade("1"), trade("2", notional=-400.0)]).gross == pytest.approx(14.0)


def test_values_are_netted_within_a_trade_before_the_ratio() -> None:
    legs = [trade("1", present_value=2000.0), trade("1", notional=0.0, present_value=-1000.0)]
    found = schedule_margin([*legs, trade("2", present_value=-500.0)])
    assert found.gross_replacement_cost == 1000.0
    assert found.net_to_gross == 0.5
    assert found.margin == pytest.approx(0.7 * 20.0)


def test_without_replacement_cost_the_ratio_is_one_for_that_side_only() -> None:
    book = [trade(present_value=-10.0)]
    assert schedule_margin(book).net_to_gross == 1.0
    assert schedule_margin(book, "pledgor").net_to_gross == 1.0
    mixed = [trade("1", present_value=10.0), trade("2", present_value=-30.0)]
    assert schedule_margin(mixed).net_to_gross == 0.0
    assert schedule_margin(mixed, "pledgor").net_to_gross == pytest.approx(2.0 / 3.0)
    assert schedule_margin(mixed, "pledgor").gross_replacement_cost == -30.0


def test_a_given_ratio_takes_the_place_of_the_values() -> None:
    assert schedule_margin([trade(present_value=5.0)], net_to_gross=0.0).margin == pytest.approx(4.0)


def test_no_trades_need_no_margin() -> None:
    assert schedule_margin([]).margin == 0.0


@given(books, st.sampled_from(["secured", "pledgor"]))
def test_netting_saves_at_most_sixty_percent(book: list[ScheduleTrade], side: Any) -> None:
    found = schedule_margin(book, side)
    assert 0.4 * found.gross <= found.margin + 1e-9 * found.gross
    assert found.margin <= found.gross * (1 + 1e-12)


@given(books)
def test_the_pledgors_margin_is_the_others_on_the_mirrored_book(book: list[ScheduleTrade]) -> None:
    mirrored = [
        ScheduleTrade(
            trade_id=t.trade_id,
            product_class=t.product_class,
            years=t.years,
            notional=-t.notional,
            present_value=-t.present_value,
        )
        for t in book
    ]
    assert schedule_margin(book, "pledgor").margin == schedule_margin(mirrored).margin


@given(books)
def test_the_order_of_trades_does_not_matter(book: list[ScheduleTrade]) -> None:
    assert schedule_margin(book[::-1]) == schedule_margin(book)


@given(st.lists(amounts, max_size=8))
def test_the_ratio_is_a_fraction(values: list[float]) -> None:
    assert 0.0 <= net_to_gross_ratio(values) <= 1.0


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: trade(product_class="Crypto"), "product_class"),
        (lambda: trade(years=-0.1), "years"),
        (lambda: trade(years=math.nan), "years"),
        (lambda: trade(notional=math.inf), "notional"),
        (lambda: trade(present_value=math.nan), "present_value"),
        (lambda: schedule_margin([], "both"), "side"),  # type: ignore[arg-type]
        (lambda: schedule_margin([], net_to_gross=1.01), "net_to_gross"),
        (lambda: schedule_margin([trade(), trade(years=2.0)]), "trades[1]"),
        (lambda: bcbs_haircut("bank"), "issuer"),  # type: ignore[arg-type]
        (lambda: bcbs_haircut("other", "BB"), "rating"),
        (lambda: bcbs_haircut("sovereign", "B"), "rating"),
        (lambda: bcbs_haircut("sovereign"), "rating"),
        (lambda: bcbs_haircut("sovereign", "AAA", -1.0), "maturity_years"),
    ],
)
def test_what_is_out_of_range_is_refused_by_field(make: Any, field: str) -> None:
    with pytest.raises(InputError) as raised:
        make()
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("issuer", "rating", "years", "haircut"),
    [
        ("sovereign", "AAA", 1.0, 0.005),
        ("sovereign", "AA-", 5.0, 0.02),
        ("sovereign", "AA+", 5.01, 0.04),
        ("sovereign", "A+", 1.0, 0.01),
        ("sovereign", "BBB-", 1.01, 0.03),
        ("sovereign", "BB+", 20.0, 0.15),
        ("other", "aa", 1.01, 0.04),
        ("other", "A-", 20.0, 0.12),
        ("gold", "", 0.0, 0.15),
        ("main_index_equity", "", 0.0, 0.15),
        ("other_listed_equity", "", 0.0, 0.25),
        ("cash", "", 0.0, 0.0),
    ],
)
def test_haircuts(issuer: Any, rating: str, years: float, haircut: float) -> None:
    assert bcbs_haircut(issuer, rating, years) == haircut
    assert bcbs_haircut(issuer, rating, years, fx_mismatch=True) == pytest.approx(haircut + 0.08)


def test_the_tables_are_the_published_ones(reference_root: Path) -> None:
    rules = json.loads((reference_root / "rules" / "bcbs_schedule_and_haircuts.json").read_text())
    for product, table in rules["schedule_im"].items():
        rows = table if isinstance(table, list) else [[None, table]]
        assert [[None if math.isinf(b) else b, r] for b, r in SCHEDULE_RATES[product]] == rows
    rating = {"AAA_AA": "AA", "A_BBB": "BBB", "BB": "BB"}
    for key, table in rules["haircuts"].items():
        issuer, _, band = key.partition("_")
        if issuer in ("sovereign", "other") and band in rating:
            rows = table if isinstance(table, list) else [[None, table]]
            for bound, haircut in rows:
                assert bcbs_haircut(issuer, rating[band], 99.0 if bound is None else bound) == haircut  # type: ignore[arg-type]
