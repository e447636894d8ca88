"""Scores, skill intervals, monotonicity checks and tables."""
