"""A mixed population: accounts of every margin regime, from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import numpy as np

from models.errors import InputError, MargincastError
from models.margin.rulesets import load_ruleset
from models.market import MarketPanel
from models.typing import BoolArray, FloatArray, IntArray, ObjectArray
from training._rules import RuleTable
from training.population.coins import draw_inverse
from training.population.columns import Population, join_populations, objects
from training.population.draft import Draft
from training.population.history import History
from training.population.kinds import DEFAULT_MIXTURE, REGIMES, TYPES
from training.population.linear import LinearDraw, check_instants
from training.population.loans import draw_loans
from training.population.opening import Slots
from training.population.options import draw_gamma_books, draw_options
from training.population.otc import draw_otc
from training.population.survivors import draw_changes, survivors
from training.population.unified import draw_unified

__all__ = ["sample_mixed"]

ATTEMPTS: Final = 6
"""Draws of one account before it is given up: none of them was above its call level."""
_LINEAR: Final = ("linear", "venue")
_NAMES: Final = {k.name: i for i, k in enumerate(TYPES)}


def sample_mixed(
    panel: MarketPanel,
    instants: IntArray,
    per_instant: int,
    seed: int,
    mixture: Mapping[str, float] = DEFAULT_MIXTURE,
    volatility: FloatArray | None = None,
) -> Population:
    """Sample accounts of every regime that are above their call level; nothing later than the instant is read.

    Parameters
    ----------
    panel : MarketPanel
        Bars. Without BTC and ETH only linear accounts can be drawn.
    instants : ndarray of int64, shape (R,)
        Nanoseconds UTC, strictly rising.
    per_instant : int
        Most accounts of one instant; fewer where none of several draws was above its call level.
    seed : int
        Seed of every draw.
    mixture : mapping of str to float
        Share of each type by its name, >= 0; they are scaled to one. Types that the panel or the rulesets do not
        allow are left out.
    volatility : ndarray, shape (R, A), optional
        30-day implied volatility of each asset at the instants. Where it is missing or NaN, the index of the panel
        stands in, and without one realised volatility of the last 30 days with a premium
        (`models.margin.valuation.implied_level`).

    Returns
    -------
    Population
        Accounts ordered by instant, each instant's in random order of type.

    Raises
    ------
    InputError
        If ``per_instant`` is below 1, ``instants`` do not rise, the mixture names no type that there is, or none of
        its types can be drawn.

    Examples
    --------
    >>> from features.sources import simulate_market
    >>> panel = simulate_market(("BTC", "ETH"), days=60, seed=1)
    >>> found = sample_mixed(panel, np.array([panel.end]), 20, seed=1, mixture={"loan": 0.5, "coin-long": 0.5})
    >>> len(found), sorted(set(found.regime))
    (20, ['inverse', 'loan'])
    """
    instants = check_instants(instants, per_instant)
    as_of = np.repeat(instants, per_instant)
    weights, rulesets = _possible(panel, as_of, _shares(mixture))
    rng = np.random.default_rng([seed, 0])
    kind = rng.choice(len(TYPES), len(as_of), p=weights)
    ruleset = _rulesets_of(kind, rulesets, rng)
    history = History(panel, instants, volatility)
    parts, slots = [], []
    for k, name in sorted({(int(a), str(b)) for a, b in zip(kind, ruleset, strict=True)}):
        rows = np.flatnonzero((kind == k) & (ruleset == name))
        part = _Part(history, Slots(as_of[rows], kind[rows], ruleset[rows]), k, name)
        source = np.random.default_rng([seed, 1 + k, _number(k, name)])
        for found, taken in part.draws(source):
            parts.append(found)
            slots.append(rows[taken])
    return _joined(parts, slots) if parts else _nobody(history)


def _nobody(history: History) -> Population:
    none = np.zeros(0, np.int64)
    return draw_otc(history, Slots(none, none, objects([])), np.random.default_rng(0)).population(none)


def _joined(parts: list[Population], slots: list[IntArray]) -> Population:
    """One population in the order of the slots, with a name for each account."""
    slot = np.concatenate(slots)
    order = np.empty(len(slot), np.int64)
    order[np.argsort(slot, kind="stable")] = np.arange(len(slot))
    out = join_populations(parts, order)
    names = objects([f"a{i}" for i in np.sort(slot).tolist()])
    out.accounts["account_id"] = names
    for table in (out.positions, out.collateral):
        table["account_id"] = names[table["row"]]
    return out


class _Part:
    """The accounts of one type under one ruleset."""

    def __init__(self, history: History, slots: Slots, kind: int, ruleset: str) -> None:
        self.history, self.slots, self.kind = history, slots, kind
        self.regime = TYPES[kind].regime
        self.rules: RuleTable | None = None
        if self.regime in (*_LINEAR, "inverse", "unified", "loan"):
            self.rules = _rule_table(ruleset, self.regime, history.panel.assets, slots.as_of)

    def draws(self, rng: np.random.Generator) -> list[tuple[Population, IntArray]]:
        """Draw until each account has survived once or was drawn often enough: pieces, and the slots they fill.

        Every attempt draws for all slots, so that what is drawn for one does not depend on who else survived.
        """
        open_ = np.ones(len(self.slots), np.bool_)
        out = []
        for _ in range(ATTEMPTS):
            rows, found = self._attempt(open_, rng)
            if len(rows):
                out.append((found, rows))
                open_[rows] = False
            if not open_.any():
                break
        return out

    def _attempt(self, wanted: BoolArray, rng: np.random.Generator) -> tuple[IntArray, Population]:
        if self.regime in _LINEAR:
            assert self.rules is not None
            draw = LinearDraw(self.history.panel, self.rules, self.slots.as_of, self.slots.kind, rng)
            rows = np.flatnonzero(draw.survivors(wanted))
            return rows, draw.population(rows)
        draft = self._draft(rng)
        return survivors(draft, wanted, draw_changes(len(self.slots), rng), self.history)

    def _draft(self, rng: np.random.Generator) -> Draft:
        if self.regime == "option":
            return draw_options(self.history, self.slots, self.kind, rng)
        if self.regime == "portfolio":
            return draw_gamma_books(self.history, self.slots, rng)
        if self.regime == "csa":
            return draw_otc(self.history, self.slots, rng)
        assert self.rules is not None
        family = {"inverse": draw_inverse, "unified": draw_unified, "loan": draw_loans}[self.regime]
        return family(self.history, self.slots, self.rules, rng)


def _rule_table(name: str, regime: str, assets: tuple[str, ...], as_of: IntArray) -> RuleTable:
    return RuleTable(name, assets, as_of, inverse=regime == "inverse")


def _number(kind: int, ruleset: str) -> int:
    return [name for name, _ in TYPES[kind].rulesets].index(ruleset)


def _shares(mixture: Mapping[str, float]) -> FloatArray:
    out = np.zeros(len(TYPES))
    for name, share in mixture.items():
        if name not in _NAMES:
            raise InputError(f"mixture.{name}", share, "a type of account: " + ", ".join(_NAMES))
        if not (np.isfinite(share) and share >= 0.0):
            raise InputError(f"mixture.{name}", share, "a finite share >= 0")
        out[_NAMES[name]] = share
    if not out.sum() > 0.0:
        raise InputError("mixture", dict(mixture), "at least one type with a share > 0")
    return out


def _possible(
    panel: MarketPanel, as_of: IntArray, shares: FloatArray
) -> tuple[FloatArray, list[tuple[tuple[str, float], ...]]]:
    """Shares of the types that can be drawn, and the rulesets of each that there are."""
    first = as_of[:1]
    rulesets = []
    for kind, share in zip(TYPES, shares, strict=True):
        able = [(n, w) for n, w in kind.rulesets if share > 0 and _works(n, kind.regime, panel.assets, first)]
        rulesets.append(tuple(able))
    allowed = np.where([bool(r) for r in rulesets], shares, 0.0)
    if not allowed.sum() > 0.0:
        raise InputError("mixture", "no type that the panel allows", f"{', '.join(REGIMES)} on {panel.assets}")
    return allowed / allowed.sum(), rulesets


def _works(name: str, regime: str, assets: tuple[str, ...], as_of: IntArray) -> bool:
    """Whether a ruleset is there, and knows an asset of the panel."""
    majors = [a for a in ("BTC", "ETH") if a in assets]
    if regime not in _LINEAR and not majors:
        return False
    try:
        if regime in ("option", "portfolio"):
            when = datetime.fromtimestamp(int(as_of[0]) / 1e9 if len(as_of) else 0.0, UTC)
            rules = load_ruleset(name, when)
            return all(len(rules.block_parameters(a)) > 0 for a in majors)
        if regime != "csa":
            _rule_table(name, regime, assets, as_of)
    except (MargincastError, ImportError):
        return False
    return True


def _rulesets_of(
    kind: IntArray, rulesets: list[tuple[tuple[str, float], ...]], rng: np.random.Generator
) -> ObjectArray:
    out = np.full(len(kind), "", object)
    draw = rng.uniform(size=len(kind))
    for k, choices in enumerate(rulesets):
        rows = np.flatnonzero(kind == k)
        if len(rows):
            edges = np.cumsum([weight for _, weight in choices])
            place = np.searchsorted(edges / edges[-1], draw[rows], side="right")
            out[rows] = objects([name for name, _ in choices])[np.minimum(place, len(choices) - 1)]
    return out
