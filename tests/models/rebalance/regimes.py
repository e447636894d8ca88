"""One account of each margin regime in or near a call, and a predictor that knows them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr

from models.account import Account, Collateral, Position
from models.book import Book
from models.margin.csa import CsaTerms, EligibleCollateral, PartyTerms, Rounding
from models.margin.levels import margin_levels
from models.margin.valuation import Volatility
from models.typing import FloatArray
from tests.models.builders import AS_OF

ASSETS = ("BTC", "ETH")
PRICES = np.array([84_000.0, 2_200.0])
LEVELS = np.array([0.55, 0.7])
MARKET = Volatility(LEVELS, margin_rate=np.array([0.08, 0.11]))
SIGMA = (0.006, 0.012, 0.03, 0.052)
TERMS = CsaTerms(
    party=PartyTerms(threshold=100_000.0, minimum_transfer_amount=50_000.0),
    counterparty=PartyTerms(minimum_transfer_amount=25_000.0),
    rounding=Rounding(delivery_increment=10_000.0, return_increment=5_000.0),
    eligible_collateral=(
        EligibleCollateral(asset="USD"),
        EligibleCollateral(asset="BTC", valuation_percentage=0.85, additional_haircut=0.05),
    ),
)


def of(
    ruleset: str, currency: str, held: dict[str, float], legs: Sequence[tuple[str, float, float]] = (), **more: Any
) -> Account:
    """Return an account from balances and (symbol, quantity, entry price)."""
    return Account(
        account_id=more.pop("account_id", ruleset),
        as_of=AS_OF,
        ruleset=ruleset,
        currency=currency,
        collateral=tuple(Collateral(asset=asset, quantity=quantity) for asset, quantity in held.items()),
        positions=tuple(Position(symbol=s, quantity=q, entry_price=e) for s, q, e in legs),
        **more,
    )


CALL, PUT = "BTC/USD:BTC-250328-100000-C", "BTC/USD:BTC-250328-70000-P"
ACCOUNTS = (
    of("binance-usdm", "USDT", {"USDT": 2_000.0}, [("BTC/USDT:USDT", 1.0, 84_000.0)]),
    of("binance-coinm", "BTC", {"BTC": 0.045}, [("BTC/USD:BTC", 100_000.0, 84_000.0)]),
    of("generic-inverse", "BTC", {"BTC": 0.03}, [("BTC/USD:BTC-250328", -100_000.0, 84_000.0)]),
    of("aave-v3", "USDC", {"BTC": 1.0, "USDC": -50_000.0}, account_id="stable debt"),
    of("aave-v3", "USDC", {"ETH": 20.0, "BTC": -0.335}, account_id="coin debt"),
    of("binance-pm", "USDT", {"BTC": 0.49, "USDT": -35_000.0}, [
        ("ETH/USDT:USDT", -10.0, 2_200.0), ("BTC/USD:BTC", 20_000.0, 84_000.0),
    ]),
    of("csa", "USD", {"USD": 150_000.0}, [("BTC/USDT:USDT", 20.0, 100_000.0)], csa=TERMS),
    of("deribit-standard", "BTC", {"BTC": 0.33}, [(CALL, -2.0, 0.02), (PUT, -1.0, 0.02)]),
    of("derive-srm", "USDC", {"USDC": 29_000.0}, [
        ("BTC/USD:USD-250328-100000-C", -2.0, 500.0), ("BTC/USDC:USDC", 1.0, 84_000.0),
    ]),
    of("deribit-pm", "BTC", {"BTC": 0.30}, [(CALL, -4.0, 0.02), ("BTC/USD:BTC", 30_000.0, 84_000.0)]),
    of("us-regt", "USD", {"USD": 40_000.0}, [("BTC/USD:USD-250328-90000-C", -2.0, 2_000.0)]),
    of("vega", "USDT", {"USDT": 3_000.0}, [("BTC/USDT:USDT", 1.0, 84_000.0)]),
    of("dydx-v4", "USDC", {"USDC": 3_000.0}, [("BTC/USDC:USDC", 1.0, 84_000.0)]),
    of("synthetix-v3", "USDC", {"USDC": 2_500.0}, [("BTC/USDC:USDC", 1.0, 84_000.0)]),
    of("drift-v2", "USDC", {"USDC": 5_000.0, "ETH": 1.0}, [("BTC/USDC:USDC", 1.0, 84_000.0)]),
    of("fhs-margin", "USDT", {"USDT": 11_500.0}, [("BTC/USDT:USDT", 1.0, 84_000.0)]),
    of("mango-v4", "USDC", {"USDC": 9_500.0, "ETH": 1.0}, [("BTC/USDC:USDC", 1.0, 84_000.0)]),
)  # fmt: skip
NAMED = {account.account_id: account for account in ACCOUNTS}


def gap_predict(price: FloatArray = PRICES, points: int = 33) -> Callable[[Book], FloatArray]:
    """Return P(call): prices move together by a normal step, ETH half as far again, until the gap closes."""
    steps, beta = np.linspace(0.0, 4.0, points), np.array([1.0, 1.5])

    def side(book: Book, sigma: float, sign: float) -> FloatArray:
        gaps = np.array([margin_levels(book, price * np.exp(sign * sigma * z * beta)).gap_call for z in steps])
        beyond = np.argmax(gaps < 0, axis=0)
        rows = np.arange(len(book))
        inside = np.maximum(beyond - 1, 0)
        share = gaps[inside, rows] / np.where(beyond > 0, gaps[inside, rows] - gaps[beyond, rows], 1.0)
        reach = steps[inside] + share * (steps[1] - steps[0])
        return np.where(np.any(gaps < 0, axis=0), ndtr(-np.where(beyond > 0, reach, 0.0)), 0.0)

    def predict(book: Book) -> FloatArray:
        return np.column_stack([side(book, s, 1.0) + side(book, s, -1.0) for s in SIGMA])

    return predict
