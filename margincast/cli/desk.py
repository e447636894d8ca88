"""``margincast recommend --desk``: one plan for all accounts of a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from margincast.cli.console import emit_json, note, show_rows, solver_on_stderr

if TYPE_CHECKING:
    from models.rebalance import Policy, Target
    from models.rebalance.joint import Weighing
    from serving.decode import Accounts
    from serving.engine import Engine
    from serving.schemas import DeskResponse

__all__ = ["chances", "plan_desk"]

_SHOWN = (
    "account_id",
    "asset",
    "amount",
    "source",
    "route",
    "start_within_minutes",
    "cost_usd",
    "stage",
    "needs_approval",
)

_TRADES = ("account_id", "kind", "rule", "asset", "amount", "into", "received", "symbol", "cost_usd", "needs_approval")

_OWN = ("account_id", "kind", "symbol", "asset", "amount", "to", "into", "received", "cost_usd")


def plan_desk(
    batch: Accounts,
    engine: Callable[[], Engine],
    target: Target,
    policy: Policy,
    out: Path | None,
    as_json: bool,
    front: Sequence[float] = (),
    weighing: Weighing | None = None,
    every_minutes: float = 480.0,
) -> None:
    """Plan a desk and print or write what to send.

    Parameters
    ----------
    batch : Accounts
        The accounts of a file.
    engine : callable
        Gives the engine on their market.
    target : Target
        What every account is to reach.
    policy : Policy
        Places, routes and limits.
    out : Path or None
        JSON file for the whole answer, with instructions.
    as_json : bool
        Whether to print it.
    front : sequence of float
        Other probabilities for which the cost is asked.
    weighing : Weighing, optional
        Where given, what is worth sending now is planned instead of what reaches the target.
    every_minutes : float
        Minutes to the next decision, for what is weighed.

    Raises
    ------
    InputError
        If the accounts are not all at one instant.
    """
    from models.errors import InputError
    from serving.problems import ProblemError

    try:
        with solver_on_stderr():
            found = engine().recommend_desk(batch, target, policy, front, weighing, every_minutes)
    except ProblemError as error:
        raise InputError("--at", "left out", f"one instant for all accounts of a desk ({error})") from None
    answer = _answer(found, batch)
    if out is not None:
        _write(out, answer)
    if as_json:
        emit_json(answer)
        return
    for failure in found.failures:
        note(f"left out: {failure.account_id}: {failure.message}")
    rows = [{name: row[name] for name in _SHOWN} for row in answer["plan"]["transfers"]]
    if rows:
        show_rows(f"To bring P(call) to {target}" if weighing is None else "Worth sending now", rows, False)
    if answer["plan"]["trades"]:
        rows = [{name: row[name] for name in _TRADES} for row in answer["plan"]["trades"]]
        show_rows("Trades inside accounts", rows, False)
    if answer["plan"]["own"]:
        rows = [{name: row[name] for name in _OWN} for row in answer["plan"]["own"]]
        show_rows("What accounts do themselves", rows, False)
    if found.front:
        show_rows("Cost against P(call)", [_flat(point) for point in answer["front"]], False)
    typer.echo(found.plan.sentence)


def chances(text: str | None) -> tuple[float, ...]:
    """Read probabilities.

    Parameters
    ----------
    text : str or None
        Separated by commas.

    Returns
    -------
    tuple of float
        Each in (0, 1).

    Raises
    ------
    InputError
        If one is no probability.

    Examples
    --------
    >>> chances("0.05,0.01"), chances(None)
    ((0.05, 0.01), ())
    """
    from models.errors import InputError

    try:
        found = tuple(float(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        found = (math.nan,)
    if not all(0 < p < 1 for p in found):
        raise InputError("--front", text, "probabilities in (0, 1), separated by commas")
    return found


def _answer(found: DeskResponse, batch: Accounts) -> dict[str, Any]:
    """The plan, its dry run, and the accounts left out; without the accounts and the policy as they are after it."""
    import msgspec

    from models.rebalance.joint import instructions_of

    plan = msgspec.to_builtins(found.plan)
    for name in ("accounts_after", "policy_after"):
        plan.pop(name)
    now = max(account.as_of for account in batch.accounts)
    instructions = msgspec.to_builtins(instructions_of(found.plan, batch.accounts, now))
    failures = msgspec.to_builtins(found.failures)
    front = msgspec.to_builtins(found.front)
    return {
        "plan": plan,
        "front": front,
        "instructions": instructions,
        "failures": failures,
        "model_version": found.model_version,
    }


def _flat(point: dict[str, Any]) -> dict[str, Any]:
    """A point of the front as one row: what risk is left beside what it costs."""
    risk = point["risk"] or {}
    rest = {name: value for name, value in point.items() if name != "risk"}
    return rest | {name: value for name, value in risk.items() if name != "paths"}


def _write(out: Path, answer: dict[str, Any]) -> None:
    import msgspec

    from models.errors import InputError

    if out.suffix.lower() != ".json":
        raise InputError("--out", str(out), "a file that ends in .json, for the plan of a desk")
    out.write_bytes(msgspec.json.format(msgspec.json.encode(answer)))
