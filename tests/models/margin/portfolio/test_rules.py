"""A ruleset file is read or refused with field, value and remedy."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from models.errors import InputError, UnknownRulesetError
from models.margin.portfolio import (
    load_portfolio_rules,
    parse_portfolio_rules,
    portfolio_rules_names,
    portfolio_rules_schema,
)
from models.margin.portfolio.contingencies import tiered_charge
from models.margin.portfolio.shocks import VolShock
from models.margin.portfolio.span_arrays import load_span_rules

MINE: dict[str, Any] = {
    "name": "desk",
    "title": "House rules",
    "effective_from": "2025-01-01",
    "source": ["risk committee, 2025-01"],
    "vol": {"up": 0.3, "down": 0.2},
    "grid": {"prices": [-0.1, 0, 0.1]},
}


def _with(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in (MINE | changes).items() if v is not ...}).encode()


@pytest.mark.parametrize("name", portfolio_rules_names())
def test_shipped_rules_are_valid_and_say_where_they_come_from(name: str) -> None:
    rules = load_portfolio_rules(name)
    assert rules.name == name
    assert rules.source
    assert any(p.price == 0.0 for p in rules.points())


def test_shipped_names() -> None:
    expected = ("deribit-pm-btc", "deribit-pm-eth", "derive-pmrm2", "okx-pm-altcoin", "okx-pm-btc", "paradex-pm")
    assert portfolio_rules_names() == expected


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "desk.json"
    path.write_bytes(_with())
    rules = load_portfolio_rules(path)
    assert rules.title == "House rules"
    assert [(p.price, p.vol) for p in rules.points()][:4] == [
        (-0.1, "down"),
        (-0.1, "none"),
        (-0.1, "up"),
        (0.0, "down"),
    ]


BAD: list[tuple[dict[str, Any], str, Any, str]] = [
    ({"title": ...}, "title", None, "required"),
    ({"volatility": 1}, "volatility", "volatility", "remove it"),
    ({"vol": {"up": 0.3, "down": 0.2, "upp": 1}}, "vol.upp", "upp", "remove it"),
    ({"vol": {"up": 0.3}}, "vol.down", None, "required"),
    ({"vol": {"up": "high", "down": 0.2}}, "vol.up", "high", "float"),
    ({"vol": {"up": -0.1, "down": 0.2}}, "vol.up", -0.1, r"\[0, 20\]"),
    ({"vol": {"up": 20.1, "down": 0.2}}, "vol.up", 20.1, r"\[0, 20\]"),
    ({"grid": {"prices": [-0.1, 0.1]}}, "grid.prices", [-0.1, 0.1], "zero move"),
    ({"grid": {"prices": [0.1, 0, -0.1]}}, "grid.prices", [0.1, 0.0, -0.1], "rising"),
    ({"grid": {"prices": [-1, 0]}}, "grid.prices[0]", -1.0, "-0.999"),
    ({"grid": {"prices": [0], "vols": []}}, "grid.vols", [], "at least one"),
    ({"grid": {"prices": [0], "vols": ["sideways"]}}, "grid.vols[0]", "sideways", "enum"),
    ({"grid": ..., "scenarios": [{"price": 0.1}]}, "scenarios", [0.1], "add price 0"),
    ({"grid": ...}, "scenarios", [], "add price 0"),
    ({"scenarios": [{"price": 0, "vol": "linear"}]}, "skew", None, "'linear' scenario"),
    ({"extended": {"prices": [0]}}, "extended.prices[0]", 0.0, "other than 0"),
    ({"grid": ..., "extended": {"prices": [1]}, "scenarios": [{"price": 0}]}, "extended", "without a grid", "a grid"),
    ({"grid": {"prices": [0]}, "extended": {"prices": [1]}}, "grid.prices", [0.0], "other than 0"),
    ({"source": []}, "source", [], "at least one source"),
    ({"settlement": "gold"}, "settlement", "gold", "enum"),
    ({"effective_from": "soon"}, "effective_from", "soon", "date"),
    ({"minimum": {"tiers": [[10, 1], [5, 2]]}}, "minimum.tiers[1][0]", 5, "bounds rise"),
    ({"minimum": {"tiers": [[None, 1], [5, 2]]}}, "minimum.tiers[0][0]", None, "last tier"),
]


@pytest.mark.parametrize(("changes", "field", "value", "remedy"), BAD, ids=[f"{b[1]}={b[2]}" for b in BAD])
def test_a_wrong_file_is_refused(changes: dict[str, Any], field: str, value: Any, remedy: str) -> None:
    with pytest.raises(InputError, match=remedy) as caught:
        parse_portfolio_rules(_with(**changes))
    assert (caught.value.field, caught.value.value) == (field, value)
    assert pickle.loads(pickle.dumps(caught.value)).field == field


def test_no_json_is_refused() -> None:
    with pytest.raises(InputError, match="a JSON object"):
        parse_portfolio_rules("{prices: 1}")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownRulesetError, match="derive-pmrm2"):
        load_portfolio_rules("lehman-pm")
    with pytest.raises(UnknownRulesetError, match="nse"):
        load_span_rules("lehman")


@pytest.mark.parametrize("field", ["up", "down", "short_power", "long_power", "least_up"])
def test_vol_shock_takes_its_ends_and_nothing_beyond(field: str) -> None:
    base = {"up": 0.1, "down": 0.1}
    for value in (0.0, 20.0):
        VolShock(**(base | {field: value}))
    for value in (-1e-9, 20.000001, float("nan")):
        with pytest.raises(InputError, match=field):
            VolShock(**(base | {field: value}))


def test_the_schema_can_be_printed_and_names_every_part() -> None:
    schema = json.loads(json.dumps(portfolio_rules_schema()))
    properties = schema["$defs"]["PortfolioRules"]["properties"]
    assert {"grid", "scenarios", "skew", "discount", "basis", "roll", "minimum"} <= set(properties)


def test_tiers_multiply_slices_and_the_last_goes_on() -> None:
    tiers = ((10.0, 1.0), (30.0, 2.0))
    assert [tiered_charge(raw, tiers) for raw in (0.0, 10.0, 20.0, 40.0)] == [0.0, 10.0, 30.0, 70.0]
    assert tiered_charge(40.0, ((10.0, 1.0), (30.0, 2.0), (None, 3.0))) == 80.0
    assert tiered_charge(5.0, ()) == 5.0
