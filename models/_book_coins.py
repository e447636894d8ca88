"""Unified accounts weigh the net balance of a coin, profit of coin-margined contracts and debts included.

The engine counts each balance at its ratio and the profit of legs at par. What netting changes is a concave schedule of
the coin's price; a collateral row of a grain of the coin carries it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from models._book_columns import AccountTable, Refusals
from models.margin.rulesets import Ruleset
from models.margin.tiers import TierSchedule

__all__ = ["COIN", "add_coin_profit", "coin_profit_schedule", "find_coin_profit"]

Group = tuple[int, int]
"""Account and asset."""
COIN: Final = "+"
"""First letter of the key of such a row."""
GRAIN: Final = 1e-6
"""Units of a coin that carry its schedule: worth nothing by themselves."""


def add_coin_profit(coll: dict[str, Any], pos: dict[str, Any], table: AccountTable, refusals: Refusals) -> None:
    """Add what it changes that a unified account weighs the net balance of a coin, profit in the coin included.

    Collateral rows count each balance by itself and legs count profit at par; the rows added here are the difference,
    one for each account and coin with coin-margined positions or with a balance and a debt.
    """
    coll["key"] = np.full(len(coll["row"]), "", object)
    unified = table.rule_table(lambda r: r is not None and r.model == "unified", bool)
    if not unified.any():
        return
    good = unified[table.rules_index] & ~refusals.bad
    mine = np.flatnonzero(good[pos["row"]] & pos["inverse"] & ~pos["isolated"].astype(bool))
    balance = np.flatnonzero(good[coll["row"]] & (coll["index"] >= 0))
    names: dict[int, str] = {}
    profit: dict[Group, tuple[float, float]] = {}
    for i in mine.tolist():
        group = int(pos["row"][i]), int(pos["asset"][i])
        units, dollars = profit.get(group, (0.0, 0.0))
        profit[group] = units + float(pos["pnl_quantity"][i]), dollars + float(pos["quantity"][i])
        names[group[1]] = str(pos["symbol"][i]).split("/")[0]
    held: dict[Group, list[float]] = {}
    for i in balance.tolist():
        group = int(coll["row"][i]), int(coll["index"][i])
        held.setdefault(group, []).append(float(coll["quantity"][i]))
        names[group[1]] = str(coll["asset"][i])
    mixed = {group for group, own in held.items() if min(own) < 0.0 < max(own)}
    groups = sorted(profit.keys() | mixed)
    figures = [[*profit.get(group, (0.0, 0.0)), *held.get(group, ())] for group in groups]
    keys = [f"{COIN}{names[a]}|" + "|".join(map(repr, f)) for (_, a), f in zip(groups, figures, strict=True)]
    _append_grains(coll, groups, [names[a] for _, a in groups], keys)


def find_coin_profit(rules: Ruleset, key: str) -> TierSchedule:
    """Schedule of a row of `add_coin_profit` from its key."""
    asset, *figures = key[len(COIN) :].split("|")
    units, dollars, *held = map(float, figures)
    return coin_profit_schedule(rules.haircut(asset), units, dollars, held, GRAIN)


def _append_grains(coll: dict[str, Any], groups: list[Group], names: list[str], keys: list[str]) -> None:
    m = len(groups)
    rows: dict[str, Any] = {
        "row": np.array([r for r, _ in groups], np.int64),
        "place": np.zeros(m, np.int64),
        "asset": np.array(names, object),
        "quantity": np.full(m, GRAIN),
        "index": np.array([a for _, a in groups], np.int32),
        "key": np.array(keys, object),
    }
    for name in coll:
        coll[name] = np.concatenate([coll[name], rows[name]]) if m else coll[name]


def coin_profit_schedule(
    ratio: TierSchedule, units: float, dollars: float, held: Sequence[float], quantity: float = 1.0
) -> TierSchedule:
    """What weighing the net balance of a coin adds to the sum of its parts, as a function of the price.

    Parameters
    ----------
    ratio : TierSchedule
        Collateral ratio of the coin; a balance below zero counts in full.
    units, dollars : float
        Coin-margined positions: the sum of Q / E, and of Q. Their profit is ``units P - dollars`` dollars.
    held : sequence of float
        Balances of the coin, signed, units.
    quantity : float
        The argument of the schedule is ``quantity * P``, > 0.

    Returns
    -------
    TierSchedule
        ``counted((sum of held + units) P - dollars) - sum of counted(held P) - (units P - dollars)``.
    """
    net = sum(held) + units
    bounds = [(f + dollars) / net for f in ratio.floor.tolist()] if net != 0.0 else []
    bounds += [f / q for q in held if q > 0.0 for f in ratio.floor[1:].tolist()]
    floor = np.array([0.0, *sorted({b for b in bounds if b > 0.0})])
    inside = 0.5 * (floor + np.append(floor[1:], 2.0 * floor[-1] + 2.0))
    slopes, levels = np.zeros(len(floor)), np.zeros(len(floor))
    for k, price in enumerate(inside.tolist()):
        rate, offset = _counted_at(ratio, net * price - dollars)
        parts = [(q, *_counted_at(ratio, q * price)) for q in held]
        slopes[k] = rate * net - units - sum(q * r for q, r, _ in parts)
        levels[k] = dollars - rate * dollars - offset + sum(o for _, _, o in parts)
    return TierSchedule(floor * quantity, slopes / quantity, -levels, np.full(len(floor), np.nan))


def _counted_at(ratio: TierSchedule, value: float) -> tuple[float, float]:
    """Rate and offset at which a balance of some value counts."""
    return (1.0, 0.0) if value < 0.0 else ratio.lookup(value)
