"""Which prices an account lacks."""

from __future__ import annotations

import math

from features.moment import Moment
from models.book import Book
from models.errors import Failure, MissingMarketError
from serving.instants import instant

__all__ = ["unpriced"]


def unpriced(book: Book, i: int, row: int, moment: Moment) -> Failure:
    """Say which prices an account lacks.

    Parameters
    ----------
    book : Book
        Accounts.
    i : int
        Which of them.
    row : int
        Its position in the request.
    moment : Moment
        The market.

    Returns
    -------
    Failure
        With the names of the assets.
    """
    b = book.arrays
    legs = b.leg_asset[b.unit_leg[b.account_unit[i]] : b.unit_leg[b.account_unit[i + 1]]].tolist()
    held = b.coll_asset[b.unit_coll[b.account_unit[i]] : b.unit_coll[b.account_unit[i + 1]]].tolist()
    k = book.blocks
    unit = book.unit_account()
    under = [] if k is None else k.block_asset[unit[k.block_unit] == i].tolist()
    missing = sorted({moment.assets[a] for a in legs + held + under if a >= 0 and not math.isfinite(moment.price[a])})
    at = instant(moment.as_of).isoformat()
    error = MissingMarketError(f"market: expected a price of {', '.join(missing)} at {at}, there is none")
    return Failure.from_error(error, row, str(book.account_id[i]))
