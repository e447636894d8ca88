"""The cheapest permitted pairing of an arbitrary book of options and stock on one underlying.

A broker may margin positions in whichever permitted combination needs least. Each contract is put into one of: alone;
a short put with a short call; a limited-risk combination; stock hedged with a call, a put or both. The worst loss of a
combination is a maximum of linear functions, so that merging two combinations never raises it: one combination for
each last expiry of the short options suffices (short options up to it, long ones from it on), and the least requirement
is a mixed-integer linear programme with one row for each strike of each combination. Whole contracts stay whole.

References
----------
FINRA Rule 4210(f)(2)(H) and Regulatory Notice 12-44. HiGHS through `scipy.optimize.milp`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from models.errors import InputError
from models.margin.securities import (
    REG_T,
    Level,
    OptionPosition,
    SecuritiesParameters,
    Underlying,
    stock_requirement,
)
from models.margin.securities_options import long_requirement, short_addition
from models.margin.securities_stock import hedged_stock

__all__ = ["Pairing", "Part", "paired_requirement"]

_NODES = 20_000


@dataclass(frozen=True, slots=True)
class Part:
    """One combination of a pairing: its kind, its contracts by position in the book, shares, dollars against equity."""

    kind: str
    contracts: tuple[tuple[int, float], ...]
    shares: float
    requirement: float


@dataclass(frozen=True, slots=True)
class Pairing:
    """The cheapest pairing.

    `requirement` against equity, dollars; `uncovered` market value of the short options that are margined uncovered:
    their gross requirement is higher by it.
    """

    requirement: float
    uncovered: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class _Column:
    kind: str
    legs: tuple[int, ...]
    shares: float
    cost: float
    bucket: float = -1.0


def paired_requirement(
    options: Sequence[OptionPosition],
    underlying: Underlying,
    shares: float = 0.0,
    level: Level = "maintenance",
    parameters: SecuritiesParameters = REG_T,
) -> Pairing:
    """Give the least requirement of a book over all permitted pairings.

    Parameters
    ----------
    options : sequence of OptionPosition
        All on `underlying`, with one multiplier.
    underlying : Underlying
        What they are on.
    shares : float
        Shares held with them, < 0 short.
    level : {"initial", "maintenance"}
        Of the stock; options need the same at both.
    parameters : SecuritiesParameters
        The rates.

    Returns
    -------
    Pairing
        Requirement against equity and the combinations it comes from.

    Raises
    ------
    InputError
        If the multipliers differ or the programme cannot be solved.

    Notes
    -----
    Quantities that are not all whole are paired as fractions. The search is bounded (20,000 nodes): beyond, the best
    pairing found is given, which is permitted but may not be the cheapest.

    Examples
    --------
    >>> book = [OptionPosition(True, 120.0, -1, 8.4), OptionPosition(True, 125.0, 1, 3.8)]
    >>> pairing = paired_requirement(book, Underlying(128.5))
    >>> round(pairing.requirement, 2), [part.kind for part in pairing.parts]
    (40.0, ['limited risk'])
    """
    held = [o for o in options if o.quantity != 0]
    if not held:
        only = stock_requirement(shares, underlying.price, level, parameters)
        return Pairing(only, 0.0, (Part("stock", (), shares, only),) if shares else ())
    if len({o.multiplier for o in held}) > 1:
        raise InputError("options", sorted({o.multiplier for o in held}), "options with one multiplier")
    columns = [
        *_alone(held, underlying, shares, level, parameters),
        *_hedged(held, underlying, shares, level, parameters),
    ]
    return _solve([i for i, o in enumerate(options) if o.quantity != 0], held, columns, shares)


def _alone(
    held: list[OptionPosition], underlying: Underlying, shares: float, level: Level, p: SecuritiesParameters
) -> Iterator[_Column]:
    """Columns of single options, straddles, limited-risk combinations and stock by itself."""
    short = [i for i, o in enumerate(held) if o.quantity < 0]
    addition = {i: short_addition(held[i], underlying, p) / abs(held[i].quantity) for i in short}
    for i, o in enumerate(held):
        if i in addition:
            yield _Column("uncovered", (i,), 0.0, addition[i])
        else:
            yield _Column("long", (i,), 0.0, long_requirement(o, p) / o.quantity)
    for i, j in product(short, short):
        if held[i].is_call and not held[j].is_call:
            yield _Column("straddle", (i, j), 0.0, max(addition[i], addition[j]))
    for last in sorted({held[i].days for i in short}):
        for i, o in enumerate(held):
            if (o.days <= last) if o.quantity < 0 else (o.days >= last):
                yield _Column("limited risk", (i,), 0.0, o.value / abs(o.quantity), last)
    if shares:
        side = 1.0 if shares > 0 else -1.0
        yield _Column("stock", (), 1.0, stock_requirement(side, underlying.price, level, p))


def _hedged(
    held: list[OptionPosition], underlying: Underlying, shares: float, level: Level, p: SecuritiesParameters
) -> Iterator[_Column]:
    """Columns of a contract's worth of stock with a call, a put or both on it."""
    if not shares:
        return
    side = 1 if shares > 0 else -1
    size = held[0].multiplier
    calls: list[int | None] = [None, *(i for i, o in enumerate(held) if o.is_call and side * o.quantity < 0)]
    puts: list[int | None] = [None, *(i for i, o in enumerate(held) if not o.is_call and side * o.quantity > 0)]
    for i, j in product(calls, puts):
        legs = tuple(k for k in (i, j) if k is not None)
        call, put = None if i is None else held[i], None if j is None else held[j]
        if not legs or not _may_hedge(side, call, put):
            continue
        cost = size * hedged_stock(side, underlying.price, call, put, level, p)
        premium = sum(held[k].value / abs(held[k].quantity) for k in legs)
        yield _Column("hedged stock", legs, size, cost + premium)


