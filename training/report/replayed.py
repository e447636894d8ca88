"""What ``margincast replay --policy ... --json`` printed, read for a report."""

from __future__ import annotations

from pathlib import Path

import msgspec

from models.errors import InputError

__all__ = ["Compared", "Replayed", "Ruled", "load_replay"]


class Ruled(msgspec.Struct, frozen=True):
    """What a rule at one setting did with the collateral of the accounts; money in dollars."""

    rule: str
    called: int
    liquidated: int
    spent: float
    losses: float
    total: float
    moves: int
    refused: int
    worsened: int
    broken: int
    idle_share: float
    knob: float | None = None
    width: float | None = None
    regret: float | None = None


class Compared(msgspec.Struct, frozen=True):
    """A rule at one setting against the curve of the plan: liquidations at equal cost, dollars at as many."""

    name: str
    spent: float
    liquidated: float
    knob: float | None = None
    fewer: float | None = None
    fewer_low: float | None = None
    fewer_high: float | None = None
    cheaper: float | None = None
    cheaper_low: float | None = None
    cheaper_high: float | None = None


class Replayed(msgspec.Struct, frozen=True):
    """A replay of rules.

    Parameters
    ----------
    accounts, left_out : int
        Accounts replayed, and those of the file that could not be.
    account_days, days : float
        Days watched of all accounts together, and from the first decision to the last.
    rules : tuple of Ruled
        Nothing first.
    against_plan : tuple of Compared
        Settings compared with the plan; none where it was not among the rules.
    """

    accounts: int
    left_out: int
    account_days: float
    days: float
    rules: tuple[Ruled, ...]
    against_plan: tuple[Compared, ...]


def load_replay(path: str | Path) -> Replayed:
    """Read what a replay of rules printed.

    Parameters
    ----------
    path : str or Path
        JSON of ``margincast replay ACCOUNTS --policy FILE --json``.

    Returns
    -------
    Replayed
        Its content.

    Raises
    ------
    InputError
        If the file is another one.

    Examples
    --------
    >>> load_replay("nowhere.json")
    Traceback (most recent call last):
        ...
    models.errors.InputError: --replay: expected what `margincast replay --policy FILE --json` printed ...
    """
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=Replayed)
    except (OSError, msgspec.MsgspecError) as error:
        wanted = f"what `margincast replay --policy FILE --json` printed ({error})"
        raise InputError("--replay", str(path), wanted) from None
    if not found.rules or found.rules[0].rule != "nothing":
        raise InputError("--replay", str(path), "rules that begin with nothing, as the command prints them")
    return found
