"""Portfolio margin by scenarios: one engine, and every venue's rule as data."""
