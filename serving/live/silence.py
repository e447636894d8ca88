"""A market that has fallen silent brings no round: the alert of it is raised, and ended, by the clock."""

from __future__ import annotations

from functools import partial

import numpy as np
from sqlalchemy import Connection, select

from models.typing import HORIZONS, MINUTE_NS
from serving.live.alerts import Raised
from serving.live.alerts.steps import alert_id
from serving.live.scoring import View
from serving.live.telling import Scene, alert_rules, tell
from serving.store import Store
from serving.store.tables import alert_states, tenants

__all__ = ["MARKET", "tell_silence"]

MARKET = ""
"""Name that the alert has in place of an account's."""


def tell_silence(store: Store, view: View, limit_minutes: float, now_ns: int) -> int:
    """Tell every desk that the market is silent, or that it is no longer.

    Parameters
    ----------
    store : Store
        The store.
    view : View
        The newest market.
    limit_minutes : float
        Age beyond which it is silent.
    now_ns : int
        The present.

    Returns
    -------
    int
        How many desks were told something.
    """
    age = (now_ns - view.moment.as_of) / MINUTE_NS
    wanted = select(tenants.c.id).where(tenants.c.disabled_ns.is_(None))
    names = store.query(lambda c: c.execute(wanted).scalars().all())
    silent = set(store.query(_silent))
    changed = [name for name in names if (name in silent) != (age > limit_minutes)]
    for name in changed:
        store.run(partial(_tell, store, name, view, age, limit_minutes, now_ns), idempotent=True)
    return len(changed)


def _silent(connection: Connection) -> list[str]:
    c = alert_states.c
    return list(connection.execute(select(c.tenant_id).where(c.account_id == MARKET, c.kind == "stale")).scalars())


def _tell(store: Store, tenant: str, view: View, age: float, limit: float, now_ns: int, connection: Connection) -> None:
    store.next_events(connection, tenant, 0)  # the lock: two processes tell it once
    c = alert_states.c
    own = (c.tenant_id == tenant) & (c.account_id == MARKET) & (c.kind == "stale")
    standing = connection.execute(select(c.alert_id).where(own)).scalar_one_or_none()
    close = view.moment.as_of
    if (standing is not None) == (age > limit):
        return
    level = 0 if standing else 3
    ident = standing or alert_id(tenant, MARKET, "stale", level, close, view.seq, now_ns)
    raised = [Raised(0, "stale", level, ident, "", age, limit)]
    unknown = np.full((1, len(HORIZONS)), np.nan)
    scene = Scene(tenant, close, now_ns, view.model_version, [MARKET], unknown)
    tell(store, connection, scene, raised, alert_rules(connection, tenant))
