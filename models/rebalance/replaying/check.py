"""Check executed transfers against the policy, from the ledger alone: nothing here is shared with what ordered them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from models.account import Account
from models.rebalance.places import Route
from models.rebalance.policy import Policy
from models.rebalance.replaying.ledger import Moved

__all__ = ["violations"]

_TINY = 1e-6
_MINUTE_NS = 60_000_000_000


def violations(
    ledger: Sequence[Moved], accounts: Sequence[Account], policy: Policy, closed: Sequence[tuple[int, bool]]
) -> list[str]:
    """List every rule of the policy that executed transfers broke.

    Parameters
    ----------
    ledger : sequence of Moved
        Transfers in the order in which they were given.
    accounts : sequence of Account, length n
        The accounts.
    policy : Policy
        Places, routes and limits.
    closed : sequence of tuple of (int, bool), length n
        When each account closed, nanoseconds, and whether by a liquidation, which loses what was sent.

    Returns
    -------
    list of str
        One sentence for each transfer or balance that broke a rule.
    """
    found = [text for move in ledger for text in _of_move(move, accounts[move.account], policy)]
    for when, moves in groupby(ledger, key=lambda move: move.when_ns):
        found += _of_decision(when, list(moves), policy)
    return [*found, *_of_balances(ledger, accounts, policy), *_of_inventories(ledger, policy, closed)]


def _of_move(move: Moved, account: Account, policy: Policy) -> Iterator[str]:
    """What one transfer breaks by itself."""
    route, rule = policy.routes[move.route], policy.asset_rule(move.asset)
    place, name = policy.places[route.source], f"{account.account_id} at {_time(move.when_ns).isoformat()}"
    if not {"*", account.account_id, f"ruleset:{account.ruleset}"} & set(route.to):
        yield f"{name}: route {route.name} does not lead there."
    if move.asset not in route.assets:
        yield f"{name}: route {route.name} does not take {move.asset}."
    if place.draws is not None and account.account_id not in place.draws:
        yield f"{name}: may not draw on {route.source}."
    schedule = policy.eligibility.get(account.account_id) or policy.eligibility.get(account.ruleset)
    if schedule is not None and move.asset not in schedule.assets and not schedule.others:
        yield f"{name}: {move.asset} is not eligible."
    if move.back and not policy.release:
        yield f"{name}: nothing may be taken back."
    if not move.back:
        yield from _of_size(move, account, route, max(route.min_transfer, rule.min_transfer), rule.step, rule.cap, name)
    if _time(move.when_ns) + timedelta(minutes=move.minutes) < _opens(route, _time(move.when_ns)) - timedelta(
        seconds=1
    ):
        yield f"{name}: route {route.name} was closed until after its arrival."


def _of_size(
    move: Moved, account: Account, route: Route, least: float, step: float, cap: float | None, name: str
) -> Iterator[str]:
    terms = account.csa
    if terms is not None:
        least = max(least, terms.party.effective_transfer_amount)
    if move.units < least * (1 - _TINY):
        yield f"{name}: {move.units:g} {move.asset} is less than the smallest transfer of {least:g}."
    if any(most is not None and move.units > most * (1 + _TINY) for most in (route.max_transfer, cap)):
        yield f"{name}: {move.units:g} {move.asset} is more than the largest transfer."
    for each in (route.step, step, (terms.rounding.delivery_increment or 0.0) if terms is not None else 0.0):
        if each > 0 and abs(move.units / each - round(move.units / each)) > _TINY * max(1.0, move.units / each):
            yield f"{name}: {move.units!r} {move.asset} is no multiple of {each:g}."


def _of_decision(when: int, moves: list[Moved], policy: Policy) -> Iterator[str]:
    """What the transfers of one decision break together."""
    limits = policy.limits
    if limits.max_moves is not None and len(moves) > limits.max_moves:
        yield f"{_time(when).isoformat()}: {len(moves)} transfers, at most {limits.max_moves} may be made."
    value = sum(move.units * move.price for move in moves)
    if limits.max_run_value is not None and value > limits.max_run_value * (1 + _TINY):
        yield f"{_time(when).isoformat()}: {value:.0f} dollars moved, at most {limits.max_run_value:.0f} may be."
    count: dict[int, int] = defaultdict(int)
    for move in moves:
        count[move.account] += 1
    if limits.max_moves_per_account is not None and max(count.values()) > limits.max_moves_per_account:
        yield f"{_time(when).isoformat()}: more than {limits.max_moves_per_account} transfers to one account."


def _of_balances(ledger: Sequence[Moved], accounts: Sequence[Account], policy: Policy) -> Iterator[str]:
    """Accounts that gave back more than they had been sent, or hold more of an asset than a cap allows."""
    sent: dict[tuple[int, str], float] = defaultdict(float)
    returned: list[tuple[int, tuple[int, str], float]] = []
    for move in ledger:
        key = move.account, move.asset
        for entry in [x for x in returned if x[1] == key and x[0] <= move.when_ns]:
            sent[key] -= entry[2]
            returned.remove(entry)
        if move.failed:
            returned.append((move.when_ns + int(move.minutes * _MINUTE_NS), key, move.units))
        sent[key] += -move.units if move.back else move.units
        account = accounts[move.account]
        if sent[key] < -_TINY * max(1.0, move.units):
            yield f"{account.account_id}: {-sent[key]:g} {move.asset} more came back than was sent."
        schedule = policy.eligibility.get(account.account_id) or policy.eligibility.get(account.ruleset)
        line = None if schedule is None else schedule.assets.get(move.asset)
        own = sum(item.quantity for item in account.collateral if item.asset == move.asset)
        if line is not None and line.cap is not None and not move.back and own + sent[key] > line.cap * (1 + _TINY):
            yield f"{account.account_id}: holds {own + sent[key]:g} {move.asset}, at most {line.cap:g} may be."


def _of_inventories(ledger: Sequence[Moved], policy: Policy, closed: Sequence[tuple[int, bool]]) -> Iterator[str]:
    """Places from which more left than they may give; what comes back is there when it has arrived."""
    flows: dict[tuple[str, str], list[tuple[int, int, float]]] = defaultdict(list)
    at_account: dict[tuple[int, str, str], float] = defaultdict(float)
    for move in ledger:
        route = policy.routes[move.route]
        key, there = (route.source, move.asset), (move.account, route.source, move.asset)
        end = move.when_ns + int(move.minutes * _MINUTE_NS)
        if move.back:
            flows[key].append((end, 0, move.units))
            at_account[there] -= move.units
            continue
        fee = route.fee + policy.asset_rule(move.asset).fee
        flows[key].append((move.when_ns, 1, -move.units * (1.0 + route.fee_rate) - fee))
        if move.failed and end <= closed[move.account][0]:
            flows[key].append((end, 0, move.units))
        else:
            at_account[there] += move.units
    for (account, source, asset), units in at_account.items():
        when, lost = closed[account]
        if not lost:
            flows[source, asset].append((when, 0, units))
    for (source, asset), own in flows.items():
        place = policy.places[source]
        balance, least = place.inventory.get(asset, 0.0), place.least.get(asset, 0.0)
        for when, _, units in sorted(own):
            balance += units
            if balance < least - _TINY * max(1.0, least, abs(units)):
                yield f"{_time(when).isoformat()}: {balance:g} {asset} left at {source}, {least:g} must stay."


def _opens(route: Route, now: datetime) -> datetime:
    """The first instant from now on at which a route takes instructions, by trying the days that follow."""
    hours, zone = route.hours, ZoneInfo(route.hours.time_zone)
    local = now.astimezone(zone)
    for ahead in range(61):
        day = local.date() + timedelta(days=ahead)
        if day.weekday() not in hours.days or day in hours.holidays:
            continue
        if ahead > 0:
            return datetime.combine(day, hours.opens, zone)
        if hours.cut_off is None or local.time() <= hours.cut_off:
            return max(local, datetime.combine(day, hours.opens, zone))
    return now


def _time(when_ns: int) -> datetime:
    return datetime.fromtimestamp(when_ns / 1e9, UTC)
