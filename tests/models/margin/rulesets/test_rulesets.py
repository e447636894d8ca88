"""Rulesets are chosen by date, say what they assume, and refuse what they do not know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files

import msgspec
import numpy as np
import pytest

from models.errors import InputError, UnknownAssetError, UnknownRulesetError, UnknownSymbolError
from models.margin.blocks import BLOCK_MODELS
from models.margin.rulesets import Ruleset, load_ruleset, ruleset_names
from models.margin.rulesets.document import Document, Settings
from models.margin.venues.parameters import load_parameters

NOW = datetime(2026, 10, 1, tzinfo=UTC)
BTC = "BTC/USDT:USDT"
ANY_COIN = {"binance-coinm", "binance-pm", "bybit-uta", "csa", "generic-inverse", "generic-linear"}
TABLES = ("linear", "inverse")
"""Models whose documents hold maintenance tables of their own."""
SYMBOL = dict.fromkeys(
    ("drift-v2", "dydx-v4", "hyperliquid", "mango-v4", "synthetix-v3"), "BTC/USDC:USDC"
) | dict.fromkeys(("binance-coinm", "generic-inverse"), "BTC/USD:BTC")


def day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


@pytest.fixture(params=ruleset_names())
def document(request: pytest.FixtureRequest) -> Document:
    text = files("models.margin.rulesets").joinpath(f"{request.param}.json").read_bytes()
    assert len(text) < 1_000_000
    return msgspec.json.decode(text, type=Document)


def test_the_newest_table_dated_at_or_before_the_instant_is_used() -> None:
    change = datetime(2022, 11, 25, 9, 42, 19, tzinfo=UTC)
    before, at = load_ruleset("binance-usdm", change - timedelta(seconds=1)), load_ruleset("binance-usdm", change)
    assert before.tier(BTC).lookup(8_000_000) == pytest.approx((0.025, 16_300))
    assert before.tier(BTC) != at.tier(BTC)
    assert at.tier_source(BTC)[0] == change


def test_each_symbol_keeps_its_own_dates() -> None:
    rules = load_ruleset("hyperliquid", day(2025, 4, 1))
    assert rules.tier("BTC/USDC:USDC").max_leverage.tolist() == [40]
    assert rules.tier("SOL/USDC:USDC").max_leverage.tolist() == [20]
    assert load_ruleset("hyperliquid", day(2023, 3, 1)).tier("SOL/USDC:USDC").rate.tolist() == [0.01]
    assert load_ruleset("hyperliquid", NOW).tier("ETH/USDC:USDC").offset.tolist() == pytest.approx([0, 4 / 3 * 1e6])


def test_before_the_first_date_the_earliest_stands_in_and_says_so() -> None:
    early, late = load_ruleset("binance-usdm", day(2018, 1, 1)), load_ruleset("binance-usdm", day(2022, 3, 1))
    assert early.backdated
    assert early.tier_backdated(BTC)
    assert not late.backdated
    assert not late.tier_backdated(BTC)
    assert late.tier_backdated("HYPE/USDT:USDT")
    assert early.tier(BTC) == late.tier(BTC)


def test_the_same_table_is_the_same_object() -> None:
    one, two = load_ruleset("binance-usdm", day(2023, 1, 5)), load_ruleset("binance-usdm", day(2023, 1, 6))
    assert one.tier(BTC) is two.tier(BTC)
    assert load_ruleset("binance-usdm", day(2023, 1, 5)) is one


def test_other_time_zones_mean_the_same_instant() -> None:
    east = timezone(timedelta(hours=9))
    assert load_ruleset("binance-usdm", day(2023, 1, 5).astimezone(east)) is load_ruleset(
        "binance-usdm", day(2023, 1, 5)
    )


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InputError, match="as_of: expected a time with a zone"):
        load_ruleset("binance-usdm", datetime(2023, 1, 1))


@pytest.mark.parametrize("name", ["kraken", "", None, 3])
def test_an_unknown_ruleset_is_refused_with_the_names(name: object) -> None:
    with pytest.raises(UnknownRulesetError, match="one of aave-v3, binance-coinm, binance-pm, binance-usdm, "):
        load_ruleset(name, NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("symbol", ["BTCUSDT", "BTC-USDT", "btc/usdt", "BTC/USDT"])
def test_an_unknown_symbol_is_refused_with_the_closest(symbol: str) -> None:
    with pytest.raises(UnknownSymbolError) as caught:
        load_ruleset("binance-usdm", day(2025, 3, 1)).tier(symbol)
    text = str(caught.value)
    assert "'binance-usdm' as of 2025-02-27" in text
    assert f"closest: {BTC}" in text
    assert repr(symbol) in text


def test_a_symbol_that_resembles_nothing_points_to_the_generic_ruleset() -> None:
    with pytest.raises(UnknownSymbolError, match="generic-linear"):
        load_ruleset("hyperliquid", NOW).tier("QQQQQQQQ/EUR:EUR")


@pytest.mark.parametrize("symbol", ["BTC/USD:BTC", "BTC/USDT", "BTC/EUR:EUR", "BTC/USDT:USDT-251226-100000-C"])
def test_rulesets_for_any_symbol_still_refuse_what_is_not_linear(symbol: str) -> None:
    with pytest.raises(UnknownSymbolError):
        load_ruleset("generic-linear", NOW).tier(symbol)


def test_an_asset_that_is_no_collateral_is_refused() -> None:
    with pytest.raises(UnknownAssetError, match="for example USDT, USDC, BTC, ETH"):
        load_ruleset("binance-usdm", NOW).haircut("NOTACOIN")
    assert load_ruleset("generic-linear", NOW).haircut("NOTACOIN").rate[0] == pytest.approx(0.85)


def test_quantity_tiers_apply_one_rate_to_the_whole_position() -> None:
    rules = load_ruleset("okx-linear", NOW)
    assert [rules.tier(BTC, q).rate.tolist() for q in (-5.0, 5.0, 5.01, 121.0, 1e9)] == [
        [0.004],
        [0.004],
        [0.005],
        pytest.approx([0.015]),
        pytest.approx([0.495]),
    ]
    assert rules.tier(BTC, 3.0) is rules.tier(BTC, 4.0)
    assert rules.tier("BNB/USDT:USDT", 3.0) is rules.tier("BNB/USDT:USDT")


def test_deductions_of_bybit_are_the_published_ones() -> None:
    tiers = load_ruleset("bybit-linear", NOW).tier(BTC)
    published = [0, 1_200, 3_020, 4_300, 5_820, 8_460, 15_460, 20_500, 46_000, 66_000, 80_000, 160_000, 300_000]
    assert tiers.offset[: len(published)] == pytest.approx(published)
    assert tiers.offset[-1] == pytest.approx(1_482_000)


def test_progressive_ratios_of_okx_beth_follow_their_dates() -> None:
    before, after = (load_ruleset("okx-linear", d).haircut("BETH") for d in (day(2024, 7, 12), day(2024, 7, 19)))
    assert float(before(3e6)) == pytest.approx(0.8e6 + 0.75e6 + 0.5e6)
    assert float(after(3e6)) == pytest.approx(0.95 * 2e6 + 0.85e6)
    assert float(after(1e9)) == pytest.approx(0.95 * 2e6 + 0.85 * 2e6 + 0.5 * 4e6)


@pytest.mark.parametrize(
    ("name", "key", "assumed"),
    [
        ("binance-usdm", BTC, False),
        ("binance-usdm", "BTC", False),
        ("binance-usdm", "DOGE", True),
        ("bybit-linear", "ETH/USDT:USDT", True),
        ("bybit-linear", "PEPE/USDT:USDT", True),
        ("okx-linear", BTC, True),
        ("generic-linear", BTC, True),
    ],
)
def test_what_is_assumed_is_said(name: str, key: str, assumed: bool) -> None:
    assert (load_ruleset(name, NOW).assumption(key) is not None) is assumed


def test_every_table_of_every_document_is_a_schedule(document: Document) -> None:
    versions = [*document.default_tables, *(v for vs in document.symbols.values() for v in vs)]
    assert bool(versions) == (document.model in TABLES)
    for version in versions:
        schedule = document.tier_schedule(version)
        assert np.all(np.diff(schedule.rate) >= 0)
        assert np.all(schedule.max_leverage >= 1)
    ratios = [*document.default_collateral, *(v for vs in document.collateral.values() for v in vs)]
    for version in ratios:
        assert np.all(np.diff(document.ratio_schedule(version).rate) <= 0)


def test_every_version_carries_a_date_and_a_source_in_order(document: Document) -> None:
    assert document.dates == sorted(document.dates)
    assert all(stamp.tzinfo is not None and source for stamp, source in document.dates)
    for versions in (*document.symbols.values(), *document.collateral.values(), document.default_tables):
        stamps = [document.dates[v.date][0] for v in versions]
        assert stamps == sorted(set(stamps))


def test_what_a_source_calls_assumed_has_a_note(document: Document) -> None:
    for key, versions in (document.symbols | document.collateral).items():
        if any(document.dates[v.date][1].startswith("assumed") for v in versions):
            assert key in document.assumed, key


LEVELS = {  # call, initial over maintenance, release over initial; liquidation over the published maintenance
    "vega": (1.2, 2.0, 1.2, 1.0),
    "aave-v3": (1.25, 1.5, 1.25, 1.0),
    "binance-pm": (1.5 / 1.05, 0.0, 1.25, 1.05),
    "okx-pm": (1.25, 1.3, 1.25, 1.0),
    "csa": (1.25, 0.0, 1.0, 1.0),
}
HOURLY = {"drift-v2", "dydx-v4", "hyperliquid", "mango-v4", "synthetix-v3"}


@pytest.mark.parametrize("name", ruleset_names())
def test_the_four_levels_have_their_parameters(name: str) -> None:
    rules = load_ruleset(name, NOW)
    assert isinstance(rules, Ruleset)
    found = (1.0 / rules.call_ratio, rules.initial_factor, rules.release_factor, rules.maintenance_scale)
    assert found == pytest.approx(LEVELS.get(name, (1.25, 0.0, 1.25, 1.0)), rel=1e-12)
    assert rules.stale_after_minutes == 120
    assert rules.funding_interval_hours == (1 if name in HOURLY else 8)


def test_levels_of_vega_are_the_scaling_factors_of_its_markets() -> None:
    rules = load_ruleset("vega", NOW)
    scales = load_parameters("vega", NOW).of(BTC)
    assert 1.0 / rules.call_ratio == pytest.approx(scales["search"])
    assert rules.initial_factor == scales["initial"]
    assert rules.initial_factor * rules.release_factor == pytest.approx(scales["release"])


@pytest.mark.parametrize("name", ruleset_names())
def test_every_document_has_rules_for_what_it_takes(name: str) -> None:
    """Tables, tables of the rulesets it extends, a formula of the position, or a model of blocks."""
    rules = load_ruleset(name, NOW)
    if rules.model in BLOCK_MODELS:
        row = rules.block_parameters("BTC")
        assert len(row) >= 2
        assert (rules.model == "dynamic") == bool(np.isnan(row).any())
    elif rules.model not in ("lending", "csa"):
        schedule = rules.tier(SYMBOL.get(name, BTC), 1.0)
        assert 0.0 < float(schedule(50_000.0)) < 50_000.0
    money = "USDT" if name == "vega" else "USDC"
    assert all(0.0 < float(rules.haircut(asset)(1.0)) <= 1.0 for asset in (*rules.assets(), money))


@pytest.mark.parametrize("name", ruleset_names())
def test_an_asset_is_taken_or_refused_by_name(name: str) -> None:
    rules = load_ruleset(name, NOW)
    if name in ANY_COIN:
        assert 0.0 < float(rules.haircut("NOTACOIN")(1.0)) <= 1.0
        return
    with pytest.raises(UnknownAssetError, match=r"expected .*USD.*, was 'NOTACOIN'"):
        rules.haircut("NOTACOIN")


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("call_ratio", [0.01, 1.0], [0.0, 0.0099, 1.0001, float("nan")]),
        ("release_factor", [1.0, 100.0], [0.999, 100.1]),
        ("default_leverage", [1.0, 1000.0], [0.999, 1000.1]),
        ("stale_after_minutes", [1, 10_080], [0, 10_081]),
        ("taker_fee", [-0.01, 0.1], [-0.0101, 0.1001]),
        ("funding_interval_hours", [1, 24], [0, 25]),
    ],
)
def test_settings_are_checked_at_their_bounds(field: str, good: list[float], bad: list[float]) -> None:
    base = {
        "effective_from": NOW,
        "source": "s",
        "call_ratio": 0.8,
        "release_factor": 1.25,
        "default_leverage": 10.0,
        "stale_after_minutes": 60,
        "taker_fee": 0.0005,
        "funding_interval_hours": 8,
    }
    for value in good:
        Settings(**base | {field: value})  # type: ignore[arg-type]
    for value in bad:
        with pytest.raises(InputError, match=field):
            Settings(**base | {field: value})  # type: ignore[arg-type]
