"""The simple margin models: standard, leveraged, inverse."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import InputError
from models.margin.requirement import inverse_pnl, is_liquidated, margin_requirement, notional_value


def test_the_sign_of_a_position_does_not_change_its_margin() -> None:
    assert notional_value([-2.0, 2.0], 10.0).tolist() == [20.0, 20.0]
    assert notional_value(-100.0, 50.0, inverse=True) == 2.0
    assert notional_value(-100.0, [50.0, 60.0], inverse=True, in_quote=True).tolist() == [100.0, 100.0]
    assert margin_requirement(-100.0, 0.1, 5) == 2.0


def test_only_the_leveraged_model_divides() -> None:
    assert margin_requirement(100.0, 0.1, 5, "standard") == 10.0
    assert margin_requirement(100.0, 0.1, 5, "leveraged") == 2.0
    assert margin_requirement(100.0, 0.1) == 10.0


def test_inverse_profit_is_in_coins_and_mirrors() -> None:
    assert inverse_pnl([100.0, -100.0], 10.0, 20.0).tolist() == [5.0, -5.0]


def test_equity_at_the_trigger_is_liquidated() -> None:
    found = is_liquidated(np.array([1.0, 1.01, -1.0, 1.0]), np.array([0.5, 0.5, 0.0, 0.6]), 2.0)
    assert found.tolist() == [True, False, False, True]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="model"):
        margin_requirement(1.0, 0.1, 1.0, "span")  # type: ignore[arg-type]
    for leverage in (0.99, 0.0, float("nan")):
        with pytest.raises(InputError, match="leverage"):
            margin_requirement(1.0, 0.1, leverage)
