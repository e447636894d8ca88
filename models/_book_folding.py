"""How margin models that are linear in disguise become legs and constants of the linear engine, in dollars.

* Coin-margined contracts of dollar value Q entered at E: profit ``Q (1/E - 1/P)`` coins is ``(Q/E) (P - E)`` dollars
  once the coin balance is marked to P, and a requirement of ``rate Q/P - offset`` coins is ``rate Q - offset P``
  dollars: a leg of Q/E coins whose schedule is taken at the price (`models.margin.inverse`).
* A debt of D units under a rule that compares collateral with debt is a leg without profit and with the requirement
  ``D P``; under a unified account it also lowers equity.
* Under a unified account the profit of coin-margined contracts is part of the balance of the coin and counts at its
  collateral ratio (`models._book_coins`).
* A credit support annex is an offset: the pledgor may owe its threshold before anything is due
  (`models.margin.csa`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from models._book_coins import COIN, find_coin_profit
from models._book_columns import AccountTable, Refusals, Symbols, factorize
from models.errors import InputError, MargincastError
from models.instrument import is_stable
from models.margin.blocks import BLOCK_MODELS
from models.margin.csa import CsaTerms, PartyTerms, csa_levels, posted_share
from models.margin.rulesets import Ruleset
from models.margin.tiers import TierSchedule
from models.typing import BoolArray, FloatArray, Int32Array, IntArray, ObjectArray

__all__ = [
    "Units",
    "add_agreements",
    "add_debts",
    "counts_at_par",
    "find_ratio",
    "find_tier",
    "fold_legs",
    "initial_rates",
    "ratio_keys",
]

FLAT: Final = "-"
"""Key of a schedule that is one rate, written behind it; of none where nothing is."""
UNCALLABLE: Final = 1e15
"""Dollars that a party with an infinite threshold may owe."""
HUNDREDTH: Final = 1e-4
"""A hundredth of a cent, to which `models.margin.csa` compares amounts."""
PAR: Final = TierSchedule.from_rates([0.0], [1.0])


@lru_cache(maxsize=256)
def _flat(rate: float) -> TierSchedule:
    return TierSchedule.from_rates([0.0], [rate])


def find_tier(rules: Ruleset, key: str) -> TierSchedule:
    """Schedule of a leg from its key: a flat rate, or the ruleset's for a symbol and, where it matters, a quantity."""
    if key.startswith(FLAT):
        return _flat(float(key[1:] or 0.0))
    symbol, _, quantity = key.partition("|")
    return rules.tier(symbol, float(quantity) if quantity else None)


def find_ratio(rules: Ruleset, key: str) -> TierSchedule:
    """Collateral ratio from its key: a flat one, or the ruleset's for an asset and, where it matters, a quantity."""
    if key.startswith(FLAT):
        return _flat(float(key[1:]))
    if key.startswith(COIN):
        return find_coin_profit(rules, key)
    asset, _, quantity = key.partition("|")
    return rules.haircut(asset, float(quantity)) if quantity else rules.haircut(asset)


def ratio_keys(coll: dict[str, Any], table: AccountTable) -> ObjectArray:
    """What the ratio of each collateral row depends on; empty for cash, which has none."""
    keys = np.where(coll["key"] != "", coll["key"], np.where(coll["other"], coll["asset"], "")).astype(object)
    rule = table.rules_index[coll["row"]]
    sized = table.rule_table(lambda r: r is not None and r.weighs_by_quantity, bool)[rule]
    for i in np.flatnonzero(sized & coll["other"] & (coll["key"] == "")).tolist():
        keys[i] = f"{keys[i]}|{float(coll['quantity'][i])!r}"
    agreed = table.rule_table(lambda r: r is not None and r.model == "csa", bool)[rule]
    for i in np.flatnonzero(agreed & coll["other"]).tolist():
        row = int(coll["row"][i])
        if table.csa[row] is None:
            continue  # refused already
        keys[i] = f"{FLAT}{posted_share(str(coll['asset'][i]), table.csa[row])!r}"
    return keys


