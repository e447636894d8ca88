"""A desk after its plan: accounts, inventory, and whether anyone ends worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from models.account import Account
from models.margin.levels import STATES, margin_levels
from models.rebalance.balances import changed
from models.rebalance.effects import apply_move
from models.rebalance.evaluate import Evaluator
from models.rebalance.joint.network import Network
from models.rebalance.moves import Move
from models.rebalance.policy import Policy
from models.typing import FloatArray, IntArray

__all__ = ["accounts_after", "policy_after", "scenario_factors", "worse_in_scenarios"]

_CALL = STATES.index("call")


def accounts_after(accounts: Sequence[Account], network: Network, amount: FloatArray) -> list[Account]:
    """Give the accounts with transfers carried out.

    Parameters
    ----------
    accounts : sequence of Account
        Before.
    network : Network
        Links and their numbers.
    amount : ndarray, shape (R,)
        Units that arrive on each link.

    Returns
    -------
    list of Account
        After, in the same order.
    """
    out = list(accounts)
    for k in np.flatnonzero(amount > 0).tolist():
        link, units = network.links[k], float(amount[k])
        move = Move(link.kind, link.asset, link.position, None, 1.0, units)
        out[link.account] = apply_move(out[link.account], move, units)
        if link.giver >= 0:
            taken = units * network.arcs.draw[k] + network.arcs.fixed_units[k]
            out[link.giver] = changed(out[link.giver], link.asset, -float(taken), "supplied")
    return out


def policy_after(policy: Policy, network: Network, amount: FloatArray) -> Policy:
    """Give the policy with the inventory that is left.

    Parameters
    ----------
    policy : Policy
        Before.
    network : Network
        Links and their numbers.
    amount : ndarray, shape (R,)
        Units that arrive on each link.

    Returns
    -------
    Policy
        After.
    """
    places = dict(policy.places)
    for k in np.flatnonzero(amount > 0).tolist():
        link = network.links[k]
        if link.giver >= 0:
            continue
        taken = float(amount[k] * network.arcs.draw[k] + network.arcs.fixed_units[k])
        place = places[link.route.source]
        left = max(place.inventory[link.asset] - taken, place.least.get(link.asset, 0.0))
        places[link.route.source] = msgspec.structs.replace(place, inventory=place.inventory | {link.asset: left})
    return msgspec.structs.replace(policy, places=places)


def scenario_factors(stress: Sequence[float], n_assets: int, used: IntArray) -> FloatArray:
    """List the price factors of the certificate: now, all assets together, and each used asset alone.

    Parameters
    ----------
    stress : sequence of float
        Price factors.
    n_assets : int
        Assets of the market.
    used : ndarray of int
        Assets that the desk holds or moves.

    Returns
    -------
    ndarray, shape (S, A)
        One row for each scenario.

    Examples
    --------
    >>> scenario_factors((0.8,), 2, np.array([1])).tolist()
    [[1.0, 1.0], [0.8, 0.8], [1.0, 0.8]]
    """
    rows = [np.ones(n_assets)]
    for factor in stress:
        rows.append(np.full(n_assets, factor))
        for asset in used.tolist():
            row = np.ones(n_assets)
            row[asset] = factor
            rows.append(row)
    return np.array(rows)


def worse_in_scenarios(
    before: Sequence[Account], after: Sequence[Account], rows: IntArray, evaluate: Evaluator, factors: FloatArray
) -> IntArray:
    """Find accounts that some scenario leaves in a call or liquidation that doing nothing would not.

    Parameters
    ----------
    before, after : sequence of Account, length m
        Accounts without and with the plan.
    rows : ndarray of int, shape (m,)
        Their rows in the evaluator.
    evaluate : Evaluator
        The exact engine and its prices.
    factors : ndarray, shape (S, A)
        Price factors.

    Returns
    -------
    ndarray of int
        Positions in `before`.
    """
    both = [*before, *after]
    owner = np.concatenate([rows, rows])
    worse = np.zeros(len(before), np.bool_)
    plain, _ = evaluate.book(both)
    for factor in factors:
        shifted = replace(evaluate, prices=evaluate.prices * factor)
        book = shifted.valued_at(plain, both, owner)
        state = margin_levels(book, np.ascontiguousarray(shifted.prices[owner])).state
        worse |= (state[len(before) :] > state[: len(before)]) & (state[len(before) :] >= _CALL)
    return np.flatnonzero(worse)
