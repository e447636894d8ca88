"""Standard margin (SRM) of one block, compiled: `models.margin.srm` at a stable coin at par and full confidence."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from models.margin._kernel import inlined, kernel
from models.margin.blocks import BlockArrays
from models.margin.srm_parameters import SrmParameters
from models.options.kernels import black76
from models.typing import FloatArray

__all__ = ["LAYOUT", "pack_parameters", "srm_margin"]

LAYOUT: Final = (
    "perp_maintenance",
    "perp_initial",
    "initial_spot_max",
    "initial_spot_min",
    "maintenance_call",
    "maintenance_put",
    "maintenance_put_mark",
    "unpaired_initial",
    "unpaired_maintenance",
    "put_offset",
)
"""Fields of `SrmParameters` in the order of the row that the kernel reads."""

PERP_MM: Final = 0
PERP_IM: Final = 1
SPOT_MAX: Final = 2
SPOT_MIN: Final = 3
CALL_MM: Final = 4
PUT_MM: Final = 5
PUT_MARK: Final = 6
UNPAIRED_IM: Final = 7
UNPAIRED_MM: Final = 8
PUT_OFFSET: Final = 9
_YEAR_HOURS: Final = 8760.0


def pack_parameters(parameters: SrmParameters) -> FloatArray:
    """Lay the parameters of a market out as the kernel reads them.

    Parameters
    ----------
    parameters : SrmParameters
        Parameters of the market.

    Returns
    -------
    ndarray, shape (10,)
        In the order of `LAYOUT`.

    Examples
    --------
    >>> from models.margin.srm_parameters import MAINNET
    >>> pack_parameters(MAINNET["BTC"])[:2].tolist()
    [0.065, 0.1]
    """
    return np.array([getattr(parameters, field) for field in LAYOUT], np.float64)


@inlined
def _short_maintenance(b: BlockArrays, p: int, is_call: bool, spot: float, mark: float) -> float:
    """Maintenance of one short option over its mark."""
    if is_call:
        return b.parameter[p + CALL_MM] * spot
    return max(b.parameter[p + PUT_MM] * spot, b.parameter[p + PUT_MARK] * mark)


@inlined
def _short_initial(b: BlockArrays, p: int, is_call: bool, strike: float, spot: float, mark: float) -> float:
    """Initial margin of one short option over its mark."""
    out = max(strike - spot, 0.0) if is_call else max(spot - strike, 0.0)
    need = max(b.parameter[p + SPOT_MAX] * spot - out, b.parameter[p + SPOT_MIN] * spot)
    if is_call:
        return need
    maintenance = mark + _short_maintenance(b, p, False, spot, mark)
    return max(need, maintenance * b.parameter[p + PUT_OFFSET] - mark)


@kernel
def _payoff(b: BlockArrays, first: int, last: int, e: int, price: float) -> float:
    """What the options of expiry `e` pay at a settlement price."""
    total = 0.0
    for j in range(first, last):
        if b.option_expiry[j] == e:
            gain = price - b.option_strike[j] if b.option_call[j] else b.option_strike[j] - price
            total += b.option_quantity[j] * max(gain, 0.0)
    return total


@kernel
def _worst(b: BlockArrays, first: int, last: int, e: int) -> float:
    """Least payoff of expiry `e` over its strikes and zero, <= 0."""
    worst = min(_payoff(b, first, last, e, 0.0), 0.0)
    for j in range(first, last):
        if b.option_expiry[j] == e:
            worst = min(worst, _payoff(b, first, last, e, b.option_strike[j]))
    return worst


@kernel
def _expiry(b: BlockArrays, i: int, e: int, spot: float, vol: float, years: float) -> tuple[float, float, float]:
    """Mark, net maintenance and net initial margin of the options of expiry `e`."""
    p, first, last = b.block_parameter[i], b.block_option[i], b.block_option[i + 1]
    forward = spot * math.exp(math.log(b.expiry_carry[e]) * years / b.expiry_years[e])
    root = vol * math.sqrt(years)
    value, calls, isolated_mm, isolated_im = 0.0, 0.0, 0.0, 0.0
    for j in range(first, last):
        if b.option_expiry[j] != e:
            continue
        strike, call, size = b.option_strike[j], b.option_call[j], b.option_quantity[j]
        mark = black76(forward, strike, b.option_vol[j] * root, call)
        value += size * mark
        if call:
            calls += size
        if size < 0.0:
            isolated_mm += size * (mark + _short_maintenance(b, p, call, spot, mark))
            isolated_im += size * (mark + _short_initial(b, p, call, strike, spot, mark))
    worst, unpaired = _worst(b, first, last, e), min(calls, 0.0) * forward
    mm = max(isolated_mm, worst + unpaired * b.parameter[p + UNPAIRED_MM])
    im = max(isolated_im, worst + unpaired * b.parameter[p + UNPAIRED_IM])
    return value, mm, im


@kernel
def srm_margin(b: BlockArrays, i: int, spot: float, vol: float, hours: float) -> tuple[float, float, float]:
    """Give value, maintenance and initial margin of block `i`, quote currency.

    ``value - maintenance`` and ``value - initial`` are what the options and futures add to the net margins. The value
    is the mark-to-market; where marks allow arbitrage it is raised so that no requirement is negative.
    """
    p = b.block_parameter[i]
    value, mm, im = 0.0, 0.0, 0.0
    delta_one = abs(b.block_perpetual[i]) * spot
    for e in range(b.block_expiry[i], b.block_expiry[i + 1]):
        years = b.expiry_years[e] - hours / _YEAR_HOURS
        if years <= 0.0:
            cash = _payoff(b, b.block_option[i], b.block_option[i + 1], e, spot)
            value, mm, im = value + cash, mm + cash, im + cash
            continue
        v, m, n = _expiry(b, i, e, spot, vol, years)
        value, mm, im = value + v, mm + m, im + n
        carry = math.exp(math.log(b.expiry_carry[e]) * years / b.expiry_years[e])
        delta_one += abs(b.expiry_future[e]) * spot * carry
    value = max(value, max(mm, im))
    return (
        value,
        value - mm + b.parameter[p + PERP_MM] * delta_one,
        value - im + b.parameter[p + PERP_IM] * delta_one,
    )
