"""Market data sources, and the columns computed from markets and accounts."""
