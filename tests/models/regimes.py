"""Random accounts of every ruleset, and the market they live in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from models.account import Account, Collateral, Position
from models.book import Book
from models.margin.csa import CsaTerms, EligibleCollateral, PartyTerms
from models.margin.levels import MarginLevels, margin_levels
from models.margin.rulesets import load_ruleset, ruleset_names
from models.margin.valuation import Volatility, valued
from models.typing import FloatArray
from tests.models.builders import AS_OF

__all__ = [
    "ASSETS",
    "LEVEL",
    "MARKET",
    "PRICE",
    "RATE",
    "Regime",
    "account_of",
    "accounts_of",
    "book_of",
    "levels_of",
    "regime",
]

ASSETS = ("BTC", "ETH")
PRICE = np.array([84_000.0, 2_200.0])
LEVEL = np.array([0.55, 0.7])
RATE = np.array([0.08, 0.11])
"""Rate of dynamic margin."""
MARKET = Volatility(LEVEL, margin_rate=RATE)
_USDC = ("hyperliquid", "dydx-v4", "synthetix-v3", "drift-v2", "mango-v4", "derive-srm", "derive-pmrm2", "paradex-pm")
_COIN = ("binance-coinm", "generic-inverse", "deribit-standard", "deribit-pm", "okx-pm")
_OPTIONS = ("deribit-standard", "deribit-pm", "okx-pm", "derive-srm", "derive-pmrm2", "paradex-pm", "us-regt")
_ISOLATED = ("linear", "inverse", "unified")
_COLLATERAL = {
    "binance-usdm": ("BTC", "ETH", "USDC"),
    "bybit-linear": ("BTC", "ETH"),
    "okx-linear": ("BTC", "ETH"),
    "generic-linear": ("BTC", "USDC"),
    "binance-coinm": ("ETH",),
    "generic-inverse": ("ETH",),
    "binance-pm": ("BTC", "ETH"),
    "bybit-uta": ("BTC", "ETH"),
    "drift-v2": ("BTC", "ETH"),
    "mango-v4": ("BTC", "ETH"),
    "deribit-standard": ("ETH",),
    "deribit-pm": ("ETH",),
    "okx-pm": ("ETH", "USDC"),
    "csa": ("BTC", "USDC"),
}
_EXPIRIES = ("250307", "250328", "250627")


@dataclass(frozen=True)
class Regime:
    """What accounts of a ruleset may hold."""

    name: str
    model: str
    currency: str
    perpetuals: tuple[str, ...]
    futures: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    collateral: tuple[str, ...] = ()
    isolated: bool = False
    borrows: bool = False
    leverage: bool = field(default=False)


def regime(name: str) -> Regime:
    """Return what accounts of a ruleset may hold."""
    rules = load_ruleset(name, AS_OF)
    money = "USD" if name in ("us-regt", "csa") else "USDC" if name in _USDC or name == "aave-v3" else "USDT"
    linear = tuple(f"{a}/{'USDT' if money == 'USD' else money}:{'USDT' if money == 'USD' else money}" for a in ASSETS)
    coin = tuple(f"{a}/USD:{a}" for a in ASSETS)
    perpetuals = coin if name in _COIN else linear + coin if rules.model == "unified" else linear
    options: tuple[str, ...] = ()
    if name in _OPTIONS:
        roots = coin if name in _COIN else tuple(f"{a}/{money}:{money}" for a in ASSETS)
        options = tuple(f"{r}-{e}" for r in roots for e in _EXPIRIES)
    if rules.model in ("lending", "regt"):
        perpetuals = ()
    dated = rules.model in ("linear", "inverse", "unified", "csa", "deribit-standard", "scenario", "srm", "dynamic")
    return Regime(
        name=name,
        model=rules.model,
        currency="BTC" if name in _COIN else money,
        perpetuals=perpetuals,
        futures=tuple(f"{p}-{e}" for p in perpetuals for e in _EXPIRIES if dated and _is_listed(name, p)),
        options=options,
        collateral=_COLLATERAL.get(name, ("BTC", "ETH") if rules.model == "lending" else ()),
        isolated=rules.model in _ISOLATED,
        borrows=rules.borrows,
        leverage=rules.model in _ISOLATED,
    )


_OWN_SYMBOLS = ("binance-usdm", "binance-pm", "hyperliquid")
"""Rulesets that list their linear symbols, perpetuals among them only."""


def _is_listed(name: str, perpetual: str) -> bool:
    return name not in _OWN_SYMBOLS or perpetual.split(":")[1] in ASSETS


def account_of(name: str, rng: np.random.Generator, account_id: str = "a") -> Account:
    """Return a random account: of two units of the market's notional, with between 0.03 and 1.5 of it as collateral."""
    held = regime(name)
    positions = _positions(held, rng)
    gross = sum(_notional(p) for p in positions) or float(np.exp(rng.uniform(8, 13)))
    worth = gross * float(np.exp(rng.uniform(np.log(0.03), np.log(1.5))))
    terms = _terms(rng, gross) if held.model == "csa" else None
    return Account(
        account_id=account_id,
        as_of=AS_OF,
        ruleset=name,
        currency=held.currency,
        collateral=_collateral(held, rng, worth),
        positions=tuple(positions),
        csa=terms,
    )


