"""A ruleset file of the user's own: what is wrong is named; what is right works as a shipped one does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.resources import files

import numpy as np
import pytest

from models.account import Account, Collateral, Position
from models.book import Book
from models.errors import InputError
from models.margin.levels import margin_levels
from models.margin.rulesets import load_ruleset, ruleset_names
from models.margin.rulesets import loader as loader_module
from models.margin.rulesets.own import parse_ruleset, register_ruleset
from models.margin.valuation import Volatility, valued


@pytest.fixture
def forget(monkeypatch):
    """Leave no registered ruleset behind."""
    yield
    loader_module._OWN.clear()
    for cached in (loader_module._document, loader_module.ruleset_model, loader_module._ruleset):
        cached.cache_clear()


def shipped(name, folder="models.margin.rulesets"):
    return json.loads(files(folder).joinpath(f"{name}.json").read_text())


def changed(path, value, name="generic-linear"):
    document = shipped(name) | {"name": "mine"}
    target = document
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return json.dumps(document)


def accounts(ruleset, symbol="BTC/USDT:USDT", quantity=1.0):
    return [
        Account(
            account_id="a",
            as_of=datetime(2025, 3, 1, tzinfo=UTC),
            ruleset=ruleset,
            currency="USDT",
            collateral=(Collateral(asset="USDT", quantity=50_000.0),),
            positions=(Position(symbol=symbol, quantity=quantity, entry_price=80_000.0),),
        )
    ]


def levels(book):
    price = np.array([82_000.0])
    found = margin_levels(valued(book, price, Volatility(np.array([0.6]))), price)
    return [getattr(found, n)[0] for n in ("equity", "maintenance", "call", "initial", "release")]


@pytest.mark.parametrize(
    ("path", "value", "field", "remedy"),
    [
        (("default_tables",), [[0, 4]], "default_tables[0].table", "an index into tables, which has 1"),
        (("default_tables",), [[3, 0]], "default_tables[0].date", "an index into dates, which has 1"),
        (("collateral", "BTC"), [[0, 9]], "collateral.BTC[0].table", "an index into ratio_tables, which has 3"),
        (("tables", 0, 1), [0.02, 0.01, 0.02, 0.05, 0.1, 0.25], "tables[0]", "ris"),
        (("tables", 0, 0), [0, 5, 5, 6, 7, 8], "tables[0]", "ris"),
        (("settings", 0, "call_ratio"), 1.5, "settings[0].call_ratio", "a number in [0.01, 1.0]"),
        (("settings",), [], "settings", "at least one entry"),
        (("wobble",), 1, "wobble", "remove it"),
        (("model",), "wavy", "model", "another value"),
    ],
)
def test_a_wrong_document_is_refused_by_field_and_remedy(path, value, field, remedy):
    with pytest.raises(InputError) as caught:
        parse_ruleset(changed(path, value))
    assert caught.value.field.startswith(field)
    assert remedy in str(caught.value)


def test_versions_must_come_in_order_of_date():
    document = shipped("generic-linear") | {"name": "mine"}
    document["dates"].append(["2020-01-01T00:00:00Z", "later"])
    document["default_tables"] = [[1, 0], [0, 0]]
    with pytest.raises(InputError, match="a date after"):
        parse_ruleset(json.dumps(document))


def test_what_is_no_json_is_refused():
    with pytest.raises(InputError, match="a JSON object"):
        parse_ruleset("{")


def test_the_name_of_a_shipped_ruleset_is_taken():
    with pytest.raises(InputError, match="a name of your own"):
        register_ruleset(json.dumps(shipped("generic-linear")))


@pytest.mark.usefixtures("forget")
def test_a_registered_document_is_used_by_accounts():
    assert "mine" not in ruleset_names()
    assert register_ruleset(changed(("tables", 0, 1), [0.02, 0.03, 0.04, 0.05, 0.1, 0.25])) == "mine"
    assert "mine" in ruleset_names()
    own, _ = Book.from_accounts(accounts("mine"), ["BTC"])
    generic, _ = Book.from_accounts(accounts("generic-linear"), ["BTC"])
    assert levels(own)[1] == pytest.approx(2.0 * levels(generic)[1])
    assert load_ruleset("mine", datetime(2025, 1, 1, tzinfo=UTC)).name == "mine"


@pytest.mark.usefixtures("forget")
def test_registered_scenario_rules_margin_options_as_the_shipped_ones_do():
    rules = shipped("paradex-pm", "models.margin.portfolio.data") | {"name": "my-desk"}
    assert register_ruleset(json.dumps(rules)) == "my-desk"
    symbol = "BTC/USD:USD-250328-90000-C"
    own, bad = Book.from_accounts(accounts("my-desk", symbol, -1.0), ["BTC"])
    venue, _ = Book.from_accounts(accounts("paradex-pm", symbol, -1.0), ["BTC"])
    assert not bad
    assert levels(own) == pytest.approx(levels(venue))
    assert levels(own)[1] > 0
