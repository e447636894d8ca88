"""Black-76: against quadrature-free references, finite differences, and what is refused."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_ndtr, ndtr

from models.errors import InputError
from models.options.batch import black76_many
from models.options.black76 import greeks, price
from models.options.kernels import black76
from models.typing import FloatArray

RNG = np.random.default_rng(7)


def _reference(f: FloatArray, k: FloatArray, deviation: FloatArray, call: FloatArray) -> FloatArray:
    """With scipy's distribution function, out of the money by itself and in the money by parity."""
    d1 = np.log(f / k) / deviation + 0.5 * deviation
    d2 = d1 - deviation
    out = np.where(k >= f, f * ndtr(d1) - k * ndtr(d2), k * ndtr(-d2) - f * ndtr(-d1))
    return out + np.where(call == (k >= f), 0.0, np.where(call, f - k, k - f))


def _sample(n: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    f = np.exp(RNG.uniform(-12, 14, n))
    deviation = np.exp(RNG.uniform(math.log(1e-5), math.log(6.0), n))
    k = f * np.exp(deviation * RNG.normal(0, 3, n))
    return f, k, deviation, RNG.random(n) < 0.5


def test_many_agree_with_scipy_to_1e_14_of_the_price_scale() -> None:
    f, k, deviation, call = _sample(100_000)
    out = np.empty(len(f))
    black76_many(f, k, deviation, call, out)
    assert np.max(np.abs(out - _reference(f, k, deviation, call)) / np.maximum(f, k)) < 1e-14


def test_far_out_of_the_money_the_relative_error_stays_small() -> None:
    f, deviation = 60_000.0, 0.2
    k = f * np.exp(deviation * np.linspace(1.0, 30.0, 300))
    d1 = np.log(f / k) / deviation + 0.5 * deviation
    exact = f * np.exp(log_ndtr(d1)) - k * np.exp(log_ndtr(d1 - deviation))
    out = np.empty(len(k))
    black76_many(np.full(300, f), k, np.full(300, deviation), np.ones(300, bool), out)
    np.testing.assert_allclose(out, exact, rtol=2e-10)  # the reference itself cancels
    assert np.all(np.diff(out) < 0)
    assert out[-1] > 0


def test_one_price_by_hand() -> None:
    n = NormalDist().cdf
    deviation = 0.55 * math.sqrt(30 / 365)
    d1 = math.log(60_000 / 70_000) / deviation + deviation / 2
    expected = 60_000 * n(d1) - 70_000 * n(d1 - deviation)
    assert float(price(60_000.0, 70_000.0, 0.55, 30 / 365, True)) == pytest.approx(expected, rel=1e-12)
    assert black76(60_000.0, 70_000.0, deviation, True) == pytest.approx(expected, rel=1e-12)


def test_prices_agree_with_quantlib() -> None:
    ql = pytest.importorskip("QuantLib", reason="QuantLib is an optional cross-check: pip install QuantLib")
    f, k, deviation, call = _sample(2_000)
    out = np.empty(len(f))
    black76_many(f, k, deviation, call, out)
    side = {True: ql.Option.Call, False: ql.Option.Put}
    exact = [ql.blackFormula(side[bool(c)], b, a, s) for a, b, s, c in zip(f, k, deviation, call, strict=True)]
    assert np.max(np.abs(out - exact) / np.maximum(f, k)) < 1e-14


@given(
    forward=st.floats(1e-3, 1e6),
    moneyness=st.floats(-3, 3),
    deviation=st.floats(1e-4, 4),
    is_call=st.booleans(),
)
def test_price_lies_between_its_bounds_and_keeps_parity(
    forward: float, moneyness: float, deviation: float, is_call: bool
) -> None:
    strike = forward * math.exp(moneyness)
    value, other = (black76(forward, strike, deviation, c) for c in (is_call, not is_call))
    scale = max(forward, strike)
    intrinsic = max(forward - strike, 0.0) if is_call else max(strike - forward, 0.0)
    assert intrinsic - 1e-14 * scale <= value <= (forward if is_call else strike) * (1 + 1e-14)
    assert (value - other) * (1 if is_call else -1) == pytest.approx(forward - strike, abs=1e-14 * scale)
    assert black76(forward, strike, 1.1 * deviation, is_call) >= value - 1e-14 * scale


@pytest.mark.parametrize("forward", [0.0, -1.0])
def test_no_deviation_or_no_forward_is_intrinsic(forward: float) -> None:
    f, k = np.array([120.0, 120.0, forward, forward]), np.full(4, 100.0)
    out = np.empty(4)
    black76_many(f, k, np.array([0.0, 0.0, 0.3, 0.3]), np.array([True, False, True, False]), out)
    assert out.tolist() == [20.0, 0.0, 0.0, 100.0 - forward]


def test_not_a_number_and_extremes_do_not_pass_for_prices() -> None:
    f = np.array([np.nan, 100.0, 100.0, 1e-5, 1e8, 100.0])
    k = np.array([100.0, np.nan, 100.0, 1e8, 1e-5, 100.0])
    deviation = np.array([0.2, 0.2, np.nan, 0.5, 0.5, 70.0])
    out = np.empty(6)
    black76_many(f, k, deviation, np.ones(6, bool), out)
    assert np.isnan(out[:3]).all()
    np.testing.assert_allclose(out[3:], [0.0, 1e8 - 1e-5, 100.0], atol=1e-300, rtol=1e-14)


def test_expired_options_are_worth_their_intrinsic_value() -> None:
    assert price(100.0, [90.0, 110.0], 0.5, [0.0, -1.0], [True, False], 0.05).tolist() == [10.0, 10.0]
    g = greeks(100.0, [90.0, 110.0, 90.0], 0.5, 0.0, [True, False, False])
    assert g.delta.tolist() == g.forward_delta.tolist() == [1.0, -1.0, 0.0]
    assert not np.any([g.gamma, g.vega, g.theta])


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("strike", [80.0, 100.0, 130.0])
def test_greeks_are_the_slopes_of_the_price(strike: float, is_call: bool) -> None:
    f, v, t, r, h = 100.0, 0.6, 0.25, 0.08, 1e-4
    g = greeks(f, strike, v, t, is_call, r)
    value = price([f + h, f, f - h], strike, v, t, is_call, r)
    assert float(g.delta) == pytest.approx((value[0] - value[2]) / (2 * h), rel=1e-7)
    assert float(g.gamma) == pytest.approx((value[0] - 2 * value[1] + value[2]) / h**2, rel=1e-3)
    up, down = (float(price(f, strike, v + s * h, t, is_call, r)) for s in (1, -1))
    assert float(g.vega) == pytest.approx((up - down) / (2 * h), rel=1e-7)
    later, sooner = (float(price(f, strike, v, t + s * h, is_call, r)) for s in (1, -1))
    assert float(g.theta) == pytest.approx(-(later - sooner) / (2 * h), rel=1e-6)
    assert float(g.forward_delta) == pytest.approx(float(g.delta) * math.exp(r * t), rel=1e-14)


def test_the_rate_discounts_the_price() -> None:
    plain, discounted = price(100.0, 95.0, 0.5, 2.0, True), price(100.0, 95.0, 0.5, 2.0, True, 0.1)
    assert float(discounted) == pytest.approx(float(plain) * math.exp(-0.2), rel=1e-14)


def test_arguments_broadcast() -> None:
    out = price(np.full((3, 1), 100.0), np.linspace(90, 110, 4), 0.5, 0.1, True)
    assert out.shape == (3, 4)
    assert greeks(100.0, np.linspace(90, 110, 4), 0.5, 0.1, True).vega.shape == (4,)
    with pytest.raises(InputError, match="shapes: expected arguments that broadcast together"):
        price([100.0, 101.0], [90.0, 95.0, 99.0], 0.5, 0.1, True)


@pytest.mark.parametrize("name", ["forward", "strike", "vol"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_what_must_be_positive_is_named(name: str, value: float) -> None:
    good = {"forward": 100.0, "strike": 100.0, "vol": 0.5, "years": 0.1}
    with pytest.raises(InputError, match=rf"^{name}: expected a finite number > 0, was "):
        price(**{**good, name: value}, is_call=True)
    with pytest.raises(InputError, match=rf"^{name}\[1\]: expected a finite number > 0, was "):
        greeks(**{**good, name: [1.0, value]}, is_call=True)


@pytest.mark.parametrize("name", ["years", "rate"])
def test_time_and_rate_must_be_finite(name: str) -> None:
    with pytest.raises(InputError, match=rf"^{name}: expected a finite number, was nan"):
        price(**{"forward": 1.0, "strike": 1.0, "vol": 0.5, "years": 0.1, name: math.nan}, is_call=True)
