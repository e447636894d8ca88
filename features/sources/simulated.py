"""A simulated market: several assets, seeded, with the habits of real crypto prices.

It carries the demo and the tests. Every asset is labelled ``"simulated"`` wherever it goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np

from features.sources.times import Instant, bar_minutes, grid_floor, to_ns
from models.errors import InputError
from models.market import MarketPanel
from models.typing import DAY_NS, HOUR_NS, MINUTE_NS, FloatArray, IntArray

__all__ = ["PROFILES", "AssetProfile", "simulate_market"]

YEAR_MINUTES: Final = 365.25 * 1440


@dataclass(frozen=True, slots=True)
class AssetProfile:
    """What an asset of the simulated market is like.

    Parameters
    ----------
    price : float
        First price.
    annual_vol : float
        Volatility of a year, as a fraction.
    turnover : float
        Traded value of a usual hour, in settlement currency.
    """

    price: float
    annual_vol: float
    turnover: float


PROFILES: Final = {
    "BTC": AssetProfile(42_000.0, 0.55, 6e8),
    "ETH": AssetProfile(2_400.0, 0.68, 4e8),
    "SOL": AssetProfile(100.0, 0.95, 1.2e8),
    "XRP": AssetProfile(0.60, 0.80, 6e7),
    "LTC": AssetProfile(75.0, 0.75, 2.5e7),
    "ADA": AssetProfile(0.55, 0.82, 3e7),
    "BNB": AssetProfile(310.0, 0.60, 5e7),
    "DOGE": AssetProfile(0.08, 0.90, 5e7),
}
_OTHER: Final = AssetProfile(10.0, 0.85, 2e7)

# Log-volatility is a slow and a fast mean-reverting factor, of the market and of the asset.
_SLOW: Final = (30 * 1440.0, 0.38)  # half-life in minutes, stationary deviation
_FAST: Final = (10 * 60.0, 0.46)
_OWN_SHARE: Final = 0.35  # of each factor's variance
_LEVERAGE: Final = -0.65  # correlation of the market's return with the next move of its volatility
_CORRELATION: Final = 0.64  # of two assets, on a usual day
_CROWDING: Final = 2.2  # how fast that rises with the fast factor of the market
_MARKET_JUMPS: Final = 18.0  # a year
_OWN_JUMPS: Final = 12.0
_JUMP_KICK: Final = 1.0  # what a jump adds to the fast factor
_REBOUND: Final = 0.45  # of a jump, given back within the bar
_FUNDING_NS: Final = 8 * HOUR_NS


@dataclass(frozen=True, slots=True)
class _Clock:
    start: int
    minutes: int
    n_bars: int
    steps: int

    @property
    def times(self) -> IntArray:
        return self.start + np.arange(self.n_bars, dtype=np.int64) * (self.minutes * MINUTE_NS)


@dataclass(frozen=True, slots=True)
class _Market:
    """What the assets share, bar by bar."""

    shock: FloatArray  # (T, S) standard normal
    log_vol: FloatArray  # (T,) slow + fast
    fast: FloatArray  # (T,)
    jump: FloatArray  # (T,) log return, 0 in most bars
    jump_step: IntArray  # (T,) step of the bar at which its jumps fall
    season: FloatArray  # (T,) multiplier of volatility


def simulate_market(
    assets: Sequence[str] = ("BTC", "ETH", "SOL", "XRP", "LTC"), days: int = 1095, seed: int = 0,
    bar_minutes: int = 60, steps: int = 30, start: Instant = "2022-01-01",
) -> MarketPanel:  # fmt: skip
    """Draw a market.

    Parameters
    ----------
    assets : sequence of str
        Base codes. Those of `PROFILES` have their usual level and volatility, others a common one.
    days : int
        Length, 1 to 36500.
    seed : int
        Same seed, same market. An asset's path does not depend on which others are drawn.
    bar_minutes : int
        Length of a bar in minutes, a divisor of a day.
    steps : int
        Points of the path inside a bar, 4 to 240: highs and lows are extremes of that path.
    start : int, str, date or datetime
        Open of the first bar.

    Returns
    -------
    MarketPanel
        Without gaps, ``source`` is ``"simulated"`` for every asset.

    Raises
    ------
    InputError
        If an argument is out of its range.

    Notes
    -----
    Log-volatility is the sum of a slow and a fast mean-reverting factor, shared in part; falls raise it (leverage
    effect); the hour of the week scales it; market jumps, two in three downwards, hit all assets in one bar, are
    partly given back inside it and lift the fast factor; correlation rises with that factor. Funding is the clamped
    premium of Binance's formula, the premium following the trend of the last days. Volume follows the range.
    Valid for demonstrations and tests; it proves nothing about a real market.

    Examples
    --------
    >>> panel = simulate_market(("BTC", "ETH"), days=7, seed=1)
    >>> panel.n_bars, panel.source
    (168, ('simulated', 'simulated'))
    """
    names = _check(assets, days, seed, steps)
    clock = _clock(start, bar_minutes, days, steps)
    market = _market(clock, np.random.default_rng([seed, 0]))
    stamps = _funding_stamps(clock)
    drawn = [
        _asset(clock, market, stamps, name, np.random.default_rng([seed, 1, crc32(name.encode())])) for name in names
    ]
    opened, high, low, close, volume, rates = (np.stack(column) for column in zip(*drawn, strict=True))
    source = ("simulated",) * len(names)
    return MarketPanel(names, clock.minutes, clock.start, opened, high, low, close, volume, rates, source)


def _check(assets: Sequence[str], days: int, seed: int, steps: int) -> tuple[str, ...]:
    names = tuple(assets)
    if isinstance(assets, str) or not names or len(set(names)) < len(names):
        raise InputError("assets", assets, "one or more different assets, for example ('BTC', 'ETH')")
    if not 1 <= days <= 36_500:
        raise InputError("days", days, "1 to 36500")
    if not 4 <= steps <= 240:
        raise InputError("steps", steps, "4 to 240")
    if seed < 0:
        raise InputError("seed", seed, "an integer >= 0")
    return names


def _clock(start: Instant, bar: int, days: int, steps: int) -> _Clock:
    minutes = bar_minutes(bar)
    return _Clock(grid_floor(to_ns(start, "start"), minutes), minutes, days * 1440 // minutes, steps)


def _market(clock: _Clock, rng: np.random.Generator) -> _Market:
    shock = rng.standard_normal((clock.n_bars, clock.steps))
    moved = shock.sum(axis=1) / np.sqrt(clock.steps)
    jump = _jumps(clock, rng, _MARKET_JUMPS, 0.045, 0.67)
    noise = np.sqrt(1 - _LEVERAGE**2) * rng.standard_normal(clock.n_bars) + _LEVERAGE * moved
    share = np.sqrt(1 - _OWN_SHARE)
    slow = share * _revert(clock, *_SLOW, rng.standard_normal(clock.n_bars), rng.standard_normal())
    fast = share * _revert(clock, *_FAST, noise, rng.standard_normal()) + _kick(clock, jump)
    return _Market(shock, slow + fast, fast, jump, rng.integers(0, clock.steps, clock.n_bars), _season(clock))


def _revert(clock: _Clock, half_life: float, deviation: float, noise: FloatArray, first: float) -> FloatArray:
    """Mean-reverting factor; the noise of bar t moves bar t + 1."""
    from scipy.signal import lfilter

    keep = 0.5 ** (clock.minutes / half_life)
    push = np.append(first, np.sqrt(1 - keep**2) * noise[:-1])
    return np.asarray(deviation * lfilter([1.0], [1.0, -keep], push), np.float64)


def _kick(clock: _Clock, jump: FloatArray) -> FloatArray:
    """What jumps add to the fast factor, from the next bar on, dying out."""
    from scipy.signal import lfilter

    keep = 0.5 ** (clock.minutes / _FAST[0])
    push = np.append(0.0, np.where(jump != 0, _JUMP_KICK, 0.0)[:-1])
    return np.asarray(np.minimum(lfilter([1.0], [1.0, -keep], push), 2.0), np.float64)


def _jumps(clock: _Clock, rng: np.random.Generator, a_year: float, size: float, down: float) -> FloatArray:
    """Log return of the jump of each bar: exponential size, `down` of them falls."""
    hit = rng.random(clock.n_bars) < a_year * clock.minutes / YEAR_MINUTES
    sign = np.where(rng.random(clock.n_bars) < down, -1.0, 1.0)
    return np.where(hit, sign * (0.3 * size + rng.exponential(0.7 * size, clock.n_bars)), 0.0)


def _season(clock: _Clock) -> FloatArray:
    """Volatility by hour of the week, mean square 1: busy from 13 to 17 UTC, quiet at weekends."""
    hour = (clock.times % DAY_NS) / HOUR_NS
    weekend = (clock.times // DAY_NS + 3) % 7 >= 5
    day = 1 + 0.45 * np.exp(-0.5 * ((hour - 15) / 2.5) ** 2) + 0.15 * np.exp(-0.5 * ((hour - 0.5) / 1.5) ** 2)
    shape = day * np.where(weekend, 0.72, 1.0)
    return np.asarray(shape / np.sqrt(np.mean(shape**2)), np.float64)


def _asset(
    clock: _Clock, market: _Market, stamps: FloatArray, name: str, rng: np.random.Generator
) -> tuple[FloatArray, ...]:
    profile = PROFILES.get(name, _OTHER)
    own = np.sqrt(_OWN_SHARE)
    jump = _jumps(clock, rng, _OWN_JUMPS, 0.045, 0.5)
    log_vol = market.log_vol + _kick(clock, jump)
    for half_life, deviation in (_SLOW, _FAST):
        log_vol = log_vol + own * _revert(
            clock, half_life, deviation, rng.standard_normal(clock.n_bars), rng.standard_normal()
        )
    usual = profile.annual_vol * np.sqrt(clock.minutes / YEAR_MINUTES)
    level = np.exp(-(_SLOW[1] ** 2 + _FAST[1] ** 2)) * 0.94  # jumps carry the rest of the variance
    sigma = usual * level * market.season * np.exp(np.minimum(log_vol, 2.5))
    beta = profile.annual_vol / 0.65
    path = _path(clock, market, sigma, jump + beta * market.jump, rng)
    price = np.exp(np.log(profile.price) + path)
    close = price[:, -1]
    opened = np.append(profile.price, close[:-1])
    high, low = np.maximum(price.max(axis=1), opened), np.minimum(price.min(axis=1), opened)
    funding = _funding(clock, stamps, np.append(0.0, np.diff(np.log(opened))), usual, rng)
    return opened, high, low, close, _volume(profile, high, low, close, usual, rng), funding


def _path(clock: _Clock, market: _Market, sigma: FloatArray, jump: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Log price after every step of every bar, shape (T, S), from 0."""
    common = 1 / (1 + np.exp(-(np.log(_CORRELATION / (1 - _CORRELATION)) + _CROWDING * market.fast)))
    step = np.sqrt(common)[:, None] * market.shock
    step += np.sqrt(1 - common)[:, None] * rng.standard_normal(step.shape)
    step *= (sigma / np.sqrt(clock.steps))[:, None]
    hit = np.flatnonzero(jump)
    at = market.jump_step[hit]
    step[hit, at] += jump[hit]
    back = -_REBOUND * jump[hit] / np.maximum(clock.steps - 1 - at, 1)
    step[hit] += np.where(np.arange(clock.steps) > at[:, None], back[:, None], 0.0)
    return np.asarray(np.cumsum(step.ravel()).reshape(step.shape), np.float64)


