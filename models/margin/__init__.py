"""Margin models: requirements, levels, liquidation prices and replay."""
