"""From levels to alerts: what begins, what grows worse, what ends; nothing is told twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.typing import IntArray
from serving.live.alerts.measures import Measure

__all__ = ["Raised", "Standing", "alert_id", "steps"]


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert that is open.

    Parameters
    ----------
    alert_id : str
        Its name.
    level : int
        Index into `SEVERITIES`.
    """

    alert_id: str
    level: int


@dataclass(frozen=True, slots=True)
class Raised:
    """A step: an alert begins, grows, or ends.

    Parameters
    ----------
    row : int
        Position of the account.
    kind : str
        Kind of alert.
    level : int
        Index into `SEVERITIES`; 0: it ends.
    alert_id : str
        The new alert, or the one that ends.
    before : str
        The alert that it replaces; empty where it is the first.
    value, threshold : float
        What was measured, and what it was compared with.
    words : str
        What to say beside them.
    """

    row: int
    kind: str
    level: int
    alert_id: str
    before: str
    value: float
    threshold: float
    words: str = ""


def alert_id(
    tenant: str, account_id: str, kind: str, level: int, close_ns: int, market_seq: int = 0, version: int = 0
) -> str:
    """Name an alert by what it is about, so that the same step taken twice is one alert.

    Parameters
    ----------
    tenant, account_id, kind : str
        Whose, which, what.
    level : int
        Index into `SEVERITIES`.
    close_ns, market_seq : int
        Close of the bar at which it begins, and the newest stored bar then.
    version : int
        Version of the account's state.

    Returns
    -------
    str
        32 hexadecimal digits.

    Examples
    --------
    >>> alert_id("desk", "a", "p_call", 2, 0) == alert_id("desk", "a", "p_call", 2, 0)
    True
    """
    text = "\0".join((tenant, account_id, kind, f"{level} {close_ns} {market_seq} {version}"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def steps(
    tenant: str,
    account_ids: Sequence[str],
    measures: Sequence[Measure],
    open_alerts: Mapping[tuple[str, str], Standing],
    close_ns: int,
    market_seq: int = 0,
    versions: Sequence[int] | IntArray | None = None,
) -> list[Raised]:
    """Compare what is measured with what is open.

    Parameters
    ----------
    tenant : str
        Whose accounts.
    account_ids : sequence of str
        Their names, by row.
    measures : sequence of Measure
        One of each kind, over these rows.
    open_alerts : mapping of (str, str) to Standing
        Open alerts by account and kind; those of other accounts are left alone.
    close_ns, market_seq : int
        Close of the bar, and the newest stored bar.
    versions : sequence of int, optional
        Version of each account's state.

    Returns
    -------
    list of Raised
        The worst first, then by row. An alert that is open at a level is not raised again unless it grows.
    """
    place = {name: row for row, name in enumerate(account_ids)}
    held: dict[str, list[int]] = {}
    for name, kind in open_alerts:
        if name in place:
            held.setdefault(kind, []).append(place[name])
    found: list[Raised] = []
    for one in measures:
        rows = np.union1d(np.flatnonzero(one.enter), np.array(held.get(one.kind, ()), np.int64)).astype(np.int64)
        for row in rows.tolist():
            name = account_ids[row]
            standing = open_alerts.get((name, one.kind))
            step = _step(standing, int(one.enter[row]), int(one.keep[row]))
            if step is None:
                continue
            version = 0 if versions is None else int(versions[row])
            ident = alert_id(tenant, name, one.kind, step, close_ns, market_seq, version) if step else ""
            before = standing.alert_id if standing else ""
            value = float(one.value[row])
            head = (row, one.kind, step, ident or before, before if step else "", value, one.threshold)
            found.append(Raised(*head, one.words.get(row, "")))
    return sorted(found, key=lambda r: (-r.level, r.row))


def _step(standing: Standing | None, enter: int, keep: int) -> int | None:
    """The new level, 0 for an end; None where nothing changes."""
    if standing is None:
        return enter or None
    if enter > standing.level:
        return enter
    return 0 if keep == 0 else None
