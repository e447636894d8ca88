"""The one path from accounts to probabilities: coherent, flagged, and blind to the future."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import lightgbm as lgb
import numpy as np
import pytest

from features.answer import AMOUNT_NAMES, BIT, TIME_NAMES, source_of
from features.build import FEATURE_NAMES, MONOTONE
from features.forecast import flag_names, forecast
from features.moment import moment_at
from models.book import Book
from models.call_sizes import call_sizes
from models.errors import MissingMarketError
from models.market import MarketPanel
from models.predictor import MarginCallPredictor
from models.predictor.amounts import AmountModel
from models.predictor.fallback import Fallback
from models.predictor.novelty import NoveltyModel
from models.prior import PriorModel
from models.typing import HOUR_NS
from tests.models.builders import account, position, walk

UNTIL = 24 * 120


@pytest.fixture(scope="module")
def market() -> MarketPanel:
    return walk(24 * 150, assets=2, seed=4)


@pytest.fixture(scope="module")
def predictor(market: MarketPanel) -> MarginCallPredictor:
    """Trees of noise under the constraints: whatever they say, the promises must hold."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, len(FEATURE_NAMES))).astype(np.float32)
    y = rng.integers(0, 2, len(x))
    settings = {
        "objective": "binary",
        "verbosity": -1,
        "num_leaves": 15,
        "monotone_constraints": list(MONOTONE),
        "num_threads": 1,
    }
    booster = lgb.train(settings, lgb.Dataset(x, y), 20)
    prior = PriorModel.fit(market, market.start + UNTIL * HOUR_NS, paths=128)
    return MarginCallPredictor(booster, prior, FEATURE_NAMES)


def _when(market: MarketPanel, row: int, minutes: float = 0.0) -> datetime:
    """Close of a bar."""
    return datetime.fromtimestamp((market.start + (row + 1) * HOUR_NS) / 1e9, UTC) + timedelta(minutes=minutes)


def _book(market: MarketPanel, row: int, *cash: float, minutes: float = 0.0) -> Book:
    price = market.close[0, row]
    accounts = [
        account(
            [position(quantity=1.0, entry_price=price)], c * price, as_of=_when(market, row, minutes), account_id=str(c)
        )
        for c in cash
    ]
    book, failures = Book.from_accounts(accounts, market.assets)
    assert failures == []
    return book


def test_probabilities_are_coherent(market: MarketPanel, predictor: MarginCallPredictor) -> None:
    seen = forecast(_book(market, 3000, 0.5, 0.1, 0.05, 0.02), market, predictor)
    assert (np.diff(seen.p_call, axis=1) >= 0).all()
    assert (np.diff(seen.p_call, axis=0) >= 0).all()
    assert (seen.p_liquidation <= seen.p_call).all()
    assert (seen.call_amount_q50 <= seen.call_amount_q90).all()
    assert (seen.flags == 0).all()


def test_both_levels_at_once_are_those_of_the_whole_answer(market: MarketPanel, predictor: MarginCallPredictor) -> None:
    book = _book(market, UNTIL + 50, 0.03, 0.06, 0.2)
    for model in (predictor, None):
        moment = moment_at(market, int(book.as_of[0]), predictor.prior, model)
        seen, whole = moment.p_levels(moment.valued(book)), moment.outlook(book)
        np.testing.assert_allclose(seen[0], whole.p_call, rtol=1e-12)
        np.testing.assert_allclose(seen[1], whole.p_liquidation, rtol=1e-12)


def test_nothing_after_the_instant_is_read(market: MarketPanel, predictor: MarginCallPredictor) -> None:
    row = 3000
    one = forecast(_book(market, row, 0.1, 0.05), market, predictor)
    broken = {n: getattr(market, n).copy() for n in ("open", "high", "low", "close")}
    for table in broken.values():
        table[:, row + 1 :] *= 7.0
    two = forecast(_book(market, row, 0.1, 0.05), replace(market, **broken), predictor)
    cut = forecast(_book(market, row, 0.1, 0.05), market.slice(0, row + 1), predictor)
    assert np.array_equal(one.p_call, two.p_call)
    assert one.p_call == pytest.approx(cut.p_call, rel=1e-9)
    later = forecast(_book(market, row + 1, 0.1, 0.05), replace(market, **broken), predictor)
    assert not np.array_equal(one.prior, later.prior)


def test_each_account_is_answered_at_its_own_instant(market: MarketPanel, predictor: MarginCallPredictor) -> None:
    price = market.close[0]
    accounts = [
        account([position(quantity=1.0, entry_price=price[r])], 0.06 * price[r], as_of=_when(market, r))
        for r in (3000, 3200, 3000)
    ]
    book, _ = Book.from_accounts([a for i, a in enumerate(accounts) if i < 2], market.assets)
    mixed = forecast(book.take([1, 0, 1]), market, predictor)
    alone = forecast(book.take([1]), market, predictor)
    assert mixed.p_call[[0, 2]] == pytest.approx(np.tile(alone.p_call, (2, 1)), rel=1e-12)
    assert not np.allclose(mixed.p_call[0], mixed.p_call[1])


