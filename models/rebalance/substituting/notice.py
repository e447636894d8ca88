"""A substitution as notices under its agreement: values only, nothing is ever sent from here."""

from __future__ import annotations

from models.rebalance.instruction import Instruction, key_of
from models.rebalance.moves import Move

__all__ = ["notices"]


def notices(agreement: str, move: Move, amount: float, approval: bool) -> tuple[Instruction, ...]:
    """Write what is said and done under the agreement, in order: notice, delivery, return.

    Parameters
    ----------
    agreement : str
        Name of the account under the agreement.
    move : Move
        A substitution.
    amount : float
        Units of what is asked back.
    approval : bool
        Whether the desk must approve it first.

    Returns
    -------
    tuple of Instruction
        The delivery waits for the consent of the other party where the rule asks for it, else for the notice; the
        return waits for the substitute. Keys are the same for the same exchange at the same instant, and for no other.
    """
    way = move.substitute
    assert way is not None
    timing, rule = way.timing, way.rule
    given, back = _item(way.asset, way.needs(amount)), _item(move.asset, amount)
    sent, due = timing.sent.isoformat(), timing.returned.isoformat()
    parts = rule.name, way.route.name, agreement, move.asset, repr(amount), way.asset, repr(way.needs(amount))
    key = key_of(timing.now, "substitute", *parts)
    terms = {"deliver": given, "return": back, "deliver_from": sent, "return_due": due, "consent": rule.needs_consent}
    waits = "consent" if rule.needs_consent else "the notice"
    delivery = {"agreement": agreement, **given, "route": way.route.name, "due": timing.arrived.isoformat()}
    demand = {"agreement": agreement, **back, "due": due}
    reason = "approval" if approval else ""
    return (
        Instruction(key, "csa", "substitute", {"agreement": agreement, **terms}, approval, reason),
        Instruction(key_of(timing.now, "deliver", key), "csa", "deliver", delivery, True, reason or waits),
        Instruction(
            key_of(timing.now, "return", key), "csa", "demand_return", demand, True, reason or "the substitute"
        ),
    )


def _item(asset: str, amount: float) -> dict[str, str | float]:
    return {"asset": asset, "amount": amount}
