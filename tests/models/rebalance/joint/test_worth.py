"""What a call and a liquidation are counted at."""

from __future__ import annotations

import numpy as np
import pytest

from models.rebalance import Target
from models.rebalance.evaluate import Evaluation
from models.rebalance.joint.worth import loss_of
from models.rebalance.limits import RiskLimits

POINTS = 10


def test_a_liquidation_costs_its_share_and_its_flat_cost():
    p, worst = np.tile([0.0, 0.0, 0.3, 0.0], (POINTS, 1)), np.tile([0.0, 0.0, 0.1, 0.0], (POINTS, 1))
    level = np.tile([500.0, 200.0, 250.0, 300.0, 400.0, 0.0], (POINTS, 1))
    seen = Evaluation(p, level, level[:, 0], np.zeros(POINTS, np.int64), ())
    limits = RiskLimits(call_cost=10.0, liquidation_cost=40.0, liquidation_cost_rate=0.1)
    found = loss_of(seen, worst, Target(0.01, 1440), limits)
    assert found.shape == (1, POINTS)
    assert found[0, 0] == pytest.approx(0.1 * (10.0 + 40.0 + 20.0) + 0.2 * 10.0)
