"""Market features against a pandas rolling loop and polars per asset, interleaved in one process.

Run ``python -m benchmarks.bench_features``; it asserts equal columns, then prints times and ratios.
margincast runs on one core and fills the same array again; pandas runs on one, polars on all.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from features.columns import ASSET_COLUMNS
from features.cross import CALENDAR_COLUMNS, CROSS_COLUMNS
from features.market import MARKET_FEATURES, market_features
from models.market import MarketPanel

_NAMES = ("open", "high", "low", "close", "volume", "funding_rate")


def random_panel(n_assets: int, n_bars: int, seed: int = 0, missing: float = 0.0005) -> MarketPanel:
    """Geometric random walks with a few missing bars, hourly."""
    rng = np.random.default_rng(seed)
    shape = (n_assets, n_bars)
    close = 100 * np.exp(np.cumsum(0.008 * rng.standard_t(4, shape), axis=1))
    open_ = np.concatenate([np.full((n_assets, 1), 100.0), close[:, :-1]], axis=1)
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.003, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.003, shape)))
    volume = rng.lognormal(3, 1, shape)
    funding = np.where(np.arange(n_bars) % 8 == 0, rng.normal(1e-4, 1e-4, shape), 0.0)
    gone = rng.random(shape) < missing
    for field in (open_, high, low, close, volume):
        field[gone] = np.nan
    start = 1_577_836_800_000_000_000
    names = tuple(f"A{i}" for i in range(n_assets))
    return MarketPanel(names, 60, start, open_, high, low, close, volume, funding, ("simulated",) * n_assets)


def pandas_features(panel: MarketPanel) -> np.ndarray:
    """The same columns as one would write them with pandas: one asset at a time, rolling sums and maxima."""
    frames = []
    returns = pd.DataFrame({a: _return(_frame(panel, i)) for i, a in enumerate(panel.assets)})
    market = returns.mean(axis=1)
    for i in range(len(panel.assets)):
        frames.append(_pandas_asset(_frame(panel, i), market))
    cross = _pandas_cross(frames)
    close_time = pd.DatetimeIndex(pd.to_datetime(panel.times() + panel.step, unit="ns", utc=True))
    calendar = _pandas_calendar(close_time)
    return np.stack([pd.concat([f, cross, calendar], axis=1).to_numpy() for f in frames])


def _frame(panel: MarketPanel, i: int) -> pd.DataFrame:
    frame = pd.DataFrame({name: getattr(panel, name)[i] for name in _NAMES})
    frame.loc[frame["close"].isna(), "funding_rate"] = 0.0
    return frame


def _return(bars: pd.DataFrame) -> pd.Series:
    log = np.log(bars["close"])
    return (log - log.shift()).where(log.shift().notna(), log - np.log(bars["open"])).where(log.notna())


def _pandas_asset(bars: pd.DataFrame, market: pd.Series) -> pd.DataFrame:
    series = _pandas_series(bars, market)
    present = bars["close"].notna().astype(float)

    def mean(name: str, hours: int) -> pd.Series:
        return series[name].rolling(hours, min_periods=math.ceil(hours / 2)).mean()

    out = _volatility(mean, np.sqrt, lambda x: x.clip(lower=0))
    for hours in (1, 4, 24, 168):
        total = series["return"].rolling(hours, min_periods=math.ceil(hours / 2)).sum()
        out[f"ret_{hours}h"] = total / (out["rv_168h"] * math.sqrt(hours))
    enough = {h: present.rolling(h, min_periods=1).sum() >= h / 2 for h in (8, 24, 168, 720)}
    close = np.log(bars["close"])
    for hours in (168, 720):
        high = np.log(bars["high"].rolling(hours, min_periods=1).max())
        low = np.log(bars["low"].rolling(hours, min_periods=1).min())
        out[f"drawdown_{hours}h"] = (high - close).where(enough[hours])
        out[f"runup_{hours}h"] = (close - low).where(enough[hours])
    for short, long in ((1, 168), (24, 720)):
        out[f"volume_ratio_{short}h_{long}h"] = np.log(mean("volume", short) / mean("volume", long)).clip(-10, 10)
    for hours in (8, 24, 168):
        rate = bars["funding_rate"].rolling(hours, min_periods=1).sum() * (8 / hours)
        out[f"funding_{hours}h"] = rate.where(enough[hours])
    out["missing_24h"] = 1 - present.rolling(24, min_periods=1).sum() / 24
    shock = series["square"] > 9 * mean("square", 168).shift()
    clock = pd.Series(np.arange(len(bars), dtype=float))
    out["hours_since_shock"] = (clock - clock.where(shock).ffill()).fillna(720.0).clip(upper=720.0)
    return pd.DataFrame({name: out[name] for name in ASSET_COLUMNS})


def _pandas_series(bars: pd.DataFrame, market: pd.Series) -> dict[str, pd.Series]:
    close, r = np.log(bars["close"]), _return(bars)
    body, span = close - np.log(bars["open"]), np.log(bars["high"] / bars["low"])
    square, size = r * r, r.abs()
    park = span * span / (4 * math.log(2))
    return {
        "range": park,
        "klass": (0.5 * span * span - (2 * math.log(2) - 1) * body * body).clip(lower=0),
        "square": square,
        "down": square.where(r < 0, 0.0).where(r.notna()),
        "bipower": (size * size.shift()).where(size.isna() | size.shift().notna(), 0.0),
        "range2": park * park,
        "return": r,
        "cross": r * market,
        "market": (market * market).where(r.notna()),
        "volume": bars["volume"],
    }


def _volatility(
    mean: Callable[[str, int], Any], sqrt: Callable[[Any], Any], positive: Callable[[Any], Any]
) -> dict[str, Any]:
    """Volatility columns of either library from rolling means."""
    out = {f"rv_{h}h": sqrt(mean("range", h)) for h in (1, 4, 24, 72, 168, 720)}
    out |= {f"gk_{h}h": sqrt(mean("klass", h)) for h in (24, 168)}
    square = {h: mean("square", h) for h in (24, 168, 720)}
    out |= {f"cc_{h}h": sqrt(square[h]) for h in square}
    for short, long in ((1, 24), (24, 168), (168, 720)):
        out[f"vol_ratio_{short}h_{long}h"] = out[f"rv_{short}h"] / out[f"rv_{long}h"]
    for h in (24, 168):
        out[f"down_share_{h}h"] = mean("down", h) / square[h]
        out[f"jump_share_{h}h"] = positive(1 - math.pi / 2 * mean("bipower", h) / square[h])
    out["vol_of_vol_168h"] = sqrt(positive(mean("range2", 168) / mean("range", 168) ** 2 - 1))
    cross, own = mean("cross", 168), mean("market", 168)
    out["beta_168h"] = cross / own
    out["corr_168h"] = cross / sqrt(own * square[168])
    return out


def _pandas_cross(frames: list[pd.DataFrame]) -> pd.DataFrame:
    def over(name: str) -> pd.DataFrame:
        return pd.concat([f[name] for f in frames], axis=1)

    figures = (
        over("rv_24h").mean(axis=1),
        over("rv_24h").max(axis=1),
        over("vol_ratio_24h_168h").mean(axis=1),
        over("ret_24h").mean(axis=1),
        over("ret_24h").std(axis=1, ddof=0),
        over("corr_168h").mean(axis=1),
        over("funding_24h").mean(axis=1),
        (over("hours_since_shock") < 24).mean(axis=1),
    )
    return pd.DataFrame(dict(zip(CROSS_COLUMNS, figures, strict=True)))


def _pandas_calendar(close_time: pd.DatetimeIndex) -> pd.DataFrame:
    minute = close_time.hour * 60 + close_time.minute
    day, week = 2 * np.pi * minute / 1440, 2 * np.pi * (close_time.day_of_week * 1440 + minute) / 10080
    figures = (np.sin(day), np.cos(day), np.sin(week), np.cos(week), (close_time.day_of_week >= 5).astype(float))
    return pd.DataFrame(dict(zip(CALENDAR_COLUMNS, (np.asarray(f) for f in figures), strict=True)))


def polars_features(panel: MarketPanel) -> np.ndarray:
    """The same columns with polars expressions, one asset at a time (polars may use all cores)."""
    bars = [_polars_bars(panel, i) for i in range(len(panel.assets))]
    market = pl.DataFrame({str(i): b["return"] for i, b in enumerate(bars)}).mean_horizontal()
    frames = [_polars_asset(b.with_columns(market.alias("m"))) for b in bars]
    cross = _polars_cross(frames)
    stamps = pl.from_epoch(pl.Series("t", panel.times() + panel.step), "ns").to_frame()
    calendar = stamps.select(*_polars_calendar())
    shared = pl.concat([cross, calendar], how="horizontal")
    return np.stack([pl.concat([f, shared], how="horizontal").to_numpy() for f in frames])


def _polars_bars(panel: MarketPanel, i: int) -> pl.DataFrame:
    bars = pl.DataFrame({name: getattr(panel, name)[i] for name in _NAMES}, nan_to_null=True)
    log = pl.col("close").log()
    before = log.shift()
    r = pl.when(before.is_not_null()).then(log - before).otherwise(log - pl.col("open").log())
    return bars.with_columns(r.alias("return"), pl.when(log.is_not_null()).then(pl.col("funding_rate")).otherwise(0.0))


def _polars_asset(bars: pl.DataFrame) -> pl.DataFrame:
    r, close = pl.col("return"), pl.col("close").log()
    span, body = (pl.col("high") / pl.col("low")).log(), close - pl.col("open").log()
    park, square, size = span * span / (4 * math.log(2)), r * r, r.abs()
    frame = bars.with_columns(
        park.alias("range"),
        (0.5 * span * span - (2 * math.log(2) - 1) * body * body).clip(lower_bound=0).alias("klass"),
        square.alias("square"),
        pl.when(r < 0).then(square).when(r.is_not_null()).then(0.0).alias("down"),
        pl.when(r.is_not_null()).then((size * size.shift()).fill_null(0.0)).alias("bipower"),
        (park * park).alias("range2"),
        (r * pl.col("m")).alias("cross"),
        pl.when(r.is_not_null()).then(pl.col("m") ** 2).alias("market"),
        r.is_not_null().cast(pl.Float64).alias("present"),
    )
    return frame.select(**_polars_columns())


def _polars_columns() -> dict[str, pl.Expr]:
    def mean(name: str, hours: int) -> pl.Expr:
        return pl.col(name).rolling_mean(hours, min_samples=math.ceil(hours / 2))

    def total(name: str, hours: int) -> pl.Expr:
        return pl.col(name).rolling_sum(hours, min_samples=1)

    close = pl.col("close").log()
    enough = {h: total("present", h) >= h / 2 for h in (8, 24, 168, 720)}
    out = _volatility(mean, lambda x: x.sqrt(), lambda x: x.clip(lower_bound=0))
    for h in (1, 4, 24, 168):
        moved = pl.col("return").rolling_sum(h, min_samples=math.ceil(h / 2))
        out[f"ret_{h}h"] = moved / (out["rv_168h"] * math.sqrt(h))
    for h in (168, 720):
        high, low = pl.col("high").rolling_max(h, min_samples=1), pl.col("low").rolling_min(h, min_samples=1)
        out[f"drawdown_{h}h"] = pl.when(enough[h]).then(high.log() - close)
        out[f"runup_{h}h"] = pl.when(enough[h]).then(close - low.log())
    for short, long in ((1, 168), (24, 720)):
        ratio = mean("volume", short) / mean("volume", long)
        out[f"volume_ratio_{short}h_{long}h"] = ratio.log().clip(-10, 10)
    for h in (8, 24, 168):
        out[f"funding_{h}h"] = pl.when(enough[h]).then(total("funding_rate", h) * (8 / h))
    out["missing_24h"] = 1 - total("present", 24) / 24
    clock = pl.int_range(pl.len()).cast(pl.Float64)
    shock = pl.col("square") > 9 * mean("square", 168).shift()
    out["hours_since_shock"] = (clock - pl.when(shock).then(clock).forward_fill()).fill_null(720.0).clip(0, 720)
    return {name: out[name] for name in ASSET_COLUMNS}


def _polars_cross(frames: list[pl.DataFrame]) -> pl.DataFrame:
    def over(name: str) -> pl.DataFrame:
        return pl.DataFrame({str(i): f[name] for i, f in enumerate(frames)})

    ret = over("ret_24h")
    mean = ret.mean_horizontal()
    spread = ret.select((pl.all() - mean) ** 2).mean_horizontal().sqrt()
    figures = (
        over("rv_24h").mean_horizontal(),
        over("rv_24h").max_horizontal(),
        over("vol_ratio_24h_168h").mean_horizontal(),
        mean,
        spread,
        over("corr_168h").mean_horizontal(),
        over("funding_24h").mean_horizontal(),
        over("hours_since_shock").select((pl.all() < 24).cast(pl.Float64)).mean_horizontal(),
    )
    return pl.DataFrame(dict(zip(CROSS_COLUMNS, figures, strict=True)))


def _polars_calendar() -> list[pl.Expr]:
    minute = pl.col("t").dt.hour().cast(pl.Float64) * 60 + pl.col("t").dt.minute()
    weekday = pl.col("t").dt.weekday().cast(pl.Float64) - 1
    day, week = 2 * math.pi * minute / 1440, 2 * math.pi * (weekday * 1440 + minute) / 10080
    figures = (day.sin(), day.cos(), week.sin(), week.cos(), (weekday >= 5).cast(pl.Float64))
    return [x.alias(name) for name, x in zip(CALENDAR_COLUMNS, figures, strict=True)]


def clock(call: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main() -> None:
    """Check equality, time the three in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=6)
    parser.add_argument("--bars", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    panel = random_panel(options.assets, options.bars)
    ours = market_features(panel)
    rivals = {"pandas rolling loop": pandas_features, "polars per asset": polars_features}
    for name, rival in rivals.items():
        np.testing.assert_allclose(rival(panel), ours, rtol=1e-6, atol=1e-8, err_msg=name)
    buffer = np.empty_like(ours)
    times: dict[str, list[float]] = {"margincast": [], **{name: [] for name in rivals}}
    for _ in range(options.rounds):
        times["margincast"].append(clock(lambda: market_features(panel, buffer)))
        for name, rival in rivals.items():
            times[name].append(clock(lambda call=rival: call(panel)))  # type: ignore[misc]
    base = statistics.median(times["margincast"])
    print(f"{options.assets} assets x {options.bars:,} hourly bars x {len(MARKET_FEATURES)} columns, equal output")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        each = 1e9 * median / (options.assets * options.bars)
        print(f"{name:22s} {median:8.3f} s  {each:8.0f} ns/bar  ratio {median / base:6.2f}")


if __name__ == "__main__":
    main()
