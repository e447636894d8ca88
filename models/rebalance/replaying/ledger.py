"""What was moved, and what became of every account under one rule."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["Moved", "Outcome"]


@dataclass(frozen=True, slots=True)
class Moved:
    """One transfer.

    Parameters
    ----------
    when_ns : int
        When it was ordered.
    account : int
        Row of the account.
    route : int
        Place of the route in the policy.
    asset : str
        What moves.
    units : float
        How much arrives, or is taken back.
    price : float
        Dollars of a unit when it was ordered.
    minutes : float
        Until it arrives, or has failed.
    back : bool
        Whether it is taken back, to the place that it came from.
    failed : bool
        Whether it does not arrive, and returns to its place.
    """

    when_ns: int
    account: int
    route: int
    asset: str
    units: float
    price: float
    minutes: float
    back: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One rule on n accounts; dollars.

    Parameters
    ----------
    name : str
        Family of the rule.
    knob : float
        Its setting.
    called, liquidated : ndarray of bool, shape (n,)
        Whether the account was called, and liquidated, while it was watched.
    liquidated_bar : ndarray of int, shape (n,)
        Bar of the liquidation from the first bar of the account; -1 where none.
    fees, holding, losses : ndarray, shape (n,)
        What transfers cost, what holding cost, and what calls and liquidations cost.
    held_days, idle_days : ndarray, shape (n,)
        Dollars times days of what was sent; of them those that no call level needed until the next decision.
    moves : ndarray of int, shape (n,)
        Transfers.
    ledger : tuple of Moved
        All transfers in order.
    refused : int
        Transfers that were wanted and could not be made: no route, no inventory, a limit.
    """

    name: str
    knob: float
    called: BoolArray
    liquidated: BoolArray
    liquidated_bar: IntArray
    fees: FloatArray
    holding: FloatArray
    losses: FloatArray
    held_days: FloatArray
    idle_days: FloatArray
    moves: IntArray
    ledger: tuple[Moved, ...] = field(repr=False)
    refused: int = 0

    @property
    def spent(self) -> FloatArray:
        """Fees and holding of each account, shape (n,)."""
        return np.asarray(self.fees + self.holding)
