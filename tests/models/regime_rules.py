"""Options and scenario margin of an account by the regimes' own reference functions, without a book."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from models.account import Account, Collateral, Position
from models.instrument import Instrument, parse_symbol
from models.margin.option import future_margin, position_margin
from models.margin.portfolio import Expiry, Holdings, load_portfolio_rules, scenario_margin
from models.margin.requirement import inverse_pnl
from models.margin.rulesets import load_ruleset
from models.margin.securities import OptionPosition, Underlying
from models.margin.securities_block import block_requirement
from models.margin.srm import MAINNET, SrmExpiry, SrmMarket, SrmOption, srm_net_margin
from models.options.kernels import black76
from models.options.surface import implied_vol
from models.typing import FloatArray
from tests.models.regimes import ASSETS

__all__ = ["Held", "Standing", "standing", "tight", "volatilities"]

HOURS_A_YEAR = 8760.0
Amounts = tuple[float, float, float]
"""What options add to equity, maintenance, initial requirement."""


def years_left(account: Account, instrument: Instrument, hours: float = 0.0) -> float:
    """Years from some hours after the account's instant to expiry."""
    assert instrument.expiry is not None
    return ((instrument.expiry - account.as_of).total_seconds() / 3600.0 - hours) / HOURS_A_YEAR


def volatilities(account: Account, price: FloatArray, level: FloatArray) -> dict[Position, float]:
    """Volatility of each option as of the account: stated, else on the surface."""
    out = {}
    for p in account.positions:
        instrument = parse_symbol(p.symbol)
        if instrument.strike is None:
            continue
        k = ASSETS.index(instrument.base)
        money, years = math.log(instrument.strike / price[k]), years_left(account, instrument)
        out[p] = p.implied_volatility or float(implied_vol(float(level[k]), money, years))
    return out


@dataclass
class Option:
    """One option position that has not expired."""

    strike: float
    is_call: bool
    quantity: float
    vol: float
    years: float
    mark: float


class Held:
    """Positions of an account on one underlying at a price, some hours after its instant."""

    def __init__(
        self,
        account: Account,
        positions: Sequence[Position],
        asset: str,
        spot: float,
        vols: Mapping[Position, float],
        hours: float = 0.0,
    ) -> None:
        self.spot, self.asset, self.profit, self.perpetual = spot, asset, 0.0, 0.0
        self.futures: dict[float, float] = {}
        self.options: list[Option] = []
        for p in positions:
            i = parse_symbol(p.symbol)
            if i.base != asset:
                continue
            if i.kind == "option":
                self._add_option(p, i, years_left(account, i, hours), vols[p])
                continue
            coins = p.quantity if i.linear else p.quantity / spot
            gain = spot - p.entry_price
            self.profit += p.quantity * gain if i.linear else float(inverse_pnl(p.quantity, p.entry_price, spot)) * spot
            if i.kind == "perpetual":
                self.perpetual += coins
            elif (years := years_left(account, i, hours)) > 1e-10:
                self.futures[years] = self.futures.get(years, 0.0) + coins

    def _add_option(self, p: Position, i: Instrument, years: float, vol: float) -> None:
        assert i.strike is not None
        is_call = i.option_type == "call"
        if years <= 1e-10:  # nothing more is required, and it is worth what it pays
            self.profit += p.quantity * max(self.spot - i.strike if is_call else i.strike - self.spot, 0.0)
            return
        mark = float(black76(self.spot, i.strike, vol * math.sqrt(years), is_call))
        self.options.append(Option(i.strike, is_call, p.quantity, vol, years, mark))


def _deribit(held: Held) -> Amounts:
    need = initial = 0.0
    for size in (held.perpetual, *held.futures.values()):
        found = future_margin(size)
        need, initial = need + float(found.maintenance) * held.spot, initial + float(found.initial) * held.spot
    for o in held.options:
        found = position_margin(o.quantity, o.strike, o.is_call, o.vol, o.years, spot=held.spot, forward=held.spot)
        need, initial = need + float(found.maintenance), initial + float(found.initial)
    return 0.0, need, initial


