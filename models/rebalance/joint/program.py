"""The desk's problem as a sparse linear programme, with or without whole numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csc_array

from models.rebalance.joint.problem import DeskProblem, sums
from models.typing import BoolArray, FloatArray, IntArray

__all__ = ["MANY", "Program", "build_program", "coarse_steps", "covered", "covers"]

COARSE = 1_000
"""Transfers of at most so many steps have their steps as whole numbers in the programme; finer ones are rounded."""
MANY = 400
"""Above so many transfers every step is rounded: counting lots as well would cost more than it brings."""


@dataclass(slots=True, eq=False)
class _Rows:
    """Rows gathered as triplets."""

    row: list[IntArray] = field(default_factory=list)
    column: list[IntArray] = field(default_factory=list)
    value: list[FloatArray] = field(default_factory=list)
    low: list[FloatArray] = field(default_factory=list)
    high: list[FloatArray] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def add(self, name: str, n: int, low: FloatArray | float, high: FloatArray | float) -> int:
        """Open n rows, and give the first."""
        self.first[name], at = self.count, self.count
        self.low.append(np.broadcast_to(np.asarray(low, np.float64), (n,)))
        self.high.append(np.broadcast_to(np.asarray(high, np.float64), (n,)))
        self.count += n
        return at

    def put(self, row: IntArray, column: IntArray, value: FloatArray | float) -> None:
        """Set coefficients."""
        self.row.append(row)
        self.column.append(column)
        self.value.append(np.broadcast_to(np.asarray(value, np.float64), row.shape))


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Minimise ``cost @ z`` for ``row_low <= matrix @ z <= row_high`` and ``low <= z <= high``.

    Parameters
    ----------
    cost, low, high : ndarray, shape (columns,)
        Costs in dollars and bounds.
    whole : ndarray of bool, shape (columns,)
        Which columns are whole numbers.
    matrix : csc_array, shape (rows, columns)
        Coefficients.
    row_low, row_high : ndarray, shape (rows,)
        Bounds of the rows.
    first : dict of str to int
        First row of each group: value, need, pool, slot, share, run, moves, moves_of, link, least, lot, cover,
        cover_sent, cover_use.
    column : dict of str to int
        First column of each group: piece, use, lot, equity, short, cover.
    constant : float
        Dollars to add to the objective.
    """

    cost: FloatArray
    low: FloatArray
    high: FloatArray
    whole: BoolArray
    matrix: Any
    row_low: FloatArray
    row_high: FloatArray
    first: dict[str, int]
    column: dict[str, int]
    constant: float

    def amounts(self, z: FloatArray, problem: DeskProblem) -> FloatArray:
        """Units of each arc, shape (R,)."""
        pieces = problem.arcs.piece_arc
        return sums(pieces, z[: len(pieces)], len(problem.arcs))


def coarse_steps(problem: DeskProblem) -> IntArray:
    """Arcs whose steps are whole numbers in the programme."""
    a = problem.arcs
    return np.flatnonzero((a.step > 0) & (a.most <= COARSE * a.step) & (len(a) <= MANY))


def covers(problem: DeskProblem) -> IntArray:
    """Arcs whose fixed cost is charged over what their accounts need."""
    a = problem.arcs
    return np.flatnonzero(_needs_use(problem) & (problem.curves.need[a.account] > 0))


def covered(problem: DeskProblem) -> FloatArray:
    """Dollars of the need of its account that each arc can cover, shape (R,)."""
    a = problem.arcs
    return np.minimum(a.most * a.value, np.maximum(problem.curves.need[a.account], 0.0))


