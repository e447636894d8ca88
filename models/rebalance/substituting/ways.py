"""Which substitutions an account has: what its agreement and its policy allow, what is at hand, and what pays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from models.rebalance.agreement import Grid, delivery_grid, return_grid
from models.rebalance.balances import held
from models.rebalance.limits import CollateralLine
from models.rebalance.moves import Move, round_amount
from models.rebalance.places import Place, Route, leads_to
from models.rebalance.policy import Policy
from models.rebalance.steps import pieces
from models.rebalance.substituting.substitute import Substitute
from models.rebalance.substituting.timing import timing_of
from models.rebalance.substitution import Substitution
from models.rebalance.weights import Weights
from models.rebalance.wording import number

__all__ = ["substituting_moves"]

_YEAR_DAYS = 365.0
_OWN = ("wallet", "venue", "custodian")
"""Kinds of places whose inventory is the desk's own."""
Refused = tuple[Move, str]


@dataclass(frozen=True, slots=True)
class _Pair:
    """What is asked back, what is delivered for it, and by which rule."""

    weights: Weights
    policy: Policy
    rule: Substitution
    back: str
    asset: str

    @property
    def days(self) -> float:
        """Holding time."""
        own = self.rule.holding_days
        return self.policy.limits.holding_days if own is None else own

    def annual(self, asset: str) -> float:
        """What posting an asset costs, a fraction a year: funding less the interest that the agreement pays."""
        return self.policy.asset_rule(asset).annual_cost - self.rule.interest.get(asset, 0.0)

    @property
    def line(self) -> CollateralLine | None:
        """The policy's limits for the substitute; None where it is not eligible."""
        account = self.weights.account
        eligible = self.policy.eligible(account.account_id, account.ruleset)
        return CollateralLine() if eligible is None else eligible.line(self.asset)


def substituting_moves(weights: Weights, policy: Policy, now: datetime) -> tuple[list[Move], list[Refused]]:
    """List what may be asked back under an account's agreement against what, and why the rest cannot.

    Parameters
    ----------
    weights : Weights
        The account with its rules and prices.
    policy : Policy
        What the desk may do.
    now : datetime
        When the notice would be given.

    Returns
    -------
    tuple of list
        Moves by each route of the desk's own places, in units of what is asked back; and what a rule of the policy
        names but cannot be, with the reason. What the account has not posted is neither.
    """
    moves: list[Move] = []
    refused: list[Refused] = []
    for pair in _pairs(weights, policy):
        reason = _refusal(pair)
        ways = [] if reason else list(_ways(pair))
        if reason is None and not ways:
            reason = f"No route brings {pair.asset} from a place of the desk to {weights.account.account_id}."
        if reason is not None:
            refused.append((_bare(pair), reason))
        for route, place in ways:
            move = _move(pair, route, place, now)
            if isinstance(move, str):
                refused.append((_bare(pair), move))
            else:
                moves.append(move)
    return moves, refused


def _pairs(weights: Weights, policy: Policy) -> Iterator[_Pair]:
    account = weights.account
    for rule in policy.substitutions if account.csa is not None else ():
        if leads_to(rule.to, account):
            for back in rule.ask_back:
                if held(account, back) > 0:
                    yield from (_Pair(weights, policy, rule, back, asset) for asset in rule.deliver if asset != back)


def _ways(pair: _Pair) -> Iterator[tuple[Route, Place]]:
    account = pair.weights.account
    for route in pair.policy.routes:
        place = pair.policy.places[route.source]
        own = place.kind in _OWN and place.serves(account.account_id)
        if own and pair.asset in route.assets and leads_to(route.to, account):
            yield route, place


def _refusal(pair: _Pair) -> str | None:
    """Why a pair cannot be exchanged, whatever the route."""
    weights, name = pair.weights, pair.weights.account.account_id
    terms, named = weights.account.csa, pair.policy.eligible_assets
    assert terms is not None
    if terms.party.in_default:
        return f"The desk is in default under {name}: the other party need not return anything against a substitute."
    for asset in (pair.back, pair.asset):
        if weights.quotes.own(asset) <= 0:
            return f"The market has no price for {asset}."
        if named is not None and not {asset, "*"} & set(named):
            return f"The policy does not list {asset} under eligible_assets."
    if weights.counted(pair.back, 1.0) <= 0:
        return f"{pair.back} counts for nothing under {name}: it is asked back without a substitute."
    if pair.line is None:
        return f"The policy does not list {pair.asset} as eligible for {name}."
    return weights.refusal(pair.asset)


