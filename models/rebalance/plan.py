"""The values of a recommendation: actions, plans, and why an action cannot help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.rebalance.instruction import Instruction
from models.rebalance.target import Target
from models.typing import HORIZONS, FloatArray

__all__ = [
    "Action",
    "Kind",
    "Levels",
    "Plan",
    "Recommendation",
    "Status",
    "Substituted",
    "Unreachable",
    "last_safe_minute",
]

Kind = Literal["top_up", "add_margin", "repay", "reduce", "release", "swap", "hedge", "substitute"]
Status = Literal["ok", "act", "release", "substitute", "cannot_reach"]


@dataclass(frozen=True, slots=True)
class Levels:
    """Where an account stands, in account currency.

    Parameters
    ----------
    equity, maintenance, call, initial, release : float
        Equity and the four levels of requirement.
    call_amount : float
        What brings the account back to initial, 0 unless it is called.
    state : str
        Name of the state.
    """

    equity: float
    maintenance: float
    call: float
    initial: float
    release: float
    call_amount: float
    state: str


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do.

    Parameters
    ----------
    kind : {"top_up", "add_margin", "repay", "reduce", "release", "swap", "hedge", "substitute"}
        Add collateral to the cross wallet, add margin to an isolated position, repay a debt, reduce a position, take
        out, sell collateral for other collateral, open a position against what the account holds, exchange collateral
        under an agreement.
    asset : str
        What moves: the collateral asset, or what the quantity of the position counts (the base of the instrument, the
        quote of a coin-margined contract); what is asked back.
    symbol : str or None
        The instrument, for ``"reduce"``, ``"add_margin"`` and ``"hedge"``.
    amount : float
        Units of `asset`, > 0.
    value : float
        The amount at the present price, in account currency; of an option its premium.
    value_usd : float
        The same in dollars.
    proceeds : float
        What it pays to the owner (< 0: costs) after the fee, in account currency: realised profit or loss, the premium
        of an option. It goes through the account, under a credit support annex between the parties.
    fee : float
        Transfer fee or taker fee, with the slippage of a swap, hedge or substitute, in account currency.
    haircut : float
        Part of the value that does not count as collateral, in account currency.
    into : str or None
        What a swap buys, or what is delivered as a substitute.
    received : float or None
        Units of it.
    quantity : float or None
        Position that a hedge opens, > 0 long, in the units of `amount`.
    """

    kind: Kind
    asset: str
    symbol: str | None
    amount: float
    value: float
    value_usd: float
    proceeds: float
    fee: float
    haircut: float
    into: str | None = None
    received: float | None = None
    quantity: float | None = None


