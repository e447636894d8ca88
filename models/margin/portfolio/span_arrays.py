"""Risk arrays of SPAN from its scan ranges, with Black-76, and the published ranges as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal

import msgspec
import numpy as np
from msgspec import Struct

from models.errors import InputError, UnknownRulesetError
from models.margin.portfolio.shocks import within
from models.options.batch import black76_many
from models.typing import FloatArray

__all__ = ["SPAN_MOVES", "SpanOption", "SpanRules", "load_span_rules", "price_scan_range", "risk_array"]

SPAN_MOVES: Final = tuple((t, v) for t in (0.0, 1 / 3, -1 / 3, 2 / 3, -2 / 3, 1.0, -1.0) for v in (1.0, -1.0))
"""Price and volatility move of the first fourteen scenarios, in ranges."""


class SpanRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scan ranges of one exchange.

    Parameters
    ----------
    name, title, effective_from : str
        Of the rules.
    source : tuple of str
        Where they are published.
    price_sigmas : dict of str to float
        Price scan range in daily deviations, by class of underlying.
    least_price_range : dict of str to float
        Floor of the price scan range, fraction of the price.
    volatility_range : dict of str to float
        Volatility scan range a year, points.
    short_option_minimum, exposure : dict of str to float
        Fractions of the notional.
    extreme_multiple, extreme_cover : float
        Extreme price move in ranges, and the share of it that counts.
    assumed : dict of str to str
        What is not published.
    """

    name: str
    title: str
    effective_from: str
    source: tuple[str, ...]
    price_sigmas: dict[str, float]
    least_price_range: dict[str, float] = {}
    volatility_range: dict[str, float]
    short_option_minimum: dict[str, float]
    exposure: dict[str, float] = {}
    extreme_multiple: float = 2.0
    extreme_cover: float = 0.35
    assumed: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Check every range once, at construction."""
        for field in ("price_sigmas", "least_price_range", "volatility_range", "short_option_minimum", "exposure"):
            for key, value in getattr(self, field).items():
                within(f"{field}.{key}", value, 0.0, 20.0)
        within("extreme_multiple", self.extreme_multiple, 1.0, 10.0)
        within("extreme_cover", self.extreme_cover, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class SpanOption:
    """An option on a future.

    Parameters
    ----------
    strike : float
        Quote currency, > 0.
    vol : float
        Implied volatility a year, > 0.
    years : float
        To expiry, > 0.
    is_call : bool
        False for a put.
    """

    strike: float
    vol: float
    years: float
    is_call: bool


@cache
def load_span_rules(name: Literal["nse", "cme"] | str) -> SpanRules:
    """Read the scan ranges of an exchange.

    Parameters
    ----------
    name : {"nse", "cme"}
        The exchange.

    Returns
    -------
    SpanRules
        Its ranges, with source.

    Raises
    ------
    UnknownRulesetError
        If there are none of that name.

    Examples
    --------
    >>> load_span_rules("nse").price_sigmas["index"]
    3.0
    """
    if name not in ("nse", "cme"):
        raise UnknownRulesetError("name", name, "'nse' or 'cme'")
    text = files("models.margin.portfolio").joinpath("data", f"span-{name}.json").read_bytes()
    return msgspec.json.decode(text, type=SpanRules)


def price_scan_range(rules: SpanRules, kind: str, price: float, daily_vol: float, days: float = 1.0) -> float:
    """Give the price scan range from the deviation of daily returns.

    Parameters
    ----------
    rules : SpanRules
        The exchange.
    kind : str
        Class of underlying, one of ``rules.price_sigmas``.
    price : float
        Price of the underlying, quote currency, > 0.
    daily_vol : float
        Standard deviation of daily log returns.
    days : float
        Look-ahead; ranges grow with its root.

    Returns
    -------
    float
        Quote currency.

    Raises
    ------
    InputError
        If the class is unknown or a number is out of range.

    Examples
    --------
    >>> round(price_scan_range(load_span_rules("nse"), "index", 20_000.0, 0.012), 6)
    720.0
    """
    if kind not in rules.price_sigmas:
        raise InputError("kind", kind, "one of " + ", ".join(rules.price_sigmas))
    within("price", price, 1e-300, 1e300)
    within("daily_vol", daily_vol, 0.0, 10.0)
    within("days", days, 0.0, 365.0)
    share = max(rules.price_sigmas[kind] * daily_vol, rules.least_price_range.get(kind, 0.0))
    return price * share * float(np.sqrt(days))


def risk_array(
    price: float,
    price_range: float,
    vol_range: float,
    option: SpanOption | None = None,
    *,
    extreme_multiple: float = 2.0,
    extreme_cover: float = 0.35,
    passed_years: float = 0.0,
    size: float = 1.0,
) -> FloatArray:
    """Compute the sixteen profits of one long contract.

    Parameters
    ----------
    price : float
        Price of the future, quote currency, > 0.
    price_range : float
        Price scan range, quote currency.
    vol_range : float
        Volatility scan range, points (0.04).
    option : SpanOption, optional
        The option; none is the future itself.
    extreme_multiple, extreme_cover : float
        Extreme move in ranges, and the share of its profit that counts.
    passed_years : float
        Time that the scenarios let pass.
    size : float
        Units of the underlying in one contract.

    Returns
    -------
    ndarray, shape (16,)
        Quote currency.

    Raises
    ------
    InputError
        If the extreme move leaves no price, or a number is out of range.

    Examples
    --------
    >>> risk_array(100.0, 9.0, 0.04).tolist()
    [0.0, 0.0, 3.0, 3.0, -3.0, -3.0, 6.0, 6.0, -6.0, -6.0, 9.0, 9.0, -9.0, -9.0, 6.3, -6.3]
    """
    within("price_range", price_range, 0.0, 1e300)
    within("vol_range", vol_range, 0.0, 10.0)
    within("passed_years", passed_years, 0.0, 100.0)
    within("extreme_multiple", extreme_multiple, 0.0, 10.0)
    if not price - extreme_multiple * price_range > 0.0:
        raise InputError("price_range", price_range, f"a range below price / {extreme_multiple:g} = {price:g} / ...")
    moves = np.array([m * price_range for m, _ in SPAN_MOVES] + [extreme_multiple * price_range * s for s in (1, -1)])
    share = np.r_[np.ones(14), extreme_cover, extreme_cover]
    if option is None:
        return size * share * moves
    vols = option.vol + vol_range * np.array([v for _, v in SPAN_MOVES] + [0.0, 0.0])
    left = max(option.years - passed_years, 0.0)
    after = _prices(price + moves, option, np.maximum(vols, 0.0) * np.sqrt(left))
    now = _prices(np.full(1, price), option, np.full(1, option.vol * np.sqrt(option.years)))
    return size * share * (after - now[0])


def _prices(forward: FloatArray, option: SpanOption, deviation: FloatArray) -> FloatArray:
    out, n = np.empty(len(forward)), len(forward)
    black76_many(forward, np.full(n, option.strike), deviation, np.full(n, option.is_call), out)
    return out
