"""One account before and after changes, by the exact engine and the full predictor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import numpy as np

from features.answer import flag_names
from features.moment import Moment
from models.account import Account
from models.book import Book
from models.errors import InputError, MissingMarketError
from models.margin.levels import STATES, margin_levels
from models.rebalance.changes import Changes, apply_changes
from models.rebalance.plan import Levels
from models.rebalance.quotes import Quotes
from models.typing import HORIZONS
from serving.schemas import Market

__all__ = ["Outcome", "OutcomeRow", "WhatIfRequest", "WhatIfResponse", "what_if"]


class WhatIfRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account, and what might be done to it; ``prices`` of the changes moves the market as well."""

    account: Account
    changes: Changes


class OutcomeRow(msgspec.Struct, frozen=True, gc=False):
    """P(call) and P(liquidation) within a horizon."""

    horizon_minutes: int
    p_call: float
    p_liquidation: float
    prior: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Equity, the four levels and the call amount in account currency, and what is predicted."""

    levels: Levels
    rows: list[OutcomeRow]
    flags: list[str]


class WhatIfResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The account before and after, and as it would be."""

    model_version: str
    market: Market
    before: Outcome
    after: Outcome
    account: Account


def what_if(moment: Moment, request: WhatIfRequest, market: Market, version: str) -> WhatIfResponse:
    """Evaluate changes.

    Parameters
    ----------
    moment : Moment
        The market at the account's instant.
    request : WhatIfRequest
        Account and changes.
    market : Market
        How answers name it.
    version : str
        Of the model.

    Returns
    -------
    WhatIfResponse
        Before at the present prices, after at the moved ones.

    Raises
    ------
    InputError
        If the account or the changes are wrong.
    MissingMarketError
        If an asset has no price.

    Notes
    -----
    Volatility and the state of the market stay what they are: a price that is moved is one that has just been reached,
    not one whose fall was seen to come.
    """
    account, changes = request.account, request.changes
    after = apply_changes(account, changes, _quotes(moment, account))
    return WhatIfResponse(
        model_version=version,
        market=market,
        before=_outcome(moment, account),
        after=_outcome(_moved(moment, changes.prices), after),
        account=after,
    )


def _quotes(moment: Moment, account: Account) -> Quotes:
    def known(values: Mapping[str, float]) -> dict[str, float]:
        return {name: value for name, value in values.items() if math.isfinite(value)}

    price = known(dict(zip(moment.assets, moment.price.tolist(), strict=True)))
    return Quotes(account.currency, price, known(dict(zip(moment.assets, moment.implied.tolist(), strict=True))))


def _moved(moment: Moment, moves: Mapping[str, float]) -> Moment:
    if not moves:
        return moment
    price = moment.price.copy()
    for asset, move in moves.items():
        if asset not in moment.assets:
            raise InputError(
                f"changes.prices.{asset}", asset, f"an asset of the market ({', '.join(moment.assets[:20])})"
            )
        if not (math.isfinite(move) and move > -1.0):
            raise InputError(f"changes.prices.{asset}", move, "a relative move above -1")
        price[moment.assets.index(asset)] *= 1.0 + move
    return replace(moment, price=np.ascontiguousarray(price))


def _outcome(moment: Moment, account: Account) -> Outcome:
    book, failures = Book.from_accounts([account], moment.assets)
    if failures:
        raise failures[0].error()
    seen = moment.outlook(book, num_threads=1)
    state = int(seen.state[0])
    if state < 0:
        raise MissingMarketError(f"market: expected a price of every asset of {account.account_id!r}, there is none")
    exact = margin_levels(moment.valued(book), moment.price)
    columns = (exact.equity, exact.maintenance, exact.call, exact.initial, exact.release, exact.call_amount)
    equity, maintenance, call, initial, release, amount = (float(column[0]) for column in columns)
    table = zip(HORIZONS, seen.p_call[0].tolist(), seen.p_liquidation[0].tolist(), seen.prior[0].tolist(), strict=True)
    return Outcome(
        levels=Levels(equity, maintenance, call, initial, release, amount, STATES[state]),
        rows=[OutcomeRow(*row) for row in table],
        flags=flag_names(int(seen.flags[0])),
    )
