"""From what can be done to a desk's problem: what it costs, what it is worth, and what it draws on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.instrument import parse_symbol
from models.rebalance.agreement import due, return_grid
from models.rebalance.balances import held
from models.rebalance.joint.network import Link
from models.rebalance.joint.problem import Arcs, Curves, Pools, Slots
from models.rebalance.options import collateral_side
from models.rebalance.places import Place
from models.rebalance.policy import Policy
from models.rebalance.steps import pieces
from models.rebalance.weights import Weights

__all__ = ["Network", "build_arcs"]

_YEAR_DAYS = 365.0


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Links with their numbers.

    Parameters
    ----------
    links : tuple of Link, length R
        One for each arc.
    arcs, pools, slots : Arcs, Pools, Slots
        Their numbers; accounts are counted as in the curves.
    """

    links: tuple[Link, ...]
    arcs: Arcs
    pools: Pools
    slots: Slots


def build_arcs(
    links: Sequence[Link], place: Mapping[tuple[int, int], int], curves: Curves, policy: Policy,
    weights: Sequence[Weights | None], quality: Mapping[tuple[int, int, str], float],
) -> Network:  # fmt: skip
    """Put numbers on links.

    Parameters
    ----------
    links : sequence of Link
        What can be sent.
    place : mapping
        Where each pocket is among the curves, by row and position.
    curves : Curves
        What added equity is worth.
    policy : Policy
        Costs and limits.
    weights : sequence of Weights
        The accounts with their rules and prices.
    quality : mapping
        What an added dollar of an asset at an account does as a share of what an added dollar of money does, in (0, 1],
        by row, position and asset. The value of a trade is as its link says.

    Returns
    -------
    Network
        The links whose value is above zero.
    """
    links = [x for x in links if x.ratio > 0 and (x.giver < 0 or (x.giver, -1) in place)]
    pools: dict[tuple[str, ...], Link] = {}
    slots: dict[tuple[int | str, ...], Link] = {}
    for x in links:
        known = pools.setdefault(_pool_of(x), x)
        if x.kind == "hedge" and x.most * x.price > known.most * known.price:  # the exposure, less a part of a lot
            pools[_pool_of(x)] = x
        slots.setdefault(_slot_of(x), x)
    pool_at = {key: k for k, key in enumerate(pools)}
    slot_at = {key: k for k, key in enumerate(slots)}
    value = np.array([x.price * x.ratio * quality.get((x.account, x.position, x.asset), 1.0) for x in links])
    account = np.array([place[x.account, x.position] for x in links], np.int64)
    step, least = np.array([x.step for x in links]), np.array([x.least for x in links])
    useful = curves.value[account, -1] / np.maximum(value, 1e-300)
    grid = np.divide(useful, step, out=np.zeros_like(useful), where=step > 0)
    useful = np.maximum(np.where(step > 0, np.ceil(grid) * step, useful), least)
    most = np.minimum(np.array([x.most for x in links]), useful)
    price, rate = np.array([x.price for x in links]), np.array([_rate(x, policy) for x in links])
    risk = np.array([x.route.failure_rate for x in links]) * _at_stake(curves)[account]
    every = [(k, size / x.price, lost * x.price) for k, x in enumerate(links) for size, lost in pieces(x.route.impact)]
    flat = np.array([_flat_fee(x, policy) for x in links])
    arcs = Arcs(
        np.array([pool_at[_pool_of(x)] for x in links], np.int64),
        account,
        np.array([slot_at[_slot_of(x)] for x in links], np.int64),
        price,
        value,
        least,
        most,
        step,
        flat * price + np.array([x.route.gas for x in links]) + risk,
        flat,
        rate * price,
        np.array([_draw(x) for x in links]),
        np.array([p[0] for p in every], np.int64),
        np.array([p[1] for p in every], np.float64),
        np.array([p[2] for p in every], np.float64),
    )
    return Network(
        tuple(links), arcs, _pools(list(pools.values()), weights, place), _slots(list(slots.values()), weights, place)
    )


def _pool_of(link: Link) -> tuple[str, ...]:
    """The inventory a link draws on: a place; of a swap what the account holds, of a hedge what it is exposed to."""
    if link.trade is None:
        return "place", link.route.source, link.asset
    asset = link.asset if link.trade.symbol is None else parse_symbol(link.trade.symbol).base
    return link.kind, str(link.account), asset


