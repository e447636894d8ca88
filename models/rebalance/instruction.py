"""One instruction of a plan, as a value: nothing is ever sent from here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

__all__ = ["Instruction", "key_of"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, ready for an executor that the desk supplies.

    Parameters
    ----------
    key : str
        Idempotency key: the same transfer of the same plan has the same key, however often it is asked for.
    channel : {"ccxt", "csa"}
        Whether it is a call of a ccxt exchange, or a notice under a credit support annex.
    method : str
        ccxt unified method, or ``"deliver"``, ``"demand_return"``, ``"substitute"`` or ``"unwind"``.
    arguments : dict
        Its arguments by name.
    hold : bool
        Whether it waits: for approval, or because it is only to be readied.
    reason : str
        What it waits for, in a few words: approval, consent, its time, the return; empty where it does not wait.
    """

    key: str
    channel: Literal["ccxt", "csa"]
    method: str
    arguments: dict[str, Any]
    hold: bool
    reason: str


def key_of(now: datetime, *parts: str) -> str:
    """Give the idempotency key of an instruction.

    Parameters
    ----------
    now : datetime
        When its plan was made.
    *parts : str
        What tells it from every other instruction of that instant.

    Returns
    -------
    str
        32 hexadecimal digits: the same for the same parts at the same instant, and for no others.

    Examples
    --------
    >>> noon = datetime(2025, 3, 1, 12)
    >>> key_of(noon, "wire", "1.0") == key_of(noon, "wire", "1.0") != key_of(noon, "wire", "1.01")
    True
    """
    return hashlib.sha256("\x1f".join((now.isoformat(), *parts)).encode()).hexdigest()[:32]
