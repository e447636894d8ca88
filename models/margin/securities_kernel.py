"""US securities margin of one block, compiled: `models.margin.securities_block` on marks by Black-76."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from models.margin._kernel import inlined, kernel
from models.margin.blocks import BlockArrays
from models.margin.securities import REG_T, SecuritiesParameters, Underlying
from models.options.kernels import black76
from models.typing import FloatArray

__all__ = ["LAYOUT", "pack_parameters", "regt_margin"]

LAYOUT: Final = ("rate", "floor", "long_term_years", "long_term_rate", "stock_long", "american")
"""What the row that the kernel reads holds, in order."""

RATE: Final = 0
FLOOR: Final = 1
LONG_YEARS: Final = 2
LONG_RATE: Final = 3
STOCK: Final = 4
AMERICAN: Final = 5
_YEAR_HOURS: Final = 8760.0


def pack_parameters(
    parameters: SecuritiesParameters = REG_T, underlying: Underlying | None = None, american: bool = True
) -> FloatArray:
    """Lay the parameters of an underlying out as the kernel reads them.

    Parameters
    ----------
    parameters : SecuritiesParameters
        The rates.
    underlying : Underlying, optional
        Its kind and leverage; its price is not looked at. Default: a stock.
    american : bool
        Whether the options may be exercised early: they are then worth their intrinsic value at least.

    Returns
    -------
    ndarray, shape (6,)
        In the order of `LAYOUT`.

    Examples
    --------
    >>> pack_parameters(underlying=Underlying(1.0, "broad", 2.0))[:2].tolist()
    [0.3, 0.2]
    """
    kind, leverage = ("equity", 1.0) if underlying is None else (underlying.kind, abs(underlying.leverage))
    rate = parameters.broad_rate if kind == "broad" else parameters.short_rate
    return np.array(
        [
            min(rate * leverage, 1.0),
            min(parameters.floor_rate * leverage, 1.0),
            parameters.long_term_days / 365.0,
            parameters.long_term_rate,
            parameters.stock_long,
            float(american),
        ],
        np.float64,
    )


@inlined
def _intrinsic(b: BlockArrays, j: int, price: float) -> float:
    gain = price - b.option_strike[j] if b.option_call[j] else b.option_strike[j] - price
    return max(gain, 0.0)


@inlined
def _mark(b: BlockArrays, i: int, j: int, e: int, spot: float, vol: float, years: float) -> float:
    forward = spot * math.exp(math.log(b.expiry_carry[e]) * years / b.expiry_years[e])
    deviation = b.option_vol[j] * vol * math.sqrt(years)
    mark = black76(forward, b.option_strike[j], deviation, b.option_call[j]) * math.exp(-b.expiry_rate[e] * years)
    if b.parameter[b.block_parameter[i] + AMERICAN] > 0.0:
        mark = max(mark, _intrinsic(b, j, spot))
    return mark


@inlined
def _addition(b: BlockArrays, p: int, j: int, spot: float) -> float:
    """What one unit of an uncovered short option needs above its mark."""
    strike, call = b.option_strike[j], b.option_call[j]
    out = max(strike - spot, 0.0) if call else max(spot - strike, 0.0)
    return max(b.parameter[p + RATE] * spot - out, b.parameter[p + FLOOR] * (spot if call else strike))


@inlined
def _is_short_call(b: BlockArrays, j: int, e: int) -> bool:
    return b.option_expiry[j] == e and b.option_call[j] and b.option_quantity[j] < 0.0


@kernel
def _cut(b: BlockArrays, first: int, last: int, e: int, units: float) -> tuple[float, float]:
    """Strike and share of it down to which `units` of the short calls are taken, highest strikes first."""
    if units <= 0.0:
        return math.inf, 0.0
    lowest = math.inf
    for j in range(first, last):
        if not _is_short_call(b, j, e):
            continue
        lowest = min(lowest, b.option_strike[j])
        above, there = 0.0, 0.0
        for k in range(first, last):
            if _is_short_call(b, k, e) and b.option_strike[k] > b.option_strike[j]:
                above -= b.option_quantity[k]
            elif _is_short_call(b, k, e) and b.option_strike[k] == b.option_strike[j]:
                there -= b.option_quantity[k]
        if above < units <= above + there:
            return b.option_strike[j], (units - above) / there
    return lowest, 1.0


@inlined
def _share(b: BlockArrays, j: int, e: int, strike: float, share: float) -> float:
    """Part of option `j` that is taken by a cut."""
    if not _is_short_call(b, j, e) or b.option_strike[j] < strike:
        return 0.0
    return share if b.option_strike[j] == strike else 1.0


@kernel
def _loss(b: BlockArrays, first: int, last: int, e: int, strike: float, share: float, price: float) -> float:
    """Loss at a price of what a cut leaves of an expiry."""
    total = 0.0
    for j in range(first, last):
        if b.option_expiry[j] == e:
            left = 1.0 - _share(b, j, e, strike, share)
            total -= left * b.option_quantity[j] * _intrinsic(b, j, price)
    return total


@kernel
def _worst(b: BlockArrays, first: int, last: int, e: int, strike: float, share: float) -> float:
    worst = max(_loss(b, first, last, e, strike, share, 0.0), 0.0)
    for j in range(first, last):
        if b.option_expiry[j] == e:
            worst = max(worst, _loss(b, first, last, e, strike, share, b.option_strike[j]))
    return worst


@kernel
def _pairs(b: BlockArrays, i: int, e: int, spot: float, strike: float, share: float) -> float:
    """Additions of the short options that a cut leaves, the dearest put paired with the dearest call, and so on."""
    p, first, last = b.block_parameter[i], b.block_option[i], b.block_option[i + 1]
    total, level = 0.0, 0.0
    while True:
        following = math.inf
        for j in range(first, last):
            if b.option_expiry[j] == e and b.option_quantity[j] < 0.0:
                each = _addition(b, p, j, spot)
                if each > level:
                    following = min(following, each)
        if following == math.inf:
            return total
        calls, puts = 0.0, 0.0
        for j in range(first, last):
            if b.option_expiry[j] == e and b.option_quantity[j] < 0.0 and _addition(b, p, j, spot) >= following:
                units = -b.option_quantity[j] * (1.0 - _share(b, j, e, strike, share))
                if b.option_call[j]:
                    calls += units
                else:
                    puts += units
        total += (following - level) * max(calls, puts)
        level = following


@kernel
def _expiry(
    b: BlockArrays, i: int, e: int, spot: float, vol: float, years: float, cover: float, excess: float
) -> tuple[float, float]:
    """Value and requirement of an expiry of which `cover` units of the calls are covered and `excess` unpaired."""
    p, first, last = b.block_parameter[i], b.block_option[i], b.block_option[i + 1]
    cover_strike, cover_share = _cut(b, first, last, e, cover)
    bare_strike, bare_share = _cut(b, first, last, e, excess)
    long_rate = b.parameter[p + LONG_RATE] if years > b.parameter[p + LONG_YEARS] else 1.0
    value, paired, alone, stock = 0.0, 0.0, 0.0, 0.0
    for j in range(first, last):
        if b.option_expiry[j] != e:
            continue
        worth = b.option_quantity[j] * _mark(b, i, j, e, spot, vol, years)
        covered = _share(b, j, e, cover_strike, cover_share)
        taken = _share(b, j, e, bare_strike, bare_share)
        value += (1.0 - covered) * worth
        paired += (1.0 - taken) * worth
        if b.option_quantity[j] > 0.0:
            alone += long_rate * worth
        elif taken > 0.0:
            paired -= (taken - covered) * b.option_quantity[j] * _addition(b, p, j, spot)
            stock -= covered * b.option_quantity[j] * (1.0 - b.parameter[p + STOCK]) * _intrinsic(b, j, spot)
    paired += _worst(b, first, last, e, bare_strike, bare_share)
    alone += _pairs(b, i, e, spot, cover_strike, cover_share)
    return value, max(min(paired, alone), 0.0) + stock


@kernel
def _settled(b: BlockArrays, i: int, e: int, spot: float) -> float:
    cash = 0.0
    for j in range(b.block_option[i], b.block_option[i + 1]):
        if b.option_expiry[j] == e:
            cash += b.option_quantity[j] * _intrinsic(b, j, spot)
    return cash


@kernel
def _calls_short(b: BlockArrays, i: int, e: int) -> float:
    """Units of short calls beyond the long ones."""
    calls = 0.0
    for j in range(b.block_option[i], b.block_option[i + 1]):
        if b.option_expiry[j] == e and b.option_call[j]:
            calls += b.option_quantity[j]
    return max(-calls, 0.0)


@kernel
def regt_margin(b: BlockArrays, i: int, spot: float, vol: float, hours: float) -> tuple[float, float, float]:
    """Give value, maintenance and initial requirement of block `i`, dollars; options need the same at both levels.

    Expiries are taken in the order of their rows. `block_spot` shares cover short calls; their own requirement is that
    of the collateral they are held as.
    """
    value, need, left = 0.0, 0.0, b.block_spot[i]
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        years = b.expiry_years[e] - hours / _YEAR_HOURS
        if years <= 0.0:
            value += _settled(b, i, e, spot)
            continue
        excess = _calls_short(b, i, e)
        cover = min(left, excess)
        left -= cover
        worth, required = _expiry(b, i, e, spot, vol, years, cover, excess)
        value, need = value + worth, need + required
    return value, need, need
