"""The sentences of a substitution."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from models.account import Account
from models.instrument import is_stable
from models.rebalance.moves import Move
from models.rebalance.plan import Substituted
from models.rebalance.target import Target
from models.rebalance.wording import number, percent, within

__all__ = ["not_kept", "not_paying", "stressed", "substitution_sentence"]


def substitution_sentence(
    account: Account, move: Move, amount: float, done: Substituted, target: Target, p: tuple[float, float]
) -> str:
    """Say what is exchanged, when it comes back, what it saves, and what it does to P.

    Parameters
    ----------
    account : Account
        Under the agreement.
    move : Move
        The substitution.
    amount : float
        Units of what is asked back.
    done : Substituted
        Its timetable and worth.
    target : Target
        What was asked for.
    p : tuple of float
        P(call) at the target's horizon, before and after.

    Returns
    -------
    str
        One sentence.
    """
    way = move.substitute
    assert way is not None
    assert account.csa is not None
    units = way.needs(amount)
    worth = "" if is_stable(way.asset) else f" ({number(units * way.price * way.dollar)} dollars)"
    back = way.timing.returned.astimezone(ZoneInfo(account.csa.timetable.time_zone))
    consent = " with the other party's consent" if done.needs_consent else ""
    return (
        f"Deliver {number(units)} {way.asset}{worth} from {done.source} in place of {number(amount)} {move.asset}"
        f"{consent}, due back at {done.returns_to} by {back:%Y-%m-%d %H:%M %Z}: saves {number(done.saves)} "
        f"{move.currency} over {done.holding_days:g} days; P(call within {within(target.horizon_minutes)}) goes from "
        f"{percent(p[0])} to {percent(p[1])} (target {percent(target.probability)})."
    )


def not_kept(account: Account, move: Move, target: Target) -> str:
    """Say that no size of an exchange keeps the account under the target."""
    return (
        f"No exchange of {_pair(move)} that {account.account_id} can be given keeps P(call within "
        f"{within(target.horizon_minutes)}) at or under {percent(target.probability)}."
    )


def not_paying(account: Account, move: Move, amount: float, saves: float) -> str:
    """Say that an exchange costs more than it saves, or saves less than the rule asks for."""
    way = move.substitute
    assert way is not None
    head = (
        f"The exchange of {_pair(move)} does not pay at {account.account_id}: of {number(amount)} {move.asset} it would"
    )
    if saves > 0:
        least = number(way.rule.min_saving)
        return f"{head} save {number(saves)} {move.currency} over {way.days:g} days, less than {least} dollars."
    return f"{head} cost {number(0.0 - saves)} {move.currency} more than it saves over {way.days:g} days."


def stressed(account: Account, move: Move) -> str:
    """Say that a price scenario of the policy forbids an exchange."""
    name = account.account_id
    return f"With an exchange of {_pair(move)} {name} would be called in a price scenario in which it now is not."


def _pair(move: Move) -> str:
    way = move.substitute
    assert way is not None
    return f"{move.asset} for {way.asset}"
