"""From a policy to a desk's problem: which route carries what to whom, at what cost, and why others do not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from models.account import Account
from models.rebalance.agreement import delivery_grid
from models.rebalance.balances import held
from models.rebalance.closing import margin_asset
from models.rebalance.hours import arrival
from models.rebalance.joint.problem import Arcs, Curves, Pools, Slots
from models.rebalance.joint.worth import isolated_position
from models.rebalance.limits import CollateralLine
from models.rebalance.places import Place, Route
from models.rebalance.plan import Kind
from models.rebalance.policy import Policy
from models.rebalance.weights import Weights

__all__ = ["Link", "Network", "Refusal", "build_arcs", "links_of"]

_YEAR_DAYS = 365.0


@dataclass(frozen=True, slots=True)
class Link:
    """One asset on one route to one account.

    Parameters
    ----------
    route : Route
        The route.
    place : Place
        Where it starts.
    account : int
        Row of the account.
    giver : int
        Row of the account that gives; -1 for other places.
    asset : str
        What moves.
    kind : {"top_up", "repay", "add_margin"}
        What it does at the account.
    price : float
        Dollars of one unit.
    ratio : float
        Share of it that counts.
    line : CollateralLine
        Limits of the desk for this asset at this account.
    least, most, step : float
        Sizes, units of the asset.
    arrives : float
        Minutes until what is sent now has arrived, at the confidence of the policy.
    late : bool
        Whether that is after the last safe minute of the account.
    position : int
        Index of the isolated position whose margin it adds to, -1 for the cross wallet.
    """

    route: Route
    place: Place
    account: int
    giver: int
    asset: str
    kind: Kind
    price: float
    ratio: float
    line: CollateralLine
    least: float
    most: float
    step: float
    arrives: float
    late: bool
    position: int = -1


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an asset on a route cannot help an account.

    Parameters
    ----------
    route, account_id, asset : str
        Which.
    reason : str
        In one sentence.
    """

    route: str
    account_id: str
    asset: str
    reason: str


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


def links_of(
    accounts: Sequence[Account],
    weights: Sequence[Weights | None],
    needy: Sequence[int],
    last_safe: Mapping[int, float],
    policy: Policy,
    now: datetime,
    age: Mapping[str, float],
) -> tuple[list[Link], list[Refusal]]:
    """List what can be sent to the accounts that need it.

    Parameters
    ----------
    accounts : sequence of Account
        All accounts of the desk.
    weights : sequence of Weights
        The same with their rules and prices.
    needy : sequence of int
        Rows of those that need collateral.
    last_safe : mapping of int to float
        Latest minute at which collateral must have arrived, by row; inf where there is none.
    policy : Policy
        Places, routes and limits.
    now : datetime
        When the plan is made.
    age : mapping of str to float
        Minutes since each price was known, by asset; assets that are not there have prices of now.

    Returns
    -------
    tuple of list
        What can be sent, on time or late, and what cannot, with the reason.
    """
    by_name = {account.account_id: i for i, account in enumerate(accounts)}
    links: list[Link] = []
    refused: list[Refusal] = []
    for route in policy.routes:
        place = policy.places[route.source]
        giver = by_name.get(place.account or "", -1)
        wait = arrival(now, route.hours, route.lag, policy.limits.arrival_confidence)
        for i in needy:
            own = weights[i]
            if own is None or giver == i or not _leads_to(route, accounts[i]):
                continue
            for asset in route.assets:
                old = age.get(asset, 0.0)
                if old > own.rules.stale_after_minutes:
                    found: Link | str = f"The price of {asset} is {old:.0f} minutes old."
                else:
                    found = _link(route, place, giver, own, i, asset, policy, wait, wait > last_safe[i])
                if isinstance(found, str):
                    refused.append(Refusal(route.name, accounts[i].account_id, asset, found))
                else:
                    links.append(found)
    return links, refused


def _leads_to(route: Route, account: Account) -> bool:
    return any(name in ("*", account.account_id, f"ruleset:{account.ruleset}") for name in route.to)