def _may_hedge(side: int, call: OptionPosition | None, put: OptionPosition | None) -> bool:
    if call is None or put is None:
        return True
    if call.days != put.days:
        return False
    return put.strike <= call.strike if side > 0 else put.strike == call.strike


def _solve(index: list[int], held: list[OptionPosition], columns: list[_Column], shares: float) -> Pairing:
    buckets = sorted({c.bucket for c in columns if c.bucket >= 0})
    count, width = len(columns), len(columns) + len(buckets)
    cost = np.array([*(c.cost for c in columns), *(1.0 for _ in buckets)])
    whole = all(float(o.quantity).is_integer() for o in held)
    integrality = np.array([int(whole and c.kind != "stock") for c in columns] + [0] * len(buckets))
    take, equal = _uses(held, columns, shares, width)
    least = _losses(held, columns, buckets, width)
    rules = [LinearConstraint(take, equal, equal)]
    if buckets:
        rules.append(LinearConstraint(least, 0.0, np.inf))
    options = {"mip_rel_gap": 0.0, "node_limit": _NODES}
    found = milp(cost, integrality=integrality, bounds=Bounds(0.0, np.inf), constraints=rules, options=options)
    if found.x is None:
        raise InputError("options", len(held), f"a book that can be paired ({found.message})")
    amount = np.where(np.abs(found.x) < 1e-9, 0.0, found.x)
    parts = tuple(_parts(index, columns, buckets, amount, 1.0 if shares > 0 else -1.0))
    bare = ("uncovered", "straddle")
    premium = sum(
        n * held[i].value / held[i].quantity
        for c, n in zip(columns, amount[:count], strict=True)
        if c.kind in bare
        for i in c.legs
    )
    return Pairing(float(cost @ amount), float(premium), parts)


def _uses(
    held: list[OptionPosition], columns: list[_Column], shares: float, width: int
) -> tuple[csr_array, np.ndarray]:
    """Rows that use every contract, and every share, exactly once."""
    rows = [(i, k, 1.0) for k, c in enumerate(columns) for i in c.legs]
    equal = [abs(o.quantity) for o in held]
    if shares:
        rows += [(len(held), k, c.shares) for k, c in enumerate(columns) if c.shares]
        equal.append(abs(shares))
    return _sparse(rows, (len(equal), width)), np.array(equal)


def _losses(held: list[OptionPosition], columns: list[_Column], buckets: list[float], width: int) -> csr_array:
    """Rows ``worst loss + payoff >= 0`` for each strike of each combination, and no short calls on balance."""
    prices = [0.0, *sorted({o.strike for o in held})]
    rows, row = [], 0
    for b, last in enumerate(buckets):
        inside = [(k, held[c.legs[0]]) for k, c in enumerate(columns) if c.bucket == last]
        for price in prices:
            rows += [(row, k, o.payoff(price) * o.multiplier * np.sign(o.quantity)) for k, o in inside]
            rows.append((row, len(columns) + b, 1.0))
            row += 1
        rows += [(row, k, np.sign(o.quantity)) for k, o in inside if o.is_call]
        row += 1
    return _sparse(rows, (row, width))


def _sparse(rows: list[tuple[int, int, float]], shape: tuple[int, int]) -> csr_array:
    i, j, value = zip(*rows, strict=True) if rows else ((), (), ())
    return csr_array((value, (i, j)), shape=shape)


def _parts(
    index: list[int], columns: list[_Column], buckets: list[float], amount: np.ndarray, side: float
) -> Iterator[Part]:
    for column, n in zip(columns, amount, strict=False):
        if n > 0 and column.bucket < 0:
            contracts = tuple((index[i], float(n)) for i in column.legs)
            yield Part(column.kind, contracts, side * column.shares * float(n), float(n * column.cost))
    for b, last in enumerate(buckets):
        inside = [(c, n) for c, n in zip(columns, amount, strict=False) if c.bucket == last and n > 0]
        if inside:
            total = amount[len(columns) + b] + sum(n * c.cost for c, n in inside)
            yield Part("limited risk", tuple((index[c.legs[0]], float(n)) for c, n in inside), 0.0, float(total))