def _move(pair: _Pair, route: Route, place: Place, now: datetime) -> Move | str:
    """The exchange on one route up to its largest size that pays; or why there is none."""
    weights, line, quotes = pair.weights, pair.line, pair.weights.quotes
    terms, rules = weights.account.csa, pair.policy.asset_rule(pair.asset)
    agreed = delivery_grid(weights, pair.asset)
    assert terms is not None
    assert line is not None
    assert agreed is not None
    timing = timing_of(now, terms.timetable, pair.rule, route, pair.policy.limits.arrival_confidence)
    years = pair.days / _YEAR_DAYS, max(pair.days - timing.both_days, 0.0) / _YEAR_DAYS
    price, back = quotes.own(pair.asset), quotes.own(pair.back)
    each = weights.counted(pair.back, 1.0) / (price * min(weights.first_ratio(pair.asset), 1.0 - line.haircut))
    saved, holds = back * pair.annual(pair.back) * years[1], price * pair.annual(pair.asset) * years[0]
    costs = holds + (route.fee_rate + next(pieces(route.impact))[1]) * price
    if saved / each <= costs:
        return _never(pair, saved, each * costs)
    own = Grid(max(route.step, rules.step), max(route.min_transfer, rules.min_transfer))
    dollar = quotes.dollar(quotes.currency)
    flat = route.fee + rules.fee
    gain = (saved / each - holds) / price - route.fee_rate
    room = min(_room(pair, route, place, flat), _paying(route, gain) / (price * dollar))
    most = own.down(room)
    limit = min(held(weights.account, pair.back), agreed.down(most) / each)
    way = Substitute(
        pair.rule, route, pair.asset, price, each, (agreed, own), most, flat, dollar, saved, holds, pair.days, timing
    )
    move = _sized(pair, limit, way)
    if round_amount(limit, move) <= 0:
        return (
            f"Inventory, limits and slippage leave less {pair.asset} at {route.source} than one exchange for "
            f"{pair.back} takes."
        )
    return move


def _sized(pair: _Pair, limit: float, way: Substitute | None) -> Move:
    weights, rule, quotes = pair.weights, pair.policy.asset_rule(pair.back), pair.weights.quotes
    money = quotes.currency, quotes.dollar(quotes.currency)
    sizes = limit, rule.step, rule.min_transfer, 0.0, 0.0
    grid = return_grid(weights, pair.back)
    return Move("substitute", pair.back, -1, None, quotes.own(pair.back), *sizes, *money, grid, substitute=way)


def _bare(pair: _Pair) -> Move:
    return _sized(pair, 0.0, None)


def _never(pair: _Pair, saved: float, costs: float) -> str:
    """Why no size of an exchange pays."""
    currency = pair.weights.quotes.currency
    return (
        f"{pair.asset} in place of {pair.back} does not pay: over {pair.days:g} days it costs {number(costs)} "
        f"{currency} for each {pair.back} and saves {number(saved)}."
    )


def _room(pair: _Pair, route: Route, place: Place, flat: float) -> float:
    """Units of the substitute that inventory, route, caps and shares leave."""
    account, line, limits = pair.weights.account, pair.line, pair.policy.limits
    assert line is not None
    room = (place.free(pair.asset) - flat) / (1.0 + route.fee_rate)
    for most in (route.max_transfer, pair.policy.asset_rule(pair.asset).cap):
        room = room if most is None else min(room, most)
    if line.cap is not None:
        room = min(room, line.cap - held(account, pair.asset))
    if limits.max_run_value is not None:
        room = min(room, limits.max_run_value / pair.weights.quotes.dollar(pair.asset))
    if line.most_share < 1:
        count = pair.weights.counted
        total = sum(max(count(item.asset, item.quantity), 0.0) for item in account.collateral)
        free = line.most_share * total - count(pair.asset, held(account, pair.asset))
        room = min(room, free / count(pair.asset, 1.0))
    return max(room, 0.0)


def _paying(route: Route, gain: float) -> float:
    """Dollars up to which slippage takes less than the gain of each dollar."""
    return math.fsum(width for width, lost in pieces(route.impact) if lost < gain)
