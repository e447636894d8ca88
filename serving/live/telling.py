"""Alerts, events and deliveries of one scoring, written inside its transaction: told once or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, Connection, delete, func, insert, select, update

from models.margin.levels import STATES
from models.rebalance import Policy
from models.typing import HORIZONS, HOUR_NS, MINUTE_NS, FloatArray
from serving.accounts.schemas import instant
from serving.live.alerts import SEVERITIES, AlertRules, Raised, Standing, within_budget
from serving.store import Store
from serving.store.lists import MOST, in_groups
from serving.store.tables import accounts, alert_states, alerts, deliveries, events, tenants, webhooks

__all__ = ["EVENTS", "Scene", "Told", "alert_rules", "desk_policy", "emit", "end_of_deleted", "open_alerts", "tell"]

EVENTS = ("alert", "alert_ended", "digest", "test")
"""Kinds of event: an alert began or grew, one ended, many beyond the budget, a test."""
_LATER_ROUNDS_NS = 10 * MINUTE_NS


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What was scored, for the words of an alert.

    Parameters
    ----------
    tenant : str
        Whose accounts.
    close_ns, now_ns : int
        Close of the bar, and the present.
    model_version : str
        Who said it.
    account_id : sequence of str
        Names by row.
    p_call : ndarray, shape (n, 4)
        By row and horizon.
    """

    tenant: str
    close_ns: int
    now_ns: int
    model_version: str
    account_id: Sequence[str]
    p_call: FloatArray


@dataclass(frozen=True, slots=True)
class Told:
    """What was told.

    Parameters
    ----------
    opened : tuple of Raised
        Alerts that began or grew, the worst first.
    over_budget, ended : int
        How many of them were told together, and how many ended.
    last_event : int
        Number of the newest event of the tenant; 0 where none was made.
    """

    opened: tuple[Raised, ...] = ()
    over_budget: int = 0
    ended: int = 0
    last_event: int = 0


def alert_rules(connection: Connection, tenant: str) -> AlertRules:
    """Read what a desk wants to be told.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        The desk.

    Returns
    -------
    AlertRules
        The defaults where it has said nothing.
    """
    found = connection.execute(select(tenants.c.settings).where(tenants.c.id == tenant)).scalar_one()
    return AlertRules(**(found or {}).get("alerts", {}))


def desk_policy(connection: Connection, tenant: str) -> Policy | None:
    """Read what a desk may do.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    tenant : str
        The desk.

    Returns
    -------
    Policy or None
        None where it has said nothing.
    """
    found = connection.execute(select(tenants.c.settings).where(tenants.c.id == tenant)).scalar_one_or_none()
    kept = (found or {}).get("policy")
    return None if kept is None else msgspec.convert(kept, Policy)


def open_alerts(
    connection: Connection, tenant: str, shard: int, account_ids: Sequence[str] | None = None
) -> dict[tuple[str, str], Standing]:
    """Read the open alerts of a shard, or of some of its accounts.

    Parameters
    ----------
    connection : Connection
        In a transaction that holds the lock of the shard.
    tenant : str
        Whose.
    shard : int
        The shard.
    account_ids : sequence of str, optional
        Only these accounts, where they are few.

    Returns
    -------
    dict of (str, str) to Standing
        By account and kind.
    """
    c = alert_states.c
    wanted = select(c.account_id, c.kind, c.alert_id, c.level).where(c.tenant_id == tenant)
    if account_ids is not None and len(account_ids) <= MOST:
        wanted = wanted.where(c.account_id.in_(next(in_groups(account_ids), [])))
    else:
        same = (accounts.c.tenant_id == c.tenant_id) & (accounts.c.account_id == c.account_id)
        wanted = wanted.join(accounts, same).where(accounts.c.shard == shard)
    return {(row.account_id, row.kind): Standing(row.alert_id, row.level) for row in connection.execute(wanted)}