def _positions(held: Regime, rng: np.random.Generator) -> list[Position]:
    linear = held.perpetuals + held.futures
    out = [_future(held, str(rng.choice(linear)), rng) for _ in range(rng.integers(0, 4) if linear else 0)]
    if held.options:
        out += [_option(str(rng.choice(held.options)), rng) for _ in range(rng.integers(1, 6))]
    elif linear and not out:
        out.append(_future(held, linear[0], rng))
    return out


def _price_of(symbol: str) -> float:
    return float(PRICE[ASSETS.index(symbol.split("/")[0])])


def _notional(p: Position) -> float:
    return abs(p.quantity) * (1.0 if _is_coin(p.symbol) else _price_of(p.symbol))


def _is_coin(symbol: str) -> bool:
    base, settle = symbol.split("/")[0], symbol.split(":")[1].split("-")[0]
    return base == settle and not symbol.endswith(("-C", "-P"))


def _future(held: Regime, symbol: str, rng: np.random.Generator) -> Position:
    price = _price_of(symbol)
    notional = float(np.exp(rng.uniform(np.log(3e3), np.log(3e6)))) * float(rng.choice([-1.0, 1.0]))
    quantity = round(notional, -2) or 100.0 if _is_coin(symbol) else notional / price
    entry = price * float(np.exp(rng.normal(0.0, 0.05)))
    more: dict[str, object] = {}
    if held.isolated and rng.random() < 0.3:
        margin = 0.1 * abs(notional)
        more = {"margin_mode": "isolated", "isolated_margin": margin / price if _is_coin(symbol) else margin}
    if held.leverage and rng.random() < 0.5:
        more["leverage"] = float(rng.choice([2.0, 5.0, 20.0, 100.0]))
    return Position(symbol=symbol, quantity=quantity, entry_price=entry, **more)  # type: ignore[arg-type]


def _option(root: str, rng: np.random.Generator) -> Position:
    price = _price_of(root)
    strike = round(price * float(np.exp(rng.normal(0.0, 0.2))), -3 if price > 1e4 else -2)
    quantity = float(rng.choice([-1.0, 1.0])) * round(float(np.exp(rng.uniform(-2, 2))), 2)
    vol = float(rng.uniform(0.3, 1.2)) if rng.random() < 0.5 else None
    symbol = f"{root}-{int(strike)}-{rng.choice(['C', 'P'])}"
    return Position(symbol=symbol, quantity=quantity, entry_price=500.0, implied_volatility=vol)


def _collateral(held: Regime, rng: np.random.Generator, worth: float) -> tuple[Collateral, ...]:
    money = [held.currency, *(a for a in held.collateral if rng.random() < 0.6)]
    share = rng.dirichlet(np.ones(len(money))) * worth
    out = [Collateral(asset=a, quantity=float(s) / _unit(a)) for a, s in zip(money, share, strict=True)]
    if held.borrows:
        asset = str(rng.choice([held.currency, *held.collateral]))
        owed = float(rng.uniform(0.05, 0.9)) * worth / _unit(asset)
        out = [c for c in out if c.asset != asset] + [Collateral(asset=asset, quantity=-owed)]
    return tuple(out)


def _unit(asset: str) -> float:
    return float(PRICE[ASSETS.index(asset)]) if asset in ASSETS else 1.0


def _terms(rng: np.random.Generator, gross: float) -> CsaTerms:
    lines = tuple(EligibleCollateral(asset=a, valuation_percentage=v) for a, v in (("BTC", 0.7), ("USDC", 0.95)))
    cash = EligibleCollateral(asset="USD", valuation_percentage=float(rng.choice([0.98, 1.0])))
    mine = PartyTerms(
        threshold=float(rng.choice([0.0, 0.05])) * gross,
        minimum_transfer_amount=float(rng.choice([0.0, 0.01])) * gross,
        independent_amount=float(rng.choice([0.0, 0.1])) * gross,
    )
    other = PartyTerms(minimum_transfer_amount=float(rng.choice([0.0, 0.02])) * gross)
    listed = (*lines, cash) if rng.random() < 0.5 else ()
    return CsaTerms(party=mine, counterparty=other, eligible_collateral=listed)


def accounts_of(name: str, seed: int, n: int = 12) -> list[Account]:
    """Return n random accounts of a ruleset."""
    rng = np.random.default_rng([seed, ruleset_names().index(name)])
    return [account_of(name, rng, f"{name}-{i}") for i in range(n)]


def book_of(accounts: Sequence[Account], price: FloatArray | None = None, level: FloatArray | None = None) -> Book:
    """Return a book of good accounts with its sheets at a price."""
    out, failures = Book.from_accounts(accounts, ASSETS)
    assert failures == []
    return valued(out, PRICE if price is None else price, MARKET if level is None else replace(MARKET, level=level))


def levels_of(accounts: Sequence[Account], price: FloatArray | None = None) -> MarginLevels:
    """Return the levels of accounts at a price."""
    at = PRICE if price is None else price
    return margin_levels(book_of(accounts, at), at)
