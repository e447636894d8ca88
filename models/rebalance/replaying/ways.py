"""Ways to send an account its lever: which routes lead there, in what sizes, at what cost, and when it arrives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from models.account import Account
from models.rebalance.balances import held
from models.rebalance.hours import arrival, lag_at
from models.rebalance.places import Place, Route
from models.rebalance.policy import Policy

__all__ = ["LATE", "Way", "minutes_of", "ways_of"]

LATE = 2.0
"""Beyond its last quantile a lag is so many times that quantile."""
_YEAR_MINUTES = 365.0 * 1440.0


@dataclass(frozen=True, slots=True)
class Way:
    """One route to one account.

    Parameters
    ----------
    number : int
        Place of the route in the policy.
    route : Route
        The route.
    place : Place
        Where it starts.
    asset : str
        What moves.
    least, most, step : float
        Sizes of what is sent, units.
    least_back, step_back : float
        Sizes of what is taken back, units.
    room : float
        Most units that may be at the account beyond what it holds itself.
    flat : float
        Flat fee of a transfer, units.
    held_rate : float
        What holding a dollar at the account costs a minute: what it would earn, or its credit line.
    """

    number: int
    route: Route
    place: Place
    asset: str
    least: float
    most: float
    step: float
    least_back: float
    step_back: float
    room: float
    flat: float
    held_rate: float

    def cost(self, units: float, price: float) -> float:
        """Dollars that a transfer costs: gas, fees, impact."""
        dollars = units * price
        paid = self.route.gas + self.flat * price + self.route.fee_rate * dollars
        steps = self.route.impact
        ends = [*(start for start, _ in steps), math.inf][1:]
        pieces = zip(steps, ends, strict=True)
        return paid + sum(rate * max(min(dollars, end) - start, 0.0) for (start, rate), end in pieces)

    def sized(self, units: float, available: float) -> float:
        """Units that are sent where so many are wanted: up to the step, within all sizes; 0 where none fit."""
        most = min(self.most, available / (1.0 + self.route.fee_rate) - self.flat)
        wanted = max(units, self.least)
        if self.step > 0:
            wanted = math.ceil(wanted / self.step - 1e-9) * self.step
            most = math.floor(most / self.step + 1e-9) * self.step
        sent = min(wanted, most)
        return sent if sent > 0 and sent >= self.least * (1.0 - 1e-12) else 0.0

    def returned(self, units: float, there: float) -> float:
        """Units that are taken back where so many are to be: down to the step; all of it whatever the step."""
        if units >= there * (1.0 - 1e-9):
            return there
        back = math.floor(units / self.step_back + 1e-9) * self.step_back if self.step_back > 0 else units
        return back if back > 0 and back >= self.least_back * (1.0 - 1e-12) else 0.0


def ways_of(account: Account, asset: str, policy: Policy) -> list[Way]:
    """List the routes that bring an asset to an account.

    Parameters
    ----------
    account : Account
        The account.
    asset : str
        What moves.
    policy : Policy
        Places, routes and limits.

    Returns
    -------
    list of Way
        In the order of the policy; without those that a place, an eligibility or a cap rules out, and without those
        from accounts, and those whose share of the collateral is limited.
    """
    eligible = policy.eligible(account.account_id, account.ruleset)
    out = []
    for number, route in enumerate(policy.routes):
        place = policy.places[route.source]
        leads = any(name in ("*", account.account_id, f"ruleset:{account.ruleset}") for name in route.to)
        if not leads or asset not in route.assets or place.account is not None or not place.serves(account.account_id):
            continue
        line = None if eligible is None else eligible.line(asset)
        if eligible is not None and (line is None or line.most_share < 1.0):
            continue
        room = math.inf if line is None or line.cap is None else max(line.cap - held(account, asset), 0.0)
        out.append(_way(account, number, route, place, asset, policy, room))
    return out


def _way(account: Account, number: int, route: Route, place: Place, asset: str, policy: Policy, room: float) -> Way:
    rule = policy.asset_rule(asset)
    step, least = max(route.step, rule.step), max(route.min_transfer, rule.min_transfer)
    step_back, least_back = step, least
    if account.csa is not None:
        rounding = account.csa.rounding
        step = max(step, rounding.delivery_increment or 0.0)
        step_back = max(step_back, rounding.return_increment or 0.0)
        least = max(least, account.csa.party.effective_transfer_amount)
        least_back = max(least_back, account.csa.counterparty.effective_transfer_amount)
    if step > 0:
        least = math.ceil(least / step - 1e-9) * step
    most = min(math.inf if x is None else x for x in (route.max_transfer, rule.cap))
    held_rate = (rule.annual_cost + place.annual_rate) / _YEAR_MINUTES
    sizes = least, min(most, room), step, least_back, step_back
    return Way(number, route, place, asset, *sizes, room, route.fee + rule.fee, held_rate)


def minutes_of(ways: Sequence[Way], when_ns: int, confidence: float | None = None, draw: float = 1.0) -> list[float]:
    """Give the minutes until what is sent now has arrived, on each way.

    Parameters
    ----------
    ways : sequence of Way
        The ways.
    when_ns : int
        Now, nanoseconds.
    confidence : float, optional
        Probability with which it has arrived; where None the lag is the one drawn.
    draw : float
        In [0, 1): place of the lag in its distribution.

    Returns
    -------
    list of float
        Minutes, with waiting for the opening.
    """
    now = datetime.fromtimestamp(when_ns / 1e9, UTC)
    out = []
    for way in ways:
        lag = way.route.lag
        if confidence is not None:
            minutes = lag_at(lag, confidence)
        else:
            beyond = bool(lag) and draw > lag[-1][0]
            minutes = LATE * lag[-1][1] if beyond else lag_at(lag, draw)
        out.append(arrival(now, way.route.hours, ((1.0, minutes),), 1.0))
    return out
