"""Collateral under an agreement that may be exchanged for other collateral: the rule of a policy."""

from __future__ import annotations

from datetime import time
from typing import Annotated

import msgspec
from msgspec import Meta

from models.errors import InputError
from models.rebalance.checked import Amount, Checked

__all__ = ["Substitution"]

Rate = Annotated[float, Meta(ge=-1.0, le=1.0)]


class Substitution(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be delivered under a credit support annex in place of what lies there.

    Parameters
    ----------
    name : str
        Name of the rule, once in a policy.
    deliver : tuple of str
        Substitutes: they leave a place of the policy by one of its routes.
    ask_back : tuple of str
        Posted collateral that is asked back.
    to : tuple of str
        Accounts under an agreement; ``"*"``: every one, ``"ruleset:NAME"``: every one of a ruleset.
    returns_to : str or None
        Place of the policy that what is asked back comes to; the one that the substitute leaves where None.
    notice_time : time or None
        Local time, in the zone of the agreement, until which a notice counts as given that day; the notification time
        of the agreement where None.
    notice_lag : int
        Business days from the notice, and the consent to it, to the delivery, in [0, 30].
    return_lag : int
        Business days from the arrival of the substitute to the return, in [0, 30].
    needs_consent : bool
        Whether the other party must consent.
    interest : dict of str to float
        Interest that the agreement pays on posted cash, by asset, a fraction a year in [-1, 1].
    holding_days : float or None
        Days over which it must save more than it costs, in (0, 3650]; those of the limits where None.
    cost : float
        Cost of one substitution beside that of the route, dollars.
    min_saving : float
        Dollars that a substitution must save after its cost.
    needs_approval : bool
        Whether every substitution must be approved by the desk.

    Raises
    ------
    InputError
        If a list is empty, both name the same asset alone, or the notice time has an offset.

    References
    ----------
    ISDA 1994 credit support annex (New York law), paragraph 4(d): the return is due not later than the local business
    day after the receipt of the substitute, and of no more than its value; consent only where paragraph 13 asks for it.
    ISDA 1995 credit support annex (English law), paragraph 3(c): exchanges need the consent of the transferee.

    Examples
    --------
    >>> Substitution(name="bonds for cash", deliver=("UST-1Y",), ask_back=("USD",)).return_lag
    1
    """

    name: str
    deliver: tuple[str, ...]
    ask_back: tuple[str, ...]
    to: tuple[str, ...] = ("*",)
    returns_to: str | None = None
    notice_time: time | None = None
    notice_lag: Annotated[int, Meta(ge=0, le=30)] = 0
    return_lag: Annotated[int, Meta(ge=0, le=30)] = 1
    needs_consent: bool = True
    interest: dict[str, Rate] = msgspec.field(default_factory=dict)
    holding_days: Annotated[float, Meta(gt=0.0, le=3_650.0)] | None = None
    cost: Amount = 0.0
    min_saving: Amount = 0.0
    needs_approval: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("name", "deliver", "ask_back", "to"):
            if not getattr(self, name):
                raise InputError(name, getattr(self, name), "at least one name")
        if len({*self.deliver, *self.ask_back}) == 1:
            raise InputError("ask_back", self.ask_back, "an asset other than what is delivered")
        if self.notice_time is not None and self.notice_time.tzinfo is not None:
            expected = "a local time without offset: the zone is that of the agreement"
            raise InputError("notice_time", str(self.notice_time), expected)
