"""Option requirements of US securities margin, before any hedge with stock.

One uncovered short option needs, a unit, its market value and ``max(rate S - out, floor)``; rate is 20% (broad index
15%), the floor 10% of the underlying (call) or of the strike (put), all times the leverage of the fund. Long options
are paid in full, above nine months 75%. A short put and a short call need the greater of the two and the market value
of the other. A combination whose risk is limited needs its worst loss over its strikes, or what its short options need
uncovered where that is less, and its long options paid in full.

References
----------
Cboe Rule 10.3(c)(5), Cboe "Strategy-based Margin" (read 2026-09); FINRA Rule 4210(f)(2)(D) to (H); FINRA Regulatory
Notice 12-44 (worst loss over the exercise prices; short options may not outlive the long ones).
"""

from __future__ import annotations

from collections.abc import Sequence

from models.margin.securities import REG_T, OptionPosition, SecuritiesParameters, Underlying

__all__ = [
    "cash_requirement",
    "is_limited_risk",
    "long_requirement",
    "short_addition",
    "short_pair_addition",
    "short_requirement",
    "worst_loss",
]


def short_addition(option: OptionPosition, underlying: Underlying, parameters: SecuritiesParameters = REG_T) -> float:
    """Give what an uncovered short option needs above its market value.

    Parameters
    ----------
    option : OptionPosition
        The position; its side is not looked at.
    underlying : Underlying
        What it is on.
    parameters : SecuritiesParameters
        The rates.

    Returns
    -------
    float
        Dollars for the position.

    Examples
    --------
    >>> short_addition(OptionPosition(False, 80.0, -1, 2.0), Underlying(95.0))
    800.0
    """
    spot, leverage = underlying.price, abs(underlying.leverage)
    base = parameters.broad_rate if underlying.kind == "broad" else parameters.short_rate
    rate, floor = min(base * leverage, 1.0), min(parameters.floor_rate * leverage, 1.0)
    out = max(option.strike - spot if option.is_call else spot - option.strike, 0.0)
    return option.units * max(rate * spot - out, floor * (spot if option.is_call else option.strike))


def short_requirement(
    option: OptionPosition, underlying: Underlying, parameters: SecuritiesParameters = REG_T
) -> float:
    """Give the gross requirement of an uncovered short option: market value and addition.

    Parameters
    ----------
    option : OptionPosition
        The position; its side is not looked at.
    underlying : Underlying
        What it is on.
    parameters : SecuritiesParameters
        The rates.

    Returns
    -------
    float
        Dollars for the position, the same at initial (on the proceeds) and maintenance (on the market value).

    Examples
    --------
    >>> round(short_requirement(OptionPosition(True, 120.0, -1, 8.4), Underlying(128.5)), 2)
    3410.0
    >>> round(short_requirement(OptionPosition(True, 430.0, -1, 8.7), Underlying(433.35, "broad")), 2)
    7370.25
    """
    return abs(option.value) + short_addition(option, underlying, parameters)


def long_requirement(option: OptionPosition, parameters: SecuritiesParameters = REG_T) -> float:
    """Give the requirement of a long option by itself.

    Parameters
    ----------
    option : OptionPosition
        The position; its side is not looked at.
    parameters : SecuritiesParameters
        The rates.

    Returns
    -------
    float
        Its market value, or the share of it above nine months.

    Examples
    --------
    >>> long_requirement(OptionPosition(True, 80.0, 1, 12.0, days=540))
    900.0
    """
    rate = parameters.long_term_rate if option.days > parameters.long_term_days else 1.0
    return rate * abs(option.value)


def short_pair_addition(
    options: Sequence[OptionPosition], underlying: Underlying, parameters: SecuritiesParameters = REG_T
) -> float:
    """Give what uncovered short puts and calls need above their market value, paired as straddles and strangles.

    The dearest call is paired with the dearest put, and so on; of each pair only the greater counts. That is the
    cheapest pairing there is.

    Parameters
    ----------
    options : sequence of OptionPosition
        Short positions; sides are not looked at.
    underlying : Underlying
        What they are on.
    parameters : SecuritiesParameters
        The rates.

    Returns
    -------
    float
        Dollars.

    Examples
    --------
    >>> pair = [OptionPosition(True, 90.0, -1, 7.0), OptionPosition(False, 90.0, -1, 3.7)]
    >>> round(short_pair_addition(pair, Underlying(92.63)), 2)
    1852.6
    """
    levels = {True: [(0.0, 0.0)], False: [(0.0, 0.0)]}
    for option in options:
        if option.units > 0:
            each = short_addition(option, underlying, parameters) / option.units
            levels[option.is_call].append((each, option.units))
    total, last = 0.0, 0.0
    for level in sorted({each for side in levels.values() for each, _ in side}):
        above = max(sum(units for each, units in side if each >= level) for side in levels.values())
        total += (level - last) * above
        last = level
    return total


def is_limited_risk(options: Sequence[OptionPosition]) -> bool:
    """Say whether options make a combination that is margined at its worst loss.

    Parameters
    ----------
    options : sequence of OptionPosition
        All positions of the combination.

    Returns
    -------
    bool
        True where the calls are not short on balance and no short option outlives a long one.

    Examples
    --------
    >>> is_limited_risk([OptionPosition(True, 100.0, -1, 3.0), OptionPosition(True, 110.0, 1, 1.0)])
    True
    >>> is_limited_risk([OptionPosition(True, 100.0, -1, 3.0, days=30), OptionPosition(True, 110.0, 1, 1.0)])
    False
    """
    if sum(o.quantity * o.multiplier for o in options if o.is_call) < 0:
        return False
    longest_short = max((o.days for o in options if o.quantity < 0), default=0)
    return longest_short <= min((o.days for o in options if o.quantity > 0), default=longest_short)


def worst_loss(options: Sequence[OptionPosition]) -> float:
    """Give the greatest loss at expiry over the strikes and a price of zero, premiums left out.

    Parameters
    ----------
    options : sequence of OptionPosition
        The combination; its risk must be limited (`is_limited_risk`), above the last strike nothing is looked at.

    Returns
    -------
    float
        Dollars, >= 0.

    Examples
    --------
    >>> worst_loss([OptionPosition(True, 120.0, -1, 8.4), OptionPosition(True, 125.0, 1, 3.8)])
    500.0
    """
    prices = {0.0, *(o.strike for o in options)}
    paid = (sum(o.quantity * o.multiplier * o.payoff(price) for o in options) for price in prices)
    return max(-min(paid), 0.0)


def cash_requirement(option: OptionPosition, underlying: Underlying) -> float:
    """Give what one option needs in a cash account.

    Parameters
    ----------
    option : OptionPosition
        The position.
    underlying : Underlying
        What it is on.

    Returns
    -------
    float
        Dollars: a long option is paid in full; a short put or a short call on a broad index deposits its aggregate
        exercise price, another short call the underlying, less the premium received.

    Examples
    --------
    >>> round(cash_requirement(OptionPosition(False, 20.0, -1, 1.5), Underlying(19.5)), 2)
    1850.0
    >>> round(cash_requirement(OptionPosition(True, 120.0, -1, 8.4), Underlying(128.5)), 2)
    12010.0
    """
    if option.quantity > 0:
        return option.value
    deposit = underlying.price if option.is_call and underlying.kind != "broad" else option.strike
    return option.units * max(deposit - option.price, 0.0)
