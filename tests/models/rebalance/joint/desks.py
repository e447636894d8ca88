"""Small random desks, and their optimum by trying everything."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.rebalance.joint.problem import Arcs, Curves, DeskProblem, Pools, Slots
from models.typing import FloatArray


def random_desk(seed: int) -> DeskProblem:
    """Return two or three accounts, two or three pools, up to six transfers in lots, with limits of every kind."""
    rng = np.random.default_rng(seed)
    n, k, r = int(rng.integers(2, 4)), int(rng.integers(2, 4)), int(rng.integers(4, 7))
    price = rng.choice([1.0, 1.0, 2.0, 50.0], k)
    pool = rng.integers(0, k, r)
    account = np.concatenate([np.arange(n), rng.integers(0, n, r - n)])
    step = rng.choice([20.0, 25.0, 50.0], r) / price[pool]
    ratio = rng.choice([1.0, 1.0, 0.95, 0.9, 0.8], r)
    pairs = sorted(set(zip(account.tolist(), pool.tolist(), strict=True)))
    slot = np.array([pairs.index(pair) for pair in zip(account.tolist(), pool.tolist(), strict=True)])
    pieces = [(i, np.inf, 0.0) for i in range(r)]
    if rng.random() < 0.5:
        pieces[0:1] = [(0, 2 * step[0], 0.0), (0, np.inf, 0.01 * price[pool[0]])]
    arcs = Arcs(
        pool=pool,
        account=account,
        slot=slot,
        price=price[pool],
        value=price[pool] * ratio,
        least=step * rng.integers(0, 3, r),
        most=step * rng.integers(3, 6, r),
        step=step,
        fixed=rng.choice([0.0, 0.5, 2.0, 8.0], r),
        fixed_units=rng.choice([0.0, 0.0, 1.0], r) / price[pool],
        rate=rng.uniform(0.0005, 0.03, r) * price[pool],
        draw=1.0 + rng.choice([0.0, 0.001], r),
        piece_arc=np.array([p[0] for p in pieces]),
        piece_width=np.array([p[1] for p in pieces]),
        piece_rate=np.array([p[2] for p in pieces]),
    )
    pools = Pools(
        tuple(f"pool {i}" for i in range(k)), rng.uniform(150, 420, k) / price, price, np.full(k, -1), np.zeros(k)
    )
    share = np.where(rng.random(len(pairs)) < 0.2, 0.6, 1.0)
    slots = Slots(
        tuple(f"slot {i}" for i in range(len(pairs))),
        np.array([pair[0] for pair in pairs]),
        np.where(rng.random(len(pairs)) < 0.2, 120.0, np.inf) / price[[pair[1] for pair in pairs]],
        share,
        np.where(share < 1, 20.0, 0.0),
        np.full(len(pairs), 200.0),
    )
    need = rng.uniform(20, 110, n)
    grid = need[:, None] * np.array([0.0, 0.5, 1.0, 1.3, 1.8])
    loss = rng.uniform(5, 60, n)[:, None] * np.array([1.0, 0.5, 0.2, 0.1, 0.05])
    moves = None if rng.random() < 0.6 else int(rng.integers(n, n + 2))
    each = None if rng.random() < 0.7 else 1
    curves = Curves(grid, loss, need)
    return DeskProblem(arcs, pools, slots, curves, tuple(f"account {i}" for i in range(n)), moves, each)


def trading_desk(seed: int) -> DeskProblem:
    """Return two accounts in need and one that gives what is due to it, with a transfer each, a recall to both on one
    inventory, a swap from a balance and two hedges of one exposure, and a loan; all in lots.
    """
    rng = np.random.default_rng(seed)
    account = np.array([0, 1, 0, 1, 0, 1, 1, 0])
    pool = np.array([0, 0, 1, 1, 2, 3, 3, 4])  # wallet, due, balance, exposure (dollars), credit line
    price = np.array([1.0, 1.0, 1.0, 1.0, 50.0, 100.0, 1.0, 1.0])
    step = rng.choice([20.0, 25.0, 50.0], 8) / np.array([1, 1, 1, 1, 50.0, 25.0, 0.25, 1])
    due = rng.choice([40.0, 60.0, 100.0])
    step[2:4] = 20.0
    worth = np.array([1.0, 1.0, 0.95, 0.95, rng.uniform(0.02, 0.5), rng.uniform(0.05, 0.3), 0.0, 1.0])
    worth[6] = worth[5] * rng.uniform(0.8, 1.2)
    pieces = [(i, np.inf, 0.0) for i in range(8)]
    pieces[5:6] = [(5, step[5], 0.0), (5, np.inf, 0.004 * price[5])]
    costs = np.array([rng.uniform(0.001, 0.05) for _ in range(8)])
    arcs = Arcs(
        pool=pool, account=account, slot=np.arange(8), price=price, value=price * worth,
        least=step * rng.integers(0, 2, 8), most=step * rng.integers(2, 5, 8), step=step,
        fixed=rng.choice([0.0, 0.5, 2.0], 8), fixed_units=np.zeros(8), rate=costs * price * worth,
        draw=np.where(pool == 3, price, 1.0),
        piece_arc=np.array([p[0] for p in pieces]), piece_width=np.array([p[1] for p in pieces]),
        piece_rate=np.array([p[2] for p in pieces]),
    )  # fmt: skip
    pools = Pools(
        ("wallet", "due", "balance", "exposure", "line"),
        np.array([rng.uniform(20, 120), due, rng.uniform(1.0, 5.0), rng.uniform(100, 800), rng.uniform(20, 200)]),
        np.array([1.0, 1.0, 50.0, 1.0, 1.0]),
        np.array([-1, 2, -1, -1, -1]),
        np.array([0.0, 0.95, 0.0, 0.0, 0.0]),
        np.array([False, False, True, True, False]),
    )
    slots = Slots(
        tuple(f"slot {i}" for i in range(8)), account, np.full(8, np.inf), np.ones(8), np.zeros(8), np.zeros(8)
    )
    spare = 0.95 * due
    need = np.array([*rng.uniform(20, 110, 2), -spare])
    shape = np.array([0.0, 0.5, 1.0, 1.3, 1.8])
    grid = np.vstack([need[:2, None] * shape, -spare * np.array([1.0, 0.7, 0.4, 0.1, 0.0])])
    loss = np.array([*rng.uniform(5, 60, 2), rng.uniform(0.0, 3.0)])[:, None] * np.array([1.0, 0.5, 0.2, 0.1, 0.05])
    moves = None if rng.random() < 0.6 else int(rng.integers(2, 4))
    return DeskProblem(arcs, pools, slots, Curves(grid, loss, need), ("account 0", "account 1", "giver"), moves)


def scarce(problem: DeskProblem, share: float) -> DeskProblem:
    """Return the desk with a share of its inventory."""
    return replace(problem, pools=replace(problem.pools, free=problem.pools.free * share))


def exhaustive(p: DeskProblem) -> tuple[float, float]:
    """Return the lowest cost of all lots that keep every limit and meet every need, inf where none does; and the lowest
    sum of shortfalls of all lots that keep every limit.

    Written from the problem's words, apart from the code under test: every combination is priced at once.
    """
    x = _all_lots(p)
    a, used = p.arcs, x > 0
    added = np.stack([(x * a.value)[:, a.account == i].sum(axis=1) for i in range(len(p.accounts))], axis=1)
    for k, giver in enumerate(p.pools.account.tolist()):
        if giver >= 0:
            added[:, giver] -= (x * a.draw + used * a.fixed_units)[:, a.pool == k].sum(axis=1) * p.pools.value[k]
    ok = _allowed(p, x, added)
    cost = used @ a.fixed + x @ a.rate + _impact(p, x)
    for i in range(len(p.accounts)):
        cost = cost + np.interp(added[:, i], p.curves.value[i], p.curves.loss[i])
    short = np.maximum(p.curves.need - added, 0.0).sum(axis=1)
    met = ok & (short <= 1e-9)
    return float(np.min(cost[met], initial=np.inf)), float(np.min(short[ok]))


def _all_lots(p: DeskProblem) -> FloatArray:
    a = p.arcs
    first = [max(1, round(a.least[i] / a.step[i])) for i in range(len(a))]
    counts = [[0, *range(first[i], round(a.most[i] / a.step[i]) + 1)] for i in range(len(a))]
    return np.array(list(itertools.product(*counts)), float) * a.step


def _impact(p: DeskProblem, x: FloatArray) -> FloatArray:
    a, out = p.arcs, np.zeros(len(x))
    for arc in range(len(a)):
        start = 0.0
        for width, rate in zip(a.piece_width[a.piece_arc == arc], a.piece_rate[a.piece_arc == arc], strict=True):
            out += np.clip(x[:, arc] - start, 0.0, width) * rate
            start += width
    return out


def _allowed(p: DeskProblem, x: FloatArray, added: FloatArray) -> NDArray[np.bool_]:
    a, used, ok = p.arcs, x > 0, np.ones(len(x), bool)
    for k, free in enumerate(p.pools.free):
        units = (x * a.draw + used * a.fixed_units)[:, a.pool == k]
        ok &= units.sum(axis=1) <= free + 1e-9
    for s, owner in enumerate(p.slots.account):
        ok &= x[:, a.slot == s].sum(axis=1) <= p.slots.room[s] + 1e-9
        if p.slots.share[s] < 1:
            worth = (x * a.value)[:, a.slot == s].sum(axis=1)
            most = p.slots.share[s] * (p.slots.total[s] + added[:, owner])
            ok &= (worth == 0) | (p.slots.held[s] + worth <= most + 1e-9)
    if p.max_moves is not None:
        ok &= used.sum(axis=1) <= p.max_moves
    for i in range(len(p.accounts)) if p.max_moves_per_account is not None else ():
        ok &= used[:, a.account == i].sum(axis=1) <= p.max_moves_per_account
    return ok
