"""Columns of accounts as the book builder takes them: read, checked, and refused by row with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from models.errors import Failure, InputError, MargincastError, UnknownAssetError, UnknownSymbolError
from models.instrument import Instrument, is_stable, parse_symbol
from models.margin.rulesets import Ruleset, load_ruleset
from models.typing import BoolArray, Int32Array, IntArray, ObjectArray

__all__ = [
    "AccountTable",
    "Refusals",
    "Symbols",
    "check_accounts",
    "collateral_assets",
    "factorize",
    "load_rulesets",
    "position_symbols",
    "read_collateral",
    "read_positions",
    "refuse",
    "refuse_at",
]

Columns = Mapping[str, Any]


@dataclass
class Refusals:
    """The first reason for which each account is refused."""

    account_id: ObjectArray
    bad: BoolArray
    failures: list[Failure] = field(default_factory=list)

    def add(self, row: int, error: MargincastError) -> None:
        """Refuse an account, unless it is refused already."""
        if not self.bad[row]:
            self.bad[row] = True
            self.failures.append(Failure.from_error(error, row, str(self.account_id[row])))


class AccountTable:
    """The account columns, as arrays."""

    def __init__(self, columns: Columns) -> None:
        self.account_id = np.asarray(columns["account_id"], object)
        self.n = len(self.account_id)
        self.as_of = np.ascontiguousarray(columns["as_of"], np.int64)
        self.ruleset = np.asarray(columns["ruleset"], object)
        self.currency = np.asarray(columns["currency"], object)
        csa = columns.get("csa")
        self.csa = np.full(self.n, None, object) if csa is None else np.asarray(csa, object)
        self.rules_index = np.zeros(self.n, np.int64)
        self.rules: list[Ruleset] = []
        self.floor, self.offset = np.zeros(self.n), np.zeros(self.n)
        self.initial, self.release = np.zeros(self.n), np.zeros(self.n)

    def rule_table(self, value: Any, dtype: Any = np.float64) -> Any:
        """Figure of each ruleset, one more row for accounts that have none."""
        return np.array([*(value(r) for r in self.rules), value(None)], dtype)

    def model(self) -> ObjectArray:
        """Margin model of each account; empty where its ruleset is unknown."""
        table = np.array([*(r.model for r in self.rules), ""], object)
        return np.asarray(table[self.rules_index]) if self.n else np.zeros(0, object)


def check_accounts(table: AccountTable, assets: tuple[str, ...], refusals: Refusals) -> Int32Array:
    """Refuse bad instants and currencies; the asset in which each account reports, -1 the dollar."""
    for row in np.flatnonzero(table.as_of == np.iinfo(np.int64).min).tolist():
        refusals.add(row, InputError("as_of", None, "a time with a zone, for example 2025-03-01T12:00:00Z"))
    model = table.model()
    codes, names = factorize(table.currency)
    out = np.full(table.n, -1, np.int32)
    for code, name in enumerate(names):
        if is_stable(str(name)):
            continue
        for row in np.flatnonzero(codes == code).tolist():
            if model[row] in ("", "linear", "csa"):
                what = "CSA" if model[row] == "csa" else "linear margin"
                refusals.add(row, InputError("currency", name, f"a dollar or dollar stable coin ({what})"))
            elif name not in assets:
                expected = f"a dollar, a dollar stable coin, or an asset that the market has ({', '.join(assets[:20])})"
                refusals.add(row, InputError("currency", name, expected))
            else:
                out[row] = assets.index(name)
    for row in np.flatnonzero((model == "csa") & np.array([terms is None for terms in table.csa], bool)).tolist():
        refusals.add(row, InputError("csa", None, "the terms of the agreement, as ruleset 'csa' needs them"))
    return out


def load_rulesets(table: AccountTable, refusals: Refusals) -> None:
    """One ruleset for each distinct (name, instant); ``table.rules_index`` points to it."""
    name_code, names = factorize(table.ruleset)
    time_code, times = pd.factorize(table.as_of)
    pair, pairs = pd.factorize(name_code.astype(np.int64) * (len(times) + 1) + time_code)
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
        target[p] = index_of.setdefault(id(found), len(table.rules))
        if target[p] == len(table.rules):
            table.rules.append(found)
    table.rules_index = target[pair] if len(pairs) else np.zeros(0, np.int64)


def _rows(columns: Columns, table: AccountTable, what: str, refusals: Refusals) -> IntArray:
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


def read_positions(columns: Columns, table: AccountTable, refusals: Refusals) -> dict[str, Any]:
    """The position columns with defaults; accounts with a bad value are refused."""
    row = _rows(columns, table, "positions", refusals)
    m = len(row)
    out: dict[str, Any] = {
        "row": row,
        "place": _places(row),
        "symbol": np.asarray(columns["symbol"], object),
        "quantity": np.asarray(columns["quantity"], np.float64),
        "entry_price": np.asarray(columns["entry_price"], np.float64),
        "margin_mode": np.asarray(columns.get("margin_mode", np.full(m, "cross", object)), object),
        "isolated_margin": np.asarray(columns.get("isolated_margin", np.full(m, np.nan)), np.float64),
        "leverage": np.asarray(columns.get("leverage", np.full(m, np.nan)), np.float64),
        "implied_volatility": np.asarray(columns.get("implied_volatility", np.full(m, np.nan)), np.float64),
    }
    keep = row >= 0
    out = {k: v[keep] for k, v in out.items()}
    out["isolated"] = out["margin_mode"] == "isolated"
    margin, leverage, vol = out["isolated_margin"], out["leverage"], out["implied_volatility"]
    bad_mode = ~out["isolated"] & (out["margin_mode"] != "cross")
    no_margin = out["isolated"] & ~(np.isfinite(margin) & (margin >= 0))
    bad_leverage = ~np.isnan(leverage) & ~(np.isfinite(leverage) & (leverage >= 1))
    bad_quantity = ~np.isfinite(out["quantity"]) | (out["quantity"] == 0)
    bad_entry = ~(np.isfinite(out["entry_price"]) & (out["entry_price"] > 0))
    bad_vol = ~np.isnan(vol) & ~(np.isfinite(vol) & (vol > 0) & (vol <= 10))
    refuse(out, "positions", "quantity", bad_quantity, "a finite number that is not zero", refusals)
    refuse(out, "positions", "entry_price", bad_entry, "a finite price > 0", refusals)
    refuse(out, "positions", "margin_mode", bad_mode, "'cross' or 'isolated'", refusals)
    refuse(out, "positions", "isolated_margin", no_margin, "the margin of the isolated position, >= 0", refusals)
    refuse(out, "positions", "leverage", bad_leverage, "a finite number >= 1", refusals)
    refuse(out, "positions", "implied_volatility", bad_vol, "a fraction a year in (0, 10], for example 0.55", refusals)
    return out


def read_collateral(columns: Columns, table: AccountTable, refusals: Refusals) -> dict[str, Any]:
    """The collateral columns; accounts with a bad value, or a debt that their ruleset does not know, are refused."""
    row = _rows(columns, table, "collateral", refusals)
    keep = row >= 0
    out: dict[str, Any] = {
        "row": row[keep],
        "place": _places(row)[keep],
        "asset": np.asarray(columns["asset"], object)[keep],
        "quantity": np.asarray(columns["quantity"], np.float64)[keep],
    }
    borrows = table.rule_table(lambda r: r is not None and r.borrows, bool)[table.rules_index[out["row"]]]
    negative = (out["quantity"] < 0) & (out["asset"] != table.currency[out["row"]]) & ~borrows
    refuse(out, "collateral", "quantity", ~np.isfinite(out["quantity"]), "a finite number", refusals)
    refuse(out, "collateral", "quantity", negative, ">= 0 (only the account currency may be owed)", refusals)
    return out


def refuse(columns: dict[str, Any], table: str, name: str, bad: BoolArray, expected: str, refusals: Refusals) -> None:
    """Refuse the accounts of the rows that are bad."""
    for i in np.flatnonzero(bad).tolist():
        row, place = int(columns["row"][i]), int(columns["place"][i])
        refusals.add(row, InputError(f"{table}[{place}].{name}", _plain(columns[name][i]), expected))


def refuse_at(columns: dict[str, Any], path: str, bad: BoolArray, error: MargincastError, refusals: Refusals) -> None:
    """Refuse the accounts of the rows that are bad for one reason; `path` takes the place of the row."""
    for i in np.flatnonzero(bad).tolist():
        place = path.format(int(columns["place"][i]))
        refusals.add(int(columns["row"][i]), error.at(place) if isinstance(error, InputError) else error)


def _places(row: IntArray) -> IntArray:
    """Place of each row among the rows of its account, shape (m,)."""
    order = np.argsort(row, kind="stable")
    inside = row[order]
    out = np.empty(len(row), np.int64)
    out[order] = np.arange(len(row)) - np.searchsorted(inside, inside, side="left")
    return out


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def factorize(values: ObjectArray) -> tuple[IntArray, list[Any]]:
    """Code of each value, and the distinct values."""
    codes, unique = pd.factorize(values, use_na_sentinel=False)
    return codes.astype(np.int64), list(unique)


@dataclass(frozen=True, slots=True)
class Symbols:
    """What the symbol of each position stands for, arrays of shape (m,)."""

    code: IntArray
    instrument: list[Instrument | None]
    asset: Int32Array
    inverse: BoolArray
    perpetual: BoolArray
    option: BoolArray
    expiry: IntArray
    """Nanoseconds; the largest int64 where the instrument does not expire."""


NEVER: Final = np.iinfo(np.int64).max
_LINEAR: Final = ("linear", "csa", "vega", "synthetix", "dydx", "drift", "mango", "dynamic")
_FUTURES: Final = ("perpetual", "future")


def position_symbols(pos: dict[str, Any], table: AccountTable, assets: tuple[str, ...], refusals: Refusals) -> Symbols:
    """Parse the distinct symbols; refuse what the market or the account's margin model does not know."""
    codes, symbols = factorize(pos["symbol"])
    index = {a: i for i, a in enumerate(assets)}
    found: list[Instrument | None] = []
    asset = np.full(len(symbols) + 1, -1, np.int32)
    for code, symbol in enumerate(symbols):
        try:
            instrument = parse_symbol(symbol)
            if instrument.base not in index:
                known = ", ".join(list(index)[:20])
                raise UnknownSymbolError("symbol", symbol, f"a symbol whose base asset the market has ({known})")
            found.append(instrument)
            asset[code] = index[instrument.base]
        except InputError as error:
            found.append(None)
            refuse_at(pos, "positions[{}].symbol", codes == code, error, refusals)

    def flag(value: Any) -> BoolArray:
        return np.array([x is not None and value(x) for x in found] + [False])[codes]

    expiry = np.array([_expiry(x) for x in found] + [NEVER], np.int64)[codes]
    out = Symbols(
        codes,
        found,
        asset[codes],
        flag(lambda x: not x.linear),
        flag(lambda x: x.kind == "perpetual"),
        flag(lambda x: x.kind == "option"),
        expiry,
    )
    _check_models(pos, table, out, refusals)
    netted = table.rule_table(lambda r: r is not None and r.model in ("csa", "regt"), bool)[
        table.rules_index[pos["row"]]
    ]
    alone = netted & (pos["margin_mode"] == "isolated")
    refuse(pos, "positions", "margin_mode", alone, "'cross': what the account holds is margined together", refusals)
    expected = "an instrument that has not expired at the account's as_of; settle it into the collateral"
    refuse(pos, "positions", "symbol", expiry <= table.as_of[pos["row"]], expected, refusals)
    return out


