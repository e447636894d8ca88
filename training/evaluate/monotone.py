"""Does P ever fall when the horizon or the leverage rises? Counted by scoring the same accounts again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models.book import Book
from models.typing import FloatArray

__all__ = ["MonotoneReport", "check_monotone", "scale_positions"]

SCALES = (1.0, 1.1, 1.25, 1.5, 2.0)
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class MonotoneReport:
    """Counts of violations.

    Parameters
    ----------
    accounts : int
        Accounts checked.
    horizon_violations : int
        Accounts whose P falls from one horizon to the next.
    leverage_violations : int
        Accounts whose P falls at some horizon when all positions are scaled up.
    worst : float
        Largest fall seen, a probability.
    """

    accounts: int
    horizon_violations: int
    leverage_violations: int
    worst: float

    def as_dict(self) -> dict[str, float | int]:
        """Give the fields for JSON."""
        return {
            "accounts": self.accounts,
            "horizon_violations": self.horizon_violations,
            "leverage_violations": self.leverage_violations,
            "worst": self.worst,
        }


def check_monotone(
    book: Book, price: FloatArray, score: Callable[[Book], FloatArray], scales: tuple[float, ...] = SCALES
) -> MonotoneReport:
    """Score the accounts at rising leverage and count where P falls.

    Parameters
    ----------
    book : Book
        n accounts of one instant.
    price : ndarray of float, shape (A,)
        Prices at which positions are added.
    score : callable
        Takes a book, gives P of shape (n, 4).
    scales : tuple of float
        Factors on all positions, rising.

    Returns
    -------
    MonotoneReport
        The counts.
    """
    seen = np.stack([score(scale_positions(book, price, s)) for s in scales])
    over_horizon = np.diff(seen, axis=2)
    over_leverage = np.diff(seen, axis=0)
    worst = max(0.0, -float(np.nanmin(over_horizon)), -float(np.nanmin(over_leverage))) if len(book) else 0.0
    return MonotoneReport(
        len(book),
        int((over_horizon < -TOLERANCE).any(axis=(0, 2)).sum()),
        int((over_leverage < -TOLERANCE).any(axis=(0, 2)).sum()),
        worst,
    )


def scale_positions(book: Book, price: FloatArray, scale: float) -> Book:
    """Multiply every position, the part that is added (or closed) being traded at today's price.

    Parameters
    ----------
    book : Book
        Accounts.
    price : ndarray of float, shape (A,)
        Prices now.
    scale : float
        Factor, > 0. Unrealised profit and collateral stay as they are, so leverage is multiplied by it.

    Returns
    -------
    Book
        The scaled accounts.
    """
    b = book.arrays
    now = price[b.leg_asset]
    entry = now - (now - b.leg_entry) / scale
    scaled = {name: getattr(b, name) * scale for name in ("leg_quantity", "leg_size", "leg_funding")}
    return replace(book, arrays=b._replace(leg_entry=np.ascontiguousarray(entry), **scaled))
