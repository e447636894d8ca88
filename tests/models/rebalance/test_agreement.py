"""Amounts under a credit support annex: grids, and what is due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.account import Account
from models.margin.csa import CsaTerms, EligibleCollateral, PartyTerms, PostedCollateral, Rounding, credit_support
from models.margin.rulesets import load_ruleset
from models.rebalance.agreement import Grid, delivery_grid, due, return_grid
from models.rebalance.quotes import Quotes
from models.rebalance.weights import Weights
from tests.models.rebalance.regimes import NAMED, of

BTC = 84_000.0


def _weights(account: Account) -> Weights:
    return Weights(account, load_ruleset(account.ruleset, account.as_of), Quotes(account.currency, {"BTC": BTC}, {}))


@pytest.mark.parametrize(("grid", "amount", "up", "down"), [
    (Grid(), 1.23456789, 1.23456789, 1.23456789),
    (Grid(step=10.0), 41.0, 50.0, 40.0),
    (Grid(step=10.0), 40.0, 40.0, 40.0),
    (Grid(step=0.1), 0.1 + 0.2, 0.3, 0.3),
    (Grid(smallest=50.0), 41.0, 50.0, 0.0),
    (Grid(step=10.0, smallest=45.0), 41.0, 50.0, 0.0),
    (Grid(step=10.0, per_unit=4.0), 10.1, 12.5, 10.0),
    (Grid(smallest=50.0, per_unit=4.0), 3.0, 12.5, 0.0),
])  # fmt: skip
def test_amounts_are_on_the_grid(grid: Grid, amount: float, up: float, down: float) -> None:
    assert grid.up(amount) == pytest.approx(up)
    assert grid.down(amount) == pytest.approx(down)


def test_without_an_agreement_nothing_is_due() -> None:
    weights = _weights(NAMED["binance-usdm"])
    assert (due(weights), delivery_grid(weights, "USDT"), return_grid(weights, "USDT")) == (None, None, None)


@given(
    posted=st.floats(0.0, 600_000.0),
    coins=st.floats(0.0, 5.0),
    threshold=st.sampled_from([0.0, 100_000.0, "infinite"]),
    minimum=st.sampled_from([0.0, 50_000.0]),
    increment=st.sampled_from([None, 10_000.0]),
    entry=st.floats(60_000.0, 110_000.0),
    independent=st.sampled_from([0.0, 30_000.0]),
)
def test_what_is_due_is_the_published_rule(
    posted: float,
    coins: float,
    threshold: float,
    minimum: float,
    increment: float | None,
    entry: float,
    independent: float,
) -> None:
    terms = CsaTerms(
        party=PartyTerms(threshold=threshold, minimum_transfer_amount=minimum, independent_amount=independent),
        rounding=Rounding(delivery_increment=increment, return_increment=increment),
        eligible_collateral=(
            EligibleCollateral(asset="USD", valuation_percentage=0.99),
            EligibleCollateral(asset="BTC", valuation_percentage=0.7),
        ),
    )
    account = of("csa", "USD", {"USD": posted, "BTC": coins}, [("BTC/USDT:USDT", 10.0, entry)], csa=terms)
    items = [
        PostedCollateral(asset="USD", market_value=posted),
        PostedCollateral(asset="BTC", market_value=coins * BTC),
    ]
    outcome, found = credit_support(-10.0 * (BTC - entry), terms, items), due(_weights(account))
    assert found is not None
    assert found.action == outcome.action
    assert found.amount == pytest.approx(outcome.amount)
    grid = delivery_grid(_weights(account), "BTC")
    assert grid is not None
    assert grid.smallest == pytest.approx(outcome.amount if outcome.action == "CALL" else minimum)
    assert grid.per_unit == pytest.approx(0.7 * BTC)
