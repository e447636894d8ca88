"""How large a call is, given that one comes: split-conformal quantiles around the size that the barrier implies.

At the instant of a call equity equals the call requirement, so the call amount starts at ``initial - call``; what comes
on top is the overshoot inside the bar, which scales with exposure and volatility. Its quantiles are counted
on training labels, one pair for each horizon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from models.errors import InputError
from models.typing import HORIZONS, BoolArray, FloatArray

if TYPE_CHECKING:
    from models.book import Book, BookArrays
    from models.margin.levels import MarginLevels

__all__ = ["SizeModel", "size_inputs"]

LEVELS = (0.5, 0.9)


@dataclass(frozen=True, slots=True)
class SizeModel:
    """Quantiles of the call amount given a call within each horizon.

    Parameters
    ----------
    overshoot : tuple of (float, float), one pair a horizon
        Quantiles 0.5 and 0.9 of (call amount - base) / scale on training labels.
    count : tuple of int
        Calls that each pair was counted on; 0 where the pair is the default.

    Notes
    -----
    Valid on average over the accounts it was fitted on (marginal coverage), not for each kind of account.
    """

    overshoot: tuple[tuple[float, float], ...] = ((0.5, 2.0),) * len(HORIZONS)
    count: tuple[int, ...] = (0,) * len(HORIZONS)

    def __post_init__(self) -> None:
        flat = np.asarray(self.overshoot, np.float64)
        if flat.shape != (len(HORIZONS), len(LEVELS)) or not np.isfinite(flat).all() or (flat[:, 0] > flat[:, 1]).any():
            raise InputError("overshoot", self.overshoot, f"{len(HORIZONS)} pairs of finite quantiles in rising order")

    @classmethod
    def fit(
        cls, base: FloatArray, scale: FloatArray, amount: FloatArray, called: BoolArray, least: int = 50
    ) -> SizeModel:
        """Count the quantiles on labels.

        Parameters
        ----------
        base, scale : ndarray of float, shape (n,)
            From :func:`size_inputs`, account currency.
        amount : ndarray of float, shape (n,)
            Call amount seen; read only where called.
        called : ndarray of bool, shape (n, 4)
            Whether the call came within each horizon.
        least : int
            Fewest calls to count a pair on; below, the pair of all horizons together, or the default, is kept.

        Returns
        -------
        SizeModel
            The fitted quantiles.

        Examples
        --------
        >>> n = np.ones(200)
        >>> found = SizeModel.fit(n, n, n + np.arange(200) / 200, np.ones((200, 4), dtype=bool))
        >>> [round(q, 3) for q in found.overshoot[0]]
        [0.5, 0.9]
        """
        ratio = (amount - base) / np.where(scale > 0, scale, np.nan)
        pairs, counts = [], []
        pooled = _quantiles(ratio[called.any(axis=1)], least)
        for k in range(len(HORIZONS)):
            seen = ratio[called[:, k]]
            seen = seen[np.isfinite(seen)]
            own = _quantiles(seen, least)
            pairs.append(own or pooled or cls().overshoot[k])
            counts.append(len(seen) if own else 0)
        return cls(tuple(pairs), tuple(counts))

    def quantiles(self, base: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the quantiles of the call amount given a call.

        Parameters
        ----------
        base, scale : ndarray of float, shape (n,)
            From :func:`size_inputs`, account currency.

        Returns
        -------
        q50, q90 : ndarray of float, shape (n, 4)
            Account currency, at least 0.

        Examples
        --------
        >>> SizeModel().quantiles(np.array([100.0]), np.array([10.0]))[1][0].tolist()
        [120.0, 120.0, 120.0, 120.0]
        """
        pairs = np.asarray(self.overshoot, np.float64)
        amount = base[:, None, None] + scale[:, None, None] * pairs
        amount = np.maximum(amount, 0.0)
        return np.ascontiguousarray(amount[:, :, 0]), np.ascontiguousarray(amount[:, :, 1])

    def as_dict(self) -> dict[str, list[list[float]] | list[int]]:
        """Give the fields for JSON."""
        return {"overshoot": [list(pair) for pair in self.overshoot], "count": list(self.count)}

    @classmethod
    def from_dict(cls, fields: dict[str, list[list[float]] | list[int]]) -> SizeModel:
        """Read what :meth:`as_dict` gave."""
        pairs = np.asarray(fields["overshoot"], np.float64)
        return cls(tuple((float(a), float(b)) for a, b in pairs), tuple(np.asarray(fields["count"]).tolist()))


def size_inputs(
    book: Book, price: FloatArray, sigma: FloatArray, levels: MarginLevels | None = None
) -> tuple[FloatArray, FloatArray]:
    """Compute the size that the barrier implies, and the scale of what comes on top.

    Parameters
    ----------
    book : Book
        Accounts.
    price : ndarray of float, shape (A,)
        Prices now.
    sigma : ndarray of float, shape (A, 4)
        Volatility of each asset to each horizon; the first one (1 h) is used.
    levels : MarginLevels, optional
        Levels at these prices where they are known already.

    Returns
    -------
    base, scale : ndarray of float, shape (n,)
        Initial minus call requirement, and gross exposure times the 1 h volatility; account currency.
    """
    from models.margin.levels import margin_levels

    levels = margin_levels(book, price) if levels is None else levels
    scale = np.empty(len(book))
    _exposure(book.arrays, np.ascontiguousarray(price), np.ascontiguousarray(sigma[:, 0]), scale)
    return np.asarray(levels.initial - levels.call, np.float64), scale


@njit(cache=True, nogil=True)
def _exposure(  # pragma: no cover - compiled
    b: BookArrays, price: FloatArray, sigma: FloatArray, out: FloatArray
) -> None:
    """Sum of position value times volatility; what has no price counts nothing."""
    for n in range(len(out)):
        total = 0.0
        for i in range(b.unit_leg[b.account_unit[n]], b.unit_leg[b.account_unit[n + 1]]):
            value = abs(b.leg_quantity[i]) * price[b.leg_asset[i]] * sigma[b.leg_asset[i]]
            if value == value:
                total += value
        for h in range(b.unit_sheet[b.account_unit[n]], b.unit_sheet[b.account_unit[n + 1]]):
            value = b.sheet_gross[h] * price[b.sheet_asset[h]] * sigma[b.sheet_asset[h]]
            if value == value:
                total += value
        a = b.account_numeraire[n]
        out[n] = total / price[a] if a >= 0 else total


def _quantiles(values: FloatArray, least: int) -> tuple[float, float] | None:
    """Split-conformal quantiles: the ceil((n + 1) q)-th smallest value."""
    values = np.sort(values[np.isfinite(values)])
    n = len(values)
    if n < least:
        return None
    low, high = (float(values[min(int(np.ceil((n + 1) * q)), n) - 1]) for q in LEVELS)
    return low, high
