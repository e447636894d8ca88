"""Small stages by hand: accounts whose needs are written down, one lever unit is one dollar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from models.account import Account, Collateral
from models.rebalance import Policy, policy_from_mapping
from models.rebalance.replaying.epochs import Epoch
from models.rebalance.replaying.run import Stage
from models.rebalance.replaying.terms import way_table
from models.rebalance.replaying.watch import Watch

START = int(datetime(2025, 3, 3, tzinfo=UTC).timestamp()) * 10**9
"""A Monday."""
ROUTE = {"name": "hot", "source": "hot", "to": ["*"], "assets": ["USDT"], "gas": 2.0, "lag": [[1.0, 60]]}


def desk(inventory: float = 1e6, limits: dict[str, Any] | None = None, annual: float = 0.365, **route: Any) -> Policy:
    """Return a policy of one wallet and one route; a dollar costs a tenth of a cent a day."""
    return policy_from_mapping({
        "assets": {"USDT": {"annual_cost": annual}},
        "places": {"hot": {"inventory": {"USDT": inventory}}},
        "routes": [ROUTE | route],
        "limits": {"liquidation_cost": 100.0, "liquidation_cost_rate": 0.0} | (limits or {}),
    })  # fmt: skip


def accounts_of(count: int) -> list[Account]:
    """Return accounts that hold money."""
    when = datetime.fromtimestamp(START / 1e9, UTC)
    cash = (Collateral(asset="USDT", quantity=0.0),)
    return [
        Account(account_id=f"a{i}", as_of=when, ruleset="generic-linear", currency="USDT", collateral=cash)
        for i in range(count)
    ]


def stage(
    needed: Sequence[Sequence[float]],
    policy: Policy | None = None,
    every: int = 2,
    equity: float = 200.0,
    seed: int = 0,
) -> Stage:
    """Return a stage of accounts that need so much of their lever in each bar against liquidation; calls need 10 more.

    Maintenance is 100 throughout. Curves of risk are flat at 1% unless replaced.
    """
    worst = np.array(needed, np.float64)
    n, bars = worst.shape
    policy = policy or desk()
    both = np.stack([worst + 10.0, worst])
    flat = np.full((n, bars), 1.0)
    seen = Watch(
        np.zeros(n, np.int64), np.full(n, bars), both, np.full(n, 1.25), equity * flat, 100.0 * flat, flat, 0.0 * flat,
        tuple(np.zeros((1, bars)) for _ in range(n)),
    )  # fmt: skip
    table = way_table(accounts_of(n), ["USDT"] * n, policy)
    rows, amount = np.arange(n), np.tile(np.array([0.0, 50.0, 100.0]), (n, 1))
    p = np.full((2, n, 3, 4), 0.01)
    epochs = [Epoch(bar, rows, np.ones(n), np.full(n, 10.0), rows, amount, p) for bar in range(0, bars, every)]
    out = Stage(seen, table, policy, epochs, [], every, START, 60, seed)
    terms = [table.terms(rows, e.price, out.when(e.bar), every * 60) for e in epochs]
    return Stage(seen, table, policy, epochs, terms, every, START, 60, seed)
