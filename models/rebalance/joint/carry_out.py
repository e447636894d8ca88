"""A desk after its plan: accounts and inventory."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from models.account import Account
from models.rebalance.balances import changed
from models.rebalance.effects import apply_move
from models.rebalance.joint.arcs import Network
from models.rebalance.moves import Move
from models.rebalance.policy import Policy
from models.typing import FloatArray

__all__ = ["accounts_after", "policy_after"]


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
        move = link.trade or Move(link.kind, link.asset, link.position, None, 1.0, units)
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
        if link.giver >= 0 or link.trade is not None:
            continue
        taken = float(amount[k] * network.arcs.draw[k] + network.arcs.fixed_units[k])
        place = places[link.route.source]
        left = max(place.inventory[link.asset] - taken, place.least.get(link.asset, 0.0))
        places[link.route.source] = msgspec.structs.replace(place, inventory=place.inventory | {link.asset: left})
    return msgspec.structs.replace(policy, places=places)
