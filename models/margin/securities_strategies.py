"""Named option strategies: initial, maintenance and cash-account requirement as the exchange's manual tabulates them.

A book is recognised by its shape. All long: paid in full. All short: uncovered, puts and calls paired. Limited risk
(spreads, butterflies, condors, boxes): worst loss, or the short options uncovered where that is less, and the long
options in full. With stock: covered, protected, converted, collared. Anything else is paired at least cost
(`models.margin.securities_pairing`).

References
----------
Cboe "Strategy-based Margin" (read 2026-09) and "Margin Manual" (sample calculations); FINRA Rule 4210(f)(2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from models.errors import InputError
from models.margin.securities import REG_T, OptionPosition, SecuritiesParameters, Underlying
from models.margin.securities_options import (
    cash_requirement,
    is_limited_risk,
    long_requirement,
    short_addition,
    short_pair_addition,
    worst_loss,
)
from models.margin.securities_pairing import paired_requirement
from models.margin.securities_shape import strategy_name
from models.margin.securities_stock import hedged_stock

__all__ = ["StrategyMargin", "strategy_margin"]


@dataclass(frozen=True, slots=True)
class StrategyMargin:
    """What a strategy requires, dollars.

    Parameters
    ----------
    strategy : str
        Its name.
    initial, maintenance : float
        Gross requirement, before the proceeds of short options are applied; short stock includes its market value.
    proceeds : float
        Market value of the short options, which may be applied to `initial`.
    margin : float
        The figure brokers quote: gross for uncovered short options, less the proceeds for every other strategy.
    cash_account : float
        Requirement in a cash account, NaN where it is not permitted.
    """

    strategy: str
    initial: float
    maintenance: float
    proceeds: float
    margin: float
    cash_account: float

    @property
    def deposit(self) -> float:
        """What opening the position takes: the initial requirement less the proceeds."""
        return self.initial - self.proceeds


def strategy_margin(
    options: Sequence[OptionPosition],
    underlying: Underlying,
    shares: float = 0.0,
    parameters: SecuritiesParameters = REG_T,
) -> StrategyMargin:
    """Give what a strategy requires in a margin and in a cash account.

    Parameters
    ----------
    options : sequence of OptionPosition
        All legs, on one underlying; at least one.
    underlying : Underlying
        What they are on.
    shares : float
        Shares held with them, < 0 short.
    parameters : SecuritiesParameters
        The rates.

    Returns
    -------
    StrategyMargin
        The requirements.

    Raises
    ------
    InputError
        If there is no option, or a book that must be paired mixes multipliers.

    Examples
    --------
    >>> legs = [OptionPosition(False, 425.0, 1, 6.4), OptionPosition(False, 430.0, -1, 7.8)]
    >>> found = strategy_margin(legs, Underlying(433.35, "broad"))
    >>> found.strategy, round(found.initial), round(found.proceeds), round(found.margin)
    ('put credit spread', 1140, 780, 360)
    """
    options = [o for o in options if o.quantity]
    if not options:
        raise InputError("options", [], "at least one option position that is not zero")
    name = strategy_name(options, shares)
    short = [o for o in options if o.quantity < 0]
    if shares:
        return _with_stock(name, options, underlying, shares, parameters)
    if not short:
        need = sum(long_requirement(o, parameters) for o in options)
        return _result(name, options, underlying, need, need, 0.0)
    if len(short) == len(options):
        gross = -sum(o.value for o in short) + short_pair_addition(short, underlying, parameters)
        return _result(name, options, underlying, gross, gross, -sum(o.value for o in short))
    if is_limited_risk(options):
        return _limited(name, options, underlying, parameters)
    return _paired(name, options, underlying, shares, parameters)


def _result(
    name: str, options: Sequence[OptionPosition], underlying: Underlying, gross: float, margin: float, proceeds: float
) -> StrategyMargin:
    cash = sum(cash_requirement(o, underlying) for o in options)
    return StrategyMargin(name, gross, gross, proceeds, margin, cash)


def _limited(
    name: str, options: Sequence[OptionPosition], underlying: Underlying, p: SecuritiesParameters
) -> StrategyMargin:
    short = [o for o in options if o.quantity < 0]
    proceeds, paid = -sum(o.value for o in short), sum(o.value for o in options if o.quantity > 0)
    worst = worst_loss(options)
    cash = worst + paid - proceeds
    if name == "long box spread" and all(o.style == "european" for o in options):
        strikes = [o.strike for o in options]
        gross = p.box_rate * (max(strikes) - min(strikes)) * options[0].units + proceeds
        return StrategyMargin(name, gross, gross, proceeds, gross - proceeds, cash)
    gross = min(worst, proceeds + sum(short_addition(o, underlying, p) for o in short)) + paid
    return StrategyMargin(name, gross, gross, proceeds, gross - proceeds, cash)


def _with_stock(
    name: str, options: Sequence[OptionPosition], underlying: Underlying, shares: float, p: SecuritiesParameters
) -> StrategyMargin:
    if name == "combination with stock":
        return _paired(name, options, underlying, shares, p)
    side, size = (1 if shares > 0 else -1), abs(shares)
    call, put = next((o for o in options if o.is_call), None), next((o for o in options if not o.is_call), None)
    proceeds, paid = -sum(o.value for o in options if o.quantity < 0), sum(o.value for o in options if o.quantity > 0)
    market = 0.0 if side > 0 else size * underlying.price
    initial = market + paid + size * hedged_stock(side, underlying.price, call, put, "initial", p)
    maintenance = market + size * hedged_stock(side, underlying.price, call, put, "maintenance", p)
    cash = size * underlying.price + paid - proceeds if side > 0 else nan
    return StrategyMargin(name, initial, maintenance, proceeds, initial - proceeds, cash)


def _paired(
    name: str, options: Sequence[OptionPosition], underlying: Underlying, shares: float, p: SecuritiesParameters
) -> StrategyMargin:
    first = paired_requirement(options, underlying, shares, "initial", p)
    later = paired_requirement(options, underlying, shares, "maintenance", p)
    proceeds = -sum(o.value for o in options if o.quantity < 0)
    base = proceeds + max(-shares, 0.0) * underlying.price
    cash = nan if shares else sum(cash_requirement(o, underlying) for o in options)
    return StrategyMargin(
        name, first.requirement + base, later.requirement + base, proceeds, first.requirement + first.uncovered, cash
    )
