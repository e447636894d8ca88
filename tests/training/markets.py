"""A small seeded market for the tests of training: hourly, a common factor, clustering volatility, a daily cycle."""

import numpy as np

from models.market import MarketPanel

START = 1_704_067_200_000_000_000  # 2024-01-01
HOUR = 3_600_000_000_000


def market(days: int = 120, assets: tuple[str, ...] = ("BTC", "ETH", "SOL"), seed: int = 3) -> MarketPanel:
    """Simulate bars; the same seed gives the same bars."""
    rng = np.random.default_rng(seed)
    n, m = days * 24, len(assets)
    level = np.zeros(n)
    for t in range(1, n):
        level[t] = 0.98 * level[t - 1] + 0.12 * rng.standard_normal()
    cycle = 0.25 * np.sin(2 * np.pi * np.arange(n) / 24)
    deviation = 0.006 * np.exp(level + cycle)
    common, own = rng.standard_t(5, n) / 1.3, rng.standard_t(5, (m, n)) / 1.3
    step = deviation * (0.8 * common + 0.6 * own) * np.linspace(1.0, 1.6, m)[:, None]
    close = np.array([60_000.0, 3_000.0, 150.0, 0.5, 90.0])[:m, None] * np.exp(np.cumsum(step, axis=1))
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    wick = np.abs(rng.standard_normal((2, m, n))) * 0.5 * deviation
    high, low = np.maximum(opened, close) * np.exp(wick[0]), np.minimum(opened, close) * np.exp(-wick[1])
    funding = np.zeros((m, n))
    funding[:, ::8] = 1e-4
    volume = np.exp(rng.standard_normal((m, n)) * 0.3) * 1e3
    return MarketPanel(assets, 60, START, opened, high, low, close, volume, funding, ("simulated",) * m)