def end_of_deleted(connection: Connection, tenant: str, shard: int, now_ns: int) -> None:
    """Close the alerts of accounts that were taken out.

    Parameters
    ----------
    connection : Connection
        In a transaction that holds the lock of the shard.
    tenant : str
        Whose.
    shard : int
        The shard.
    now_ns : int
        The present.
    """
    c, a = alert_states.c, accounts.c
    same = (a.tenant_id == c.tenant_id) & (a.account_id == c.account_id)
    gone = select(c.alert_id).join(accounts, same).where(a.tenant_id == tenant, a.shard == shard, a.deleted)
    ids = connection.execute(gone).scalars().all()
    for part in in_groups(ids):
        connection.execute(delete(alert_states).where(c.alert_id.in_(part)))
        connection.execute(update(alerts).where(alerts.c.id.in_(part)).values(closed_ns=now_ns))


def tell(store: Store, connection: Connection, scene: Scene, raised: Sequence[Raised], rules: AlertRules) -> Told:
    """Write the steps of alerts, the events of them and their deliveries.

    Parameters
    ----------
    store : Store
        The store.
    connection : Connection
        In a transaction that holds the lock of the shard; the tenant is locked from here on.
    scene : Scene
        What was scored.
    raised : sequence of Raised
        From `steps`, the worst first.
    rules : AlertRules
        The budget of the desk.

    Returns
    -------
    Told
        What was told.
    """
    if not raised:
        return Told()
    store.next_events(connection, scene.tenant, 0)  # the lock: budget and numbers are counted by one at a time
    told_now, beyond = within_budget(raised, _told(connection, scene), rules.budget_per_hour)
    ended = _end(connection, scene, raised)
    _open(connection, scene, told_now, False)
    _open(connection, scene, beyond, True)
    found = [("alert", _words(scene, one)) for one in told_now]
    found += [("alert_ended", _words(scene, one)) for one in ended[: rules.budget_per_hour]]
    if beyond and not _digested(connection, scene):
        found.append(("digest", _digest(scene, beyond)))
    last = emit(store, connection, scene.tenant, found, scene.now_ns)
    return Told((*told_now, *beyond), len(beyond), sum(one.level == 0 for one in raised), last)


def emit(
    store: Store, connection: Connection, tenant: str, found: Sequence[tuple[str, Mapping[str, Any]]], now_ns: int,
    only: str | None = None,
) -> int:  # fmt: skip
    """Write events, and a delivery of each to every webhook that wants its kind.

    Parameters
    ----------
    store : Store
        The store.
    connection : Connection
        In a transaction that writes.
    tenant : str
        Whose events.
    found : sequence of (str, mapping)
        Kind and body.
    now_ns : int
        The present.
    only : str, optional
        The only webhook that they go to.

    Returns
    -------
    int
        Number of the last one; 0 where there is none.
    """
    if not found:
        return 0
    numbers = store.next_events(connection, tenant, len(found))
    rows = [
        {"tenant_id": tenant, "seq": seq, "kind": kind, "body": {"id": seq, "kind": kind, **body}, "created_ns": now_ns}
        for seq, (kind, body) in zip(numbers, found, strict=True)
    ]
    connection.execute(insert(events), rows)
    c = webhooks.c
    wanted = select(c.id, c.kinds).where(c.tenant_id == tenant, c.disabled_ns.is_(None))
    targets = connection.execute(wanted if only is None else wanted.where(c.id == only)).all()
    due = {"tenant_id": tenant, "attempts": 0, "next_ns": now_ns, "status": "pending"}
    sent = [
        due | {"webhook_id": hook.id, "event_seq": row["seq"]}
        for hook in targets
        for row in rows
        if only or not hook.kinds or row["kind"] in hook.kinds
    ]
    if sent:
        connection.execute(insert(deliveries), sent)
    return numbers[-1]


def _told(connection: Connection, scene: Scene) -> int:
    """Alerts that were told one by one within the hour."""
    c = alerts.c
    recent = (c.tenant_id == scene.tenant) & _within_the_hour(c.opened_ns, scene) & ~c.over_budget
    return int(connection.execute(select(func.count()).select_from(alerts).where(recent)).scalar_one())


def _within_the_hour(column: Column[Any], scene: Scene) -> ColumnElement[bool]:
    """Rows of the last hour, also of rounds that began a little later; not what a clock far ahead has dated."""
    return column.between(scene.now_ns - HOUR_NS + 1, scene.now_ns + _LATER_ROUNDS_NS)


