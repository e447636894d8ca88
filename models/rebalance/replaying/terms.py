"""What sending and holding cost at a decision, and when help arrives: the same for every rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.account import Account
from models.rebalance.policy import Policy
from models.rebalance.replaying.ways import Way, minutes_of, ways_of
from models.typing import FloatArray, IntArray

__all__ = ["Terms", "WayTable", "way_table"]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """Terms of one decision for m accounts, shape (m,) each.

    Parameters
    ----------
    now : ndarray
        Minutes until what is sent now has arrived, at the confidence of the policy; inf where nothing leads there.
    later : ndarray
        The same, counted from now, for what is sent at the next decision.
    fixed : ndarray
        Dollars of one transfer, whatever its size.
    fee_rate : ndarray
        Fees as a part of the amount.
    held_rate : ndarray
        What holding a dollar costs a minute.
    """

    now: FloatArray
    later: FloatArray
    fixed: FloatArray
    fee_rate: FloatArray
    held_rate: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class WayTable:
    """The ways of n accounts; accounts with the same ways form a group.

    Parameters
    ----------
    ways : tuple of tuple of Way, length n
        Ways of each account.
    group : ndarray of int, shape (n,)
        Its group.
    first : tuple of int
        One account of each group.
    confidence : float
        With which transfers are to have arrived.
    """

    ways: tuple[tuple[Way, ...], ...]
    group: IntArray
    first: tuple[int, ...]
    confidence: float

    def arrivals(self, when_ns: int) -> list[list[float]]:
        """Minutes of each way of each group until arrival, at the confidence."""
        return [minutes_of(self.ways[i], when_ns, self.confidence) for i in self.first]

    def terms(self, rows: IntArray, price: FloatArray, when_ns: int, every_minutes: int) -> Terms:
        """Terms of a decision.

        Parameters
        ----------
        rows : ndarray of int, shape (m,)
            The accounts.
        price : ndarray, shape (m,)
            Dollars of a unit of their levers.
        when_ns : int
            Now, nanoseconds.
        every_minutes : int
            Minutes to the next decision.

        Returns
        -------
        Terms
            Of the way that would be taken: the cheapest of those that arrive before the next decision, else the
            quickest.
        """
        now, later = self.arrivals(when_ns), self.arrivals(when_ns + every_minutes * 60_000_000_000)
        table = np.array(
            [self._of_group(g, a, b, every_minutes) for g, (a, b) in enumerate(zip(now, later, strict=True))]
        )
        own = table.reshape(-1, 6)[self.group[rows]]
        return Terms(own[:, 0], own[:, 1] + every_minutes, own[:, 2] + own[:, 3] * price, own[:, 4], own[:, 5])

    def _of_group(self, g: int, now: list[float], later: list[float], every: int) -> tuple[float, ...]:
        ways = self.ways[self.first[g]]
        if not ways:
            return (np.inf, np.inf, 0.0, 0.0, 0.0, 0.0)
        k = preferred(ways, now, every)
        way = ways[k]
        return (now[k], min(later), way.route.gas, way.flat, way.route.fee_rate, way.held_rate)


def preferred(ways: Sequence[Way], minutes: Sequence[float], limit: float) -> int:
    """Choose a way: the cheapest of those that arrive within a limit, else the quickest.

    Parameters
    ----------
    ways : sequence of Way
        At least one.
    minutes : sequence of float
        When each arrives.
    limit : float
        Minutes.

    Returns
    -------
    int
        Its place.
    """
    late = min(minutes) > limit

    def key(k: int) -> tuple[float, float]:
        way = ways[k]
        cost = way.route.gas + way.held_rate * 1e9 + way.route.fee_rate * 1e4
        return (minutes[k], cost) if late or minutes[k] > limit else (-1.0, cost)

    return min(range(len(ways)), key=key)


def way_table(accounts: Sequence[Account], assets: Sequence[str], policy: Policy) -> WayTable:
    """Find the ways of accounts.

    Parameters
    ----------
    accounts : sequence of Account, length n
        The accounts.
    assets : sequence of str, length n
        The asset of the lever of each.
    policy : Policy
        Places, routes and limits.

    Returns
    -------
    WayTable
        Of all accounts.
    """
    ways = tuple(tuple(ways_of(a, asset, policy)) for a, asset in zip(accounts, assets, strict=True))
    seen: dict[tuple[object, ...], int] = {}
    group = np.array([seen.setdefault(tuple((w.number, w.asset) for w in own), len(seen)) for own in ways], np.int64)
    first = tuple(int(np.flatnonzero(group == g)[0]) for g in range(len(seen)))
    return WayTable(ways, group, first, policy.limits.arrival_confidence)
