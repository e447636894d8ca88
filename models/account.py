"""Accounts as values: who is margined together, as of one instant.

The same classes are decoded from JSON Lines files and from API requests; unknown fields are
refused there with their path.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Literal

from msgspec import Struct

from models.errors import InputError
from models.instrument import is_stable, parse_symbol
from models.margin.csa.terms import CsaTerms
from models.margin.rulesets.loader import LENDERS, ruleset_model

__all__ = ["Account", "Collateral", "Position", "validate_account"]


class Position(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One open position.

    Parameters
    ----------
    symbol : str
        ccxt unified symbol.
    quantity : float
        Base units, > 0 long, < 0 short, not zero; dollars of contract value where settled in coin (futures).
    entry_price : float
        Average entry price in quote units, > 0.
    margin_mode : {"cross", "isolated"}
        Whether the account's collateral or its own margin backs the position.
    isolated_margin : float or None
        Margin assigned to an isolated position, in settlement currency.
    leverage : float or None
        Leverage chosen for the position, >= 1; sets its initial margin. The ruleset's default where None.
    implied_volatility : float or None
        Mark volatility of an option, a fraction a year; that of the market's surface where None.
    """

    symbol: str
    quantity: float
    entry_price: float
    margin_mode: Literal["cross", "isolated"] = "cross"
    isolated_margin: float | None = None
    leverage: float | None = None
    implied_volatility: float | None = None


class Collateral(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One collateral balance.

    Parameters
    ----------
    asset : str
        Asset code.
    quantity : float
        Units of the asset. Negative is owed: the account currency anywhere, other assets where the ruleset lends.
    """

    asset: str
    quantity: float


class Account(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Positions and collateral that are margined together under one ruleset.

    Parameters
    ----------
    account_id : str
        The owner's name for it.
    as_of : datetime
        Instant at which this is the state, timezone-aware UTC.
    ruleset : str
        Name of a ruleset, for example ``"binance-usdm"``.
    currency : str
        Account (settlement) currency.
    collateral : tuple of Collateral
        Balances of the cross wallet.
    positions : tuple of Position
        Open positions.
    csa : CsaTerms or None
        Terms of the credit support annex, for ruleset ``"csa"``.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> Account(account_id="a", as_of=datetime(2025, 3, 1, tzinfo=timezone.utc), ruleset="generic-linear",
    ...         currency="USDT", collateral=(Collateral(asset="USDT", quantity=1000.0),)).positions
    ()
    """

    account_id: str
    as_of: datetime
    ruleset: str
    currency: str
    collateral: tuple[Collateral, ...] = ()
    positions: tuple[Position, ...] = ()
    csa: CsaTerms | None = None


def validate_account(account: Account) -> None:
    """Check the values of one account; the first wrong one is reported.

    Parameters
    ----------
    account : Account
        The account to check.

    Raises
    ------
    InputError
        With the path of the field, its value and what was expected.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> bad = Account(account_id="a", as_of=datetime(2025, 3, 1, tzinfo=timezone.utc), ruleset="r", currency="USDT",
    ...               collateral=(Collateral(asset="BTC", quantity=-1.0),))
    >>> validate_account(bad)
    Traceback (most recent call last):
    ...
    models.errors.InputError: collateral[0].quantity: expected >= 0 (only the account currency may be owed), was -1.0
    """
    if not account.account_id:
        raise InputError("account_id", account.account_id, "a non-empty name")
    if account.as_of.tzinfo is None:
        raise InputError("as_of", account.as_of.isoformat(), "a time with a zone, for example 2025-03-01T12:00:00Z")
    if not 1990 <= account.as_of.year < 2200:
        raise InputError("as_of", account.as_of.isoformat(), "a time between 1990 and 2200")
    model = ruleset_model(account.ruleset)
    if model == "linear" and not is_stable(account.currency):
        raise InputError("currency", account.currency, "a dollar or dollar stable coin (linear margin)")
    for i, item in enumerate(account.collateral):
        _check_collateral(f"collateral[{i}]", item, account.currency, model)
    for i, position in enumerate(account.positions):
        _check_position(f"positions[{i}]", position, model)


def _check_collateral(path: str, item: Collateral, currency: str, model: str) -> None:
    if not math.isfinite(item.quantity):
        raise InputError(f"{path}.quantity", item.quantity, "a finite number")
    if item.quantity < 0 and item.asset != currency and model not in LENDERS:
        raise InputError(f"{path}.quantity", item.quantity, ">= 0 (only the account currency may be owed)")


def _check_position(path: str, position: Position, model: str) -> None:
    try:
        instrument = parse_symbol(position.symbol)
    except InputError as error:
        raise error.at(f"{path}.symbol") from None
    if model != "linear":
        pass  # which kinds a model takes is checked where its ruleset is at hand, by the book
    elif instrument.kind not in ("perpetual", "future") or not instrument.linear or not is_stable(instrument.settle):
        raise InputError(
            f"{path}.symbol", position.symbol, "a linear perpetual or future settled in a dollar stable coin"
        )
    if not math.isfinite(position.quantity) or position.quantity == 0:
        raise InputError(f"{path}.quantity", position.quantity, "a finite number that is not zero")
    if not math.isfinite(position.entry_price) or position.entry_price <= 0:
        raise InputError(f"{path}.entry_price", position.entry_price, "a finite price > 0")
    if position.leverage is not None and not (math.isfinite(position.leverage) and position.leverage >= 1):
        raise InputError(f"{path}.leverage", position.leverage, "a finite number >= 1")
    vol = position.implied_volatility
    if vol is not None and not (math.isfinite(vol) and 0 < vol <= 10):
        raise InputError(f"{path}.implied_volatility", vol, "a fraction a year in (0, 10], for example 0.55")
    margin = position.isolated_margin
    if position.margin_mode == "isolated" and (margin is None or not math.isfinite(margin) or margin < 0):
        raise InputError(f"{path}.isolated_margin", margin, "the margin of the isolated position, >= 0")
    if position.margin_mode == "cross" and margin is not None:
        raise InputError(f"{path}.isolated_margin", margin, "nothing, as margin_mode is 'cross'")
