"""Margin of futures and perpetuals at an account leverage, linear and coin-margined: contracts * size / leverage."""

from __future__ import annotations

from models.errors import InputError
from models.margin.requirement import margin_requirement, notional_value

__all__ = ["contract_margin"]


def contract_margin(
    contracts: float, price: float, leverage: float, *, contract_size: float = 1.0, inverse: bool = False
) -> float:
    """Give the margin of a futures position in quote currency: notional over leverage.

    Parameters
    ----------
    contracts : float
        Number of contracts; the sign is ignored.
    price : float
        Quote units for one base unit, > 0.
    leverage : float
        Leverage of the account, >= 1.
    contract_size : float
        Base units a contract (linear) or quote units a contract (inverse), > 0.
    inverse : bool
        Whether the contract is margined in coin: the coin margin is valued at `price`.

    Returns
    -------
    float
        Quote units. Initial and maintenance are the same where the venue sets neither apart.

    Raises
    ------
    InputError
        If the price or the size is not positive, or the leverage below 1.

    References
    ----------
    QuantConnect Lean, crypto futures margin model (Apache-2.0), test cases at 24863901; Binance COIN-M contract sizes.

    Examples
    --------
    >>> contract_margin(10, 16_000.0, 25), contract_margin(-10, 16_000.0, 25, contract_size=100.0, inverse=True)
    (6400.0, 40.0)
    """
    for field, value in (("price", price), ("contract_size", contract_size)):
        if not value > 0:
            raise InputError(field, value, "a number > 0")
    coin_or_quote = notional_value(contracts * contract_size, price, inverse=inverse)
    margin = float(margin_requirement(coin_or_quote, 1.0, leverage))
    return margin * price if inverse else margin
