"""OKX multi-currency margin: discounts by units, debts in full, liquidation fees in the denominator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.margin.collateral import quantity_tiered_value
from models.margin.tiers import TierSchedule
from models.margin.unified_okx import collateral_schedule, initial_rate, maintenance_schedule, okx_margin

BTC = TierSchedule.from_rates([0, 20, 25], [0.98, 0.975, 0.95])
RULE = {"discount_1": 0.98, "discount_2": 0.975, "discount_3": 0.95, "floor_2": 20.0, "floor_3": 25.0}


def test_discounts_are_progressive_in_units_and_debts_count_in_full() -> None:
    found = okx_margin([[30.0, 5e4], [10.0, -5e4]], [60_000.0, 1.0], [BTC, 1.0], [1e5, 1e5])
    assert found.equity.tolist() == pytest.approx([(19.6 + 4.875 + 4.75) * 6e4 + 5e4, 9.8 * 6e4 - 5e4])


def test_the_ratio_divides_by_maintenance_and_fees_after_order_losses() -> None:
    found = okx_margin([1_000.0], [1.0], [1.0], 400.0, liquidation_fee=50.0, order_loss=100.0)
    assert float(found.adjusted_equity) == 900.0
    assert float(found.maintenance) == 450.0
    assert float(found.ratio) == pytest.approx(2.0)
    assert found.state_names() == ["warning"]
    assert okx_margin([450.0], [1.0], [1.0], 400.0, liquidation_fee=50.0).state_names() == ["liquidation"]


@given(st.floats(-50.0, 200.0), st.floats(0.0, 1e5))
def test_the_schedule_is_the_rule_of_one_currency(quantity: float, price: float) -> None:
    counted = float(collateral_schedule(RULE, quantity)(quantity * price))
    assert counted == pytest.approx(float(quantity_tiered_value(quantity, price, BTC)), rel=1e-9, abs=1e-6)
    assert float(okx_margin([quantity], [price], [BTC], 0.0).equity) == pytest.approx(counted, rel=1e-9, abs=1e-6)


def test_borrowed_currencies_require_margin_and_fee() -> None:
    assert float(maintenance_schedule({"borrow_maintenance_rate": 0.03}, -1.0)(100.0)) == pytest.approx(3.0)
    assert float(maintenance_schedule({"borrow_maintenance_rate": 0.03}, 1.0)(100.0)) == 0.0
    assert initial_rate({"borrow_leverage": 10}, -1.0) == 0.1
    assert initial_rate({"borrow_leverage": 10}, 1.0) == 0.0


def test_wrong_arguments_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="discount"):
        okx_margin([1.0, 2.0], [1.0, 1.0], [1.0], 0.0)
    with pytest.raises(InputError, match="discount"):
        okx_margin(1.0, 1.0, [1.0], 0.0)
    for field in ("maintenance", "liquidation_fee", "order_loss"):
        with pytest.raises(InputError, match=field):
            okx_margin([1.0], [1.0], [1.0], **{"maintenance": 0.0, field: -1.0})
    with pytest.raises(InputError, match="floor_2"):
        collateral_schedule({"discount_1": 0.98, "discount_2": 0.9}, 1.0)
    with pytest.raises(InputError, match="discount_1"):
        collateral_schedule({}, 1.0)
    with pytest.raises(InputError, match="quantity"):
        collateral_schedule(RULE, float("nan"))
    with pytest.raises(InputError, match="borrow_leverage"):
        initial_rate({"borrow_leverage": 0.0}, -1.0)
    assert np.isnan(okx_margin([np.nan], [1.0], [1.0], 1.0).ratio)
