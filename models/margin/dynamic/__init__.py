"""Margin rates that follow the market: filtered historical simulation, its damping, and how both are judged."""

from models.margin.dynamic.coverage import Coverage, coverage_test, exceedances
from models.margin.dynamic.fhs import ewma_volatility, fhs_rate, har_volatility, scaled_return, tail_measure
from models.margin.dynamic.procyclicality import bar_rise, peak_to_trough
from models.margin.dynamic.rates import DynamicMargin

__all__ = [
    "Coverage",
    "DynamicMargin",
    "bar_rise",
    "coverage_test",
    "ewma_volatility",
    "exceedances",
    "fhs_rate",
    "har_volatility",
    "peak_to_trough",
    "scaled_return",
    "tail_measure",
]
