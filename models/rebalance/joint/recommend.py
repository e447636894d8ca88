"""From accounts and a policy to the plan of the whole desk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from models.account import Account
from models.errors import Failure
from models.margin.valuation import Volatility
from models.rebalance.evaluate import Predict
from models.rebalance.joint.plan import DeskPlan
from models.rebalance.joint.run import DeskRun
from models.rebalance.joint.tails import Scenarios
from models.rebalance.policy import Policy
from models.rebalance.target import Target
from models.typing import FloatArray

__all__ = ["recommend_desk"]


def recommend_desk(
    accounts: Sequence[Account],
    assets: Sequence[str],
    prices: FloatArray,
    predict: Predict,
    policy: Policy,
    target: Target | None = None,
    now: datetime | None = None,
    volatility: Volatility | FloatArray | None = None,
    time_limit: float = 5.0,
    gap: float = 0.001,
    age_minutes: FloatArray | None = None,
    reduce: bool = False,
    release: bool = False,
    scenarios: Scenarios | None = None,
    substitute: bool = False,
) -> tuple[DeskPlan, list[Failure]]:
    """Recommend what a desk should send now, for all its accounts together.

    Parameters
    ----------
    accounts : sequence of Account, length n
        The accounts.
    assets : sequence of str, length A
        Assets of the market.
    prices : ndarray, shape (A,) or (n, A)
        Present mark prices; NaN where none is known.
    predict : callable
        The full predictor: a book of m accounts to P(call), shape (m, 4).
    policy : Policy
        Places, routes and limits of the desk.
    target : Target, optional
        P(call by horizon) that every account is to reach; that of the policy, or 1% in a day, where None.
    now : datetime, optional
        When the plan is made, for opening hours and cut-offs; the latest instant of the accounts where None.
    volatility : Volatility or ndarray, optional
        As `models.rebalance.recommend`.
    time_limit : float
        Seconds for the solver; 0: the greedy fallback.
    gap : float
        Relative distance to the bound that is good enough.
    age_minutes : ndarray, shape (A,), optional
        Minutes since each price was known. An asset whose price is older than the ruleset of an account allows is not
        sent to it, and the plan warns of accounts that rest on such a price.
    reduce, release : bool
        Whether positions are reduced of accounts that no transfers bring to the target, and whether others give back
        what they do not need; where the policy allows it.
    scenarios : callable, optional
        Calls and liquidations of a book by a horizon on paths that all accounts share: what the loss of the desk is
        taken on.
    substitute : bool
        Whether accounts under the target that take no part exchange what they have posted under an agreement, on the
        inventory that the plan leaves; where the policy has a rule for it.

    Returns
    -------
    tuple of (DeskPlan, list of Failure)
        The plan, and the accounts that could not be computed.

    Notes
    -----
    Accounts over the target get collateral until they reach it, and beyond where that saves more than it costs; others
    only give. Loss against added collateral is made convex, which understates it between the points where it is not.
    CVaR is that of the whole desk on the joint paths, minimised on the linear relaxation: its weights of the paths are
    those with which the plan is made in whole numbers. Without paths it is the sum of those of the accounts. The plan
    is carried out on the accounts, asked of the full predictor, and re-priced under the stress of the policy; where an
    asset did less than its haircut says, or an account would end worse, it is planned again without it.
    """
    run = DeskRun(accounts, assets, prices, predict, policy, target, now, volatility, age_minutes, scenarios)
    return run.plan(time_limit, gap, reduce, release, substitute), run.failures
