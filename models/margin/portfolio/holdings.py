"""What one margin unit holds on one underlying, as scenario rules value it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.errors import InputError
from models.margin.blocks import BlockArrays
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["Expiry", "Holdings", "block_holdings"]

_YEAR_HOURS = 8760.0


@dataclass(frozen=True, slots=True)
class Expiry:
    """One expiry.

    Parameters
    ----------
    years : float
        Time left, years of 365 days, >= 0.
    forward : float
        Forward price, quote currency, > 0; at 0 years the settlement price.
    rate : float
        Continuously compounded discount rate a year.
    futures : float
        Net base units of futures, signed.
    settled : float, optional
        Inside the settlement window, what the average so far adds to the settlement price, quote currency. None is
        what it would be had the price stood at `forward` all the time.
    """

    years: float
    forward: float
    rate: float = 0.0
    futures: float = 0.0
    settled: float | None = None

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        if not 0.0 <= self.years <= 100.0:
            raise InputError("years", self.years, "a number in [0, 100]")
        if not 0.0 < self.forward < np.inf:
            raise InputError("forward", self.forward, "a price above 0")
        for name in ("rate", "futures"):
            if not np.isfinite(getattr(self, name)):
                raise InputError(name, getattr(self, name), "a finite number")

    def parts(self, window_years: float) -> tuple[float, float]:
        """Split the forward into what is fixed already and what still moves."""
        if self.years <= 0.0:
            return self.forward, 0.0
        open_share = min(1.0, self.years / window_years) if window_years > 0.0 else 1.0
        moving = self.forward * open_share
        if open_share == 1.0:
            return 0.0, moving
        return self.forward - moving if self.settled is None else self.settled, moving


@dataclass(frozen=True, slots=True, eq=False)
class Holdings:
    """Positions on one underlying.

    Parameters
    ----------
    spot : float
        Price of the underlying, quote currency, > 0.
    expiries : sequence of Expiry
        Expiries of options and futures.
    strike, quantity, vol : array_like, shape (o,)
        Of the options: strike > 0, signed base units, implied volatility a year > 0.
    is_call : array_like of bool, shape (o,)
        False for puts.
    expiry : array_like of int, shape (o,)
        Row of `expiries`.
    perpetual : float
        Net base units of perpetuals, signed.
    perpetual_price : float, optional
        Price of the perpetual, default `spot`.
    base_value : float
        Quote value of the underlying held as collateral that the rule nets, >= 0.

    Examples
    --------
    >>> held = Holdings(100.0, [Expiry(0.25, 101.0)], [110.0], [-2.0], [0.6], [True], [0])
    >>> held.net_short()
    2.0
    """

    spot: float
    expiries: Sequence[Expiry] = ()
    strike: Any = field(default_factory=lambda: np.zeros(0))
    quantity: Any = field(default_factory=lambda: np.zeros(0))
    vol: Any = field(default_factory=lambda: np.zeros(0))
    is_call: Any = field(default_factory=lambda: np.zeros(0, bool))
    expiry: Any = field(default_factory=lambda: np.zeros(0, np.int64))
    perpetual: float = 0.0
    perpetual_price: float | None = None
    base_value: float = 0.0

    def __post_init__(self) -> None:
        """Check shapes and ranges once, at construction."""
        if not 0.0 < self.spot < np.inf:
            raise InputError("spot", self.spot, "a price above 0")
        for name, kind in (("strike", float), ("quantity", float), ("vol", float), ("is_call", bool), ("expiry", int)):
            value: Any = np.ascontiguousarray(
                getattr(self, name), {float: np.float64, int: np.int64}.get(kind, np.bool_)
            )
            if value.shape != np.shape(self.strike):
                raise InputError(name, value.tolist(), f"{np.size(self.strike)} values, one for each strike")
            object.__setattr__(self, name, value)
        _finite(self)

    def net_short(self, live: bool = False) -> float:
        """Short options in base units, net by expiry and strike, calls and puts together; all, or live ones only."""
        kept = np.array([at.years > 0.0 or not live for at in self.expiries], bool)[self.expiry]
        if not kept.any():
            return 0.0
        _, at = np.unique(np.stack([self.expiry, self.strike])[:, kept], axis=1, return_inverse=True)
        return float(-np.minimum(np.bincount(np.ravel(at), self.quantity[kept]), 0.0).sum())

    def rows(self, e: int) -> IntArray:
        """Options of one expiry."""
        return np.flatnonzero(self.expiry == e)


def _finite(held: Holdings) -> None:
    for name in ("strike", "vol"):
        bad = np.flatnonzero(~(getattr(held, name) > 0.0))
        if len(bad):
            raise InputError(f"{name}[{bad[0]}]", float(getattr(held, name)[bad[0]]), "a number above 0")
    bad = np.flatnonzero(~np.isfinite(held.quantity))
    if len(bad):
        raise InputError(f"quantity[{bad[0]}]", float(held.quantity[bad[0]]), "a finite number")
    bad = np.flatnonzero((held.expiry < 0) | (held.expiry >= len(held.expiries)))
    if len(bad):
        raise InputError(f"expiry[{bad[0]}]", int(held.expiry[bad[0]]), f"a row of the {len(held.expiries)} expiries")
    for name in ("perpetual", "base_value"):
        if not np.isfinite(getattr(held, name)):
            raise InputError(name, getattr(held, name), "a finite number")


def block_holdings(b: BlockArrays, i: int, spot: float, vol: float = 1.0, hours: float = 0.0) -> Holdings:
    """Read one block of a book as holdings.

    Parameters
    ----------
    b : BlockArrays
        Blocks of a book.
    i : int
        Which.
    spot : float
        Price of the underlying, quote currency.
    vol : float
        Multiple of every implied volatility.
    hours : float
        Time passed since the instant of the book; the forward comes closer to spot as its expiry does.

    Returns
    -------
    Holdings
        The same positions. An expiry that has passed has 0 years, its forward is spot and its futures are gone.
    """
    o = slice(b.block_option[i], b.block_option[i + 1])
    e0, e1 = int(b.block_expiry[i]), int(b.block_expiry[i + 1])
    expiries = []
    for e in range(e0, e1):
        left = float(b.expiry_years[e]) - hours / _YEAR_HOURS
        live = left > 0.0
        carry = float(b.expiry_carry[e]) ** (left / float(b.expiry_years[e])) if live else 1.0
        futures = float(b.expiry_future[e]) if live else 0.0
        expiries.append(Expiry(max(left, 0.0), spot * carry, float(b.expiry_rate[e]), futures))
    is_call: BoolArray = b.option_call[o]
    vols: FloatArray = b.option_vol[o] * vol
    return Holdings(
        spot=spot,
        expiries=expiries,
        strike=b.option_strike[o],
        quantity=b.option_quantity[o],
        vol=vols,
        is_call=is_call,
        expiry=b.option_expiry[o] - e0,
        perpetual=float(b.block_perpetual[i]),
        base_value=float(b.block_spot[i]) * spot,
    )