@pytest.mark.parametrize(
    ("minutes", "cash", "expected"),
    [
        (0.0, 0.1, []),
        (45.0, 0.1, []),
        (60.0 * 24 * 40, 0.1, ["stale_market", "future_as_of", "stale_features"]),
        (0.0, 0.001, ["in_call"]),
    ],
)
def test_flags(
    market: MarketPanel, predictor: MarginCallPredictor, minutes: float, cash: float, expected: list[str]
) -> None:
    last = market.n_bars - 1
    seen = forecast(_book(market, last, cash, minutes=minutes), market, predictor)
    assert flag_names(int(seen.flags[0])) == expected
    assert (seen.p_call[0, 0] == 1.0) == ("in_call" in expected)


def test_gap_no_price_no_positions_and_in_sample(market: MarketPanel, predictor: MarginCallPredictor) -> None:
    row = 3000
    hole = {n: getattr(market, n).copy() for n in ("open", "high", "low", "close")}
    for table in hole.values():
        table[0, row] = np.nan
        table[1, : row + 1] = np.nan
    holed = replace(market, **hole)
    when = _when(market, row)
    both = [
        account([position(quantity=0.1, entry_price=50_000.0)], as_of=when, account_id="gap"),
        account([position("ETH/USDT:USDT", 0.1, 3_000.0)], as_of=when, account_id="unpriced"),
        account([], as_of=when, account_id="empty"),
    ]
    book, _ = Book.from_accounts(both, market.assets)
    seen = forecast(book, holed, predictor)
    names = [flag_names(int(f)) for f in seen.flags]
    assert names[0] == ["gap"]
    assert "no_price" in names[1]
    assert np.isnan(seen.p_call[1]).all()
    assert "no_positions" in names[2]
    assert seen.p_call[2].tolist() == [0.0] * 4
    assert flag_names(int(forecast(_book(market, UNTIL - 10, 0.1), market, predictor).flags[0])) == ["in_sample"]


def test_without_a_model_the_prior_answers_and_says_so(market: MarketPanel, predictor: MarginCallPredictor) -> None:
    seen = forecast(_book(market, 3000, 0.1), market, None, predictor.prior)
    assert flag_names(int(seen.flags[0])) == ["prior_only"]
    assert np.array_equal(seen.p_call, seen.prior)


def test_before_the_first_bar_is_an_error(market: MarketPanel, predictor: MarginCallPredictor) -> None:
    with pytest.raises(MissingMarketError, match="first is later"):
        moment_at(market, market.start, predictor.prior, predictor)


def test_explanations_add_up_and_change_nothing(market: MarketPanel, predictor: MarginCallPredictor) -> None:
    book = _book(market, 3000, 0.5, 0.1, 0.05, 0.001)
    plain, seen = forecast(book, market, predictor), forecast(book, market, predictor, explain=True)
    np.testing.assert_array_equal(plain.p_call, seen.p_call)
    assert plain.explanation is None
    assert seen.explanation is not None
    np.testing.assert_allclose(seen.explanation.probability()[:3], seen.p_call[:3], atol=1e-9)
    assert np.isnan(seen.explanation.parts[3]).all()  # in a call already: P is 1, whatever the trees say
    assert forecast(book, market, None, predictor.prior, explain=True).explanation is None


def test_explanations_of_several_instants_keep_their_rows(market: MarketPanel, predictor: MarginCallPredictor) -> None:
    price = market.close[0]
    accounts = [
        account([position(quantity=1.0, entry_price=price[r])], 0.06 * price[r], as_of=_when(market, r))
        for r in (3200, 3000)
    ]
    book, _ = Book.from_accounts(accounts, market.assets)
    seen = forecast(book, market, predictor, explain=True)
    assert seen.explanation is not None
    np.testing.assert_allclose(seen.explanation.probability(), seen.p_call, atol=1e-9)


def _watching(market: MarketPanel, predictor: MarginCallPredictor, low: float, high: float) -> MarginCallPredictor:
    """Give the predictor a memory in which a day's volatility lay between two values."""
    x = np.zeros((500, 2), np.float32)
    x[:, 0] = np.linspace(low, high, 500)
    x[:, 1] = np.random.default_rng(0).normal(size=500)
    return replace(predictor, novelty=NoveltyModel.fit(x, ("rv_24h", "adverse_ret_24h")))


