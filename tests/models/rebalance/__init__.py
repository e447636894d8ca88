"""Tests of models.rebalance."""
