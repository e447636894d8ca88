"""A draft: drawn accounts in padded arrays, and how they are laid out in columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from models.typing import BoolArray, FloatArray, IntArray, ObjectArray
from training.population.calendar import expiry_code
from training.population.columns import Columns, Population, objects

__all__ = ["NEVER", "Draft", "Legs", "no_legs"]

NEVER: Final = np.iinfo(np.int64).max
"""Expiry of a perpetual."""


@dataclass(slots=True)
class Legs:
    """Positions in padded arrays of shape (n, L).

    Parameters
    ----------
    asset : ndarray of int64
        Index into the assets of the panel.
    quantity : ndarray
        As positions have it; 0 where there is none.
    entry : ndarray
        Entry price, > 0.
    coin : ndarray of bool
        Settled in the base asset.
    expiry : ndarray of int64
        Nanoseconds; `NEVER` for perpetuals.
    strike : ndarray
        NaN where the leg is no option.
    call : ndarray of bool
        Right of an option.
    """

    asset: IntArray
    quantity: FloatArray
    entry: FloatArray
    coin: BoolArray
    expiry: IntArray
    strike: FloatArray
    call: BoolArray


def no_legs(n: int, width: int) -> Legs:
    """Padded legs of `n` accounts without a position."""
    shape = (n, width)
    return Legs(
        np.zeros(shape, np.int64),
        np.zeros(shape),
        np.ones(shape),
        np.zeros(shape, np.bool_),
        np.full(shape, NEVER, np.int64),
        np.full(shape, np.nan),
        np.zeros(shape, np.bool_),
    )


@dataclass(slots=True)
class Draft:
    """Drawn accounts before it is known which are above their call level; arrays of shape (n,) or (n, width).

    Parameters
    ----------
    assets : tuple of str
        Assets of the panel.
    as_of, then : ndarray of int64, shape (n,)
        Instant, and bar of the opening.
    kind : ndarray of int64, shape (n,)
        Index into `TYPES`.
    ruleset, currency : ndarray of object, shape (n,)
        Of the account.
    valid : ndarray of bool, shape (n,)
        Whether all that the account needs was known.
    legs : Legs
        Positions.
    quote : str or ndarray of object, shape (n,)
        Settlement currency of legs that are not settled in coin.
    held_name : ndarray of object, shape (n, C)
        Collateral assets; empty where there is none.
    held_quantity : ndarray, shape (n, C)
        Units, < 0 owed.
    exposure : ndarray, shape (n,)
        Dollars that distances to the call are drawn relative to; NaN: four times the call requirement.
    lever : ndarray of int64, shape (n,)
        Column of the collateral that the owner adds to or takes from; -1 where he does not.
    slope : ndarray, shape (n,)
        Dollars that one unit of it adds to the distance.
    isolated_margin : ndarray, shape (n,)
        Margin of the one isolated position, in place of the lever; NaN where all is cross.
    setting : ndarray, shape (n,)
        Leverage setting of the positions; NaN where they have none.
    margin_use : ndarray, shape (n,)
        Part of equity that the requirement takes at the opening, where the collateral (its first column) is to be
        found from it; NaN where the collateral is drawn.
    csa : ndarray of object, shape (n,), optional
        Terms.
    funded : ndarray of bool, shape (n,)
        Whether the collateral was found from ``margin_use``.
    """

    assets: tuple[str, ...]
    as_of: IntArray
    then: IntArray
    kind: IntArray
    ruleset: ObjectArray
    currency: ObjectArray
    valid: BoolArray
    legs: Legs
    quote: str | ObjectArray
    held_name: ObjectArray
    held_quantity: FloatArray
    exposure: FloatArray
    lever: IntArray
    slope: FloatArray
    isolated_margin: FloatArray = field(default_factory=lambda: np.zeros(0))
    setting: FloatArray = field(default_factory=lambda: np.zeros(0))
    margin_use: FloatArray = field(default_factory=lambda: np.zeros(0))
    csa: ObjectArray | None = None
    funded: BoolArray = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __post_init__(self) -> None:
        """Fill what a draft of this kind does not have."""
        for name in ("isolated_margin", "setting", "margin_use"):
            if len(getattr(self, name)) != len(self.as_of):
                setattr(self, name, np.full(len(self.as_of), np.nan))
        self.funded = np.zeros(len(self.as_of), np.bool_)

    def __len__(self) -> int:
        return len(self.as_of)

    def population(self, rows: IntArray) -> Population:
        """Lay accounts out in columns.

        Parameters
        ----------
        rows : ndarray of int64, shape (m,)
            Accounts, in the order of the result.

        Returns
        -------
        Population
            The accounts; their names are for the caller to give.
        """
        accounts: Columns = {
            "account_id": objects([str(i) for i in rows.tolist()]),
            "as_of": self.as_of[rows],
            "ruleset": self.ruleset[rows],
            "currency": self.currency[rows],
            "csa": np.full(len(rows), None, object) if self.csa is None else self.csa[rows],
        }
        row, leg = np.nonzero(self.legs.quantity[rows])
        isolated = np.isfinite(self.isolated_margin[rows[row]])
        positions: Columns = {
            "row": row,
            "account_id": accounts["account_id"][row],
            "as_of": accounts["as_of"][row],
            "symbol": self._symbols(rows[row], leg),
            "quantity": self.legs.quantity[rows[row], leg],
            "entry_price": self.legs.entry[rows[row], leg],
            "margin_mode": np.where(isolated, "isolated", "cross").astype(object),
            "isolated_margin": self.isolated_margin[rows[row]],
            "leverage": self.setting[rows[row]],
            "implied_volatility": np.full(len(row), np.nan),
        }
        row, column = np.nonzero(self.held_name[rows].astype(bool))
        collateral: Columns = {
            "row": row,
            "account_id": accounts["account_id"][row],
            "as_of": accounts["as_of"][row],
            "asset": self.held_name[rows[row], column],
            "quantity": self.held_quantity[rows[row], column],
        }
        return Population(accounts, positions, collateral, self.kind[rows])

    def _symbols(self, row: IntArray, leg: IntArray) -> ObjectArray:
        legs = self.legs
        names = objects(list(self.assets))[legs.asset[row, leg]]
        quote = np.full(len(row), self.quote, object) if isinstance(self.quote, str) else self.quote[row]
        coin = legs.coin[row, leg]
        expiries, place = np.unique(legs.expiry[row, leg], return_inverse=True)
        codes = expiry_code(np.minimum(expiries, _LAST))
        codes[expiries == NEVER] = ""
        parts = zip(
            names.tolist(),
            np.where(coin, "USD", quote).tolist(),
            np.where(coin, names, quote).tolist(),
            codes[place].tolist(),
            legs.strike[row, leg].tolist(),
            legs.call[row, leg].tolist(),
            strict=True,
        )
        return objects([_symbol(*part) for part in parts])


_LAST: Final = 4_000_000_000_000_000_000


def _symbol(base: str, quote: str, settle: str, expiry: str, strike: float, call: bool) -> str:
    pair = f"{base}/{quote}:{settle}"
    if not expiry:
        return pair
    return f"{pair}-{expiry}" if strike != strike else f"{pair}-{expiry}-{strike:.12g}-{'C' if call else 'P'}"
