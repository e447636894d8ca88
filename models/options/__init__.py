"""European options: Black-76 prices and greeks, implied volatility and its surface."""
