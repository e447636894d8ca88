"""Transfers that reductions make needless: left out, or made smaller, where the whole is cheaper without them.

An account that transfers cannot bring to its target gets as much as there is before its positions are reduced or
closed. What a closed position had been sent, or what its margin then covers, was sent in vain.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from models.account import Account
from models.margin.levels import STATES
from models.rebalance.evaluate import Evaluation
from models.rebalance.joint.carry_out import accounts_after
from models.rebalance.joint.own import reduced
from models.rebalance.joint.problem import score
from models.rebalance.joint.solve import Solution
from models.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from models.rebalance.joint.run import DeskRun

__all__ = ["Carried", "spared"]

_HALVINGS = 8
_SLIGHTLY = 1 / 64
"""Share of a transfer that is left out first, to see whether it may be smaller at all."""
_ROUNDS = 3
_CHEAPER = 1e-9
"""Share of a cost that is none."""
_LEVELS_CALL = STATES.index("call")


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """Amounts and what was seen of them.

    Parameters
    ----------
    found : Solution
        Amounts of the links of a desk, with their bound.
    after : list of Account
        The accounts with them carried out.
    seen : Evaluation
        The same as the predictor and the engine see them.
    worse : set of int
        Rows of the accounts that end worse than with no action.
    count : int
        Scenarios asked.
    """

    found: Solution
    after: list[Account]
    seen: Evaluation
    worse: set[int]
    count: int


def spared(
    run: DeskRun, carried: Carried, time_limit: float = np.inf, clock: Callable[[], float] = time.monotonic
) -> Carried:
    """Leave out the transfers to accounts whose positions are reduced that the reductions make needless.

    Parameters
    ----------
    run : DeskRun
        The desk.
    carried : Carried
        Its transfers.
    time_limit : float
        Seconds after which no other account is begun; the one with the dearest transfers is looked at in any case.
    clock : callable
        Seconds.

    Returns
    -------
    Carried
        With fewer or smaller transfers, checked again; the same object where there are none to spare. Fees of
        transfers and reductions together are lower for each account that changes: no transfer to one that was looked at
        can be left out by itself to a lower sum. Without a bound where anything changes: the bound is one of plans that
        send as much as there is.
    """
    seen, amount = carried.seen, carried.found.amount
    called = seen.state >= _LEVELS_CALL
    over = ~seen.good | called | (seen.p[:, run.target.column] > run.target.probability)
    rows = run.needy[over[run.needy]].tolist() if run.policy.reduce else []
    fees = [one for one in (_Fees(run, row) for row in rows) if len(one.transfers(amount))]
    fees.sort(key=lambda one: -one.sent(amount))
    end = clock() + time_limit
    for k, one in enumerate(fees):
        if k and clock() >= end:
            break
        amount = _spared(one, amount)
    if np.array_equal(amount, carried.found.amount):
        return carried
    after = accounts_after(run.accounts, run.network, amount)
    seen = run.evaluate(after, np.arange(len(after)))
    worse, count = run.worse(after, seen)
    priced = score(run.problem(), amount)
    told = replace(
        carried.found, amount=amount, cost=priced.cost, transfers=priced.transfers, short=priced.short, bound=-np.inf
    )
    return Carried(told, after, seen, worse, count)


def _spared(fees: _Fees, amount: FloatArray) -> FloatArray:
    """Leave out transfers to one account, then make the others smaller, as long as that is cheaper."""
    cost = fees(amount)
    least = cost - fees.sent(amount)  # whoever gets less has to reduce no less
    for _ in range(_ROUNDS if np.isfinite(cost) else 0):
        before = amount
        amount = _fewer(fees, amount, least)
        for k in fees.transfers(amount).tolist():
            amount = _smaller(fees, amount, k)
        if np.array_equal(amount, before):
            break
    return amount


class _Fees:
    """What one account costs: transfers to it, and the reductions that it then needs.

    Parameters
    ----------
    run : DeskRun
        The desk.
    row : int
        The account.
    """

    def __init__(self, run: DeskRun, row: int) -> None:
        self.run, self.row, self.known = run, row, dict[bytes, float]()
        self.mine = np.array([link.account == row for link in run.network.links], np.bool_)
        self.kept = np.array([link.trade is not None for link in run.network.links], np.bool_)

    def transfers(self, amount: FloatArray) -> IntArray:
        """Links of the account that carry something and are no trades, the cheapest first."""
        found = np.flatnonzero(self.mine & ~self.kept & (amount > 0))
        cost = self.run.network.arcs.transfer_cost(amount)[found]
        return found[np.argsort(cost, kind="stable")]

    def sent(self, amount: FloatArray) -> float:
        """Dollars of the transfers and trades of the account."""
        return float(self.run.network.arcs.transfer_cost(np.where(self.mine, amount, 0.0)).sum())

    def __call__(self, amount: FloatArray) -> float:
        """Dollars of all, inf where no reductions are enough."""
        key = amount[self.mine].tobytes()
        if key not in self.known:
            after = accounts_after(self.run.accounts, self.run.network, np.where(self.mine, amount, 0.0))
            steps = reduced(self.run, after, [self.row], self.run.policy).steps
            fees = sum(step.cost_usd for step in steps)
            self.known[key] = self.sent(amount) + fees if steps else np.inf
        return self.known[key]


def _fewer(fees: _Fees, amount: FloatArray, least: float) -> FloatArray:
    """Leave out all transfers, or one after the other, whichever leaves the lowest fees.

    Parameters
    ----------
    fees : _Fees
        What the account costs.
    amount : ndarray, shape (R,)
        Units of each link.
    least : float
        Dollars of reductions below which no choice of the transfers comes.

    Returns
    -------
    ndarray, shape (R,)
        Fewer of them.
    """
    while True:
        mine, best = fees.transfers(amount), amount
        for left_out in [mine, *mine[:, None]] if len(mine) > 1 else mine[:, None]:
            tried = amount.copy()
            tried[left_out] = 0.0
            below = fees(best) * (1 - _CHEAPER)
            if fees.sent(tried) + least < below and fees(tried) < below:
                best = tried
        if best is amount:
            return amount
        amount = best


def _smaller(fees: _Fees, amount: FloatArray, k: int) -> FloatArray:
    """Find the smallest size of one transfer at which the fees are no higher, by halves."""
    arcs, best = fees.run.network.arcs, amount
    step, low, high = float(arcs.step[k]), float(arcs.least[k]), float(amount[k])
    size = high - _SLIGHTLY * (high - low)
    for _ in range(_HALVINGS):
        size = np.ceil(size / step - _CHEAPER) * step if step > 0 else size
        if not 0 < size < high:
            break
        tried = amount.copy()
        tried[k] = size
        if fees(tried) < fees(best) * (1 - _CHEAPER):
            best, high = tried, size
        elif best is amount:  # not even slightly less is enough
            break
        else:
            low = size
        size = 0.5 * (low + high)
    return best
