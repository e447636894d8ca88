"""The law of the simulated market: its parameters, and what they mean.

One hour at a time. Every asset ``a`` has a log-volatility

    sqrt(1 - own) (slow + fast) + kick + sqrt(own) (slow_a + fast_a) + kick_a,      at most `CEILING`,

where slow and fast are first-order autoregressions (of the market, and of the asset), and a kick is what jumps add:
it falls by the factor of fast. The deviation of the hour is the usual one of the asset, times the hour-of-week season,
times the exponential of the log-volatility. The path inside the hour has `steps` normal steps; those of two assets are
correlated, the more so the higher the market's fast factor. A jump hits one step and is partly given back in the steps
left. Falls of the common shock push the market's fast factor up (leverage effect). Funding is charged every eight
hours: the clamped premium of Binance's formula, the premium following the trend of the last days.

All of it is a Markov process in the state that `MARKET_STATE` and `OWN_STATE` lay out, so the future of an instant
can be drawn again and again from the true state, by the code that drew the history.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, NamedTuple

import numpy as np

from models.errors import InputError
from models.typing import FloatArray

__all__ = ["CEILING", "MARKET_STATE", "OWN_STATE", "Law", "LawArrays"]

CEILING: Final = 2.5
"""Log-volatility stays at or below it."""
MARKET_STATE: Final = ("slow", "fast", "kick")
OWN_STATE: Final = ("slow", "fast", "kick", "trend", "log_price")
YEAR_HOURS: Final = 8766.0
_TREND_HOURS: Final = 72.0
_ASSETS: Final = {
    "BTC": (42_000.0, 0.55),
    "ETH": (2_400.0, 0.68),
    "SOL": (100.0, 0.95),
    "XRP": (0.60, 0.80),
    "LTC": (75.0, 0.75),
    "ADA": (0.55, 0.82),
}


class LawArrays(NamedTuple):
    """The parameters as the kernel takes them; A assets."""

    scale: FloatArray  # (A,) deviation of a usual hour before the log-volatility
    beta: FloatArray  # (A,) what a jump of the market is multiplied by
    usual: FloatArray  # (A,) deviation of a usual hour
    season: FloatArray  # (168,) multiplier of the deviation by hour of the week
    keep: FloatArray  # (3,) of slow, fast and trend over an hour
    deviation: FloatArray  # (2,) stationary, of slow and fast
    own: float
    leverage: float
    correlation: float  # logit of that of a usual hour
    crowding: float
    jump_rate: FloatArray  # (2,) an hour: of the market, of an asset
    jump_size: float
    jump_down: FloatArray  # (2,) share of falls
    jump_kick: float
    rebound: float
    steps: int


@dataclass(frozen=True, slots=True)
class Law:
    """Parameters of the simulated market.

    Parameters
    ----------
    assets : tuple of str
        Of BTC, ETH, SOL, XRP, LTC and ADA, which have a first price and a yearly volatility each.
    slow_hours, fast_hours : float
        Half-lives of the two factors of log-volatility, hours, 1 to 10000.
    slow_deviation, fast_deviation : float
        Their stationary deviations, 0 to 1.
    own_share : float
        Part of each factor's variance that is the asset's own, 0 to 1.
    leverage : float
        Correlation of the market's return with the next move of its fast factor, -1 to 1.
    correlation : float
        Of two assets in a usual hour, 0.01 to 0.99.
    crowding : float
        What the market's fast factor adds to the logit of the correlation, 0 to 5.
    market_jumps, own_jumps : float
        Jumps a year, 0 to 500.
    jump_size : float
        Mean size of a jump in log price, 0 to 0.3: three tenths of it, and an exponential of the rest.
    market_down, own_down : float
        Share of jumps that are falls, 0 to 1.
    jump_kick : float
        What a jump adds to log-volatility from the next hour on, 0 to 2.
    rebound : float
        Part of a jump that is given back within its hour, 0 to 1.
    steps : int
        Steps of the path inside an hour, 2 to 60.
    """

    assets: tuple[str, ...] = ("BTC", "ETH", "SOL", "XRP")
    slow_hours: float = 720.0
    fast_hours: float = 10.0
    slow_deviation: float = 0.38
    fast_deviation: float = 0.46
    own_share: float = 0.35
    leverage: float = -0.65
    correlation: float = 0.64
    crowding: float = 2.2
    market_jumps: float = 18.0
    own_jumps: float = 12.0
    jump_size: float = 0.045
    market_down: float = 0.67
    own_down: float = 0.5
    jump_kick: float = 1.0
    rebound: float = 0.45
    steps: int = 12

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        ranges = {
            **dict.fromkeys(("slow_hours", "fast_hours"), (1.0, 1e4)),
            **dict.fromkeys(("slow_deviation", "fast_deviation", "own_share", "rebound"), (0.0, 1.0)),
            **dict.fromkeys(("market_down", "own_down"), (0.0, 1.0)),
            **dict.fromkeys(("market_jumps", "own_jumps"), (0.0, 500.0)),
            "leverage": (-1.0, 1.0),
            "correlation": (0.01, 0.99),
            "crowding": (0.0, 5.0),
            "jump_size": (0.0, 0.3),
            "jump_kick": (0.0, 2.0),
            "steps": (2, 60),
        }
        for name in (f.name for f in fields(self) if f.name != "assets"):
            low, high = ranges[name]
            if not low <= getattr(self, name) <= high:
                raise InputError(name, getattr(self, name), f"{low} to {high}")
        if not self.assets or len(set(self.assets)) < len(self.assets) or not set(self.assets) <= set(_ASSETS):
            raise InputError("assets", self.assets, f"one or more different ones of {', '.join(_ASSETS)}")

    @property
    def n_state(self) -> int:
        """Numbers in a state: `MARKET_STATE`, then `OWN_STATE` of each asset."""
        return len(MARKET_STATE) + len(OWN_STATE) * len(self.assets)

    @property
    def n_normal(self) -> int:
        """Normal draws of an hour."""
        return self.steps * (1 + len(self.assets)) + 2 + 3 * len(self.assets)

    @property
    def n_uniform(self) -> int:
        """Uniform draws of an hour."""
        return 4 + 3 * len(self.assets)

    def arrays(self) -> LawArrays:
        """Give the parameters as the kernel takes them.

        Returns
        -------
        LawArrays
            Rates by the hour.
        """
        yearly = np.array([_ASSETS[a][1] for a in self.assets])
        usual = yearly / np.sqrt(YEAR_HOURS)
        level = 0.94 * np.exp(-(self.slow_deviation**2 + self.fast_deviation**2))  # jumps carry the rest
        return LawArrays(
            scale=usual * level,
            beta=yearly / 0.65,
            usual=usual,
            season=_season(),
            keep=0.5 ** (1.0 / np.array([self.slow_hours, self.fast_hours, _TREND_HOURS])),
            deviation=np.array([self.slow_deviation, self.fast_deviation]),
            own=self.own_share,
            leverage=self.leverage,
            correlation=float(np.log(self.correlation / (1.0 - self.correlation))),
            crowding=self.crowding,
            jump_rate=np.array([self.market_jumps, self.own_jumps]) / YEAR_HOURS,
            jump_size=self.jump_size,
            jump_down=np.array([self.market_down, self.own_down]),
            jump_kick=self.jump_kick,
            rebound=self.rebound,
            steps=self.steps,
        )

    def first_state(self, rng: np.random.Generator) -> FloatArray:
        """Draw a state to begin with: factors as they are in the long run, no kick, no trend.

        Parameters
        ----------
        rng : Generator
            Source of the draws.

        Returns
        -------
        ndarray, shape (n_state,)
            The state.
        """
        both = np.array([self.slow_deviation, self.fast_deviation])
        out = [*(both * rng.standard_normal(2)), 0.0]
        for a in self.assets:
            out += [*(both * rng.standard_normal(2)), 0.0, 0.0, np.log(_ASSETS[a][0])]
        return np.array(out)


def _season() -> FloatArray:
    """Multiplier of volatility by hour of the week, mean square 1: busy from 13 to 17 UTC, quiet at weekends."""
    hour = np.arange(168) % 24
    weekend = np.arange(168) // 24 >= 5
    day = 1 + 0.45 * np.exp(-0.5 * ((hour - 14.5) / 2.5) ** 2) + 0.15 * np.exp(-0.5 * ((hour - 0.5) / 1.5) ** 2)
    shape = day * np.where(weekend, 0.72, 1.0)
    return np.asarray(shape / np.sqrt(np.mean(shape**2)), np.float64)