def build_program(
    problem: DeskProblem, whole: bool = True, elastic: bool = False, counted: bool = True, cover: bool = False
) -> Program:
    """Lay a problem out.

    Parameters
    ----------
    problem : DeskProblem
        The problem.
    whole : bool
        Whether transfers are used or not and lots are counted; if not, the fixed cost of a transfer is spread over its
        largest size, which gives a lower bound.
    elastic : bool
        Whether accounts may fall short of their needs; then the shortfall is all that is minimised.

    counted : bool
        Whether coarse lots are whole numbers as well, see `coarse_steps`.
    cover : bool
        Whether rows of cover are added, where transfers are used or not.

    Returns
    -------
    Program
        The programme.

    Notes
    -----
    Rows of cover say that what an account needs is covered by parts of its transfers,
    none of them larger than the need times whether the transfer is used. Plans in whole numbers are the same with and
    without them. The relaxation is not: it charges the fixed cost of a transfer over what its account needs and not
    over the largest size of the transfer, and its bound is close where fixed costs weigh.

    References
    ----------
    J. Krarup, O. Bilde, "Plant location, set covering and economic lot size: an O(mn)-algorithm for structured
    problems", in Numerische Methoden bei Optimierungsaufgaben 3 (1977).
    """
    a, n = problem.arcs, len(problem.accounts)
    pieces, arcs, points = len(a.piece_arc), len(a), problem.curves.value.shape[1] - 1
    lots = coarse_steps(problem) if whole and counted else np.empty(0, np.int64)
    column = {"piece": 0, "use": pieces}
    column["lot"] = pieces + (arcs if whole else 0)
    column["equity"] = column["lot"] + len(lots)
    column["short"] = column["equity"] + n * points
    column["cover"] = column["short"] + (n if elastic else 0)
    covering = covers(problem) if whole and cover else np.empty(0, np.int64)
    total = column["cover"] + len(covering)
    cost, low, high, integer = np.zeros(total), np.zeros(total), np.full(total, np.inf), np.zeros(total, np.bool_)
    most = a.most[a.piece_arc]
    spread = 0.0 if whole else (a.fixed / np.maximum(a.most, 1e-300))[a.piece_arc]
    cost[:pieces] = a.rate[a.piece_arc] + a.piece_rate + spread
    high[:pieces] = np.minimum(a.piece_width, most)
    if whole:
        cost[pieces : pieces + arcs] = a.fixed
        high[pieces : pieces + arcs] = 1.0
        integer[pieces : pieces + arcs] = _needs_use(problem)
        at = column["lot"]
        high[at : at + len(lots)] = np.floor(a.most[lots] / a.step[lots] + 1e-9)
        integer[at : at + len(lots)] = True
    width, slope = np.diff(problem.curves.value, axis=1), np.diff(problem.curves.loss, axis=1)
    cost[column["equity"] : column["short"]] = np.divide(
        slope, width, out=np.zeros_like(slope), where=width > 0
    ).ravel()
    high[column["equity"] : column["short"]] = width.ravel()
    if elastic:
        cost[:] = 0.0
        cost[column["short"] :] = 1.0
    rows = _rows(problem, column, lots, whole, elastic)
    if len(covering):
        high[column["cover"] :] = covered(problem)[covering]
        _cover_rows(problem, rows, column, covering)
    triplets = (np.concatenate(rows.value), (np.concatenate(rows.row), np.concatenate(rows.column)))
    matrix = csc_array(coo_array(triplets, shape=(rows.count, total)))
    constant = 0.0 if elastic else float(problem.curves.loss[:, 0].sum())
    bounds = np.concatenate(rows.low), np.concatenate(rows.high)
    return Program(cost, low, high, integer, matrix, *bounds, rows.first, column, constant)


def _cover_rows(p: DeskProblem, rows: _Rows, column: dict[str, int], covering: IntArray) -> None:
    """Needs are covered by parts of transfers: no more than is sent, and nothing of what is not used."""
    a, mine = p.arcs, column["cover"] + np.arange(len(covering))
    needy = p.curves.need > 0
    at = rows.add("cover", len(p.accounts), np.where(needy, p.curves.need, -np.inf), np.inf)
    rows.put(at + a.account[covering], mine, 1.0)
    place = np.full(len(a), -1)
    place[covering] = np.arange(len(covering))
    piece = np.arange(len(a.piece_arc))
    free = (place[a.piece_arc] < 0) & needy[a.account[a.piece_arc]]
    rows.put(at + a.account[a.piece_arc[free]], piece[free], a.value[a.piece_arc[free]])
    at = rows.add("cover_sent", len(covering), -np.inf, 0.0)
    rows.put(at + np.arange(len(covering)), mine, 1.0)
    inside = place[a.piece_arc] >= 0
    rows.put(at + place[a.piece_arc[inside]], piece[inside], -a.value[a.piece_arc[inside]])
    at = rows.add("cover_use", len(covering), -np.inf, 0.0)
    rows.put(at + np.arange(len(covering)), mine, 1.0)
    rows.put(at + np.arange(len(covering)), column["use"] + covering, -covered(p)[covering])


def _needs_use(problem: DeskProblem) -> BoolArray:
    """Arcs for which it matters whether they are used."""
    a = problem.arcs
    return np.asarray((a.fixed > 0) | (a.fixed_units > 0) | (a.least > 0) | problem.counts_moves, np.bool_)


def _rows(p: DeskProblem, column: dict[str, int], lots: IntArray, whole: bool, elastic: bool) -> _Rows:
    a, n, rows = p.arcs, len(p.accounts), _Rows()
    piece = np.arange(len(a.piece_arc))
    points = p.curves.value.shape[1] - 1
    equity = column["equity"] + np.arange(n * points)
    owner = np.repeat(np.arange(n), points)
    _value_rows(p, rows, column, piece, equity, owner, whole)
    at = rows.add("need", n, p.curves.need - p.curves.value[:, 0], np.inf)
    rows.put(at + owner, equity, 1.0)
    if elastic:
        rows.put(at + np.arange(n), column["short"] + np.arange(n), 1.0)
    _limit_rows(p, rows, column, piece, whole)
    if whole:
        _whole_rows(p, rows, column, piece, lots)
    return rows


