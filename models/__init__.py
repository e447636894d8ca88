"""Margin rules, volatility, prior and predictor as pure computation: no input or output, no clock."""