def _funding_stamps(clock: _Clock) -> FloatArray:
    """How many funding stamps (00, 08, 16 UTC) lie in each bar, its open included."""
    first = -(-clock.times // _FUNDING_NS)
    last = -(-(clock.times + clock.minutes * MINUTE_NS) // _FUNDING_NS)
    return (last - first).astype(np.float64)


def _funding(
    clock: _Clock, stamps: FloatArray, moved: FloatArray, usual: float, rng: np.random.Generator
) -> FloatArray:
    """Binance's clamp around a premium that follows the trend of the last days; known at the open."""
    from scipy.signal import lfilter

    keep = 0.5 ** (clock.minutes / (3 * 1440.0))
    trend = lfilter([1 - keep], [1.0, -keep], moved) / (usual * np.sqrt((1 - keep) / (1 + keep)))
    premium = 4.5e-4 * trend + 1.5e-4 * rng.standard_normal(clock.n_bars)
    rate = premium + np.clip(1e-4 - premium, -5e-4, 5e-4)
    return np.asarray(np.where(stamps > 0, stamps * np.clip(rate, -7.5e-3, 7.5e-3), 0.0), np.float64)


def _volume(
    profile: AssetProfile, high: FloatArray, low: FloatArray, close: FloatArray, usual: float, rng: np.random.Generator
) -> FloatArray:
    """Base units: more where the range is wide."""
    busy = (np.log(high / low) / (1.6 * usual)) ** 1.2 + 0.02
    value = profile.turnover * busy * np.exp(0.3 * rng.standard_normal(len(close)))
    return np.asarray(value / close, np.float64)
