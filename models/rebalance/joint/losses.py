"""Expected losses of pockets against added equity, by time: what weighing reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from models.rebalance.joint.worth import liquidation_of, loss_of
from models.rebalance.target import Target
from models.typing import HORIZONS, FloatArray

if TYPE_CHECKING:
    from models.rebalance.joint.run import DeskRun

__all__ = ["Losses", "losses_of"]

_SHAPE = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0])
_ROOTS = np.sqrt(np.array([0.0, *HORIZONS], np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """Curves of m pockets, r points each.

    Parameters
    ----------
    value : ndarray, shape (m, r)
        Dollars added to equity less maintenance, rising from 0.
    loss : ndarray, shape (m, r, 4)
        Expected cost of calls and liquidations by each horizon, dollars; falling along the points.
    chance : ndarray, shape (m, r, 4)
        P(liquidation) by each horizon; falling along the points.
    """

    value: FloatArray
    loss: FloatArray
    chance: FloatArray

    def within(self, k: int, minutes: float) -> tuple[FloatArray, FloatArray]:
        """Loss and P(liquidation) of one pocket within so many minutes, linear in the root of time; shape (r,) each."""
        root = min(np.sqrt(minutes), _ROOTS[-1])
        j = min(int(np.searchsorted(_ROOTS, root, side="left")), len(HORIZONS)) or 1
        share = (root - _ROOTS[j - 1]) / (_ROOTS[j] - _ROOTS[j - 1])
        out = []
        for curve in (self.loss[k], self.chance[k]):
            low = curve[:, j - 2] if j > 1 else np.zeros(len(curve))
            out.append(low + share * (curve[:, j - 1] - low))
        return out[0], out[1]


def losses_of(run: DeskRun) -> Losses:
    """Ask the predictor about the pockets of a desk that are over its target.

    Parameters
    ----------
    run : DeskRun
        The desk.

    Returns
    -------
    Losses
        Up to three times what each needs to its target. Costs are those of the policy, by their mean.
    """
    worth = run.worth
    part = worth.probe.part(slice(0, worth.count))
    amount = worth.amount[: worth.count, 4][:, None] * _SHAPE
    seen, value = part.at(amount)
    worst = liquidation_of(part, amount)
    limits = msgspec.structs.replace(run.policy.limits, risk_measure="expected")
    goals = [Target(run.target.probability, horizon) for horizon in HORIZONS]
    loss = np.stack([loss_of(seen, worst, goal, limits, len(_SHAPE)) for goal in goals], axis=2)
    chance = np.nan_to_num(worst, nan=1.0).reshape(*amount.shape, len(HORIZONS))
    order = np.argsort(value, axis=1, kind="stable")
    value = np.take_along_axis(value, order, axis=1)
    loss, chance = (np.take_along_axis(x, order[:, :, None], axis=1) for x in (loss, chance))
    falling = [np.minimum.accumulate(x, axis=1) for x in (loss * part.dollar[:, None, None], chance)]
    return Losses(value, falling[0], falling[1])
