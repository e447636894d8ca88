"""A benchmark of margin-call forecasting: simulated markets of which the truth is known, and real ones."""
