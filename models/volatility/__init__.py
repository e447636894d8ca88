"""Volatility: estimators, seasonality, forecasts."""