def fold_legs(pos: dict[str, Any], symbols: Symbols, table: AccountTable) -> None:
    """Fill the columns of a leg: ``pnl_quantity``, ``size``, ``funding``, the ``key`` of its schedule, and whether that
    is ``flat``: one rate, and no initial margin.
    """
    rule = table.rules_index[pos["row"]]
    q, inverse = pos["quantity"], symbols.inverse
    with np.errstate(divide="ignore", invalid="ignore"):
        pos["pnl_quantity"] = np.where(inverse, q / pos["entry_price"], q)
    pos["size"] = np.where(inverse, 1.0, np.abs(q))
    pos["inverse"] = inverse
    pos["funding"] = np.where(symbols.perpetual, pos["pnl_quantity"], 0.0)
    keys = np.array(pos["symbol"], object)
    for i in np.flatnonzero(_by_quantity(symbols, table, rule) | inverse).tolist():
        keys[i] = f"{keys[i]}|{float(q[i])!r}"
    plain = table.rule_table(lambda r: r is not None and (r.model == "csa" or r.model in BLOCK_MODELS), bool)[rule]
    pos["flat"] = plain | symbols.option
    keys[pos["flat"]] = FLAT
    agreed = table.rule_table(lambda r: r is not None and r.model == "csa", bool)[rule]
    pos["funding"][agreed] = 0.0
    pos["key"] = keys


def _by_quantity(symbols: Symbols, table: AccountTable, rule: IntArray) -> BoolArray:
    """Where the schedule of a position follows its size, asked once for each ruleset and symbol that meet; (m,)."""
    width = len(symbols.instrument) + 1
    pairs, place = np.unique(rule * width + symbols.code, return_inverse=True)
    out = np.zeros(len(pairs), bool)
    for p, key in enumerate(pairs.tolist()):
        r, c = divmod(key, width)
        instrument = symbols.instrument[c] if 0 <= r < len(table.rules) and c < width - 1 else None
        if instrument is None or instrument.kind == "option" or table.rules[r].model in (*BLOCK_MODELS, "csa"):
            continue
        try:
            out[p] = table.rules[r].by_quantity(instrument.symbol)
        except MargincastError:
            continue  # refused with its reason where the tiers are looked up
    return out[place]


def add_debts(coll: dict[str, Any], pos: dict[str, Any], table: AccountTable) -> None:
    """Turn what accounts owe into legs without profit (priced debts) and into floors (debts in dollars).

    Where debts stand against weighted collateral only (loans) they leave the collateral rows.
    """
    rule = table.rules_index[coll["row"]]
    rate = table.rule_table(lambda r: 0.0 if r is None else r.debt_rate)[rule]
    aside = table.rule_table(lambda r: r is not None and not r.debt_in_equity, bool)[rule]
    owed = (coll["quantity"] < 0) & (rate > 0)
    at_par = owed & (coll["index"] == -1)
    np.add.at(table.floor, coll["row"][at_par], -rate[at_par] * coll["quantity"][at_par])
    priced = np.flatnonzero(owed & (coll["index"] >= 0))
    _append_legs(pos, coll, priced, rate[priced])
    keep = ~(owed & aside)
    for name in list(coll):
        coll[name] = coll[name][keep]


