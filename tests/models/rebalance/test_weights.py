"""What collateral counts for, against the engine that counts it."""

from __future__ import annotations

import numpy as np
import pytest

from models.account import Account
from models.book import Book
from models.margin.levels import margin_levels
from models.margin.rulesets import load_ruleset
from models.margin.valuation import valued
from models.rebalance.balances import changed
from models.rebalance.quotes import Quotes
from models.rebalance.weights import Weights
from tests.models.rebalance.regimes import ACCOUNTS, ASSETS, MARKET, NAMED, PRICES

DOLLARS = dict(zip(ASSETS, PRICES.tolist(), strict=True))


def _weights(name: str) -> Weights:
    account = NAMED[name]
    rules = load_ruleset(account.ruleset, account.as_of)
    return Weights(account, rules, Quotes(account.currency, DOLLARS, {}))


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda a: a.account_id)
def test_an_asset_counts_as_in_the_engine(account: Account) -> None:
    weights, held = _weights(account.account_id), {item.asset for item in account.collateral}
    new = [a for a in ("BTC", "ETH", "USD", "USDC", "USDT") if a not in held and weights.refusal(a) is None]
    book, failures = Book.from_accounts([account, *(changed(account, asset, 0.5) for asset in new)], ASSETS)
    assert failures == []
    equity = margin_levels(valued(book, PRICES, MARKET), PRICES).equity
    counted = [weights.counted(asset, 0.5) for asset in new]
    assert counted == pytest.approx((equity[1:] - equity[0]).tolist(), rel=1e-6)


def test_what_is_owed_counts_in_full() -> None:
    assert _weights("stable debt").counted("BTC", -2.0) == -2.0 * PRICES[0]


@pytest.mark.parametrize(("name", "asset", "reason"), [
    ("stable debt", "PEPE", "The market has no price for PEPE."),
    ("derive-srm", "ETH", "derive-srm does not accept ETH as collateral."),
    ("csa", "ETH", "The agreement does not accept ETH as collateral."),
    ("csa", "BTC", None),
    ("deribit-standard", "BTC", None),
])  # fmt: skip
def test_refusals_name_who_refuses(name: str, asset: str, reason: str | None) -> None:
    assert _weights(name).refusal(asset) == reason


def test_a_coin_account_counts_in_coin() -> None:
    weights = _weights("deribit-standard")
    assert weights.counted("BTC", 2.0) == pytest.approx(2.0)
    assert weights.counted("USDC", 42_000.0) == pytest.approx(0.5)
    assert np.isfinite(weights.first_ratio("BTC"))
