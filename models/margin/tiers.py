"""Continuous piecewise-linear schedules: maintenance tiers and collateral haircuts.

Both are the same object: on slice k, ``f(v) = rate_k * v - offset_k`` with
``offset_k = offset_{k-1} + floor_k * (rate_k - rate_{k-1})`` and ``offset_0 = 0``, so that f is
continuous and each rate applies to its own slice only. Maintenance rates rise (f is convex),
collateral ratios fall (f is concave).

References
----------
Binance, "How to Calculate Liquidation Price of USDⓈ-M Futures Contracts" (maintenance amount, "cum");
Bybit calls the offset "mm deduction", Hyperliquid "maintenance deduction".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.errors import InputError
from models.typing import FloatArray, Int32Array

__all__ = ["TierSchedule", "TierTables", "flatten_schedules"]


@dataclass(frozen=True, slots=True, eq=False)
class TierSchedule:
    """A continuous piecewise-linear schedule.

    Parameters
    ----------
    floor : ndarray, shape (k,)
        Lower bounds of the slices, rising, the first is 0. A value on a bound belongs to the upper slice.
    rate : ndarray, shape (k,)
        Slope on each slice (maintenance rate, or collateral ratio = 1 - haircut).
    offset : ndarray, shape (k,)
        What is subtracted on each slice; makes the schedule continuous.
    max_leverage : ndarray, shape (k,)
        Largest leverage allowed on each slice; NaN where it has no meaning.
    """

    floor: FloatArray
    rate: FloatArray
    offset: FloatArray
    max_leverage: FloatArray

    @classmethod
    def from_rates(
        cls,
        floor: Sequence[float] | FloatArray,
        rate: Sequence[float] | FloatArray,
        max_leverage: Sequence[float] | FloatArray | None = None,
    ) -> TierSchedule:
        """Build a schedule from bounds and rates; the offsets follow from continuity.

        Parameters
        ----------
        floor : sequence of float
            Lower bounds, strictly rising from 0.
        rate : sequence of float
            One rate in [0, 1] for each bound, all rising (maintenance) or all falling (collateral).
        max_leverage : sequence of float, optional
            One for each bound.

        Returns
        -------
        TierSchedule
            The schedule.

        Raises
        ------
        InputError
            If bounds or rates are not as described.

        Examples
        --------
        >>> TierSchedule.from_rates([0, 50_000, 250_000], [0.004, 0.005, 0.01]).offset.tolist()
        [0.0, 50.0, 1300.0]
        """
        bounds, rates = np.asarray(floor, np.float64), np.asarray(rate, np.float64)
        _check(bounds, rates)
        steps = bounds * np.diff(rates, prepend=rates[0])
        leverage = np.full(len(bounds), np.nan) if max_leverage is None else np.asarray(max_leverage, np.float64)
        if leverage.shape != bounds.shape:
            raise InputError("max_leverage", leverage.tolist(), f"{len(bounds)} values, one for each floor")
        return cls(bounds, rates, np.cumsum(steps), leverage)

    def lookup(self, value: float) -> tuple[float, float]:
        """Give the rate and the offset that apply at a value.

        Parameters
        ----------
        value : float
            Notional or collateral value, >= 0.

        Returns
        -------
        tuple of float
            ``(rate, offset)``.

        Examples
        --------
        >>> TierSchedule.from_rates([0, 100], [0.01, 0.02]).lookup(100.0)
        (0.02, 1.0)
        """
        k = int(np.searchsorted(self.floor, value, side="right")) - 1
        k = max(k, 0)
        return float(self.rate[k]), float(self.offset[k])

    def __call__(self, value: FloatArray | float) -> FloatArray:
        """Evaluate the schedule; negative values pass unchanged (no haircut on what is owed)."""
        v = np.asarray(value, np.float64)
        k = np.maximum(np.searchsorted(self.floor, v, side="right") - 1, 0)
        return np.where(v < 0, v, self.rate[k] * v - self.offset[k])

    def __eq__(self, other: object) -> bool:
        """Two schedules are equal when bounds, rates, offsets and leverages are."""
        if not isinstance(other, TierSchedule):
            return NotImplemented
        return (
            np.array_equal(self.floor, other.floor)
            and np.array_equal(self.rate, other.rate)
            and np.array_equal(self.offset, other.offset)
            and np.array_equal(self.max_leverage, other.max_leverage, equal_nan=True)
        )

    def __hash__(self) -> int:
        return hash((self.floor.tobytes(), self.rate.tobytes(), self.offset.tobytes()))


def _check(floor: FloatArray, rate: FloatArray) -> None:
    if floor.ndim != 1 or len(floor) == 0 or floor.shape != rate.shape:
        raise InputError("floor", floor.tolist(), f"as many bounds as rates ({len(rate)}), at least one")
    if floor[0] != 0 or not np.all(np.diff(floor) > 0):
        raise InputError("floor", floor.tolist(), "bounds that rise strictly from 0")
    if not np.all(np.isfinite(rate)) or rate.min() < 0 or rate.max() > 1:
        raise InputError("rate", rate.tolist(), "finite rates in [0, 1]")
    steps = np.diff(rate)
    if np.any(steps > 0) and np.any(steps < 0):
        raise InputError("rate", rate.tolist(), "rates that only rise (maintenance) or only fall (collateral)")


class TierTables(NamedTuple):
    """Many schedules, flattened for kernels; schedule i is rows ``start[i]:start[i+1]``."""

    start: Int32Array
    floor: FloatArray
    rate: FloatArray
    offset: FloatArray
    max_leverage: FloatArray


def flatten_schedules(schedules: Sequence[TierSchedule]) -> TierTables:
    """Put schedules one after the other.

    Parameters
    ----------
    schedules : sequence of TierSchedule
        In the order of their index.

    Returns
    -------
    TierTables
        The flattened arrays (one dummy identity row where there is no schedule).

    Examples
    --------
    >>> flatten_schedules([TierSchedule.from_rates([0], [0.01])]).start.tolist()
    [0, 1]
    """
    items = list(schedules) or [TierSchedule.from_rates([0.0], [1.0])]
    start = np.zeros(len(items) + 1, np.int32)
    start[1:] = np.cumsum([len(s.floor) for s in items])
    return TierTables(
        start,
        np.concatenate([s.floor for s in items]),
        np.concatenate([s.rate for s in items]),
        np.concatenate([s.offset for s in items]),
        np.concatenate([s.max_leverage for s in items]),
    )
