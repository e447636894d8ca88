"""Two ways to price an account at a moment: the venue's own fills, and the bars of another venue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.real.accounts import Snapshots
from benchmarks.real.records import Records
from features.sources import load_panel
from models.errors import MissingMarketError
from models.market import MarketPanel
from models.typing import FloatArray, IntArray

BARS: Final = ("5m", "15m", "1h")
"""Shortest first: the shorter the bar that holds the moment, the tighter its extreme."""


@dataclass(frozen=True, slots=True)
class LegPrices:
    """Price of each position, shape (m,); NaN where there is none.

    Parameters
    ----------
    price : ndarray
        In dollars.
    age_seconds : ndarray
        Age of a venue price, infinite where there is none; 0 for bars.
    """

    price: FloatArray
    age_seconds: FloatArray


class VenuePrices:
    """The last fill of a coin by any of the accounts, before the second of the moment.

    Fills of liquidations are left out: they are booked at the price that leaves the account nothing, not at a price of
    the market. Fills of the same second are left out as their order in the block is not known.
    """

    def __init__(self, records: Records) -> None:
        market = records.fills[~records.fills["seized"]]
        self._coins = {
            str(coin): (part["time"].to_numpy(np.int64), part["price"].to_numpy(np.float64))
            for coin, part in market.groupby("coin", sort=False)
        }

    def at(self, states: Snapshots) -> LegPrices:
        """Price every position at the instant of its state."""
        when = states.time[states.row]
        price, age = np.full(len(when), np.nan), np.full(len(when), np.inf)
        for coin in set(states.coin):
            if coin not in self._coins:
                continue
            times, prices = self._coins[coin]
            legs = np.flatnonzero(states.coin == coin)
            found = np.searchsorted(times, when[legs], side="left") - 1
            legs, found = legs[found >= 0], found[found >= 0]
            price[legs], age[legs] = prices[found], (when[legs] - times[found]) / 1e9
        return LegPrices(price, age)


class BarPrices:
    """The extreme, adverse to the position, of the bar that holds the moment.

    An extreme of the whole bar, part of which may lie after the moment: the bound that is easiest on the engine at a
    liquidation, and hardest on it at a quiet moment.
    """

    def __init__(self, panels: dict[str, MarketPanel]) -> None:
        self.panels = panels

    def at(self, states: Snapshots) -> LegPrices:
        """Price every position at the instant of its state."""
        when, price = states.time[states.row], np.full(len(states.row), np.nan)
        for coin in set(states.coin) & set(self.panels):
            panel = self.panels[coin]
            legs = np.flatnonzero(states.coin == coin)
            bar = (when[legs] - panel.start) // panel.step
            legs, bar = legs[(bar >= 0) & (bar < panel.n_bars)], bar[(bar >= 0) & (bar < panel.n_bars)]
            price[legs] = np.where(states.quantity[legs] > 0, panel.low[0, bar], panel.high[0, bar])
        return LegPrices(price, np.zeros(len(price)))

    def describe(self) -> dict[str, str]:
        """Kind and length of the bars of each coin."""
        return {coin: f"{p.source[0]} {p.bar_minutes}m" for coin, p in sorted(self.panels.items())}


def load_bars(root: str | Path, coins: list[str], start: str, end: str) -> BarPrices:
    """Take, for each coin, the shortest bars there are; of one length mark before perp before spot."""
    found: dict[str, MarketPanel] = {}
    for coin in coins:
        for bar in BARS:
            try:
                found[coin] = load_panel(root, [coin], bar, start, end)
            except MissingMarketError:
                continue
            break
    return BarPrices(found)


def price_table(states: Snapshots, legs: LegPrices, assets: tuple[str, ...]) -> FloatArray:
    """Prices as `margin_levels` takes them, shape (n, A); NaN where the account does not hold the asset."""
    out = np.full((len(states), len(assets)), np.nan)
    index = {a: i for i, a in enumerate(assets)}
    out[states.row, [index[c] for c in states.coin]] = legs.price
    return out


def by_state(states: Snapshots, values: FloatArray, empty: float = 0.0) -> FloatArray:
    """Largest value over the positions of each state, shape (n,)."""
    out = np.full(len(states), empty)
    np.maximum.at(out, states.row, values)
    return out


def notional(states: Snapshots, legs: LegPrices) -> FloatArray:
    """Gross value of the positions of each state, shape (n,)."""
    out = np.zeros(len(states))
    np.add.at(out, states.row, np.abs(states.quantity) * legs.price)
    return out


def hours_between(first: int, last: int) -> IntArray:
    """Whole hours from `first` to `last`, nanoseconds."""
    hour = 3_600_000_000_000
    return np.arange(-(-first // hour), last // hour + 1, dtype=np.int64) * hour