def _expiry(instrument: Instrument | None) -> int:
    if instrument is None or instrument.expiry is None:
        return NEVER
    return int(instrument.expiry.timestamp()) * 1_000_000_000


def _check_models(pos: dict[str, Any], table: AccountTable, symbols: Symbols, refusals: Refusals) -> None:
    """Refuse positions of a kind that the account's margin model does not have."""
    names = sorted({r.model for r in table.rules})
    code_of = table.rule_table(lambda r: -1 if r is None else names.index(r.model), np.int64)
    model = code_of[table.rules_index[pos["row"]]] if len(pos["row"]) else np.zeros(0, np.int64)
    width = len(symbols.instrument) + 1
    pair, pairs = pd.factorize(model * width + symbols.code)
    for p, key in enumerate(pairs):
        name, instrument = int(key) // width, symbols.instrument[int(key) % width]
        expected = None if instrument is None or name < 0 else _refusal(names[name], instrument)
        if expected is None:
            continue
        refuse(pos, "positions", "symbol", pair == p, expected, refusals)


def _refusal(model: str, instrument: Instrument) -> str | None:
    """What a margin model expects instead of an instrument; None where it takes it."""
    linear = instrument.kind in _FUTURES and instrument.linear and is_stable(instrument.settle)
    inverse = instrument.kind in _FUTURES and not instrument.linear and is_stable(instrument.quote)
    option = instrument.kind == "option" and is_stable(instrument.quote)
    if model in _LINEAR:
        return None if linear else "a linear perpetual or future settled in a dollar stable coin"
    if model == "inverse":
        return None if inverse else "a coin-margined perpetual or future quoted in dollars, such as 'BTC/USD:BTC'"
    if model == "unified":
        return None if linear or inverse else "a perpetual or future, linear or coin-margined"
    if model == "lending":
        return "no position: a loan account holds collateral, and debts as negative quantities"
    if model == "regt":
        return None if option else "an option on a dollar price, such as 'BTC/USD:USD-251226-100000-C'"
    return None if linear or inverse or option else "a perpetual, a future or an option on a dollar price"


def collateral_assets(coll: dict[str, Any], assets: tuple[str, ...], refusals: Refusals) -> Int32Array:
    """Index of each collateral asset, -1 where it is priced at par; unknown ones are refused."""
    codes, names = factorize(coll["asset"])
    index = {a: i for i, a in enumerate(assets)}
    lookup = np.array([-1 if is_stable(str(n)) else index.get(str(n), -2) for n in names], np.int32)
    for code in np.flatnonzero(lookup == -2):
        error = UnknownAssetError("asset", names[code], "a stable coin or an asset that the market has")
        refuse_at(coll, "collateral[{}].asset", codes == code, error, refusals)
    return lookup[codes] if len(codes) else np.zeros(0, np.int32)
