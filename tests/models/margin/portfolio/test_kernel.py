"""The kernel gives what the reference function gives, on random books under every ruleset."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from models.margin.portfolio import block_holdings, load_portfolio_rules, pack_rules, scenario_margin
from models.margin.portfolio._kernel import scenario_margin as kernel
from models.margin.portfolio.contingencies import Basis, DeltaShock, Discount, Minimum, Rates, RateShock, Roll, Vega
from models.margin.portfolio.rules import PortfolioRules
from models.margin.portfolio.shocks import Extended, Grid, Scenario, Skew, VolShock
from tests.models.margin.portfolio.builders import STYLES, Size, random_blocks

EVERYTHING = PortfolioRules(
    name="everything",
    title="Every part at once",
    effective_from=date(2025, 1, 1),
    source=("test",),
    settlement_window_seconds=86_400,
    vol=VolShock(kind="absolute", up=0.3, down=0.2, short_power=0.4, long_power=0.2, least_up=0.5),
    skew=Skew(linear_cap=0.4, linear_slope=-0.2, absolute_cap=0.3, least_wing=0.02, width=2.0, vol_static=0.5),
    grid=Grid(prices=(-0.2, 0.0, 0.1), vols=("up", "none")),
    extended=Extended(prices=(-0.6, 3.0), vol="up", factor=1.2, dampener=5_000.0),
    scenarios=(
        Scenario(price=0.0, hours=24.0),
        Scenario(price=0.0, vol="linear", weight=2.0),
        Scenario(price=0.1, vol="linear"),
        Scenario(price=0.0, vol="absolute"),
    ),
    discount=Discount(long_factor=0.9, long_add=0.1, long_multiple=1.0, short_factor=1.05, short_add=0.05),
    basis=Basis(up=0.1, down=-0.1, add=2.0, multiple=4.0),
    roll=Roll(annualised=0.2, least=0.01),
    delta_shock=DeltaShock(threshold=1e5, slope=1e-3, cap=0.2),
    vega=Vega(hedged=0.1),
    rate=RateShock(move=0.05),
    minimum=Minimum(
        net_delta=0.3, hedged_delta=0.2, linear=0.1, short_option=0.2, tiers=((1e4, 1), (1e5, 2), (None, 3))
    ),
    rates=Rates(
        perpetual_maintenance=0.01,
        perpetual_initial=0.02,
        option_maintenance=0.003,
        option_initial=0.002,
        provision=0.001,
    ),
)


def _rules(style: str) -> PortfolioRules:
    return EVERYTHING if style == "everything" else load_portfolio_rules(style)


@pytest.mark.parametrize("style", [*STYLES, "everything"])
@pytest.mark.parametrize(("vol", "hours"), [(1.0, 0.0), (1.3, 0.0), (0.7, 30.0), (1.0, 2000.0)])
def test_kernel_equals_the_reference(style: str, vol: float, hours: float) -> None:
    rules = _rules(style)
    b = random_blocks([pack_rules(rules)] * 12, seed=len(style))
    for i in range(12):
        for spot in (21_000.0, 60_000.0, 150_000.0):
            found = scenario_margin(rules, block_holdings(b, i, spot, vol, hours))
            ours = kernel(b, i, spot, vol, hours)
            scale = spot * float(np.abs(b.option_quantity[b.block_option[i] : b.block_option[i + 1]]).sum())
            expected = (found.value, found.maintenance, found.initial)
            np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-13 * scale)


def test_each_part_of_the_rule_decides_somewhere() -> None:
    b = random_blocks([pack_rules(EVERYTHING)] * 60, seed=3, size=Size(options=6, expiries=2))
    found = [scenario_margin(EVERYTHING, block_holdings(b, i, 60_000.0)) for i in range(60)]
    assert {f.worst for f in found} >= {0, 4}
    assert any(f.basis > f.worst_loss for f in found)
    assert any(f.minimum == f.requirement for f in found)
    assert all(min(f.roll, f.rate) > 0.0 for f in found)
    assert any(f.delta > 0.0 for f in found)
    assert any(f.vega > 0.0 for f in found)


def test_a_block_without_anything_requires_nothing() -> None:
    b = random_blocks([pack_rules(EVERYTHING)], seed=1, size=Size(options=0, expiries=0))
    b = b._replace(block_perpetual=np.zeros(1), block_spot=np.zeros(1))
    assert kernel(b, 0, 100.0, 1.0, 0.0) == (0.0, 0.0, 0.0)


def test_expired_options_are_settled_and_require_nothing() -> None:
    rules = load_portfolio_rules("derive-pmrm2")
    b = random_blocks([pack_rules(rules)], seed=5)
    b = b._replace(block_perpetual=np.zeros(1), block_spot=np.zeros(1))
    value, maintenance, initial = kernel(b, 0, 50_000.0, 1.0, 1e6)
    sign = np.where(b.option_call, 1.0, -1.0)
    paid = np.maximum(sign * (50_000.0 - b.option_strike), 0.0) @ b.option_quantity
    assert value == pytest.approx(paid, rel=1e-12)
    assert (maintenance, initial) == (0.0, 0.0)


def test_no_volatility_left_is_no_error() -> None:
    b = random_blocks([pack_rules(EVERYTHING)], seed=2)
    assert np.isfinite(kernel(b, 0, 60_000.0, 0.0, 0.0)).all()