def _append_legs(pos: dict[str, Any], coll: dict[str, Any], rows: IntArray, rate: FloatArray) -> None:
    m = len(rows)
    if m == 0:
        return
    nothing = np.zeros(m)
    more: dict[str, Any] = {
        "row": coll["row"][rows],
        "place": coll["place"][rows],
        "symbol": np.array([f"{a} debt" for a in coll["asset"][rows]], object),
        "quantity": nothing,
        "entry_price": np.ones(m),
        "margin_mode": np.full(m, "cross", object),
        "isolated_margin": np.full(m, np.nan),
        "leverage": np.full(m, np.nan),
        "implied_volatility": np.full(m, np.nan),
        "isolated": np.zeros(m, bool),
        "option": np.zeros(m, bool),
        "inverse": np.zeros(m, bool),
        "code": np.full(m, -1),
        "asset": coll["index"][rows].astype(np.int32),
        "expiry": np.full(m, np.iinfo(np.int64).max),
        "pnl_quantity": nothing,
        "size": -coll["quantity"][rows],
        "funding": nothing,
        "key": np.array([f"{FLAT}{float(r)!r}" for r in rate], object),
        "flat": np.ones(m, bool),
    }
    for name in pos:
        pos[name] = np.concatenate([pos[name], more[name]])


def add_agreements(table: AccountTable, refusals: Refusals) -> None:
    """Turn the terms of credit support annexes into the constants of their accounts."""
    rows = np.flatnonzero([terms is not None for terms in table.csa])
    if not len(rows):
        return
    for row in rows.tolist():
        rules = table.rules[table.rules_index[row]] if table.rules_index[row] >= 0 else None
        if rules is None or rules.model != "csa":
            expected = "nothing, as only ruleset 'csa' has an agreement"
            refusals.add(row, InputError("csa", "terms of an agreement", expected))
            continue
        if refused := _refusal(table.csa[row], str(table.currency[row])):
            refusals.add(row, refused)
            continue
        try:
            maintenance, call, initial, release = csa_levels(table.csa[row])
        except MargincastError as error:
            refusals.add(row, error)
            continue
        if not np.isfinite(call):  # an infinite threshold: nothing is ever due
            table.offset[row] = table.initial[row] = -UNCALLABLE
            table.release[row] = 2.0 * UNCALLABLE
            continue
        # requirement at factor k is offset + k floor: maintenance at 1, call at 1 / call_ratio
        step = (call - maintenance) / (1.0 / rules.call_ratio - 1.0)
        table.floor[row] += step
        table.offset[row] = maintenance - step + _due(table.csa[row].party)
        table.initial[row] = initial
        table.release[row] = release - initial - _due(table.csa[row].counterparty)


def _refusal(terms: CsaTerms, currency: str) -> InputError | None:
    """What is wrong with the terms for an account in dollars."""
    if terms.base_currency != currency and not (is_stable(terms.base_currency) and is_stable(currency)):
        expected = f"the account currency ({currency}) or another dollar: amounts are not converted"
        return InputError("csa.base_currency", terms.base_currency, expected)
    if terms.margin_type == "initial_margin":
        expected = "'variation_margin' or 'legacy': initial margin does not follow from prices (models.margin.simm)"
        return InputError("csa.margin_type", terms.margin_type, expected)
    return None


def _due(party: PartyTerms) -> float:
    """How far a level lies beyond the amount of a transfer: amounts are compared to a hundredth of a cent, and one is
    due when it reaches the minimum, or exceeds nothing.
    """
    return HUNDREDTH / 2.0 if party.effective_transfer_amount > 0.0 else -HUNDREDTH / 2.0