def _link(
    route: Route,
    place: Place,
    giver: int,
    own: Weights,
    i: int,
    asset: str,
    policy: Policy,
    wait: float,
    late: bool,
) -> Link | str:
    """The link, or the reason why there is none."""
    account, rules = own.account, own.rules
    if not place.serves(account.account_id):
        return f"{route.source} is kept for {', '.join(place.draws or ())}."
    if place.account is not None and giver < 0:
        return f"The account {place.account} is not among the accounts given."
    debt = held(account, asset, "owed") if rules.borrows else 0.0
    alone = isolated_position(account)
    kind: Kind = "add_margin" if alone >= 0 else "repay" if debt > 0 and not rules.debt_in_equity else "top_up"
    reason = own.refusal(asset) if kind == "top_up" or own.quotes.own(asset) <= 0 else None
    if alone >= 0 and asset != margin_asset(account.positions[alone], account.currency):
        reason = f"The isolated position of {account.account_id} does not take {asset} as margin."
    if reason is not None:
        return reason
    eligible = policy.eligible(account.account_id, account.ruleset)
    line = CollateralLine() if eligible is None else eligible.line(asset)
    if line is None:
        return f"The policy does not list {asset} as eligible for {account.account_id}."
    ratio = 1.0 if kind != "top_up" else min(own.first_ratio(asset), 1.0 - line.haircut)
    least, most, step = _sizes(route, own, asset, policy, debt if kind == "repay" else math.inf)
    room = math.inf if line.cap is None else max(line.cap - held(account, asset), 0.0)
    if min(room, most) <= 0 or min(room, most) < least:
        return f"No room is left for {asset} at {account.account_id}."
    price = own.quotes.dollar(asset)
    return Link(route, place, i, giver, asset, kind, price, ratio, line, least, most, step, wait, late, alone)


def _sizes(route: Route, own: Weights, asset: str, policy: Policy, debt: float) -> tuple[float, float, float]:
    """Smallest, largest and step: of route, asset and agreement together."""
    rule, agreed = policy.asset_rule(asset), delivery_grid(own, asset)
    step = max(route.step, rule.step)
    least = max(route.min_transfer, rule.min_transfer)
    if agreed is not None and agreed.per_unit > 0:
        step = max(step, agreed.step / agreed.per_unit)
        least = max(least, agreed.smallest / agreed.per_unit)
    if step > 0:
        least = math.ceil(least / step - 1e-9) * step
    most = min(route.max_transfer or math.inf, math.inf if rule.cap is None else rule.cap, debt)
    return least, most, step


def build_arcs(
    links: Sequence[Link], owner: Sequence[int], accounts: Sequence[Account], curves: Curves, policy: Policy,
    weights: Sequence[Weights | None], quality: Mapping[tuple[int, str], float],
) -> Network:  # fmt: skip
    """Put numbers on links.

    Parameters
    ----------
    links : sequence of Link
        What can be sent.
    owner : sequence of int, length n
        Row of each account of the curves.
    accounts : sequence of Account
        All accounts of the desk.
    curves : Curves
        What added equity is worth.
    policy : Policy
        Costs and limits.
    weights : sequence of Weights
        The accounts with their rules and prices.
    quality : mapping
        What an added dollar of an asset at an account does as a share of what an added dollar of money does, in (0, 1],
        by row and asset.

    Returns
    -------
    Network
        The links whose value is above zero.
    """
    place = {row: k for k, row in enumerate(owner)}
    links = [x for x in links if x.ratio > 0 and (x.giver < 0 or x.giver in place)]
    pools = dict.fromkeys((x.route.source, x.asset) for x in links)
    pool_at = {key: k for k, key in enumerate(pools)}
    slots = dict.fromkeys((x.account, x.asset) for x in links)
    slot_at = {key: k for k, key in enumerate(slots)}
    value = np.array([x.price * x.ratio * quality.get((x.account, x.asset), 1.0) for x in links])
    account = np.array([place[x.account] for x in links], np.int64)
    step, least = np.array([x.step for x in links]), np.array([x.least for x in links])
    useful = curves.value[account, -1] / np.maximum(value, 1e-300)
    grid = np.divide(useful, step, out=np.zeros_like(useful), where=step > 0)
    useful = np.maximum(np.where(step > 0, np.ceil(grid) * step, useful), least)
    most = np.minimum(np.array([x.most for x in links]), useful)
    price, rate = np.array([x.price for x in links]), np.array([_rate(x, policy) for x in links])
    risk = np.array([x.route.failure_rate for x in links]) * _at_stake(curves)[account]
    pieces = [(k, *piece) for k, x in enumerate(links) for piece in _pieces(x)]
    flat = np.array([_flat_fee(x, policy) for x in links])
    arcs = Arcs(
        np.array([pool_at[x.route.source, x.asset] for x in links], np.int64),
        account,
        np.array([slot_at[x.account, x.asset] for x in links], np.int64),
        price,
        value,
        least,
        most,
        step,
        flat * price + np.array([x.route.gas for x in links]) + risk,
        flat,
        rate * price,
        1.0 + np.array([x.route.fee_rate for x in links]),
        np.array([p[0] for p in pieces], np.int64),
        np.array([p[1] for p in pieces], np.float64),
        np.array([p[2] for p in pieces], np.float64),
    )
    return Network(
        tuple(links),
        arcs,
        _pools(list(pools), accounts, policy, weights, place),
        _slots(list(slots), links, weights, place),
    )


