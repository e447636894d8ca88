"""The mixed population: every regime, alive under its own rules, reproducible, blind to the future."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from models.book import Book
from models.errors import InputError, UnknownRulesetError
from models.instrument import parse_symbol
from models.margin.levels import margin_levels
from models.margin.valuation import Volatility, implied_level, valued
from models.typing import DAY_NS
from models.volatility.month import month_volatility
from tests.training.markets import HOUR, market
from training.population import DEFAULT_MIXTURE, REGIMES, TYPES, sample_mixed
from training.population import mixed as module

NAMES = [k.name for k in TYPES]


@pytest.fixture(scope="module")
def panel():
    return market(90)


@pytest.fixture(scope="module")
def instants(panel):
    return panel.start + np.arange(24 * 40, 24 * 85, 37) * HOUR


@pytest.fixture(scope="module")
def population(panel, instants):
    return sample_mixed(panel, instants, 120, seed=5)


def by_ruleset(population):
    for name in sorted(set(population.accounts["ruleset"])):
        yield name, population.take(np.flatnonzero(population.accounts["ruleset"] == name))


def stand(panel, part):
    """Levels as every other part of the project computes them, and their dollars."""
    book, failures = Book.from_columns(part.accounts, part.positions, part.collateral, panel.assets)
    assert failures == []
    bars, state = np.unique(panel.row_closed(book.as_of), return_inverse=True)
    index = None if panel.implied is None else panel.implied.T[np.minimum(bars + 1, panel.n_bars - 1)]
    level, _ = implied_level(index, month_volatility(panel, bars))
    book = valued(book, panel.close.T[bars], Volatility(level), state)
    return margin_levels(book, panel.close.T[bars][state])


def test_every_account_is_built_and_above_its_call_level(panel, population):
    seen = set()
    for name, part in by_ruleset(population):
        assert (stand(panel, part).gap_call > 0.0).all(), name
        seen.add(name)
    assert seen == {name for kind in TYPES for name, _ in kind.rulesets}


def test_shares_of_types_and_rulesets_are_as_documented(population):
    shares = np.bincount(population.kind, minlength=len(TYPES)) / len(population)
    assert shares == pytest.approx([DEFAULT_MIXTURE[k] for k in NAMES], abs=0.02)
    assert sum(DEFAULT_MIXTURE.values()) == pytest.approx(1.0)
    assert {r: float(np.mean(population.regime == r)) for r in REGIMES} == pytest.approx(dict(REGIMES), abs=0.03)
    for kind in TYPES:
        assert sum(weight for _, weight in kind.rulesets) == pytest.approx(1.0)


def test_each_instant_has_its_accounts_in_order(population, instants):
    as_of = population.accounts["as_of"]
    found, counts = np.unique(as_of, return_counts=True)
    assert (np.diff(as_of) >= 0).all()
    assert found.tolist() == instants.tolist()
    assert counts.max() == 120
    assert counts.min() >= 118
    assert len(set(population.accounts["account_id"])) == len(population)
    for table in (population.positions, population.collateral):
        assert (np.diff(table["row"]) >= 0).all()
        assert (table["account_id"] == population.accounts["account_id"][table["row"]]).all()
        assert (table["as_of"] == as_of[table["row"]]).all()


def test_legs_are_as_many_as_the_type_says(population):
    legs = np.bincount(population.positions["row"], minlength=len(population))
    for code, kind in enumerate(TYPES):
        mine = legs[population.kind == code]
        assert mine.max() <= kind.legs[1], kind.name
        assert mine.min() >= min(kind.legs[0], 3), kind.name


def test_positions_are_those_of_the_regime(population):
    kinds = {r: Counter() for r in REGIMES}
    regime = population.regime[population.positions["row"]]
    for name, symbol in zip(regime, population.positions["symbol"], strict=True):
        instrument = parse_symbol(symbol)
        kinds[name][instrument.kind, instrument.linear] += 1
    assert set(kinds["linear"]) == set(kinds["venue"]) == {("perpetual", True)}
    assert set(kinds["inverse"]) == {("perpetual", False), ("future", False)}
    assert set(kinds["unified"]) == {("perpetual", True), ("perpetual", False)}
    assert set(kinds["csa"]) == {("future", True)}
    assert not kinds["loan"]
    for name in ("option", "portfolio"):
        assert set(kinds[name]) == {("perpetual", True), ("perpetual", False), ("option", True), ("option", False)}


def test_entries_are_positive_and_expiries_lie_ahead(population):
    assert (population.positions["entry_price"] > 0.0).all()
    as_of = population.accounts["as_of"][population.positions["row"]]
    left = np.full(len(as_of), np.inf)
    for i, symbol in enumerate(population.positions["symbol"]):
        expiry = parse_symbol(symbol).expiry
        if expiry is not None:
            left[i] = expiry.timestamp() * 1e9 - as_of[i]
    assert (left > 0.0).all()
    option = np.isin(population.regime[population.positions["row"]], ["option", "portfolio"]) & np.isfinite(left)
    assert 0.05 < np.mean(left[option] < 3 * DAY_NS) < 0.4
    assert np.mean(left[option] > 30 * DAY_NS) > 0.15


def test_coin_margined_longs_go_the_wrong_way_and_shorts_hedge(population):
    kind, quantity = population.kind[population.positions["row"]], population.positions["quantity"]
    assert set(np.sign(quantity[kind == NAMES.index("coin-long")])) == {1.0}
    assert set(np.sign(quantity[kind == NAMES.index("coin-short")])) == {-1.0}
    modes = population.positions["margin_mode"][kind == NAMES.index("coin-long")]
    assert set(modes) == {"cross", "isolated"}


def test_contested_accounts_are_found_in_every_regime(panel, population):
    near = {r: [] for r in REGIMES}
    for _, part in by_ruleset(population):
        levels = stand(panel, part)
        scale = np.maximum(np.abs(levels.call), 1e-9)
        for name, value in zip(part.regime, levels.gap_call / scale, strict=True):
            near[name].append(value)
    for name, values in near.items():
        assert np.mean(np.array(values) < 1.0) > 0.02, name
        assert np.mean(np.array(values) > 1.0) > 0.05, name


def test_terms_come_with_agreements_alone(population):
    csa = population.accounts["csa"]
    agreed = population.regime == "csa"
    assert all((terms is not None) == a for terms, a in zip(csa, agreed, strict=True))
    terms = csa[agreed]
    assert {t.margin_type for t in terms} == {"variation_margin"}
    assert min(t.party.threshold for t in terms) == 0.0 < max(t.party.threshold for t in terms)
    mine = agreed[population.positions["row"]]
    assert set(np.sign(population.positions["quantity"][mine])) == {-1.0, 1.0}
    posted = agreed[population.collateral["row"]]
    assert set(population.collateral["asset"][posted]) == {"USD", "BTC"}


def test_debts_are_in_loans_and_unified_accounts_alone(population):
    owed = population.collateral["quantity"] < 0.0
    regime = population.regime[population.collateral["row"]]
    assert set(regime[owed]) == {"loan", "unified"}
    debts = population.collateral["asset"][owed & (regime == "loan")]
    assert set(debts) == {"USDC", "BTC"}


def test_pieces_carry_the_columns_of_all_regimes(population):
    pieces = list(population.chunks(700))
    assert sum(len(p) for _, p in pieces) == len(population)
    rows, piece = pieces[1]
    assert all(a is b for a, b in zip(piece.accounts["csa"], population.accounts["csa"][rows], strict=True))
    assert np.isnan(piece.positions["implied_volatility"]).all()
    assert (piece.regime == population.regime[rows]).all()
    held = np.isin(population.positions["row"], rows)
    np.testing.assert_array_equal(piece.positions["symbol"], population.positions["symbol"][held])


def same(one, other, rows=slice(None)):
    for a, b in ((one.accounts, other.accounts), (one.positions, other.positions), (one.collateral, other.collateral)):
        assert set(a) == set(b)
        for name in set(a) - {"csa"}:
            if a[name].dtype == object:
                assert a[name].tolist() == b[name].tolist()
            else:
                np.testing.assert_array_equal(a[name], b[name])
    assert one.accounts["csa"].tolist() == other.accounts["csa"].tolist()


def test_the_seed_decides(panel, instants):
    one, two, other = (sample_mixed(panel, instants[:3], 60, seed) for seed in (1, 1, 2))
    same(one, two)
    assert one.kind.tolist() != other.kind.tolist()


def test_nothing_after_an_instant_moves_its_accounts(panel, instants):
    """Neither the prices after it, nor what becomes of the accounts of later instants."""
    chosen = instants[:4]
    index = np.full(panel.close.shape, 0.7)
    before = sample_mixed(replace(panel, implied=index), chosen, 150, 3)
    row = int(panel.row_closed(int(chosen[1])))
    close, changed = panel.close.copy(), index.copy()
    close[:, row + 1 :] *= np.exp(np.cumsum(np.full(close.shape[1] - row - 1, -0.004)))
    changed[:, row + 2 :] = 1.6
    fields = {n: getattr(panel, n) * (close / panel.close) for n in ("open", "high", "low")}
    after = sample_mixed(replace(panel, close=close, implied=changed, **fields), chosen, 150, 3)
    early = [np.flatnonzero(p.accounts["as_of"] <= chosen[1]) for p in (before, after)]
    assert len(early[0]) == 300
    same(before.take(early[0]), after.take(early[1]))
    late = [p.take(np.flatnonzero(p.accounts["as_of"] > chosen[1])) for p in (before, after)]
    assert late[0].positions["entry_price"].tolist() != late[1].positions["entry_price"].tolist()


def test_the_index_of_the_panel_values_options(panel, instants):
    only = {"option-seller": 1.0}
    calm, wild = (
        sample_mixed(replace(panel, implied=np.full(panel.close.shape, level)), instants[:2], 80, 1, only)
        for level in (0.4, 1.2)
    )
    premium = [p.positions["entry_price"].mean() for p in (calm, wild)]
    assert premium[1] > 2.0 * premium[0]


def test_a_given_volatility_goes_before_the_index(panel, instants):
    """A leap of volatility calls short options that a calm market would have left alone."""
    only = {"option-seller": 1.0}
    with_index = replace(panel, implied=np.full(panel.close.shape, 0.5))
    shape = (2, len(panel.assets))
    unknown = sample_mixed(with_index, instants[:2], 80, 1, only, np.full(shape, np.nan))
    same(unknown, sample_mixed(with_index, instants[:2], 80, 1, only))
    leap = sample_mixed(with_index, instants[:2], 80, 1, only, np.full(shape, 2.0))
    assert leap.positions["symbol"].tolist() != unknown.positions["symbol"].tolist()
    with pytest.raises(InputError, match="volatility"):
        sample_mixed(with_index, instants[:2], 80, 1, only, np.full((1, 1), 2.0))


def test_an_asset_without_a_price_is_not_held(panel, instants):
    close = panel.close.copy()
    close[0] = np.nan
    found = sample_mixed(replace(panel, close=close), instants[:4], 150, 0)
    assert not any(s.startswith("BTC") for s in found.positions["symbol"])
    assert "BTC" not in set(found.collateral["asset"])
    assert {"inverse", "option", "csa"} <= set(found.regime)
    assert "coin-loan" not in {NAMES[k] for k in found.kind}


def test_without_major_coins_only_linear_accounts_are_drawn(panel, instants):
    found = sample_mixed(panel.select(["SOL"]), instants[:4], 50, 0)
    assert set(found.regime) <= {"linear", "venue"}
    assert "linear" in set(found.regime)
    with pytest.raises(InputError, match="mixture"):
        sample_mixed(panel.select(["SOL"]), instants[:4], 50, 0, {"loan": 1.0})


def test_rulesets_that_cannot_be_loaded_are_left_out(panel, instants, monkeypatch):
    load = module.load_ruleset

    def refusing(name, as_of):
        if name in ("deribit-pm", "okx-pm", "paradex-pm", "derive-pmrm2", "derive-srm"):
            raise UnknownRulesetError("ruleset", name, "another")
        return load(name, as_of)

    monkeypatch.setattr(module, "load_ruleset", refusing)
    found = sample_mixed(panel, instants[:3], 100, 0)
    assert "portfolio" not in set(found.regime)
    assert set(found.accounts["ruleset"][found.regime == "option"]) == {"deribit-standard"}
    assert len(found) > 295


@pytest.mark.parametrize(
    ("mixture", "match"),
    [({"whale": 1.0}, "mixture.whale"), ({"loan": -1.0}, "mixture.loan"), ({"loan": 0.0}, "mixture"), ({}, "mixture")],
)
def test_bad_mixtures_are_refused(panel, instants, mixture, match):
    with pytest.raises(InputError, match=match):
        sample_mixed(panel, instants[:1], 5, 0, mixture)


def test_bad_instants_are_refused(panel, instants):
    with pytest.raises(InputError, match="per_instant"):
        sample_mixed(panel, instants, 0, 0)
    with pytest.raises(InputError, match="instants"):
        sample_mixed(panel, instants[::-1], 5, 0)


def test_no_instants_and_no_prices_give_nobody(panel, instants):
    assert len(sample_mixed(panel, instants[:0], 5, 0)) == 0
    nothing = replace(panel, close=np.full(panel.close.shape, np.nan))
    found = sample_mixed(nothing, instants[:2], 5, 0)
    assert len(found) == 0
    assert len(found.positions["row"]) == len(found.collateral["row"]) == 0


def test_a_mixture_is_scaled_to_one(panel, instants):
    found = sample_mixed(panel, instants[:5], 100, 0, {"loan": 3.0, "retail": 1.0})
    assert np.mean(found.regime == "loan") == pytest.approx(0.75, abs=0.06)
