"""Stock hedged with options: what one share of a covered or protected position must hold against equity.

Stock carries the requirement, a short option that is covered by stock none; a long option has no loan value and is paid
in full. In the money, a covered option moves the value at which the stock counts: long stock at the lesser of market
and call strike, short stock at the greater of market and put strike.

==================  ===========================================================  ===================================
position            maintenance of the stock, a share                            beyond market value
==================  ===========================================================  ===================================
covered call        ``25% min(S, K)``                                            ``max(S - K, 0)``
covered put         short stock                                                  ``max(K - S, 0)``
protective put      ``min(10% K + max(S - K, 0), 25% S)``                        put paid in full
protective call     ``min(10% K + max(K - S, 0), short stock)``                  call paid in full
conversion          ``10% K``                                                    ``max(S - K, 0)``, put paid in full
collar              ``min(10% Kp + max(S - Kp, 0), 25% Kc)``                     ``max(S - Kc, 0)``, put paid in full
reverse conversion  ``110% K + max(K - S, 0)`` less the market value ``S``       call paid in full
==================  ===========================================================  ===================================

References
----------
Cboe "Margin Manual", covered and hedged positions and their sample calculations; FINRA Rule 4210(f)(2)(H); Cboe Rule
10.3(c)(5)(C).
"""

from __future__ import annotations

from models.errors import InputError
from models.margin.securities import REG_T, Level, OptionPosition, SecuritiesParameters, stock_requirement

__all__ = ["hedged_stock"]


def hedged_stock(
    side: int,
    price: float,
    call: OptionPosition | None = None,
    put: OptionPosition | None = None,
    level: Level = "maintenance",
    parameters: SecuritiesParameters = REG_T,
) -> float:
    """Give the requirement of one share with the options on it, against stock value alone.

    The premiums are left out: against equity a long option adds its market value and a covered one takes it off.

    Parameters
    ----------
    side : {1, -1}
        Long or short stock. With long stock the call is short and the put long, with short stock the other way.
    price : float
        Market price of the share, dollars.
    call, put : OptionPosition, optional
        The options on the share. Both: a conversion where the strikes are equal, else a collar (put strike below).
    level : {"initial", "maintenance"}
        At initial the stock needs Regulation T; hedges relieve maintenance only.
    parameters : SecuritiesParameters
        The rates.

    Returns
    -------
    float
        Dollars a share. Short stock: beyond its market value.

    Raises
    ------
    InputError
        If the strikes of a collar are crossed.

    Examples
    --------
    >>> put, call = OptionPosition(False, 30.0, 1, 0.4), OptionPosition(True, 35.0, -1, 0.2)
    >>> round(hedged_stock(1, 31.75, call, put), 2)
    4.75
    """
    if call is not None and put is not None and put.strike > call.strike:
        raise InputError("put.strike", put.strike, f"at most the strike of the call ({call.strike})")
    if level == "initial":
        return stock_requirement(side, price, "initial", parameters)
    if side > 0:
        return _long(price, call, put, parameters)
    return _short(price, call, put, parameters)


def _long(price: float, call: OptionPosition | None, put: OptionPosition | None, p: SecuritiesParameters) -> float:
    cap = price if call is None else min(price, call.strike)
    excess = price - cap
    if put is None:
        return p.stock_long * cap + excess
    protected = p.hedge_rate * put.strike + max(price - put.strike, 0.0)
    if call is None:
        return min(protected, p.stock_long * price)
    if call.strike == put.strike:
        return p.hedge_rate * put.strike + excess
    return min(protected, p.collar_rate * call.strike) + excess


def _short(price: float, call: OptionPosition | None, put: OptionPosition | None, p: SecuritiesParameters) -> float:
    least = stock_requirement(-1.0, price, "maintenance", p)
    if call is None:
        return least + (0.0 if put is None else max(put.strike - price, 0.0))
    if put is None:
        return min(p.hedge_rate * call.strike + max(call.strike - price, 0.0), least)
    return (1.0 + p.hedge_rate) * call.strike + max(put.strike - price, 0.0) - price
