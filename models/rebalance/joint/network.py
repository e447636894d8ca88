"""From a policy to what can be sent: which route carries what to whom, and why others do not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from models.account import Account
from models.rebalance.agreement import delivery_grid, due, return_grid
from models.rebalance.balances import held
from models.rebalance.closing import margin_asset
from models.rebalance.hours import arrival
from models.rebalance.joint.pockets import Pocket
from models.rebalance.limits import CollateralLine
from models.rebalance.moves import Move
from models.rebalance.places import Place, Route, leads_to
from models.rebalance.plan import Kind
from models.rebalance.policy import Policy
from models.rebalance.weights import Weights

__all__ = ["Link", "Refusal", "links_of"]


@dataclass(frozen=True, slots=True)
class Link:
    """One asset on one route to one account, or a trade inside an account.

    Parameters
    ----------
    route : Route
        The route; of a trade, the policy's rule in the form of one.
    place : Place
        Where it starts.
    account : int
        Row of the account.
    giver : int
        Row of the account that gives; -1 for other places.
    asset : str
        What moves.
    kind : {"top_up", "repay", "add_margin", "swap", "hedge"}
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
    trade : Move or None
        The move, of a trade.
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
    trade: Move | None = None


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


def links_of(
    accounts: Sequence[Account],
    weights: Sequence[Weights | None],
    needy: Sequence[Pocket],
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
    needy : sequence of Pocket
        What needs collateral.
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
        gives = weights[giver] if giver >= 0 else None
        for pocket in needy:
            i = pocket.row
            own = weights[i]
            if own is None or (giver == i and pocket.position < 0) or not leads_to(route.to, accounts[i]):
                continue
            for asset in route.assets:
                old = age.get(asset, 0.0)
                if old > own.rules.stale_after_minutes:
                    found: Link | str = f"The price of {asset} is {old:.0f} minutes old."
                else:
                    way = route, place, giver, gives
                    found = _link(way, own, pocket, asset, policy, wait, wait > last_safe[i])
                if isinstance(found, str):
                    refused.append(Refusal(route.name, accounts[i].account_id, asset, found))
                else:
                    links.append(found)
    return links, refused


def _link(
    way: tuple[Route, Place, int, Weights | None],
    own: Weights,
    pocket: Pocket,
    asset: str,
    policy: Policy,
    wait: float,
    late: bool,
) -> Link | str:
    """The link, or the reason why there is none."""
    (route, place, giver, gives), account, rules = way, own.account, own.rules
    if not place.serves(account.account_id):
        return f"{route.source} is kept for {', '.join(place.draws or ())}."
    if place.account is not None and giver < 0:
        return f"The account {place.account} is not among the accounts given."
    if gives is not None and (what := due(gives)) is not None and what.action != "RETURN":
        return f"Nothing is due back from the other party of {gives.account.account_id}."
    debt = held(account, asset, "owed") if rules.borrows else 0.0
    alone = pocket.position
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
    least, most, step = _sizes(route, own, gives, asset, policy, debt if kind == "repay" else math.inf)
    room = math.inf if line.cap is None else max(line.cap - held(account, asset), 0.0)
    if min(room, most) <= 0 or min(room, most) < least:
        return f"No room is left for {asset} at {account.account_id}."
    price = own.quotes.dollar(asset)
    sizes = least, most, step, wait, late
    return Link(route, place, pocket.row, giver, asset, kind, price, ratio, line, *sizes, alone)


def _sizes(
    route: Route, own: Weights, gives: Weights | None, asset: str, policy: Policy, debt: float
) -> tuple[float, float, float]:
    """Smallest, largest and step: of route, asset and the agreements of both ends together."""
    rule = policy.asset_rule(asset)
    step = max(route.step, rule.step)
    least = max(route.min_transfer, rule.min_transfer)
    for agreed in (delivery_grid(own, asset), None if gives is None else return_grid(gives, asset)):
        if agreed is not None and agreed.per_unit > 0:
            step = max(step, agreed.step / agreed.per_unit)
            least = max(least, agreed.smallest / agreed.per_unit)
    if step > 0:
        least = math.ceil(least / step - 1e-9) * step
    most = min(route.max_transfer or math.inf, math.inf if rule.cap is None else rule.cap, debt)
    return least, most, step
