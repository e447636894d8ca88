"""Rescaling, volatility forecasts and tail measures, each against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.dynamic.fhs import (
    LEAST_VOLATILITY,
    ewma_volatility,
    fhs_rate,
    har_volatility,
    log_returns,
    loss_rate,
    scaled_return,
    tail_measure,
)

moves = st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=300)


@given(moves, st.floats(0.5, 0.999))
def test_the_quantile_is_the_smallest_loss_that_covers_enough(losses: list[float], confidence: float) -> None:
    found = tail_measure(losses, confidence)
    values = np.array(losses)
    assert found in values
    assert np.mean(values <= found) >= confidence - 1e-9
    smaller = values[values < found]
    if smaller.size:
        assert np.mean(values <= smaller.max()) < confidence + 1e-9


@given(moves, st.floats(0.5, 0.999))
def test_expected_shortfall_is_the_mean_of_the_quantiles_beyond(losses: list[float], confidence: float) -> None:
    levels = confidence + (1 - confidence) * (np.arange(4000) + 0.5) / 4000
    ranked = np.sort(losses)
    rows = np.minimum(np.ceil(levels * len(ranked) - 1e-9).astype(int) - 1, len(ranked) - 1)
    assert tail_measure(losses, confidence, "es") == pytest.approx(ranked[rows].mean(), abs=5e-3)
    assert tail_measure(losses, confidence, "es") >= tail_measure(losses, confidence) - 1e-12


def test_tails_of_a_hundred_losses_by_hand() -> None:
    losses = np.arange(1.0, 101.0)
    assert tail_measure(losses, 0.99) == 99.0
    assert tail_measure(losses, 0.995) == 100.0
    assert tail_measure(losses, 0.975, "es") == pytest.approx((100 + 99 + 0.5 * 98) / 2.5)


def test_ewma_forecasts_from_what_is_known_and_skips_gaps() -> None:
    returns = np.full((1, 40), 0.01)
    returns[0, 25], returns[0, 30] = np.nan, 0.1
    found = ewma_volatility(returns, 0.9)[0]
    assert np.isnan(found[:19]).all()
    assert found[25] == found[24]
    assert found[29] == pytest.approx(0.01)
    assert found[30] == pytest.approx(np.sqrt(0.9 * 1e-4 + 0.1 * 1e-2))
    still = ewma_volatility(np.zeros((1, 30)), 0.9)[0]
    assert still[-1] == LEAST_VOLATILITY


def test_har_mixes_three_horizons() -> None:
    returns = np.full((1, 100), 0.01)
    returns[0, -1] = 0.1
    found = har_volatility(returns, (5, 22, 66), (0.5, 0.3, 0.2))[0, -1]
    parts = [(1e-4 * (n - 1) + 1e-2) / n for n in (5, 22, 66)]
    assert found == pytest.approx(np.sqrt(0.5 * parts[0] + 0.3 * parts[1] + 0.2 * parts[2]))


def test_log_returns_overlap_and_do_not_bridge_gaps() -> None:
    close = np.exp(np.array([[0.0, 0.1, 0.3, np.nan, 0.4, 0.5]]))
    assert log_returns(close)[0] == pytest.approx([np.nan, 0.1, 0.2, np.nan, np.nan, 0.1], nan_ok=True)
    assert log_returns(close, 2)[0] == pytest.approx([np.nan, np.nan, 0.3, np.nan, 0.1, np.nan], nan_ok=True)


@given(moves, st.floats(0.1, 10.0))
def test_the_rate_follows_volatility_one_for_one_in_logs(returns: list[float], ratio: float) -> None:
    r, ones = np.array(returns), np.ones(len(returns))
    one = fhs_rate(r, ones, 1.0, 0.99, side="short")
    other = fhs_rate(r, ones, ratio, 0.99, side="short")
    assert np.log1p(other) == pytest.approx(ratio * np.log1p(one), rel=1e-9, abs=1e-12)


def test_sides_lose_what_a_price_move_costs_them() -> None:
    assert float(loss_rate(0.1, 0.2, "long")) == pytest.approx(1 - np.exp(-0.1))
    assert float(loss_rate(0.1, 0.2, "short")) == pytest.approx(np.exp(0.2) - 1)
    assert float(loss_rate(0.2, 0.1, "both")) == pytest.approx(1 - np.exp(-0.2))
    assert float(loss_rate(-0.1, -0.1, "both")) == 0.0


def test_wrong_arguments_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="vol_then"):
        scaled_return(0.1, 0.0, 1.0)
    for decay in (0.0, 1.0):
        with pytest.raises(InputError, match="decay"):
            ewma_volatility(np.zeros((1, 3)), decay)
    with pytest.raises(InputError, match="windows"):
        har_volatility(np.zeros((1, 3)), (5, 5, 6))
    with pytest.raises(InputError, match="weights"):
        har_volatility(np.zeros((1, 3)), weights=(0.5, 0.5, 0.5))
    with pytest.raises(InputError, match="losses"):
        tail_measure([], 0.99)
    with pytest.raises(InputError, match="losses"):
        tail_measure([np.nan], 0.99)
    for confidence in (0.0, 1.0):
        with pytest.raises(InputError, match="confidence"):
            tail_measure([1.0], confidence)
    with pytest.raises(InputError, match="measure"):
        tail_measure([1.0], 0.9, "cvar")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="side"):
        loss_rate(0.1, 0.1, "flat")  # type: ignore[arg-type]
