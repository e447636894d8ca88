"""Columns to book: validation by column, symbol and ruleset look-ups by distinct value only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from models._book_blocks import build_blocks
from models._book_coins import add_coin_profit
from models._book_columns import (
    AccountTable,
    Refusals,
    check_accounts,
    collateral_assets,
    factorize,
    load_rulesets,
    position_symbols,
    read_collateral,
    read_positions,
    refuse_at,
)
from models._book_folding import (
    PAR,
    Units,
    add_agreements,
    add_debts,
    counts_at_par,
    find_ratio,
    find_tier,
    fold_legs,
    initial_rates,
    ratio_keys,
)
from models._csr import pointer
from models.book import Book, BookArrays, no_sheets
from models.errors import Failure, MargincastError
from models.margin.rulesets import Ruleset
from models.margin.tiers import TierSchedule, flatten_schedules
from models.typing import FloatArray, Int32Array, IntArray, ObjectArray

__all__ = ["build"]

Columns = Mapping[str, Any]
PATHS: Final = {"tier": "positions[{}].symbol", "schedule": "collateral[{}].asset"}
"""Where what has no schedule was given."""


def build(
    accounts: Columns, positions: Columns, collateral: Columns, assets: tuple[str, ...]
) -> tuple[Book, list[Failure]]:
    """Build a book; see `Book.from_columns`."""
    table = AccountTable(accounts)
    refusals = Refusals(table.account_id, np.zeros(table.n, bool))
    load_rulesets(table, refusals)
    numeraire = check_accounts(table, assets, refusals)
    pos = read_positions(positions, table, refusals)
    coll = read_collateral(collateral, table, refusals)
    symbols = position_symbols(pos, table, assets, refusals)
    coll["index"] = collateral_assets(coll, assets, refusals)
    pos |= {"asset": symbols.asset, "expiry": symbols.expiry, "option": symbols.option, "code": symbols.code}
    fold_legs(pos, symbols, table)
    add_debts(coll, pos, table)
    add_coin_profit(coll, pos, table, refusals)
    tiers = _schedules(pos, "tier", pos["key"], table, refusals, find_tier)
    coll["other"] = (coll["asset"] != table.currency[coll["row"]]) | ~counts_at_par(coll, table)
    ratios = _schedules(coll, "schedule", ratio_keys(coll, table), table, refusals, find_ratio)
    add_agreements(table, refusals)
    book = _assemble(table, numeraire, pos, tiers, coll, [*ratios, PAR], refusals, assets, symbols.instrument)
    return book, sorted(refusals.failures, key=lambda f: f.row)


def _schedules(
    columns: dict[str, Any],
    target: str,
    names: ObjectArray,
    table: AccountTable,
    refusals: Refusals,
    find: Callable[[Ruleset, str], TierSchedule],
) -> list[TierSchedule]:
    """Look the schedule of each row up once for each distinct (ruleset, name); fills ``columns[target]``."""
    row = columns["row"]
    codes, unique = factorize(names)
    rule = table.rules_index[row] if len(row) else np.zeros(0, np.int64)
    pair, pairs = pd.factorize(rule * (len(unique) + 1) + codes)
    schedules: list[TierSchedule] = []
    index_of: dict[TierSchedule, int] = {}
    at = np.full(len(pairs), -1, np.int32)
    for p, key in enumerate(pairs):
        r, name = int(key) // (len(unique) + 1), unique[int(key) % (len(unique) + 1)]
        if r < 0 or not name:
            continue
        try:
            found = find(table.rules[r], str(name))
        except MargincastError as error:
            refuse_at(columns, PATHS[target], pair == p, error, refusals)
            continue
        at[p] = index_of.setdefault(found, len(schedules))
        if at[p] == len(schedules):
            schedules.append(found)
    columns[target] = at[pair] if len(pair) else np.zeros(0, np.int32)
    return schedules


def _assemble(
    table: AccountTable,
    numeraire: Int32Array,
    pos: dict[str, Any],
    tiers: list[TierSchedule],
    coll: dict[str, Any],
    ratios: list[TierSchedule],
    refusals: Refusals,
    assets: tuple[str, ...],
    instruments: list[Any],
) -> Book:
    good = ~refusals.bad
    new = np.cumsum(good) - 1
    pos = {k: v[good[pos["row"]]] for k, v in pos.items()}
    coll = {k: v[good[coll["row"]]] for k, v in coll.items()}
    units = Units(int(good.sum()), new[pos["row"]], pos["isolated"].astype(bool))
    colls = units.add_collateral(new[coll["row"]], coll, pos, len(ratios) - 1)
    units.add_figures(table, np.flatnonzero(good))
    rule = table.rules_index[good]
    flat, flat_ratio = flatten_schedules(tiers), flatten_schedules(ratios)
    held = np.flatnonzero(~pos["option"])
    legs = held[np.argsort(units.of_leg[held], kind="stable")]
    initial = initial_rates(pos, legs, table, tiers)
    arrays = BookArrays(
        account_unit=units.account_unit,
        account_call_factor=_per_rule(table, rule, lambda r: 1.0 / r.call_ratio),
        account_release_factor=_per_rule(table, rule, lambda r: r.release_factor),
        account_initial_factor=_per_rule(table, rule, lambda r: r.initial_factor),
        account_numeraire=np.ascontiguousarray(numeraire[good]),
        leg_asset=np.ascontiguousarray(pos["asset"][legs], np.int32),
        leg_quantity=np.ascontiguousarray(pos["pnl_quantity"][legs]),
        leg_entry=np.ascontiguousarray(pos["entry_price"][legs]),
        leg_size=np.ascontiguousarray(pos["size"][legs]),
        leg_funding=np.ascontiguousarray(pos["funding"][legs]),
        leg_expiry=np.ascontiguousarray(pos["expiry"][legs]),
        leg_tier=np.ascontiguousarray(pos["tier"][legs], np.int32),
        leg_initial_rate=initial[0],
        leg_initial=initial[1],
        unit_leg=pointer(units.of_leg[legs], units.count),
        unit_cash=units.cash,
        unit_floor=units.floor,
        unit_offset=units.offset,
        unit_initial=units.initial,
        unit_release=units.release,
        unit_coll=pointer(colls.unit, units.count),
        coll_asset=colls.asset,
        coll_quantity=colls.quantity,
        coll_schedule=colls.schedule,
        tier_start=flat.start,
        tier_floor=flat.floor,
        tier_rate=flat.rate,
        tier_offset=flat.offset,
        sched_start=flat_ratio.start,
        sched_floor=flat_ratio.floor,
        sched_rate=flat_ratio.rate,
        sched_offset=flat_ratio.offset,
        **no_sheets(units.count),
    )
    return Book(
        table.account_id[good],
        table.as_of[good],
        table.ruleset[good],
        assets,
        arrays,
        pos["symbol"][legs],
        colls.name,
        _per_rule(table, rule, lambda r: float(r.stale_after_minutes)),
        build_blocks(pos, units.of_leg, table, instruments, assets),
    )


def _per_rule(table: AccountTable, index: IntArray, value: Callable[[Ruleset], float]) -> FloatArray:
    figures = table.rule_table(lambda r: np.nan if r is None else value(r))
    return np.ascontiguousarray(figures[index]) if len(index) else np.zeros(0)