@dataclass(frozen=True, slots=True)
class Substituted:
    """An exchange of collateral under an agreement, from the notice to the return; money in account currency.

    Parameters
    ----------
    rule, route, source, returns_to : str
        Rule and route of the policy, the place that the substitute leaves, and the place that the return comes to.
    sent_usd : float
        Dollars of the substitute at the present price.
    counted_in, counted_out : float
        What the substitute counts for under the agreement and the desk's own haircut, and what comes back counts for.
    saves : float
        What it saves over `holding_days`, after its cost and what a higher P(call) costs.
    holding_days : float
        Days over which that is counted.
    arrives_minutes, returns_minutes : float
        Minutes from now until the substitute has arrived, and until the return is due.
    needs_consent, needs_approval : bool
        Whether the other party must consent; whether the rule or the size asks for approval by the desk.
    p_between : tuple of float, length 4
        P(call) at the four horizons when the substitute has arrived and nothing has come back.
    levels_between : Levels
        The exact engine's levels then.
    instructions : tuple of Instruction
        Notice, delivery and return: the dry run.
    """

    rule: str
    route: str
    source: str
    returns_to: str
    sent_usd: float
    counted_in: float
    counted_out: float
    saves: float
    holding_days: float
    arrives_minutes: float
    returns_minutes: float
    needs_consent: bool
    needs_approval: bool
    p_between: tuple[float, ...]
    levels_between: Levels
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in order, with the account before and after them.

    Parameters
    ----------
    actions : tuple of Action
        What to do, in order.
    p_before, p_after : tuple of float, length 4
        P(call) at the four horizons.
    levels_before, levels_after : Levels
        The exact engine's levels.
    cost : float
        Fees in account currency (the haircut is stated in the action: it is not spent).
    last_safe_minute : float or None
        Minutes from now until the plan must be started; None: beyond the last horizon.
    sentence : str
        The plan in one sentence.
    substitution : Substituted or None
        Of an exchange under an agreement: its timetable, what it saves, and its notices.
    """

    actions: tuple[Action, ...]
    p_before: tuple[float, ...]
    p_after: tuple[float, ...]
    levels_before: Levels
    levels_after: Levels
    cost: float
    last_safe_minute: float | None
    sentence: str
    substitution: Substituted | None = None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """An action that is not enough on its own; or a substitution that cannot be, or does not pay.

    Parameters
    ----------
    kind : {"top_up", "add_margin", "repay", "reduce", "release", "swap", "hedge", "substitute"}
        The action.
    asset : str
        What would move.
    symbol : str or None
        The instrument, where there is one.
    lowest_p : float
        Lowest P(call) at the target's horizon that the action was found to give.
    amount : float
        Where: units of `asset`, 0 where doing nothing is best.
    sentence : str
        The reason in one sentence.
    """

    kind: Kind
    asset: str
    symbol: str | None
    lowest_p: float
    amount: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do about one account.

    Parameters
    ----------
    account_id : str
        The account.
    currency : str
        Its currency, in which amounts are that are not in units of an asset.
    target : Target
        What was asked for.
    status : {"ok", "act", "release", "substitute", "cannot_reach"}
        Nothing to do; P is over the target; more collateral than needed; what is posted under an agreement is dearer
        than what could be; no single action is enough.
    p_before : tuple of float, length 4
        P(call) at the four horizons now.
    levels_before : Levels
        The four levels now.
    last_safe_minute : float or None
        Minutes until action must start; None: beyond the last horizon.
    plans : tuple of Plan
        Alternatives, cheapest first; each reaches the target by itself. Substitutions follow, by what they save.
    unreachable : tuple of Unreachable
        Actions that were tried and do not reach it.
    """

    account_id: str
    currency: str
    target: Target
    status: Status
    p_before: tuple[float, ...]
    levels_before: Levels
    last_safe_minute: float | None
    plans: tuple[Plan, ...]
    unreachable: tuple[Unreachable, ...]


def last_safe_minute(p: FloatArray, target: Target, called: bool, lag_minutes: float = 0.0) -> float | None:
    """Latest minute at which a transfer can start and still arrive while P(call before) <= the target.

    Parameters
    ----------
    p : ndarray, shape (4,)
        P(call) at the four horizons.
    target : Target
        Its probability is the confidence.
    called : bool
        Whether the account is under a call already.
    lag_minutes : float
        Minutes a transfer takes.

    Returns
    -------
    float or None
        Minutes from now, not below 0; None where P stays under the target at every horizon.

    Notes
    -----
    P is taken as linear between the horizons and 0 now.

    Examples
    --------
    >>> last_safe_minute(np.array([0.0, 0.02, 0.1, 0.2]), Target(0.01, 1440), False, 30)
    120.0
    """
    if called:
        return 0.0
    over = np.flatnonzero(p > target.probability)
    if not len(over):
        return None
    times, curve = np.array([0.0, *HORIZONS]), np.concatenate([[0.0], p])
    k = int(over[0])
    share = (target.probability - curve[k]) / (curve[k + 1] - curve[k])
    crossing = times[k] + share * (times[k + 1] - times[k])
    return float(max(crossing - lag_minutes, 0.0))