def _digested(connection: Connection, scene: Scene) -> bool:
    c = events.c
    recent = (c.tenant_id == scene.tenant) & _within_the_hour(c.created_ns, scene) & (c.kind == "digest")
    return connection.execute(select(c.seq).where(recent).limit(1)).one_or_none() is not None


def _open(connection: Connection, scene: Scene, opened: Sequence[Raised], over_budget: bool) -> None:
    if not opened:
        return
    rows = [
        {
            "id": one.alert_id,
            "tenant_id": scene.tenant,
            "account_id": scene.account_id[one.row],
            "kind": one.kind,
            "severity": SEVERITIES[one.level],
            "opened_ns": scene.now_ns,
            "close_ns": scene.close_ns,
            "body": _words(scene, one),
            "over_budget": over_budget,
        }
        for one in opened
    ]
    connection.execute(insert(alerts), rows)
    states = [
        {
            "tenant_id": scene.tenant,
            "account_id": scene.account_id[one.row],
            "kind": one.kind,
            "alert_id": one.alert_id,
            "level": one.level,
            "since_ns": scene.now_ns,
            "value": _finite(one.value, -1.0),
        }
        for one in opened
    ]
    connection.execute(insert(alert_states), states)


def _end(connection: Connection, scene: Scene, raised: Sequence[Raised]) -> list[Raised]:
    """Close what ended or was replaced; give the ends of alerts that had been told one by one."""
    gone = [one.before if one.level else one.alert_id for one in raised if one.before or not one.level]
    silent: set[str] = set()
    for part in in_groups(gone):
        connection.execute(delete(alert_states).where(alert_states.c.alert_id.in_(part)))
        closed = update(alerts).where(alerts.c.id.in_(part)).values(closed_ns=scene.now_ns)
        rows = connection.execute(closed.returning(alerts.c.id, alerts.c.over_budget))
        silent.update(row.id for row in rows if row.over_budget)
    return [one for one in raised if not one.level and one.alert_id not in silent]


def _words(scene: Scene, one: Raised) -> dict[str, Any]:
    name = scene.account_id[one.row]
    p = [_finite(x) for x in scene.p_call[one.row].tolist()]
    return {
        "alert_id": one.alert_id,
        "replaces": one.before or None,
        "account_id": name,
        "alert": one.kind,
        "severity": SEVERITIES[one.level],
        "value": _finite(one.value),
        "threshold": _finite(one.threshold),
        "p_call": dict(zip(map(str, HORIZONS), p, strict=True)),
        "market_as_of": instant(scene.close_ns).isoformat(),
        "at": instant(scene.now_ns).isoformat(),
        "model_version": scene.model_version,
        "message": _message(name, one),
    }


def _message(name: str, one: Raised) -> str:
    name = name or "the market"
    if not one.level:
        return f"{name}: {one.kind} is over"
    return f"{name}: {_TEXTS[one.kind](one)}"


_TEXTS: Mapping[str, Callable[[Raised], str]] = {
    "p_call": lambda one: f"P(call) is {one.value:.2%}, the target {one.threshold:.2%}",
    "level": lambda one: f"the account is {STATES[int(one.value)].replace('_', ' ')}",
    "last_safe": lambda one: f"a transfer must start within {one.value:.0f} minutes",
    "drift": lambda one: f"equity is {one.value:.2f} times the initial requirement",
    "stale": lambda one: f"the newest price is {one.value:.0f} minutes old",
    "rule_change": lambda one: f"{one.words}, in {_until(one.value)}",
}


def _until(days: float) -> str:
    return f"{days:.0f} days" if days >= 2 else f"{24 * days:.0f} hours"


def _digest(scene: Scene, beyond: Sequence[Raised]) -> dict[str, Any]:
    kinds = Counter(f"{one.kind}.{SEVERITIES[one.level]}" for one in beyond)
    return {
        "alerts": len(beyond),
        "by_kind": dict(sorted(kinds.items())),
        "market_as_of": instant(scene.close_ns).isoformat(),
        "at": instant(scene.now_ns).isoformat(),
        "message": f"{len(beyond)} alerts beyond the budget of the hour, and any later ones in it: "
        "GET /v1/alerts?over_budget=true",
    }


def _finite(value: float, otherwise: float | None = None) -> Any:
    """The value; JSON and some databases know neither infinity nor NaN."""
    return value if abs(value) < float("inf") else otherwise
