"""US securities margin of a book by a rule that needs no allocation search: fast enough for replay, never too little.

Each expiry is taken by itself, nearest first. Short calls beyond the long ones are covered by the shares that are left,
highest strikes first; what shares do not cover stays uncovered. The rest of the expiry needs the lesser of

* the worst loss of the whole expiry, its long options in full, and the additions of the uncovered calls;
* its long options by themselves and the additions of all its short ones, puts and calls paired.

Both are permitted pairings, so that the result is at least that of `securities_pairing`. What it leaves out: long
options of a later expiry, and the relief of protected stock. A covered call counts nothing in equity; in the money the
stock counts at the strike, which takes ``(1 - 25%) (S - K)`` of what stock alone would carry.

References
----------
FINRA Rule 4210(f)(2)(H) and Regulatory Notice 12-44; Cboe "Strategy-based Margin" (read 2026-09).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.margin.securities import REG_T, OptionPosition, SecuritiesParameters, Underlying
from models.margin.securities_kernel import pack_parameters, regt_margin
from models.margin.securities_options import long_requirement, short_addition, short_pair_addition, worst_loss

__all__ = ["block_requirement", "pack_parameters", "regt_margin"]


def block_requirement(
    options: Sequence[OptionPosition],
    underlying: Underlying,
    shares: float = 0.0,
    parameters: SecuritiesParameters = REG_T,
) -> tuple[float, float]:
    """Give what options add to equity, and what they require of it.

    Parameters
    ----------
    options : sequence of OptionPosition
        All on `underlying`; options of equal `days` make an expiry.
    underlying : Underlying
        What they are on.
    shares : float
        Long shares that cover short calls, whether or not that is cheapest (`paired_requirement` chooses); their own
        requirement is not part of the result.
    parameters : SecuritiesParameters
        The rates.

    Returns
    -------
    tuple of float
        Value (covered calls left out) and requirement (>= 0), dollars.

    Examples
    --------
    >>> condor = [OptionPosition(False, 1000.0, 1, 32.0), OptionPosition(False, 1025.0, -1, 35.1),
    ...           OptionPosition(True, 1150.0, -1, 9.4), OptionPosition(True, 1175.0, 1, 6.3)]
    >>> [round(x) for x in block_requirement(condor, Underlying(1060.0))]
    [-620, 1880]
    >>> block_requirement([OptionPosition(True, 90.0, -1, 7.0)], Underlying(92.0), shares=100.0)
    (0.0, 150.0)
    """
    value = need = 0.0
    left = max(shares, 0.0)
    for days in sorted({o.days for o in options}):
        expiry = [o for o in options if o.days == days]
        excess = max(-sum(o.quantity * o.multiplier for o in expiry if o.is_call), 0.0)
        cover = min(left, excess)
        left -= cover
        added, required = _expiry(expiry, underlying, cover, excess, parameters)
        value, need = value + added, need + required
    return value, need


def _expiry(
    expiry: list[OptionPosition], underlying: Underlying, cover: float, excess: float, p: SecuritiesParameters
) -> tuple[float, float]:
    """Value and requirement of one expiry of which `cover` units of the calls are covered and `excess` unpaired."""
    covered, open_ = _take(expiry, cover)
    bare, rest = _take(open_, excess - cover)
    long = [o for o in expiry if o.quantity > 0]
    short = [o for o in open_ if o.quantity < 0]
    paired = worst_loss(rest) + sum(o.value for o in rest) + sum(short_addition(o, underlying, p) for o in bare)
    alone = sum(long_requirement(o, p) for o in long) + short_pair_addition(short, underlying, p)
    stock = sum((1.0 - p.stock_long) * o.units * o.payoff(underlying.price) for o in covered)
    return sum(o.value for o in open_), max(min(paired, alone), 0.0) + stock


def _take(expiry: list[OptionPosition], units: float) -> tuple[list[OptionPosition], list[OptionPosition]]:
    """Divide an expiry into so many units of its short calls, highest strikes first, and the rest."""
    short = [o for o in expiry if o.is_call and o.quantity < 0]
    share: dict[float, float] = {}
    for strike in sorted({o.strike for o in short}, reverse=True):
        there = sum(o.units for o in short if o.strike == strike)
        share[strike] = min(units / there, 1.0)
        units -= share[strike] * there
    taken = [replace(o, quantity=o.quantity * share[o.strike]) for o in short if share[o.strike] > 0]
    kept = [replace(o, quantity=o.quantity * (1.0 - share[o.strike])) for o in short if share[o.strike] < 1]
    return taken, [*(o for o in expiry if not (o.is_call and o.quantity < 0)), *kept]