def initial_rates(
    pos: dict[str, Any], legs: IntArray, table: AccountTable, tiers: list[TierSchedule]
) -> tuple[FloatArray, FloatArray]:
    """Initial margin of each leg over its size times price: the position's leverage or the ruleset's default, never
    above what the first tier allows; the venue's own rate where it publishes one.

    What a coin-margined leg needs does not move with the price: it is the second figure.
    """
    if len(legs) == 0:
        return np.zeros(0), np.zeros(0)
    rule = table.rules_index[pos["row"][legs]]
    default = table.rule_table(lambda r: 1.0 if r is None else r.default_leverage)[rule]
    most = np.array([np.fmax.reduce(s.max_leverage) for s in tiers], np.float64)[pos["tier"][legs]]
    chosen = np.where(np.isnan(pos["leverage"][legs]), default, pos["leverage"][legs])
    rate = 1.0 / np.fmin(chosen, most)
    flat = pos["flat"][legs]
    rate[flat] = 0.0
    inverse = pos["inverse"][legs]
    constant = np.where(inverse, np.abs(pos["quantity"][legs]) * rate, 0.0)
    rate[inverse] = 0.0
    own = table.rule_table(lambda r: r is not None and r.publishes_initial, bool)[rule]
    for i in np.flatnonzero(own & ~flat & ~inverse).tolist():
        found = table.rules[rule[i]].initial_rate(str(pos["symbol"][legs[i]]), float(pos["quantity"][legs[i]]))
        rate[i] = max(rate[i], found) if np.isfinite(pos["leverage"][legs[i]]) else found
    return np.ascontiguousarray(rate), constant


@dataclass(frozen=True, slots=True)
class _Rows:
    unit: IntArray
    asset: Int32Array
    quantity: FloatArray
    schedule: Int32Array
    name: ObjectArray


class Units:
    """The margin units of a book: a cross unit for each account, and one for each isolated position."""

    def __init__(self, n: int, leg_row: IntArray, isolated: BoolArray) -> None:
        counts = 1 + np.bincount(leg_row[isolated], minlength=n)
        self.account_unit = np.zeros(n + 1, np.int32)
        self.account_unit[1:] = np.cumsum(counts)
        self.of_leg = _leg_units(self.account_unit, leg_row, isolated)
        self.count = int(self.account_unit[-1])
        self.cash, self.floor, self.offset = np.zeros(self.count), np.zeros(self.count), np.zeros(self.count)
        self.initial, self.release = np.zeros(self.count), np.zeros(self.count)

    def add_figures(self, table: AccountTable, good: IntArray) -> None:
        """Constants of the accounts go to their cross units."""
        first = self.account_unit[:-1]
        self.floor[first] = table.floor[good]
        self.offset[first] = table.offset[good]
        self.initial[first] = table.initial[good]
        self.release[first] = table.release[good]

    def add_collateral(self, row: IntArray, coll: dict[str, Any], pos: dict[str, Any], par: int) -> _Rows:
        """Cash of every unit, and its collateral rows; `par` is the schedule of what counts in full."""
        other = coll["other"]
        np.add.at(self.cash, self.account_unit[row[~other]], coll["quantity"][~other])
        isolated = pos["isolated"].astype(bool)
        coin = isolated & pos["inverse"]
        self.cash[self.of_leg[isolated & ~coin]] = pos["isolated_margin"][isolated & ~coin]
        unit = np.concatenate([self.account_unit[row[other]].astype(np.int64), self.of_leg[coin]])
        order = np.argsort(unit, kind="stable")
        m = int(np.count_nonzero(coin))
        bases = np.array([str(s).split("/")[0] for s in pos["symbol"][coin]] or [], object)
        return _Rows(
            unit[order],
            np.concatenate([coll["index"][other], pos["asset"][coin]])[order].astype(np.int32),
            np.ascontiguousarray(np.concatenate([coll["quantity"][other], pos["isolated_margin"][coin]])[order]),
            np.concatenate([coll["schedule"][other], np.full(m, par)])[order].astype(np.int32),
            np.concatenate([coll["asset"][other], bases])[order],
        )


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


def counts_at_par(coll: dict[str, Any], table: AccountTable) -> BoolArray:
    """Whether a balance in the account currency is cash: it is not in coin, nor where the ruleset weighs all assets."""
    whole = table.rule_table(lambda r: r is None or not r.weighs_currency, bool)[table.rules_index[coll["row"]]]
    codes, names = factorize(coll["asset"])
    stable = np.array([*(is_stable(str(n)) for n in names), False])[codes] if len(codes) else np.zeros(0, bool)
    return np.asarray(whole & stable)
