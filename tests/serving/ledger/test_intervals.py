"""Intervals of what was said: blocks of days are drawn whole, so copies of a row make nothing surer."""

from __future__ import annotations

import numpy as np
import pytest

from models.typing import DAY_NS
from serving.ledger.calibration import EDGES, Score, Sums
from serving.ledger.intervals import block_of, with_intervals


def sums_of(n: int, p: float, called: int, loss: float = 1.0, prior: float = 1.2, times: int = 1) -> list[Sums]:
    """Return a block in which every horizon has n rows of the same P, `times` over."""
    bins = [(n * times, n * p * times, called * times), *[(0, 0.0, 0)] * (len(EDGES) - 1)]
    one = Sums(n * times, called * times, 0, loss * times, 0.1 * times, prior * times, bins)
    return [one] * 4


def drawn(rng: np.random.Generator, blocks: int, p: float = 0.1, rows: int = 200) -> dict[int, list[Sums]]:
    """Draw blocks whose accounts share a shock: the calls of a block come together, p on the whole."""
    found = {}
    for name in range(blocks):
        shared = rng.beta(0.5, 0.5 * (1 - p) / p)
        found[name] = sums_of(rows, p, int(rng.binomial(rows, shared)), rng.gamma(2.0), rng.gamma(2.0) + 1.0)
    return found


def one(blocks: dict[int, list[Sums]]) -> Score:
    return with_intervals(blocks)[2]


def test_the_truth_is_inside_about_as_often_as_it_is_said() -> None:
    """Expected over called is 1 in truth; with 60 blocks of calls that come together."""
    rng, inside, plain = np.random.default_rng(3), 0, 0
    for _ in range(100):
        found = one(drawn(rng, 60))
        assert found.ratio_low <= found.ratio <= found.ratio_high
        inside += found.ratio_low <= 1.0 <= found.ratio_high
        spread = 1.96 * np.sqrt(0.9 / found.expected)  # as if calls did not come together
        plain += abs(1 / found.ratio - 1.0) <= spread
    assert inside >= 86
    assert plain < 60


def test_copies_of_rows_make_nothing_surer_and_more_blocks_do() -> None:
    rng = np.random.default_rng(5)
    few = drawn(rng, 12)
    copied = {name: [Sums(s.n * 9, s.called * 9, 0, s.log_loss * 9, s.brier * 9, s.prior_log_loss * 9,
                          [(a * 9, b * 9, c * 9) for a, b, c in s.bins]) for s in part]
              for name, part in few.items()}  # fmt: skip
    a, b = one(few), one(copied)
    for name in ("ratio", "ratio_low", "ratio_high", "skill", "skill_low", "skill_high"):
        assert getattr(a, name) == pytest.approx(getattr(b, name))
    more = one(dict(enumerate(part for _ in range(6) for part in few.values())))
    assert more.skill_high - more.skill_low < 0.6 * (a.skill_high - a.skill_low)
    assert (a.blocks, more.blocks) == (12, 72)


def test_too_few_blocks_have_no_interval() -> None:
    blocks = {name: sums_of(100, 0.1, 12) for name in range(4)} | {9: sums_of(0, 0.1, 0, 0.0, 0.0)}
    found = one(blocks)
    assert (found.blocks, found.ratio_low, found.skill_high) == (4, None, None)
    assert found.ratio == pytest.approx(40 / 48)
    assert found.skill == pytest.approx(1 - 1 / 1.2)
    assert one(blocks | {9: sums_of(100, 0.1, 12)}).ratio_low is not None


def test_an_end_that_no_draw_gives_is_none() -> None:
    """One of ten blocks has calls: many draws have none, so expected over called has no upper end."""
    found = one({name: sums_of(100, 0.01, 10 if name == 3 else 0) for name in range(10)})
    assert found.ratio_low is not None
    assert found.ratio_high is None
    assert found.skill_low is not None
    nothing = one({})
    assert (nothing.n, nothing.ratio, nothing.skill, nothing.ratio_low) == (0, None, None, None)


def test_a_block_is_longer_than_the_longest_horizon() -> None:
    assert block_of(40 * DAY_NS) == block_of(44 * DAY_NS - 1) == block_of(44 * DAY_NS) - 1