def _slot_of(link: Link) -> tuple[int | str, ...]:
    """The pair of a pocket and what is sent to it; a trade stands alone."""
    if link.trade is not None:
        return link.account, link.position, link.asset, link.route.name
    return link.account, link.position, link.asset


def _draw(link: Link) -> float:
    """What one unit takes from its inventory: with the fee; of a hedge, dollars of exposure."""
    if link.trade is None:
        return 1.0 + link.route.fee_rate
    return link.price if link.kind == "hedge" else 1.0


def _at_stake(curves: Curves) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Loss that meeting the need avoids: what a transfer that fails leaves."""
    zero = np.zeros(len(curves.need))
    return np.maximum(curves.at(zero) - curves.at(np.maximum(curves.need, 0.0)), 0.0)


def _flat_fee(link: Link, policy: Policy) -> float:
    return 0.0 if link.trade else link.route.fee + policy.asset_rule(link.asset).fee


def _rate(link: Link, policy: Policy) -> float:
    """Cost of one dollar sent: fee, funding, and what it would have earned, over the holding time."""
    years = policy.limits.holding_days / _YEAR_DAYS
    if link.trade is not None and link.trade.trade is not None:
        return link.route.fee_rate + link.trade.trade.annual_cost * years
    earned = policy.asset_rule(link.asset).annual_cost if link.giver < 0 else 0.0
    return link.route.fee_rate + (earned + link.place.annual_rate) * years


def _pools(links: Sequence[Link], weights: Sequence[Weights | None], place: Mapping[tuple[int, int], int]) -> Pools:
    """One inventory for each link."""
    free, giver, value = [], [], []
    for link in links:
        own, trades = weights[link.giver] if link.giver >= 0 else None, weights[link.account]
        if link.kind == "hedge":
            free.append(link.most * link.price)
        elif link.trade is not None and trades is not None:
            free.append(held(trades.account, link.asset, collateral_side(trades)))
        elif own is None:
            free.append(link.place.free(link.asset))
        else:
            free.append(_giveable(own, link.asset, link.place))
        giver.append(-1 if own is None else place[link.giver, -1])
        value.append(0.0 if own is None else own.quotes.dollar(link.asset) * own.first_ratio(link.asset))
    names = tuple(_pool_name(link) for link in links)
    price = np.array([1.0 if link.kind == "hedge" else link.price for link in links])
    fixed = np.array([link.trade is not None for link in links], np.bool_)
    return Pools(names, np.array(free), price, np.array(giver, np.int64), np.array(value), fixed)


def _pool_name(link: Link) -> str:
    if link.kind == "hedge":
        return f"exposure hedged by {link.route.name} in {link.route.source}"
    return f"{link.asset} {'in' if link.trade else 'at'} {link.route.source}"


def _giveable(own: Weights, asset: str, there: Place) -> float:
    """Units that an account may give: what it holds above the least; under an agreement, what is due back."""
    free = max(held(own.account, asset, "supplied") - there.least.get(asset, 0.0), 0.0)
    outcome, agreed = due(own), return_grid(own, asset)
    if outcome is None or agreed is None:
        return free
    return min(free, outcome.amount / agreed.per_unit if agreed.per_unit > 0 else 0.0)


def _slots(links: Sequence[Link], weights: Sequence[Weights | None], place: Mapping[tuple[int, int], int]) -> Slots:
    """One pair of a pocket and an asset for each link."""
    room, share, counted, total, names = [], [], [], [], []
    for link in links:
        own, rule = weights[link.account], link.line
        assert own is not None
        dollar = own.quotes.dollar(own.account.currency)
        room.append(math.inf if rule.cap is None else max(rule.cap - held(own.account, link.asset), 0.0))
        share.append(rule.most_share)
        worth = {x.asset: own.counted(x.asset, max(held(own.account, x.asset), 0.0)) for x in own.account.collateral}
        counted.append(worth.get(link.asset, 0.0) * dollar)
        total.append(sum(worth.values()) * dollar)
        names.append(f"{link.route.name if link.trade else link.asset} in {own.account.account_id}")
    owner = np.array([place[x.account, x.position] for x in links], np.int64)
    return Slots(tuple(names), owner, np.array(room), np.array(share), np.array(counted), np.array(total))
