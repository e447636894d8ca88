"""Random markets with gaps, and the market columns written out longhand for one bar."""

from __future__ import annotations

import math

import numpy as np

from features.market import MARKET_FEATURES
from models.market import MarketPanel

MONDAY = 1_704_067_200_000_000_000  # 2024-01-01
FIELDS = ("open", "high", "low", "close", "volume", "funding_rate")


def random_panel(
    n_assets: int = 2,
    hours: int = 1000,
    *,
    bar_minutes: int = 60,
    seed: int = 0,
    missing: float = 0.0,
    start: int = MONDAY,
) -> MarketPanel:
    """Return correlated fat-tailed walks; a share of the bars is missing, partly in runs."""
    rng = np.random.default_rng(seed)
    shape = (n_assets, hours * 60 // bar_minutes)
    move = 0.004 * rng.standard_t(4, shape[1]) + 0.004 * rng.standard_t(3, shape)
    close = 100 * np.exp(np.cumsum(move, axis=1))
    open_ = np.concatenate([np.full((n_assets, 1), 100.0), close[:, :-1]], axis=1) * np.exp(rng.normal(0, 1e-4, shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.002, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.002, shape)))
    volume = rng.lognormal(3, 1, shape) * (rng.random(shape) > 0.01)
    volume[rng.random(shape) < 0.02] = np.nan
    every = 8 * 60 // bar_minutes
    funding = np.where(np.arange(shape[1]) % every == 0, rng.normal(1e-4, 1e-4, shape), 0.0)
    gone = rng.random(shape) < missing
    for begin in rng.integers(0, shape[1], 3 if missing else 0):
        gone[rng.integers(n_assets), begin : begin + 40 * 60 // bar_minutes] = True
    for field in (open_, high, low, close, volume):
        field[gone] = np.nan
    names = tuple(f"A{i}" for i in range(n_assets))
    return MarketPanel(names, bar_minutes, start, open_, high, low, close, volume, funding, ("simulated",) * n_assets)


def longhand(panel: MarketPanel, t: int) -> list[dict[str, float]]:
    """Return the columns of every asset at bar `t`, each window summed afresh."""
    rows = [_asset(panel, a, t) for a in range(len(panel.assets))]
    shared = _cross(rows)
    close = (panel.start + (t + 1) * panel.step) // 60_000_000_000
    day, week = 2 * math.pi * (close % 1440) / 1440, 2 * math.pi * ((close + 3 * 1440) % 10080) / 10080
    shared |= {
        "hour_sin": math.sin(day),
        "hour_cos": math.cos(day),
        "week_sin": math.sin(week),
        "week_cos": math.cos(week),
    }
    shared["weekend"] = float((close + 3 * 1440) % 10080 >= 5 * 1440)
    return [{name: (row | shared)[name] for name in MARKET_FEATURES} for row in rows]


def returns(panel: MarketPanel) -> np.ndarray:
    """Return close-to-close returns, open-to-close after a gap."""
    close, open_ = np.log(panel.close), np.log(panel.open)
    before = np.concatenate([np.full((len(close), 1), np.nan), close[:, :-1]], axis=1)
    return np.where(np.isnan(before), close - open_, close - before)


def _asset(panel: MarketPanel, a: int, t: int) -> dict[str, float]:
    per_hour = 60 // panel.bar_minutes
    r_all = returns(panel)
    r = r_all[a]
    with np.errstate(invalid="ignore"):
        known = np.isfinite(r_all)
        market = np.where(known, r_all, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    high, low, close = np.log(panel.high[a]), np.log(panel.low[a]), np.log(panel.close[a])
    park = (high - low) ** 2 / (4 * math.log(2))
    klass = 0.5 * (high - low) ** 2 - (2 * math.log(2) - 1) * (close - np.log(panel.open[a])) ** 2
    size = np.abs(r)
    bipower = size * np.concatenate([[0.0], np.nan_to_num(size[:-1])])

    def window(x: np.ndarray, hours: int) -> np.ndarray:
        n = hours * per_hour
        part = x[max(0, t + 1 - n) : t + 1]
        part = part[~np.isnan(part)]
        return part if 2 * len(part) >= n else np.array([np.nan])

    def vol(x: np.ndarray, hours: int) -> float:
        return math.sqrt(window(x, hours).mean() * per_hour)

    out = {f"rv_{h}h": vol(park, h) for h in (1, 4, 24, 72, 168, 720)}
    out |= {f"gk_{h}h": vol(klass, h) for h in (24, 168)} | {f"cc_{h}h": vol(r * r, h) for h in (24, 168, 720)}
    out |= {f"vol_ratio_{s}h_{n}h": out[f"rv_{s}h"] / out[f"rv_{n}h"] for s, n in ((1, 24), (24, 168), (168, 720))}
    for h in (24, 168):
        part = window(r, h)
        out[f"down_share_{h}h"] = float((part[part < 0] ** 2).sum() / (part**2).sum())
        jump = 1 - math.pi / 2 * window(bipower, h).sum() / (part**2).sum()
        out[f"jump_share_{h}h"] = jump if math.isnan(jump) else max(jump, 0.0)
    part = window(park, 168)
    out["vol_of_vol_168h"] = float(part.std() / part.mean())
    for h in (1, 4, 24, 168):
        out[f"ret_{h}h"] = window(r, h).sum() / (out["rv_168h"] * math.sqrt(h))
    for h in (168, 720):
        out[f"drawdown_{h}h"] = window(high, h).max() - close[t]
        out[f"runup_{h}h"] = close[t] - window(low, h).min()
    volume = panel.volume[a]
    for s, n in ((1, 168), (24, 720)):
        top, base = window(volume, s).mean(), window(volume, n).mean()
        out[f"volume_ratio_{s}h_{n}h"] = float(np.clip(np.log(top / base), -10, 10)) if top > 0 else top - 10
    funding = np.where(np.isnan(close), np.nan, panel.funding_rate[a])
    for h in (8, 24, 168):
        out[f"funding_{h}h"] = window(funding, h).sum() * 8 / h
    day = close[max(0, t + 1 - 24 * per_hour) : t + 1]
    out["missing_24h"] = 1 - np.isfinite(day).sum() / (24 * per_hour)
    out["hours_since_shock"] = _since_shock(r, t, per_hour)
    pair, own = window(r * market, 168).sum(), window(np.where(np.isnan(r), np.nan, market**2), 168).sum()
    out["beta_168h"] = pair / own
    out["corr_168h"] = pair / math.sqrt(own * (window(r, 168) ** 2).sum())
    return out


def _since_shock(r: np.ndarray, t: int, per_hour: int) -> float:
    n = 168 * per_hour
    for i in range(t, max(t - 720 * per_hour, 0), -1):
        part = r[max(0, i - n) : i]
        part = part[~np.isnan(part)]
        if 2 * len(part) >= n and abs(r[i]) > 3 * math.sqrt((part**2).mean()):
            return (t - i) / per_hour
    return 720.0


def _cross(rows: list[dict[str, float]]) -> dict[str, float]:
    def over(name: str) -> np.ndarray:
        x = np.array([row[name] for row in rows])
        x = x[~np.isnan(x)]
        return x if len(x) else np.array([np.nan])

    return {
        "market_rv_24h": over("rv_24h").mean(),
        "market_rv_24h_max": over("rv_24h").max(),
        "market_vol_ratio_24h_168h": over("vol_ratio_24h_168h").mean(),
        "market_ret_24h": over("ret_24h").mean(),
        "market_dispersion_24h": over("ret_24h").std(),
        "market_corr_168h": over("corr_168h").mean(),
        "market_funding_24h": over("funding_24h").mean(),
        "market_shock_share_24h": float((over("hours_since_shock") < 24).mean()),
    }