def _srm(held: Held) -> Amounts:
    options: dict[float, list[SrmOption]] = {years: [] for years in held.futures}
    for o in held.options:
        options.setdefault(o.years, []).append(SrmOption(o.strike, o.is_call, o.quantity, o.vol))
    expiries = tuple(
        SrmExpiry(years * 365 * 86_400, held.spot, tuple(some), future=held.futures.get(years, 0.0))
        for years, some in options.items()
    )
    market = SrmMarket(
        MAINNET[held.asset], held.spot, perpetual=held.perpetual, perpetual_price=held.spot, expiries=expiries
    )
    net, value = srm_net_margin([market]), sum(o.quantity * o.mark for o in held.options)
    delta_one = held.spot * (abs(held.perpetual) + sum(map(abs, held.futures.values())))
    rule = MAINNET[held.asset]
    # volatilities of one's own may leave an arbitrage: the value is then raised, and no requirement is negative
    value = max(value, net.maintenance + rule.perp_maintenance * delta_one, net.initial + rule.perp_initial * delta_one)
    return value, value - net.maintenance, value - net.initial


def _regt(held: Held) -> Amounts:
    options = []
    for o in held.options:
        inside = max((held.spot - o.strike) * (1.0 if o.is_call else -1.0), 0.0)
        price = max(o.mark, inside)
        options.append(OptionPosition(o.is_call, o.strike, o.quantity, price, o.years * 365.0, multiplier=1.0))
    value, need = block_requirement(options, Underlying(held.spot))
    return value, need, need


def _scenarios(name: str) -> Callable[[Held], Amounts]:
    def rule(held: Held) -> Amounts:
        years = sorted({*held.futures, *(o.years for o in held.options)})
        holdings = Holdings(
            spot=held.spot,
            expiries=[Expiry(t, held.spot, futures=held.futures.get(t, 0.0)) for t in years],
            strike=[o.strike for o in held.options],
            quantity=[o.quantity for o in held.options],
            vol=[o.vol for o in held.options],
            is_call=[o.is_call for o in held.options],
            expiry=[years.index(o.years) for o in held.options],
            perpetual=held.perpetual,
        )
        found = scenario_margin(load_portfolio_rules(_OF_ASSET.get((name, held.asset), name)), holdings)
        return found.value, found.maintenance, found.initial

    return rule


_OF_ASSET = {
    ("deribit-pm", "BTC"): "deribit-pm-btc",
    ("deribit-pm", "ETH"): "deribit-pm-eth",
    ("okx-pm", "BTC"): "okx-pm-btc",
    ("okx-pm", "ETH"): "okx-pm-btc",
}
_RULES: dict[str, Callable[[Held], Amounts]] = {
    "deribit-standard": _deribit,
    "derive-srm": _srm,
    "us-regt": _regt,
    **{name: _scenarios(name) for name in ("deribit-pm", "derive-pmrm2", "okx-pm", "paradex-pm")},
}


@dataclass
class Standing:
    """Equity, maintenance and initial requirement of an account, dollars."""

    equity: float
    maintenance: float
    initial: float

    def short_of(self, factor: float) -> bool:
        """Whether equity is below so many times maintenance."""
        return self.equity < factor * self.maintenance


def standing(
    account: Account,
    positions: Sequence[Position],
    balances: Mapping[str, float],
    price: FloatArray,
    vols: Mapping[Position, float],
    hours: float = 0.0,
) -> Standing:
    """Where an account with these positions and balances stands."""
    unit = dict(zip(ASSETS, price.tolist(), strict=True))
    out = Standing(sum(q * unit.get(a, 1.0) for a, q in balances.items()), 0.0, 0.0)
    for asset in sorted({parse_symbol(p.symbol).base for p in positions}):
        held = Held(account, positions, asset, unit[asset], vols, hours)
        value, need, initial = _RULES[account.ruleset](held)
        out.equity += held.profit + value
        out.maintenance += need
        out.initial += initial
    rules = load_ruleset(account.ruleset, account.as_of)
    out.initial = max(out.initial, max(1.0 / rules.call_ratio, rules.initial_factor) * out.maintenance)
    return out


def tight(account: Account, price: FloatArray, level: FloatArray, rng: np.random.Generator) -> Account:
    """The same positions with collateral around their initial requirement, so that some are called soon, some never."""
    now = standing(account, account.positions, {}, price, volatilities(account, price, level))
    dollars = now.initial * float(rng.uniform(0.75, 1.5)) - now.equity
    quantity = dollars / (float(price[0]) if account.currency == "BTC" else 1.0)
    return msgspec.structs.replace(account, collateral=(Collateral(asset=account.currency, quantity=quantity),))
