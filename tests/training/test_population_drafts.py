"""Drafts, before it is known who survives: structures, hedges, health, agreements, and how accounts are judged."""

import numpy as np
import pytest

from models.book import Book
from models.margin.csa import PostedCollateral, credit_support
from models.margin.levels import margin_levels
from models.margin.valuation import Volatility, valued
from models.options.black76 import greeks
from models.options.black76 import price as black
from models.options.surface import implied_vol
from models.typing import DAY_NS
from tests.training.markets import HOUR, market
from training._rules import RuleTable
from training.population import otc
from training.population.draft import NEVER
from training.population.history import History
from training.population.kinds import type_index
from training.population.loans import draw_loans
from training.population.opening import Slots
from training.population.options import draw_gamma_books, draw_options
from training.population.otc import COIN_RATIO, draw_otc
from training.population.structures import GAMMA_LEGS, buyer, covered_call, gamma_book, seller, spread
from training.population.survivors import Redraw, assess, survivors

N = 300
YEAR = 365 * DAY_NS


@pytest.fixture(scope="module")
def panel():
    return market(90, ("ETH", "SOL", "BTC"))


@pytest.fixture(scope="module")
def history(panel):
    return History(panel, panel.start + np.array([50, 60, 70]) * 24 * HOUR)


def slots(history, name, ruleset, n=N):
    as_of = np.repeat(history.instants, n // 3)
    return Slots(as_of, np.full(n, type_index(name)), np.full(n, ruleset, object))


def rng():
    return np.random.default_rng(11)


def nobody_acts(n):
    return Redraw(np.zeros(n, bool), np.full(n, 0.1))


def everybody_acts(n):
    return Redraw(np.ones(n, bool), np.full(n, 0.02))


DRAFTS = {
    "option-seller": "deribit-standard",
    "covered-call": "derive-srm",
    "option-buyer": "deribit-standard",
    "option-spread": "derive-srm",
    "short-gamma": "deribit-pm",
}


def draft_of(history, name, ruleset=None):
    wanted = slots(history, name, ruleset or DRAFTS[name])
    if name == "short-gamma":
        return draw_gamma_books(history, wanted, rng())
    return draw_options(history, wanted, type_index(name), rng())


def build(draft, rows, as_of=None):
    part = draft.population(rows)
    accounts = part.accounts if as_of is None else {**part.accounts, "as_of": as_of}
    positions = {k: v for k, v in part.positions.items() if k != "as_of"}
    book, failures = Book.from_columns(accounts, positions, part.collateral, draft.assets)
    assert failures == []
    return book


@pytest.mark.parametrize(
    ("name", "ruleset"), [*DRAFTS.items(), ("option-seller", "derive-srm"), ("short-gamma", "okx-pm")]
)
def test_an_account_is_judged_as_its_sheets_would(history, name, ruleset):
    draft = draft_of(history, name, ruleset)
    rows = np.arange(0, N, 3)
    first = assess(draft, rows, history)
    book = build(draft, rows)
    price = history.prices(book.as_of)
    level = np.column_stack([history.level(history.bar(book.as_of), np.full(len(rows), a)) for a in range(3)])
    level[:, 1] = 0.5
    whole = margin_levels(valued(book, price, Volatility(level), np.arange(len(rows))), price)
    coin = book.arrays.account_numeraire
    unit = np.where(coin >= 0, price[np.arange(len(rows)), coin], 1.0)
    np.testing.assert_allclose(first.call, whole.call * unit, rtol=1e-6)
    np.testing.assert_allclose(first.gap / first.call, whole.gap_call / whole.call, rtol=1e-6, atol=1e-6)
    again = assess(draft, rows, history)
    np.testing.assert_allclose(again.gap / first.call, first.gap / first.call, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["option-seller", "short-gamma"])
def test_margin_takes_the_drawn_part_of_equity_at_the_opening(history, name):
    """Valued anew with the clock, the price and the volatility of the opening."""
    draft = draft_of(history, name)
    rows = np.arange(0, N, 5)
    assess(draft, rows, history)
    then = draft.then[rows]
    book = build(draft, rows, history.closed_at(then))
    price = history.close[then]
    level = np.full(price.shape, 0.5)
    for a in history.majors:
        level[:, a] = history.level(then, np.full(len(rows), a))
    seen = margin_levels(valued(book, price, Volatility(level), np.arange(len(rows))), price)
    use = np.maximum(seen.initial, seen.call) / seen.equity
    assert (use <= draft.margin_use[rows] * 1.000001).all()
    assert np.isclose(use, draft.margin_use[rows], rtol=1e-6).mean() > 0.85  # the rest hold more than they need
    assert np.ptp(use) > 0.6


def test_prices_of_the_opening_are_those_of_its_volatility(history):
    draft = draft_of(history, "option-seller")
    legs, row, leg = draft.legs, *np.nonzero(draft.legs.quantity)
    spot = history.price(draft.then[row], legs.asset[row, leg])
    years = (legs.expiry[row, leg] - history.closed_at(draft.then[row])) / YEAR
    level = history.level(draft.then[row], legs.asset[row, leg])
    moneyness = np.log(legs.strike[row, leg] / spot)
    vol = implied_vol(level, moneyness, years)
    away = np.abs(moneyness) / (level * np.sqrt(years))
    assert np.quantile(away, 0.9) < 2.5
    assert (np.sign(moneyness) == np.where(legs.call[row, leg], 1, -1)).mean() > 0.95
    expected = np.maximum(black(spot, legs.strike[row, leg], vol, years, legs.call[row, leg]), 1e-4 * spot)
    np.testing.assert_allclose(legs.entry[row, leg], expected, rtol=1e-6)


def test_books_are_hedged_at_the_opening(history):
    draft = draft_of(history, "short-gamma")
    legs = draft.legs
    spot = history.price(draft.then[:, None], legs.asset)
    years = (legs.expiry[:, 1:] - history.closed_at(draft.then)[:, None]) / YEAR
    level = np.repeat(history.level(draft.then, legs.asset[:, 0])[:, None], GAMMA_LEGS, axis=1)
    vol = implied_vol(level, np.log(legs.strike[:, 1:] / spot[:, 1:]), years)
    delta = greeks(spot[:, 1:], legs.strike[:, 1:], vol, years, legs.call[:, 1:]).forward_delta
    options = (legs.quantity[:, 1:] * delta).sum(axis=1)
    perpetual = legs.quantity[:, 0] / spot[:, 0]
    assert np.abs(options + perpetual).max() <= 0.1500001 * np.abs(options).max()
    assert np.all(np.abs(options + perpetual) <= 0.1500001 * np.abs(options))
    short = (legs.quantity[:, 1:] < 0).sum(axis=1)
    held = (legs.quantity[:, 1:] != 0).sum(axis=1)
    assert (short >= 1).all()
    assert held.max() <= 20
    assert np.mean(short / held) == pytest.approx(0.74, abs=0.04)


def test_no_option_is_held_twice(history):
    for name in DRAFTS:
        part = draft_of(history, name).population(np.arange(N))
        pairs = list(zip(part.positions["row"].tolist(), part.positions["symbol"], strict=True))
        assert len(set(pairs)) == len(pairs), name


@pytest.mark.parametrize("draw", [seller, covered_call, buyer, spread, gamma_book])
def test_structures_have_an_option_and_the_perpetual_first(draw):
    held = draw(500, rng())
    assert ((held.part[:, 1:] != 0.0).sum(axis=1) >= 1).all()
    assert held.term.min() == 0
    assert held.term.max() <= 2
    assert held.part.shape == held.distance.shape == held.call.shape == held.steps.shape
    perpetual = {"covered_call": 500, "buyer": 500}.get(draw.__name__, 0)
    assert np.count_nonzero(held.part[:, 0]) == perpetual


def test_spreads_are_verticals_butterflies_and_condors(history):
    draft = draft_of(history, "option-spread")
    held = (draft.legs.quantity != 0.0).sum(axis=1)
    assert {int(v) for v in held} == {2, 3, 4}
    quantity, strike, call = (a[:, 1:] for a in (draft.legs.quantity, draft.legs.strike, draft.legs.call))
    two, three, four = (held == k for k in (2, 3, 4))
    assert quantity[two].sum(axis=1) == pytest.approx(0.0)
    assert (strike[two, 0] != strike[two, 1]).all()
    assert (call[two, 0] == call[two, 1]).all()
    assert (quantity[three, 1] / quantity[three, 0]).tolist() == pytest.approx([-2.0] * int(three.sum()))
    assert (np.diff(strike[three][:, :3], axis=1) > 0).all()
    assert call[four].tolist() == [[False, False, True, True]] * int(four.sum())
    assert ((strike[four, 1] < strike[four, 0]) & (strike[four, 3] > strike[four, 2])).all()


def test_covered_calls_in_coin_are_covered(history):
    draft = draft_of(history, "covered-call", "deribit-standard")
    rows, found = survivors(draft, np.ones(N, bool), everybody_acts(N), history)
    assert len(rows) > 0.9 * N
    calls = -np.bincount(found.positions["row"], found.positions["quantity"], len(rows))
    held = np.bincount(found.collateral["row"], found.collateral["quantity"], len(rows))
    assert (calls > 0).all()
    assert (calls <= held * 1.0000001).all()


@pytest.mark.parametrize("name", ["loan", "coin-loan"])
def test_health_at_the_opening_is_that_of_the_type(history, name):
    wanted = slots(history, name, "aave-v3")
    draft = draw_loans(history, wanted, RuleTable("aave-v3", history.panel.assets, wanted.as_of), rng())
    book = build(draft, np.arange(N))
    seen = margin_levels(book, history.close[draft.then])
    health = seen.equity / seen.maintenance
    assert 1.3 <= health.min() < 1.4
    assert 2.6 < health.max() <= 3.0
    assert draft.legs.quantity.size == 0


def test_collateral_was_in_order_after_the_last_exchange(history):
    """What the agreement itself asks for, at some bar of the last three days, is no more than what was posted."""
    draft = draw_otc(history, slots(history, "csa", "csa"), rng())
    bars = history.bar(draft.as_of)
    bitcoin = history.panel.assets.index("BTC")
    settled = np.zeros(N, bool)
    for back in range(1, 73):
        price = history.close[bars - back]
        for i in np.flatnonzero(~settled):
            legs = draft.legs
            value = float((legs.quantity[i] * (price[i, legs.asset[i]] - legs.entry[i])).sum())
            worth = price[i, bitcoin] if draft.held_name[i, 0] == "BTC" else 1.0
            posted = PostedCollateral(
                asset=draft.held_name[i, 0], market_value=float(draft.held_quantity[i, 0] * worth)
            )
            settled[i] = credit_support(-value, draft.csa[i], [posted]).action != "CALL"
    assert settled.mean() > 0.97
    assert (draft.held_quantity[:, 0] > 0).mean() > 0.3
    coin = draft.held_name[:, 0] == "BTC"
    assert coin.mean() == pytest.approx(0.25, abs=0.08)
    assert draft.slope[coin] == pytest.approx(COIN_RATIO * history.close[bars[coin], bitcoin])


def test_forwards_are_entered_at_the_forward_price(history, monkeypatch):
    """With a basis of a tenth a year, over the time from the day of the trade to its expiry."""
    monkeypatch.setattr(otc, "drawn_carry", lambda shape, rng: np.full(shape, 0.1))
    draft = draw_otc(history, slots(history, "csa", "csa"), rng())
    legs = draft.legs
    held = legs.quantity[:, 0] != 0.0
    years = (legs.expiry[held, 0] - history.closed_at(draft.then[held])) / YEAR
    basis = np.log(legs.entry[held, 0] / history.price(draft.then[held], legs.asset[held, 0])) / years
    assert basis == pytest.approx(0.1)
    assert (legs.expiry[held] > draft.as_of[held, None]).all()
    assert (legs.expiry != NEVER).all()


@pytest.mark.parametrize("name", ["option-seller", "loan", "csa"])
def test_owners_leave_the_distance_that_was_drawn(history, name):
    ruleset = {"option-seller": "derive-srm", "loan": "aave-v3", "csa": "csa"}[name]
    wanted = slots(history, name, ruleset)
    if name == "loan":
        draft = draw_loans(history, wanted, RuleTable("aave-v3", history.panel.assets, wanted.as_of), rng())
    else:
        draft = draw_otc(history, wanted, rng()) if name == "csa" else draft_of(history, name, ruleset)
    rows, _ = survivors(draft, np.ones(N, bool), everybody_acts(N), history)
    seen = assess(draft, rows, history)
    wished = 0.02 * (4.0 * seen.call if name == "option-seller" else draft.exposure[rows])
    exact = np.isclose(seen.gap, wished, rtol=1e-6)
    assert exact.mean() > (0.4 if name == "csa" else 0.9)  # collateral that was not posted cannot be taken back
    assert (seen.gap > 0.0).all()


def test_only_wanted_and_living_accounts_are_kept(history):
    draft = draft_of(history, "option-seller")
    wanted = np.arange(N) % 2 == 0
    rows, found = survivors(draft, wanted, nobody_acts(N), history)
    assert set(rows % 2) == {0}
    assert len(found) == len(rows)
    dead = np.setdiff1d(np.flatnonzero(wanted), rows)
    assert len(dead) > 2
    assert (assess(draft, dead, history).gap <= 0.0).all()


def test_names_of_all_assets_are_found(history):
    draft = draft_of(history, "option-seller")
    symbols = draft.population(np.arange(N)).positions["symbol"]
    assert {s.partition("/")[0] for s in symbols} == {"BTC", "ETH"}
