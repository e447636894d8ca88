"""Parameters of the venues: dates, ranges, and that every one of them folds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import msgspec
import pytest

from models.errors import InputError, UnknownRulesetError, UnknownSymbolError
from models.margin.venues import drift, dydx, mango, parameters, synthetix, vega
from models.margin.venues.parameters import RANGES, load_parameters, venue_names

NOW = datetime(2025, 6, 30, tzinfo=UTC)
MODULES: dict[str, ModuleType] = {
    "vega": vega,
    "synthetix": synthetix,
    "dydx": dydx,
    "drift": drift,
    "mango": mango,
}


def _document(**changes: Any) -> bytes:
    version = {
        "effective_from": "2024-01-01T00:00:00Z",
        "source": "a test",
        "parameters": {"BTC": {"ltv": 0.7, "liquidation_threshold": 0.75}},
    }
    document = {"name": "x", "title": "X", "source": "s", "model": "aave", "versions": [version], "assumed": {}}
    return json.dumps({**document, **changes}).encode()


@pytest.mark.parametrize("venue", venue_names())
def test_every_version_is_dated_cited_and_in_range(venue: str) -> None:
    found = load_parameters(venue, NOW)
    assert found.name == found.model == venue
    assert not found.backdated
    assert found.source
    assert found.assumed
    assert load_parameters(venue, datetime(2000, 1, 1, tzinfo=UTC)).backdated
    for values in found.parameters.values():
        assert set(values) <= set(RANGES[venue])


@pytest.mark.parametrize("venue", sorted(MODULES))
def test_every_contract_folds_and_initial_is_not_below_maintenance(venue: str) -> None:
    module, found = MODULES[venue], load_parameters(venue, NOW)
    contracts = [s for s in found.parameters if ":" in s]
    assert contracts
    for symbol in contracts:
        rule = found.of(symbol)
        for quantity in (1.0, -1.0):
            tiers = module.maintenance_schedule(rule, quantity)
            rate = float(tiers.rate[-1])
            assert 0 < rate <= module.initial_rate(rule, quantity) * (1 + 1e-12) < 1, symbol
            assert list(tiers.rate) == sorted(tiers.rate)


@pytest.mark.parametrize("venue", sorted(MODULES))
def test_every_asset_counts_for_no_more_than_its_value(venue: str) -> None:
    found = load_parameters(venue, NOW)
    assets = [s for s in found.parameters if "/" not in s]
    assert assets
    for asset in assets:
        assert 0 < float(MODULES[venue].collateral_schedule(found.of(asset), 10.0)(100.0)) <= 100.0, asset


def test_vega_leverage_is_about_what_the_proposal_says() -> None:
    rule = load_parameters("vega", NOW).of("BTC/USDT:USDT")
    assert 1 / float(vega.maintenance_schedule(rule, 1.0).rate[0]) == pytest.approx(100, rel=0.1)
    assert 1 / vega.initial_rate(rule, 1.0) == pytest.approx(50, rel=0.1)


def test_a_version_holds_from_its_date_on() -> None:
    change = datetime(2024, 12, 1, tzinfo=UTC)
    before, after = (load_parameters("drift", t).of("SOL") for t in (change - timedelta(seconds=1), change))
    assert (before["imf_factor"], after["imf_factor"]) == (3_000, 1_250)


def test_unknown_names() -> None:
    with pytest.raises(UnknownRulesetError, match="venue"):
        load_parameters("nowhere", NOW)
    with pytest.raises(UnknownSymbolError, match="DOGS"):
        load_parameters("drift", NOW).of("DOGS")
    with pytest.raises(InputError, match="zone"):
        load_parameters("drift", datetime(2025, 1, 1))


def test_a_good_document_is_read() -> None:
    assert parameters._decode(_document()).versions[0].parameters["BTC"]["ltv"] == 0.7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "other"}, "model"),
        ({"versions": []}, "versions"),
        ({"extra": 1}, "extra"),
        ({"values": {"ltv": 1.1, "liquidation_threshold": 1.0}}, r"parameters\[BTC\].ltv"),
        ({"values": {"ltv": 0.8, "liquidation_threshold": 0.75}}, "at most liquidation_threshold"),
        ({"values": {"leverage": 3.0}}, "leverage"),
        ({"dates": ["2024-01-01T00:00:00Z", "2023-01-01T00:00:00Z"]}, "rising"),
        ({"dates": ["2024-01-01T00:00:00"]}, "zone"),
    ],
)
def test_a_wrong_document_is_refused_with_its_path(changes: dict[str, Any], message: str) -> None:
    versions = json.loads(_document())["versions"]
    if "values" in changes:
        versions[0]["parameters"]["BTC"] = changes.pop("values")
        changes = {"versions": versions}
    if "dates" in changes:
        changes = {"versions": [{**versions[0], "effective_from": d} for d in changes.pop("dates")]}
    with pytest.raises(msgspec.ValidationError, match=message):
        parameters._decode(_document(**changes))
