"""The prior against brute force, against reflection, and against its own promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from models.book import Book
from models.errors import InputError, SchemaMismatchError
from models.first_passage import ExtremeTable, running_extremes
from models.margin.linear import unit_gap
from models.market import MarketPanel
from models.prior import WARMUP_HOURS, PriorModel
from models.scenarios import ScenarioPool, step_deviation
from models.typing import HOUR_NS
from models.volatility.seasonality import hour_of_week
from models.volatility.trend import recent_trend
from tests.models.builders import account, book, position, walk

ASSETS = ("BTC", "ETH", "SOL")
SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT")


@pytest.fixture(scope="module")
def market() -> MarketPanel:
    return walk(24 * 150, assets=3, seed=2)


@pytest.fixture(scope="module")
def prior(market: MarketPanel) -> PriorModel:
    return PriorModel.fit(market, paths=256)


def _probability(prior: PriorModel, market: MarketPanel, held: Book, factor: float | None = None) -> np.ndarray:
    k = held.arrays.account_call_factor if factor is None else np.full(len(held), factor)
    return prior.probability(held, market.close[:, -1], prior.state(market, market.end), k)


def test_running_extremes_by_hand() -> None:
    price = np.array([100.0, 110.0, 90.0, 100.0])
    out = running_extremes(price, price, price, np.array([1, 2]))
    assert out[0, :, 0] == pytest.approx([np.log(1.1), np.log(1.1)])
    assert out[1, :, 0] == pytest.approx([0.0, np.log(100 / 90)])
    assert np.isnan(out[0, 1, 2])


def test_table_of_a_gaussian_walk_is_the_reflection_principle() -> None:
    """P(max over h > z sigma) = 2 Phi(-z) for a driftless Brownian motion watched all the time.

    The walk is watched 60 times an hour, which moves the barrier out by 0.5826 steps (Broadie, Glasserman and
    Kou 1997, "A continuity correction for discrete barrier options").
    """
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.normal(0, 0.01 / np.sqrt(60), 30_000 * 60)).reshape(-1, 60)
    close = np.exp(path[:, -1] - path[:, -1].mean())[None]
    high, low = np.exp(path.max(axis=1) - path[:, -1].mean())[None], np.exp(path.min(axis=1) - path[:, -1].mean())[None]
    panel = MarketPanel(("X",), 60, 0, close, high, low, close, close * np.nan, close * 0, ("simulated",))
    hours = np.array([1, 4, 24, 72])
    table = ExtremeTable.fit(panel, np.broadcast_to(1e-4 * hours, (1, 30_000, 4)), hours)
    for z in (0.5, 1.0, 1.5, 2.0):
        assert table.probability(1, 1, np.array([z]))[0] == pytest.approx(
            2 * norm.cdf(-z - 0.5826 / np.sqrt(240)), abs=0.012
        )


def test_table_tail_falls_and_never_reaches_zero(prior: PriorModel) -> None:
    p = prior.extremes.probability(0, 2, np.linspace(0.0, 50.0, 2000))
    assert p[0] == 1.0
    assert (np.diff(p) <= 0).all()
    assert 0 < p[-1] < 1e-4


@pytest.mark.parametrize("hedged", [True, False])
def test_joint_probability_equals_brute_force_over_the_paths(
    prior: PriorModel, market: MarketPanel, hedged: bool
) -> None:
    price = market.close[:, -1]
    legs = [
        position(SYMBOLS[0], 3.0, price[0]),
        position(SYMBOLS[1], (-50.0 if hedged else 50.0), price[1]),
        position(SYMBOLS[2], 2_000.0, price[2], margin_mode="isolated", isolated_margin=40_000.0),
    ]
    held = book(account(legs, 25_000.0, [("SOL", 100.0)]))
    state, k = prior.state(market, market.end), float(held.arrays.account_call_factor[0])
    s = state.scenarios
    first = np.full(len(s.low), 999)
    for i in range(len(s.low)):
        for t in range(72):
            points = (price * p[i, :, t].astype(np.float64) for p in (s.low, s.high, s.close))
            if any(unit_gap(held.arrays, u, k, x) < 0 for x in points for u in (0, 1)):
                first[i] = t
                break
    share = np.array([(first < h).mean() for h in (1, 4, 24, 72)])
    found = _probability(prior, market, held)[0]
    assert share[-1] > 0.02
    assert found == pytest.approx(share, abs=2.5 / len(s.low))
    both = prior.probability(held, price, state, np.array([[k, 1.0]]))[0]
    assert both[0].tolist() == found.tolist()
    assert both[1].tolist() == _probability(prior, market, held, 1.0)[0].tolist()


def test_one_price_uses_both_barriers(prior: PriorModel, market: MarketPanel) -> None:
    price = market.close[0, -1]
    long = book(account([position(SYMBOLS[0], 1.0, price)], 0.08 * price))
    short = book(account([position(SYMBOLS[0], -1.0, price)], 0.08 * price))
    p_long, p_short = _probability(prior, market, long)[0], _probability(prior, market, short)[0]
    assert (p_long > 0).all()
    assert (p_short > 0).all()
    assert not np.array_equal(p_long, p_short)


def test_called_now_is_certain_and_no_position_is_impossible(prior: PriorModel, market: MarketPanel) -> None:
    price = market.close[:, -1]
    called = account([position(SYMBOLS[0], 1.0, price[0])], 1.0)
    joint = account([position(SYMBOLS[0], 1.0, price[0]), position(SYMBOLS[1], 10.0, price[1])], 1.0)
    held = book(called, joint, account([], 100.0), account([], -100.0))
    p = _probability(prior, market, held)
    assert p[0].tolist() == [1.0] * 4
    assert p[1] == pytest.approx(1.0)
    assert p[2].tolist() == [0.0] * 4
    assert p[3] == pytest.approx(1.0)


@settings(max_examples=30)
@given(
    legs=st.lists(
        st.tuples(st.integers(0, 2), st.floats(-3.0, 3.0).filter(lambda x: abs(x) > 0.05)), min_size=1, max_size=4
    ),
    cash=st.floats(0.05, 2.0),
    more=st.floats(1.0, 4.0),
)
def test_monotone_in_leverage_horizon_and_level(
    prior: PriorModel, market: MarketPanel, legs: list[tuple[int, float]], cash: float, more: float
) -> None:
    price = market.close[:, -1]

    def scaled(by: float) -> Book:
        held = [position(SYMBOLS[i], x * by * 1e5 / price[i], price[i]) for i, x in legs]
        return book(account(held, cash * 1e5))

    low, high = _probability(prior, market, scaled(1.0))[0], _probability(prior, market, scaled(more))[0]
    assert (np.diff(low) >= 0).all()
    assert (high >= low - 1e-9).all()
    assert (_probability(prior, market, scaled(1.0), 1.0)[0] <= low + 1e-9).all()


def test_state_from_a_tail_is_the_state_from_all_history(prior: PriorModel, market: MarketPanel) -> None:
    whole = prior.total_variance(market)[:, -1]
    tail = market.slice(market.n_bars - WARMUP_HOURS, market.n_bars)
    state = prior.state(tail, market.end)
    assert state.total_variance == pytest.approx(whole, rel=1e-9)
    assert state.survival == pytest.approx(prior.extremes.at(recent_trend(market)[:, -1]))


def test_fit_uses_nothing_after_its_date(market: MarketPanel) -> None:
    until = market.end - 10 * 24 * HOUR_NS
    one = PriorModel.fit(market, until, paths=64)
    two = PriorModel.fit(market.between(market.start, until), paths=64)
    for key, value in one.to_arrays().items():
        assert np.array_equal(value, two.to_arrays()[key]), key


def test_steps_add_up_to_the_totals() -> None:
    total = np.array([[1.0, 3.9, 25.0, 70.0]]) * 1e-4
    season = np.linspace(0.5, 1.5, 168)
    steps = step_deviation(total, season, hour_of_week(np.array([0])))
    assert (steps[0] ** 2).cumsum()[[0, 3, 23, 71]] == pytest.approx(total[0])
    assert steps[0, 30] / steps[0, 31] == pytest.approx(np.sqrt(season[102] / season[103]))


def test_round_trip_through_arrays(prior: PriorModel, market: MarketPanel) -> None:
    held = book(account([position(SYMBOLS[0], 1.0), position(SYMBOLS[1], 5.0, 3_000.0)], 9_000.0))
    again = PriorModel.from_arrays(prior.to_arrays())
    assert np.array_equal(_probability(prior, market, held), _probability(again, market, held))
    with pytest.raises(SchemaMismatchError, match="survival"):
        PriorModel.from_arrays({k: v for k, v in prior.to_arrays().items() if k != "survival"})


def test_a_bundle_from_before_the_tables_by_trend_answers_as_it_did(market: MarketPanel) -> None:
    held = book(account([position(SYMBOLS[0], 1.0, market.close[0, -1])], 9_000.0))
    plain = PriorModel.fit(market, volatility="har", paths=64)
    arrays = plain.to_arrays()
    again = PriorModel.from_arrays({**arrays, "survival": arrays["survival"][0]})
    assert again.volatility.kind == "har"
    assert np.array_equal(_probability(plain, market, held), _probability(again, market, held))


def test_an_unknown_asset_moves_with_the_market_and_on_its_own(prior: PriorModel, market: MarketPanel) -> None:
    usual = np.mean(prior.pool.correlation[np.triu_indices(len(prior.pool.assets), 1)])
    state = prior.state_from(("NEW", "BTC", "OTHER"), np.full((3, 4), 1e-4), market.end)
    paths = state.scenarios
    assert (paths.low <= np.minimum(paths.close, paths.high)).all()
    assert (paths.high >= paths.close).all()
    np.testing.assert_allclose(prior.correlation(("NEW", "BTC"))[0, 1], usual, rtol=1e-9)
    expected = np.array([[1.0, usual, usual**2], [usual, 1.0, usual], [usual**2, usual, 1.0]])
    np.testing.assert_allclose(state.correlation, expected, rtol=1e-9)


def test_windows_of_an_unknown_asset_keep_variance_and_range_and_have_the_usual_correlation() -> None:
    panel = walk(24 * 200, assets=3, seed=7)
    pool = PriorModel.fit(panel, paths=2048).pool
    usual = np.mean(pool.correlation[np.triu_indices(3, 1)])
    more = pool.for_assets(("ETH", "NEW", *pool.assets))
    first, new = more.assets.index(pool.assets[0]), 1
    np.testing.assert_array_equal(more.close[:, first], pool.close[:, 0])
    np.testing.assert_array_equal(more.low[:, 0], pool.low[:, pool.assets.index("ETH")])
    together = np.corrcoef(more.close[:, first].ravel(), more.close[:, new].ravel())[0, 1]
    assert together == pytest.approx(usual, abs=0.02)
    assert more.close[:, new].std() == pytest.approx(pool.close[:, 0].std(), rel=0.02)
    wide = [(c.high - c.low).mean() for c in (_one(more, new), _one(more, first))]
    assert wide[0] == pytest.approx(wide[1], rel=0.03)
    assert more.proxy == (*pool.proxy, "NEW")
    again = pool.for_assets(("NEW", "BTC"))
    np.testing.assert_array_equal(again.close[:, 0], more.close[:, new])
    assert not np.array_equal(pool.for_assets(("NEWER", "BTC")).close[:, 0], more.close[:, new])


def _one(pool: ScenarioPool, a: int) -> ScenarioPool:
    return ScenarioPool(pool.assets[:1], pool.low[:, [a]], pool.high[:, [a]], pool.close[:, [a]], np.eye(1), ())


def test_a_spread_against_an_unknown_asset_is_not_without_risk() -> None:
    panel = walk(24 * 200, assets=2, seed=7)
    prior = PriorModel.fit(panel.select(panel.assets[:1]), paths=512)
    assets, price = ("BTC", "NEW"), np.array([50_000.0, 50_000.0])
    state = prior.state_from(assets, np.tile([1e-4, 4e-4, 2.4e-3, 7.2e-3], (2, 1)), panel.end)
    legs = [position(quantity=1.0, entry_price=5e4), position("NEW/USDT:USDT", -1.0, 5e4)]
    spread = book(account(legs, 5_000.0), assets=assets)
    assert 0.02 < prior.probability(spread, price, state, spread.arrays.account_call_factor)[0, 3] < 0.9


@pytest.mark.parametrize("bad", [{"paths": 63}, {"paths": 16385}, {"pool_days": 29}, {"pool_days": 3651}])
def test_parameters_have_a_range(market: MarketPanel, bad: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        PriorModel.fit(market, **bad)


def test_book_and_state_must_share_their_assets(prior: PriorModel, market: MarketPanel) -> None:
    held = book(account([position()]), assets=("BTC",))
    with pytest.raises(InputError, match=r"book\.assets"):
        prior.probability(held, market.close[:, -1], prior.state(market, market.end), np.ones(1))


@pytest.mark.parametrize("name", ["one", "pair", "isolated", "coins"])
def test_breaches_by_path_are_what_the_prior_counts(prior: PriorModel, market: MarketPanel, name: str) -> None:
    price = market.close[:, -1]
    legs = {
        "one": [position(SYMBOLS[0], 1.0, price[0])],
        "pair": [position(SYMBOLS[0], 1.0, price[0]), position(SYMBOLS[1], -0.8 * price[0] / price[1], price[1])],
        "isolated": [
            position(SYMBOLS[k], 1.0, price[k], margin_mode="isolated", isolated_margin=0.06 * price[k]) for k in (0, 2)
        ],
        "coins": [position(SYMBOLS[1], 1.0, price[1])],
    }[name]
    size = sum(abs(leg.quantity) * leg.entry_price for leg in legs)
    held = book(
        account(legs, cash=0.06 * size, collateral=[("SOL", 0.02 * size / price[2])] if name == "coins" else [])
    )
    state, factor = prior.state(market, market.end), np.array([[held.arrays.account_call_factor[0], 1.0]])
    first = prior.breaches(held, price, state, factor)
    assert first.shape == (1, 2, len(state.scenarios.low))
    assert np.all(first[:, 0] <= first[:, 1])  # a liquidation is never before the call
    shares = np.array([[(first[0, level] < hours).mean() for hours in (1, 4, 24, 72)] for level in (0, 1)])
    exact = prior.probability(held, price, state, factor)[0]
    assert 0.0 < shares[0, 3] < 1.0
    tolerance = 0.005 if name in ("pair", "isolated", "coins") else 0.08  # one price is looked up in a table of its own
    assert shares == pytest.approx(exact, abs=tolerance)


def test_all_accounts_see_the_same_paths(prior: PriorModel, market: MarketPanel) -> None:
    price = market.close[:, -1]
    long, short = (
        account([position(SYMBOLS[0], side, price[0])], cash=0.05 * price[0], account_id=str(side))
        for side in (1.0, -1.0)
    )
    first = prior.breaches(book(long, long, short), price, prior.state(market, market.end), np.full((3, 1), 1.25))
    assert np.array_equal(first[0], first[1])
    both = (first[0] < 72) & (first[2] < 72)
    assert both.mean() < min((first[0] < 72).mean(), (first[2] < 72).mean())  # rarely called on the same path
