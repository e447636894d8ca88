"""Accounts and rulesets of every regime that are wrong: the field, its value and the remedy, beside the good ones."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from features.sources.account_lines import decode_account
from models.book import Book
from models.book_small import BookMaker
from models.errors import InputError, MargincastError
from tests.cli.conftest import Run, Write, account, position

ASSETS = ("BTC", "ETH")
CALL = "BTC/USD:USD-220325-40000-C"


def of(ruleset: str, currency: str, held: dict[str, float], *legs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Build an account called ``bad``."""
    balances = [{"asset": a, "quantity": q} for a, q in held.items()]
    return account("bad", ruleset=ruleset, currency=currency, collateral=balances, positions=list(legs), **more)


def option(**changes: Any) -> dict[str, Any]:
    return position(**{"symbol": CALL, "quantity": -1.0, "entry_price": 100.0, **changes})


def under_terms(**terms: Any) -> dict[str, Any]:
    return of("csa", "USD", {"USD": 1e5}, csa=terms)


CASH = {"USDC": 1e5}
BAD: dict[str, tuple[dict[str, Any], str, str, str]] = {
    # account, path of the field, value, remedy
    "an expired option": (
        of("derive-srm", "USDC", CASH, option(), option(symbol="BTC/USD:USD-220301-40000-C")),
        "positions[1].symbol", "'BTC/USD:USD-220301-40000-C'", "settle it into the collateral",
    ),
    "an expired coin future": (
        of("binance-coinm", "BTC", {"BTC": 1.0}, position(symbol="BTC/USD:BTC-220301")),
        "positions[0].symbol", "'BTC/USD:BTC-220301'", "has not expired",
    ),
    "an expiry at the very instant": (
        of("derive-srm", "USDC", CASH, option(symbol="BTC/USD:USD-220310-40000-C"), as_of="2022-03-10T08:00:00Z"),
        "positions[0].symbol", "'BTC/USD:USD-220310-40000-C'", "has not expired",
    ),
    "a day that there is not": (
        of("derive-srm", "USDC", CASH, option(symbol="BTC/USD:USD-220231-40000-C")),
        "positions[0].symbol", "'BTC/USD:USD-220231-40000-C'", "YYMMDD that is a date",
    ),
    "a strike of zero": (
        of("deribit-standard", "BTC", {"BTC": 1.0}, option(symbol="BTC/USD:BTC-220325-0-C")),
        "positions[0].symbol", "'BTC/USD:BTC-220325-0-C'", "a strike above 0",
    ),
    "no volatility": (
        of("derive-srm", "USDC", CASH, option(implied_volatility=0.0)),
        "positions[0].implied_volatility", "0.0", "a fraction a year in (0, 10], for example 0.55",
    ),
    "a volatility in points": (
        of("us-regt", "USD", {"USD": 1e5}, option(implied_volatility=60.0)),
        "positions[0].implied_volatility", "60.0", "for example 0.55",
    ),
    "a volatility as text": (
        of("derive-srm", "USDC", CASH, option(implied_volatility="60%")),
        "positions[0].implied_volatility", "'str'", "float",
    ),
    "a coin contract under linear rules": (
        of("binance-usdm", "USDT", {"USDT": 1e5}, position(), position(symbol="BTC/USD:BTC")),
        "positions[1].symbol", "'BTC/USD:BTC'", "a linear perpetual or future settled in a dollar stable coin",
    ),
    "a coin contract on a venue in dollars": (
        of("dydx-v4", "USDC", CASH, position(symbol="BTC/USD:BTC")),
        "positions[0].symbol", "'BTC/USD:BTC'", "a linear perpetual",
    ),
    "a linear contract under coin rules": (
        of("binance-coinm", "BTC", {"BTC": 1.0}, position()),
        "positions[0].symbol", "'BTC/USDT:USDT'", "such as 'BTC/USD:BTC'",
    ),
    "an option where there are none": (
        of("binance-coinm", "BTC", {"BTC": 1.0}, option()),
        "positions[0].symbol", repr(CALL), "a coin-margined perpetual or future",
    ),
    "an option under an annex": (
        of("csa", "USD", {"USD": 1.0}, option(), csa={}), "positions[0].symbol", repr(CALL), "a linear perpetual",
    ),
    "a future among securities": (
        of("us-regt", "USD", {"USD": 1e5}, position(symbol="BTC/USD:USD")),
        "positions[0].symbol", "'BTC/USD:USD'", "an option on a dollar price",
    ),
    "a position in a loan": (
        of("aave-v3", "USDC", CASH, position()),
        "positions[0].symbol", "'BTC/USDT:USDT'", "debts as negative quantities",
    ),
    "a contract that is not in dollars": (
        of("okx-pm", "BTC", {"BTC": 1.0}, position(symbol="ETH/BTC:BTC")),
        "positions[0].symbol", "'ETH/BTC:BTC'", "on a dollar price",
    ),
    "a market that the venue has not": (
        of("dydx-v4", "USDC", CASH, position()), "positions[0].symbol", "'BTC/USDT:USDT'", "BTC/USDC:USDC",
    ),
    "an isolated trade under an annex": (
        of("csa", "USD", {"USD": 1.0}, position(margin_mode="isolated", isolated_margin=5.0), csa={}),
        "positions[0].margin_mode", "'isolated'", "'cross'",
    ),
    "an isolated coin contract without its margin": (
        of("binance-coinm", "BTC", {"BTC": 1.0}, position(symbol="BTC/USD:BTC", margin_mode="isolated")),
        "positions[0].isolated_margin", "nan", "the margin of the isolated position",
    ),
    "a debt where nothing can be owed": (
        of("binance-usdm", "USDT", {"USDT": 1e5, "BTC": -1.0}),
        "collateral[1].quantity", "-1.0", "only the account currency may be owed",
    ),
    "a debt beside options": (
        of("derive-srm", "USDC", {"USDC": 1e5, "ETH": -1.0}), "collateral[1].quantity", "-1.0", ">= 0",
    ),
    "a debt under an annex": (
        of("csa", "USD", {"USD": 1e5, "BTC": -1.0}, csa={}), "collateral[1].quantity", "-1.0", ">= 0",
    ),
    "collateral that the ruleset does not take": (
        of("derive-srm", "USDC", {"USDC": 1.0, "ETH": 1.0}), "collateral[1].asset", "'ETH'", "'derive-srm'",
    ),
    "collateral that scenario rules do not take": (
        of("deribit-pm", "BTC", {"BTC": 1.0, "DAI": 1.0}), "collateral[1].asset", "'DAI'", "USDT, USDC, BTC, ETH",
    ),
    "collateral without a price": (
        of("aave-v3", "USDC", {"USDC": 1.0, "WAT": 1.0}),
        "collateral[1].asset", "'WAT'", "an asset that the market has",
    ),
    "a currency without a price": (
        of("binance-coinm", "EUR", {}), "currency", "'EUR'", "an asset that the market has (BTC, ETH)",
    ),
    "an annex without its terms": (of("csa", "USD", {"USD": 1.0}), "csa", "None", "the terms of the agreement"),
    "terms without an annex": (
        of("binance-usdm", "USDT", {"USDT": 1.0}, csa={}), "csa", "terms of an agreement", "only ruleset 'csa'",
    ),
    "terms in a currency that does not convert": (
        under_terms(base_currency="EUR"), "csa.base_currency", "'EUR'", "amounts are not converted",
    ),
    "an annex in euros": (
        of("csa", "EUR", {"EUR": 1.0}, csa={"base_currency": "EUR"}), "currency", "'EUR'", "a dollar",
    ),
    "a negative threshold": (
        under_terms(party={"threshold": -1.0}), "csa.party.threshold", "-1.0", "an amount >= 0, or 'infinite'",
    ),
    "a misspelt term": (under_terms(party={"treshold": 1.0}), "csa.party.treshold", "'treshold'", "a known field"),
    "a percentage for a fraction": (
        under_terms(eligible_collateral=[{"asset": "USD", "valuation_percentage": 98}]),
        "csa.eligible_collateral[0].valuation_percentage", "98", "a fraction in (0, 1]",
    ),
    "an annex for initial margin": (
        under_terms(margin_type="initial_margin"), "csa.margin_type", "'initial_margin'", "'variation_margin'",
    ),
    "terms that are no object": (of("csa", "USD", {"USD": 1.0}, csa=[1]), "csa", "'array'", "object"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_the_book_names_field_value_and_remedy(name: str) -> None:
    document, field, value, remedy = BAD[name]
    try:
        found = decode_account(json.dumps(document))
    except InputError as error:
        message, where = str(error), error.field
    else:
        book, failures = Book.from_accounts([found], ASSETS)
        assert len(book) == 0
        assert [f.row for f in failures] == [0]
        message, where = failures[0].message, failures[0].field
        with pytest.raises(MargincastError, match=r"expected .*, was "):
            BookMaker(ASSETS)([found])
    assert where == field
    assert message.startswith(f"{field}: expected ")
    assert value in message
    assert remedy in message


@pytest.mark.parametrize("command", ["margin", "replay"])
def test_every_bad_account_is_a_line_beside_the_good_ones(
    command: str, run: Run, write: Write, market: Path, tmp_path: Path
) -> None:
    good = [of("derive-srm", "USDC", CASH, option()), of("aave-v3", "USDC", {"BTC": 1.0, "USDC": -1e3})]
    lines = [{**d, "account_id": f"a{i}"} for i, d in enumerate([good[0], *(b[0] for b in BAD.values()), good[1]])]
    out = tmp_path / "out.jsonl"
    done = run(command, write(*lines), "--market", market, "--out", out)
    assert done.exit_code == 0, done.stderr
    answered = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["account_id"] for row in answered] == ["a0", f"a{len(BAD) + 1}"]
    failures = [json.loads(line) for line in (tmp_path / "out.failures.jsonl").read_text().splitlines()]
    assert [f["row"] for f in failures] == list(range(2, len(BAD) + 2))
    for failure, (_, field, value, remedy) in zip(failures, BAD.values(), strict=True):
        assert field in failure["message"]
        assert value in failure["message"]
        assert remedy in failure["message"]
    assert "Traceback" not in done.output


def test_an_account_of_each_kind_alone_is_exit_code_2(run: Run, write: Write, market: Path) -> None:
    for name in ("a strike of zero", "terms in a currency that does not convert", "a debt beside options"):
        done = run("margin", write(BAD[name][0]), "--market", market)
        assert done.exit_code == 2
        assert BAD[name][1] in done.stderr


# ruleset files


def scenario_rules(**changes: Any) -> dict[str, Any]:
    text = files("models.margin.portfolio").joinpath("data", "paradex-pm.json").read_text()
    return {**json.loads(text), "name": "mine", **changes}


def tier_rules(**changes: Any) -> dict[str, Any]:
    text = files("models.margin.rulesets").joinpath("generic-linear.json").read_text()
    return {**json.loads(text), "name": "mine", **changes}


BAD_RULES = {
    "an unknown scenario parameter": (scenario_rules(vol_of_vol=1.0), "vol_of_vol", "a known field"),
    "an unknown parameter of a part": (
        scenario_rules(vol={"kind": "relative", "up": 0.3, "down": 0.2, "sideways": 1.0}),
        "vol.sideways", "a known field",
    ),
    "a shock out of its range": (scenario_rules(factors={"maintenance": -1.0, "initial": 1.0}), "factors", "was -1.0"),
    "a missing tier": (tier_rules(tables=[]), "default_tables", "tables"),
    "a tier without its rate": (
        tier_rules(tables=[[[0, 1e5], [0.01], [50, 25]]]), "tables[0]", "as many bounds as rates",
    ),
    "tiers that do not rise": (
        tier_rules(tables=[[[0, 5, 5], [0.01, 0.02, 0.03], [3, 2, 1]]]), "tables[0]", "rise strictly",
    ),
    "an unknown margin model": (tier_rules(model="magic"), "model", "magic"),
    "no settings": (tier_rules(settings=[]), "settings", "at least one entry"),
    "a call ratio in percent": (
        tier_rules(settings=[{**tier_rules()["settings"][0], "call_ratio": 80}]), "call_ratio", "[0.01, 1.0]",
    ),
    "a missing field": ({"name": "mine"}, "title", "the field is required"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_RULES)
def test_a_wrong_ruleset_file_is_refused_in_one_line(name: str, run: Run, tmp_path: Path) -> None:
    document, field, remedy = BAD_RULES[name]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document))
    done = run("rules", "check", path)
    assert done.exit_code == 2, done.output
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: mine.json: ")
    assert field in lines[0]
    assert remedy in lines[0]
