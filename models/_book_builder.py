"""Columns to book: validation by column, symbol and ruleset look-ups by distinct value only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from models.book import Book, BookArrays
from models.errors import Failure, InputError, MargincastError, UnknownAssetError, UnknownSymbolError
from models.instrument import is_stable, parse_symbol
from models.margin.rulesets import Ruleset, load_ruleset
from models.margin.tiers import TierSchedule, flatten_schedules
from models.typing import BoolArray, FloatArray, Int32Array, IntArray, ObjectArray

__all__ = ["build"]

Columns = Mapping[str, Any]


@dataclass
class _Refusals:
    """The first reason for which each account is refused."""

    account_id: ObjectArray
    bad: BoolArray
    failures: list[Failure] = field(default_factory=list)

    def add(self, row: int, error: MargincastError) -> None:
        if not self.bad[row]:
            self.bad[row] = True
            self.failures.append(Failure.from_error(error, row, str(self.account_id[row])))


def build(
    accounts: Columns, positions: Columns, collateral: Columns, assets: tuple[str, ...]
) -> tuple[Book, list[Failure]]:
    """Build a book; see `Book.from_columns`."""
    table = _Accounts(accounts)
    refusals = _Refusals(table.account_id, np.zeros(table.n, bool))
    _check_accounts(table, refusals)
    rules = _load_rulesets(table, refusals)
    pos = _positions(positions, table, refusals)
    coll = _collateral(collateral, table, refusals)
    symbol_asset = _symbol_assets(pos, assets, refusals)
    coll_asset = _collateral_assets(coll, table, assets, refusals)
    keys = _tier_keys(pos, rules, table)
    leg_tier, tiers = _schedules(pos["row"], keys, rules, table, refusals, _find_tier, "symbol")
    other = coll["asset"] != table.currency[coll["row"]]
    sched, schedules = _schedules(
        coll["row"], np.where(other, coll["asset"], ""), rules, table, refusals, lambda r, s: r.haircut(s), "asset"
    )
    return _assemble(
        table, rules, pos, symbol_asset, leg_tier, tiers, coll, coll_asset, sched, schedules, other, refusals, assets
    )


class _Accounts:
    """The account columns, as arrays."""

    def __init__(self, columns: Columns) -> None:
        self.account_id = np.asarray(columns["account_id"], object)
        self.n = len(self.account_id)
        self.as_of = np.ascontiguousarray(columns["as_of"], np.int64)
        self.ruleset = np.asarray(columns["ruleset"], object)
        self.currency = np.asarray(columns["currency"], object)
        self.rules_index = np.zeros(self.n, np.int64)


def _check_accounts(table: _Accounts, refusals: _Refusals) -> None:
    for row in np.flatnonzero(table.as_of == np.iinfo(np.int64).min):
        refusals.add(int(row), InputError("as_of", None, "a time with a zone, for example 2025-03-01T12:00:00Z"))
    codes, names = _factorize(table.currency)
    for code in np.flatnonzero([not is_stable(str(n)) for n in names]):
        for row in np.flatnonzero(codes == code):
            refusals.add(
                int(row), InputError("currency", names[code], "a dollar or dollar stable coin (linear margin)")
            )


def _load_rulesets(table: _Accounts, refusals: _Refusals) -> list[Ruleset]:
    """One ruleset for each distinct (name, instant); ``table.rules_index`` points to it."""
    name_code, names = _factorize(table.ruleset)
    time_code, times = pd.factorize(table.as_of)
    pair, pairs = pd.factorize(name_code.astype(np.int64) * (len(times) + 1) + time_code)
    rules: list[Ruleset] = []
    index_of: dict[int, int] = {}
    target = np.full(len(pairs), -1, np.int64)
    for p, key in enumerate(pairs):
        name, ns = names[key // (len(times) + 1)], int(times[key % (len(times) + 1)])
        try:
            found = load_ruleset(str(name), datetime.fromtimestamp(max(ns, 0) / 1e9, UTC))
        except MargincastError as error:
            for row in np.flatnonzero(pair == p):
                refusals.add(int(row), error)
            continue
        target[p] = index_of.setdefault(id(found), len(rules))
        if target[p] == len(rules):
            rules.append(found)
    table.rules_index = target[pair] if len(pairs) else np.zeros(0, np.int64)
    return rules


def _rows(columns: Columns, table: _Accounts, what: str, refusals: _Refusals) -> IntArray:
    if "row" in columns:
        return np.asarray(columns["row"], np.int64)
    keys = pd.MultiIndex.from_arrays([table.account_id, table.as_of])
    if keys.has_duplicates:
        for row in np.flatnonzero(keys.duplicated()):
            refusals.add(
                int(row), InputError("account_id", table.account_id[row], "one row for each account_id and as_of")
            )
        first = pd.Series(np.arange(table.n), index=keys)[~keys.duplicated()]
    else:
        first = pd.Series(np.arange(table.n), index=keys)
    wanted = pd.MultiIndex.from_arrays(
        [np.asarray(columns["account_id"], object), np.asarray(columns["as_of"], np.int64)]
    )
    rows = first.reindex(wanted).to_numpy()
    orphans = np.flatnonzero(np.isnan(rows))
    for i in orphans[:1000]:
        message = f"{what}[{i}]: expected an account_id and as_of that the accounts table has, was {wanted[i]!r}"
        refusals.failures.append(Failure(-1, str(wanted[i][0]), "invalid_input", f"{what}[{i}].account_id", message))
    return np.where(np.isnan(rows), -1, rows).astype(np.int64)


def _positions(columns: Columns, table: _Accounts, refusals: _Refusals) -> dict[str, Any]:
    row = _rows(columns, table, "positions", refusals)
    m = len(row)
    out: dict[str, Any] = {
        "row": row,
        "symbol": np.asarray(columns["symbol"], object),
        "quantity": np.asarray(columns["quantity"], np.float64),
        "entry_price": np.asarray(columns["entry_price"], np.float64),
        "margin_mode": np.asarray(columns.get("margin_mode", np.full(m, "cross", object)), object),
        "isolated_margin": np.asarray(columns.get("isolated_margin", np.full(m, np.nan)), np.float64),
        "leverage": np.asarray(columns.get("leverage", np.full(m, np.nan)), np.float64),
    }
    keep = row >= 0
    out = {k: v[keep] for k, v in out.items()}
    out["isolated"] = out["margin_mode"] == "isolated"
    margin, leverage = out["isolated_margin"], out["leverage"]
    bad_mode = ~out["isolated"] & (out["margin_mode"] != "cross")
    no_margin = out["isolated"] & ~(np.isfinite(margin) & (margin >= 0))
    bad_leverage = ~np.isnan(leverage) & ~(np.isfinite(leverage) & (leverage >= 1))
    bad_quantity = ~np.isfinite(out["quantity"]) | (out["quantity"] == 0)
    bad_entry = ~(np.isfinite(out["entry_price"]) & (out["entry_price"] > 0))
    _refuse(out, "positions", "quantity", bad_quantity, "a finite number that is not zero", refusals)
    _refuse(out, "positions", "entry_price", bad_entry, "a finite price > 0", refusals)
    _refuse(out, "positions", "margin_mode", bad_mode, "'cross' or 'isolated'", refusals)
    _refuse(out, "positions", "isolated_margin", no_margin, "the margin of the isolated position, >= 0", refusals)
    _refuse(out, "positions", "leverage", bad_leverage, "a finite number >= 1", refusals)
    return out


def _collateral(columns: Columns, table: _Accounts, refusals: _Refusals) -> dict[str, Any]:
    row = _rows(columns, table, "collateral", refusals)
    keep = row >= 0
    out: dict[str, Any] = {
        "row": row[keep],
        "asset": np.asarray(columns["asset"], object)[keep],
        "quantity": np.asarray(columns["quantity"], np.float64)[keep],
    }
    negative = (out["quantity"] < 0) & (out["asset"] != table.currency[out["row"]])
    _refuse(out, "collateral", "quantity", ~np.isfinite(out["quantity"]), "a finite number", refusals)
    _refuse(out, "collateral", "quantity", negative, ">= 0 (only the account currency may be owed)", refusals)
    return out


def _refuse(columns: dict[str, Any], table: str, name: str, bad: BoolArray, expected: str, refusals: _Refusals) -> None:
    for i in np.flatnonzero(bad):
        row = int(columns["row"][i])
        nth = int(np.count_nonzero(columns["row"][:i] == row)) if len(columns["row"]) < 1_000_000 else int(i)
        refusals.add(row, InputError(f"{table}[{nth}].{name}", _plain(columns[name][i]), expected))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _factorize(values: ObjectArray) -> tuple[IntArray, list[Any]]:
    codes, unique = pd.factorize(values, use_na_sentinel=False)
    return codes.astype(np.int64), list(unique)


def _symbol_assets(pos: dict[str, Any], assets: tuple[str, ...], refusals: _Refusals) -> Int32Array:
    codes, symbols = _factorize(pos["symbol"])
    index = {a: i for i, a in enumerate(assets)}
    out = np.full(len(symbols), -1, np.int32)
    for code, symbol in enumerate(symbols):
        try:
            out[code] = _asset_of(symbol, index)
        except MargincastError as error:
            for i in np.flatnonzero(codes == code):
                refusals.add(int(pos["row"][i]), error)
    return out[codes] if len(codes) else np.zeros(0, np.int32)


def _asset_of(symbol: Any, index: dict[str, int]) -> int:
    instrument = parse_symbol(symbol)
    if instrument.kind not in ("perpetual", "future") or not instrument.linear or not is_stable(instrument.settle):
        raise InputError("positions.symbol", symbol, "a linear perpetual or future settled in a dollar stable coin")
    if instrument.base not in index:
        known = ", ".join(list(index)[:20])
        raise UnknownSymbolError("positions.symbol", symbol, f"a symbol whose base asset the market has ({known})")
    return index[instrument.base]


def _collateral_assets(
    coll: dict[str, Any], table: _Accounts, assets: tuple[str, ...], refusals: _Refusals
) -> Int32Array:
    codes, names = _factorize(coll["asset"])
    index = {a: i for i, a in enumerate(assets)}
    lookup = np.array([-1 if is_stable(str(n)) else index.get(str(n), -2) for n in names], np.int32)
    for code in np.flatnonzero(lookup == -2):
        error = UnknownAssetError("collateral.asset", names[code], "a stable coin or an asset that the market has")
        for i in np.flatnonzero(codes == code):
            refusals.add(int(coll["row"][i]), error)
    return lookup[codes] if len(codes) else np.zeros(0, np.int32)


def _tier_keys(pos: dict[str, Any], rules: list[Ruleset], table: _Accounts) -> ObjectArray:
    """What the tiers of a leg depend on: the symbol, and where the venue sets tiers by size the quantity too."""
    codes, symbols = _factorize(pos["symbol"])
    by_size = np.zeros((len(rules) + 1, len(symbols)), bool)
    for r, rule in enumerate(rules):
        for c, symbol in enumerate(symbols):
            try:
                by_size[r, c] = rule.by_quantity(str(symbol))
            except MargincastError:
                continue  # refused with its reason where the tiers are looked up
    legs = np.flatnonzero(by_size[table.rules_index[pos["row"]], codes]) if len(codes) else np.zeros(0, np.int64)
    if len(legs) == 0:
        return np.asarray(pos["symbol"])
    keys = pos["symbol"].copy()
    for i in legs.tolist():
        keys[i] = f"{keys[i]}|{float(abs(pos['quantity'][i]))!r}"
    return np.asarray(keys)


def _find_tier(rules: Ruleset, key: str) -> TierSchedule:
    symbol, _, quantity = key.partition("|")
    return rules.tier(symbol, float(quantity) if quantity else None)


def _schedules(
    row: IntArray,
    names: ObjectArray,
    rules: list[Ruleset],
    table: _Accounts,
    refusals: _Refusals,
    find: Callable[[Ruleset, str], TierSchedule],
    what: str,
) -> tuple[Int32Array, list[TierSchedule]]:
    """Schedule of each row, looked up once for each distinct (ruleset, name)."""
    codes, unique = _factorize(names)
    rule = table.rules_index[row] if len(row) else np.zeros(0, np.int64)
    pair, pairs = pd.factorize(rule * (len(unique) + 1) + codes)
    schedules: list[TierSchedule] = []
    index_of: dict[TierSchedule, int] = {}
    target = np.full(len(pairs), -1, np.int32)
    for p, key in enumerate(pairs):
        r, name = int(key) // (len(unique) + 1), unique[int(key) % (len(unique) + 1)]
        if r < 0 or not name:
            continue
        try:
            found = find(rules[r], str(name))
        except MargincastError as error:
            for i in np.flatnonzero(pair == p):
                refusals.add(int(row[i]), error)
            continue
        target[p] = index_of.setdefault(found, len(schedules))
        if target[p] == len(schedules):
            schedules.append(found)
    return (target[pair] if len(pair) else np.zeros(0, np.int32)), schedules


def _assemble(
    table: _Accounts,
    rules: list[Ruleset],
    pos: dict[str, Any],
    leg_asset: Int32Array,
    leg_tier: Int32Array,
    tiers: list[TierSchedule],
    coll: dict[str, Any],
    coll_asset: Int32Array,
    sched: Int32Array,
    schedules: list[TierSchedule],
    other: BoolArray,
    refusals: _Refusals,
    assets: tuple[str, ...],
) -> tuple[Book, list[Failure]]:
    good = ~refusals.bad
    new = np.cumsum(good) - 1
    n = int(good.sum())
    keep_leg, keep_coll = good[pos["row"]], good[coll["row"]]
    leg_row, isolated = new[pos["row"][keep_leg]], pos["isolated"][keep_leg].astype(bool)
    counts = 1 + np.bincount(leg_row[isolated], minlength=n)
    account_unit = np.zeros(n + 1, np.int32)
    account_unit[1:] = np.cumsum(counts)
    leg_unit = _leg_units(account_unit, leg_row, isolated)
    units = int(account_unit[-1])
    cash = np.zeros(units)
    own = keep_coll & ~other
    np.add.at(cash, account_unit[new[coll["row"][own]]], coll["quantity"][own])
    cash[leg_unit[isolated]] = pos["isolated_margin"][keep_leg][isolated]
    order = np.argsort(leg_unit, kind="stable")
    held = keep_coll & other
    coll_unit = account_unit[new[coll["row"][held]]].astype(np.int64)
    coll_order = np.argsort(coll_unit, kind="stable")
    rule = table.rules_index[good]
    flat, flat_sched = flatten_schedules(tiers), flatten_schedules(schedules)
    legs = np.flatnonzero(keep_leg)[order]
    colls = np.flatnonzero(held)[coll_order]
    arrays = BookArrays(
        account_unit=account_unit,
        account_call_factor=_per_rule(rules, rule, lambda r: 1.0 / r.call_ratio),
        account_release_factor=_per_rule(rules, rule, lambda r: r.release_factor),
        unit_cash=cash,
        unit_leg=_pointer(leg_unit, units),
        leg_asset=np.ascontiguousarray(leg_asset[legs], np.int32),
        leg_quantity=np.ascontiguousarray(pos["quantity"][legs]),
        leg_entry=np.ascontiguousarray(pos["entry_price"][legs]),
        leg_tier=np.ascontiguousarray(leg_tier[legs], np.int32),
        leg_initial_rate=1.0 / _leverage(pos, legs, rules, table, leg_tier, tiers),
        unit_coll=_pointer(coll_unit, units),
        coll_asset=np.ascontiguousarray(coll_asset[colls], np.int32),
        coll_quantity=np.ascontiguousarray(coll["quantity"][colls]),
        coll_schedule=np.ascontiguousarray(sched[colls], np.int32),
        tier_start=flat.start,
        tier_floor=flat.floor,
        tier_rate=flat.rate,
        tier_offset=flat.offset,
        sched_start=flat_sched.start,
        sched_floor=flat_sched.floor,
        sched_rate=flat_sched.rate,
        sched_offset=flat_sched.offset,
    )
    book = Book(
        table.account_id[good],
        table.as_of[good],
        table.ruleset[good],
        assets,
        arrays,
        pos["symbol"][legs],
        coll["asset"][colls],
        _per_rule(rules, rule, lambda r: float(r.stale_after_minutes)),
    )
    return book, sorted(refusals.failures, key=lambda f: f.row)


def _leg_units(account_unit: Int32Array, leg_row: IntArray, isolated: BoolArray) -> IntArray:
    """The cross unit is an account's first; its isolated positions follow in their order."""
    unit = account_unit[leg_row].astype(np.int64)
    rows = leg_row[isolated]
    order = np.argsort(rows, kind="stable")
    ranks = np.empty(len(rows), np.int64)
    sorted_rows = rows[order]
    first = np.searchsorted(sorted_rows, sorted_rows, side="left")
    ranks[order] = np.arange(len(rows)) - first
    unit[isolated] += 1 + ranks
    return unit


def _pointer(unit: IntArray, units: int) -> Int32Array:
    out = np.zeros(units + 1, np.int32)
    out[1:] = np.cumsum(np.bincount(unit, minlength=units))
    return out


def _per_rule(rules: list[Ruleset], index: IntArray, value: Callable[[Ruleset], float]) -> FloatArray:
    table = np.array([value(r) for r in rules] or [np.nan], np.float64)
    return np.ascontiguousarray(table[index]) if len(index) else np.zeros(0)


def _leverage(
    pos: dict[str, Any],
    legs: IntArray,
    rules: list[Ruleset],
    table: _Accounts,
    leg_tier: Int32Array,
    tiers: list[TierSchedule],
) -> FloatArray:
    """The position's leverage, or the ruleset's default; never above what the first tier allows."""
    if len(legs) == 0:
        return np.ones(0)
    default = _per_rule(rules, table.rules_index[pos["row"][legs]], lambda r: r.default_leverage)
    most = np.array([s.max_leverage[0] for s in tiers], np.float64)[leg_tier[legs]]
    chosen = np.where(np.isnan(pos["leverage"][legs]), default, pos["leverage"][legs])
    return np.ascontiguousarray(np.fmin(chosen, most))