def _at_stake(curves: Curves) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Loss that meeting the need avoids: what a transfer that fails leaves."""
    zero = np.zeros(len(curves.need))
    return np.maximum(curves.at(zero) - curves.at(np.maximum(curves.need, 0.0)), 0.0)


def _flat_fee(link: Link, policy: Policy) -> float:
    return link.route.fee + policy.asset_rule(link.asset).fee


def _rate(link: Link, policy: Policy) -> float:
    """Cost of one dollar sent: fee, funding, and what it would have earned, over the holding time."""
    years = policy.limits.holding_days / _YEAR_DAYS
    earned = policy.asset_rule(link.asset).annual_cost if link.giver < 0 else 0.0
    return link.route.fee_rate + (earned + link.place.annual_rate) * years


def _pieces(link: Link) -> Iterator[tuple[float, float]]:
    """Units and dollars per unit of each piece of the impact."""
    steps = link.route.impact
    if not steps or steps[0][0] > 0:
        steps = ((0.0, 0.0), *steps)
    ends = [*(size for size, _ in steps[1:]), math.inf]
    for (start, rate), end in zip(steps, ends, strict=True):
        yield (end - start) / link.price, rate * link.price


def _pools(
    keys: Sequence[tuple[str, str]],
    accounts: Sequence[Account],
    policy: Policy,
    weights: Sequence[Weights | None],
    place: Mapping[int, int],
) -> Pools:
    by_name = {account.account_id: i for i, account in enumerate(accounts)}
    free, price, giver, value = [], [], [], []
    for name, asset in keys:
        there = policy.places[name]
        row = by_name.get(there.account or "", -1)
        own = weights[row] if row >= 0 else None
        if own is None:
            free.append(there.free(asset))
            giver.append(-1)
            value.append(0.0)
        else:
            free.append(max(held(own.account, asset, "supplied") - there.least.get(asset, 0.0), 0.0))
            giver.append(place[row])
            value.append(own.quotes.dollar(asset) * own.first_ratio(asset))
        price.append(next(w.quotes.dollar(asset) for w in weights if w is not None))
    names = tuple(f"{asset} at {name}" for name, asset in keys)
    return Pools(names, np.array(free), np.array(price), np.array(giver, np.int64), np.array(value))


def _slots(
    keys: Sequence[tuple[int, str]],
    links: Sequence[Link],
    weights: Sequence[Weights | None],
    place: Mapping[int, int],
) -> Slots:
    line = {(x.account, x.asset): x.line for x in links}
    room, share, counted, total, names = [], [], [], [], []
    for row, asset in keys:
        own, rule = weights[row], line[row, asset]
        assert own is not None
        dollar = own.quotes.dollar(own.account.currency)
        room.append(math.inf if rule.cap is None else max(rule.cap - held(own.account, asset), 0.0))
        share.append(rule.most_share)
        worth = {x.asset: own.counted(x.asset, max(held(own.account, x.asset), 0.0)) for x in own.account.collateral}
        counted.append(worth.get(asset, 0.0) * dollar)
        total.append(sum(worth.values()) * dollar)
        names.append(f"{asset} in {own.account.account_id}")
    owner = np.array([place[row] for row, _ in keys], np.int64)
    return Slots(tuple(names), owner, np.array(room), np.array(share), np.array(counted), np.array(total))