def _value_rows(
    p: DeskProblem,
    rows: _Rows,
    column: dict[str, int],
    piece: IntArray,
    equity: IntArray,
    owner: IntArray,
    whole: bool,
) -> None:
    """Equity used on the curve is covered by what comes in less what goes out; no pool gives more than it has."""
    a, n = p.arcs, len(p.accounts)
    at = rows.add("value", n, p.curves.value[:, 0], np.inf)
    rows.put(at + a.account[a.piece_arc], piece, a.value[a.piece_arc])
    rows.put(at + owner, equity, -1.0)
    drawing = np.flatnonzero(a.pool[a.piece_arc] >= 0)
    arc = a.piece_arc[drawing]
    spread = 0.0 if whole else a.fixed_units[arc] / np.maximum(a.most[arc], 1e-300)
    units, pool = a.draw[arc] + spread, a.pool[arc]
    giver = p.pools.account[pool]
    given = giver >= 0
    rows.put(at + giver[given], piece[drawing][given], -(units * p.pools.value[pool])[given])
    free = rows.add("pool", len(p.pools.name), -np.inf, p.pools.free)
    rows.put(free + pool, piece[drawing], units)
    flat = np.flatnonzero((a.fixed_units > 0) & (a.pool >= 0))
    if whole and len(flat):
        rows.put(free + a.pool[flat], column["use"] + flat, a.fixed_units[flat])
        flat = flat[p.pools.account[a.pool[flat]] >= 0]
        units = a.fixed_units[flat] * p.pools.value[a.pool[flat]]
        rows.put(at + p.pools.account[a.pool[flat]], column["use"] + flat, -units)


def _limit_rows(p: DeskProblem, rows: _Rows, column: dict[str, int], piece: IntArray, whole: bool) -> None:
    a, s = p.arcs, p.slots
    slot = a.slot[a.piece_arc]
    at = rows.add("slot", len(s.name), -np.inf, s.room)
    rows.put(at + slot, piece, 1.0)
    limited = s.share < 1
    at = rows.add("share", len(s.name), -np.inf, np.where(limited, s.share * s.total - s.held, np.inf))
    mine = limited[slot]
    rows.put(at + slot[mine], piece[mine], a.value[a.piece_arc][mine])
    for one in np.flatnonzero(limited).tolist():  # the plan itself raises the total
        inside = piece[a.account[a.piece_arc] == s.account[one]]
        rows.put(np.full(len(inside), at + one), inside, -s.share[one] * a.value[a.piece_arc[inside]])
    at = rows.add("run", 1, -np.inf, np.inf if p.max_run_value is None else p.max_run_value)
    rows.put(np.full(len(piece), at), piece, a.price[a.piece_arc])
    use, share = np.arange(len(a)) + column["use"], np.ones(len(a))
    owner = a.account
    if not whole:
        use, owner, share = piece, a.account[a.piece_arc], (1.0 / np.maximum(a.most, 1e-300))[a.piece_arc]
    at = rows.add("moves", 1, -np.inf, np.inf if p.max_moves is None else float(p.max_moves))
    rows.put(np.full(len(use), at), use, share)
    most = p.max_moves_per_account
    at = rows.add("moves_of", len(p.accounts), -np.inf, np.inf if most is None else float(most))
    rows.put(at + owner, use, share)


def _whole_rows(p: DeskProblem, rows: _Rows, column: dict[str, int], piece: IntArray, lots: IntArray) -> None:
    a, arcs = p.arcs, np.arange(len(p.arcs))
    at = rows.add("link", len(a), -np.inf, 0.0)
    rows.put(at + a.piece_arc, piece, 1.0)
    rows.put(at + arcs, column["use"] + arcs, -a.most)
    small = np.flatnonzero(a.least > 0)
    at = rows.add("least", len(a), 0.0, np.inf)
    inside = np.isin(a.piece_arc, small)
    rows.put(at + a.piece_arc[inside], piece[inside], 1.0)
    rows.put(at + small, column["use"] + small, -a.least[small])
    at = rows.add("lot", len(lots), 0.0, 0.0)
    place = np.full(len(a), -1)
    place[lots] = np.arange(len(lots))
    inside = place[a.piece_arc] >= 0
    rows.put(at + place[a.piece_arc[inside]], piece[inside], 1.0)
    rows.put(at + np.arange(len(lots)), column["lot"] + np.arange(len(lots)), -a.step[lots])