def test_novel_input_is_flagged_with_its_columns_and_never_lost(
    market: MarketPanel, predictor: MarginCallPredictor
) -> None:
    book = _book(market, 3000, 0.5, 0.1, 0.05)
    usual = forecast(book, market, _watching(market, predictor, 0.0, 1.0))
    odd = forecast(book, market, _watching(market, predictor, 1e-9, 2e-9))
    assert not (usual.flags & BIT["novel"]).any()
    assert (usual.unusual == -1).all()
    assert (odd.flags & BIT["novel"]).all()
    assert (odd.novelty > 1).all()
    assert FEATURE_NAMES[odd.unusual[0, 0]] == "rv_24h"
    assert np.isfinite(odd.p_call).all()
    gap = np.abs(odd.p_call - odd.prior)
    assert (gap <= np.abs(usual.p_call - usual.prior) + 1e-12).all()
    assert gap.sum() < 0.5 * np.abs(usual.p_call - usual.prior).sum()


def test_what_is_novel_does_not_break_the_order(market: MarketPanel, predictor: MarginCallPredictor) -> None:
    odd = _watching(market, predictor, 1e-4, 2e-3)
    seen = forecast(_book(market, 3000, *np.linspace(0.5, 0.01, 30)), market, odd)
    assert (seen.novelty > 1).all()
    assert (np.diff(seen.p_call, axis=0) >= -1e-12).all()
    assert (np.diff(seen.p_call, axis=1) >= 0).all()


def test_missing_features_and_a_stale_market_fall_back_to_the_prior(
    market: MarketPanel, predictor: MarginCallPredictor
) -> None:
    model, book = _watching(market, predictor, 0.0, 1.0), _book(market, 3000, 0.1, 0.05)
    seen = forecast(book, market.slice(2990, 3001), model, explain=True)
    assert [source_of(bits) for bits in seen.flags.tolist()] == [("prior", ["missing_features"])] * 2
    np.testing.assert_array_equal(seen.p_call, seen.prior)
    assert seen.explanation is not None
    assert np.isnan(seen.explanation.parts).all()
    late = _book(market, 3000, 0.1, 0.05, minutes=59.0)
    for limit, expected in ((59.0, ("model", [])), (58.0, ("prior", ["stale_features"]))):
        found = forecast(late, market, model, fallback=Fallback(stale_minutes=limit))
        assert [source_of(bits) for bits in found.flags.tolist()] == [expected] * 2
        moment = moment_at(market, int(late.as_of[0]), model.prior, model, Fallback(stale_minutes=limit))
        np.testing.assert_array_equal(moment.p_call(late), found.p_call)
    assert source_of(int(forecast(book, market, None, model.prior).flags[0])) == ("prior", ["no_model"])


def test_a_model_with_amounts_gives_seven_quantiles(market: MarketPanel, predictor: MarginCallPredictor) -> None:
    start, constant = np.tile([-0.5, 0.0, 0.8], (4, 1)), np.tile([-1.0, -0.6, 0.0, 0.4, 1.0, 1.4, 2.5], (4, 1))
    model = replace(predictor, amounts=AmountModel(start, constant))
    book = _book(market, 3000, 0.1, 0.05, 0.001)
    seen, old = forecast(book, market, model), forecast(book, market, predictor)
    assert np.isfinite(seen.call_amount).all()
    assert (np.diff(seen.call_amount, axis=2) > 0).all()
    assert np.isfinite(old.call_amount).sum() == 3 * 4 * 2
    np.testing.assert_array_equal(seen.time_to_call[2], 0.0)  # in a call already
    assert (seen.time_to_call[:2] >= 60).all()
    assert set(seen.figures()) == {"p_call", "p_liquidation", "prior", *AMOUNT_NAMES, *TIME_NAMES}
    np.testing.assert_array_equal(seen.table(), np.stack([*seen.figures().values()], axis=-1))
    wide = forecast(book, market, replace(_watching(market, model, 1e-9, 2e-9), amounts=model.amounts))
    assert (wide.call_amount[:, :, 6] > seen.call_amount[:, :, 6]).all()
    np.testing.assert_allclose(wide.call_amount[:, :, 2], seen.call_amount[:, :, 2])


def test_amounts_that_start_from_the_prior_follow_the_account(
    market: MarketPanel, predictor: MarginCallPredictor
) -> None:
    start, constant = np.zeros((4, 3)), np.tile([-1.0, -0.6, 0.0, 0.4, 1.0, 1.4, 2.5], (4, 1))
    model = replace(predictor, amounts=AmountModel(start, constant, from_prior=True))
    book = _book(market, 3000, 0.1, 0.05)
    seen = forecast(book, market, model)
    moment = moment_at(market, int(book.as_of[0]), model.prior, model)
    state = moment.state
    assert model.prior.overshoot is not None
    expected = call_sizes(book, moment.price, state.sigma, state.correlation, model.prior.overshoot)
    np.testing.assert_allclose(seen.call_amount[:, :, [0, 2, 4]], expected[:, :, [0, 2, 4]], rtol=1e-9)
