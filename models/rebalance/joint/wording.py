"""A desk's plan in one paragraph."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.rebalance.joint.plan import AccountOutcome, Objective, OwnStep, Relaxation, Risk, TradeStep, Transfer
from models.rebalance.target import Target
from models.rebalance.wording import number, percent, within

__all__ = ["certificate_sentence", "desk_sentence", "own_sentence", "risk_sentence", "transfer_words", "worth_sentence"]

_SHOWN = 3


def transfer_words(transfer: Transfer) -> str:
    """Say what is sent.

    Parameters
    ----------
    transfer : Transfer
        One transfer.

    Returns
    -------
    str
        A clause.

    Examples
    --------
    >>> transfer_words(Transfer("wire", "bank", "a", "top_up", "USD", 500.0, 0.0, 500.0, 1.0, 60.0, 90.0, "send",
    ...     False, False))
    '500 USD from bank to a by wire within 90 minutes'
    """
    left = transfer.start_within_minutes
    when = "" if left is None else (f" within {math.floor(left):,} minutes" if left >= 2.0 else " at once")
    late = ", which may come too late" if transfer.late else ""
    approval = ", once approved" if transfer.needs_approval else ""
    origin = "" if transfer.recalled_from is None else f"recalled under {transfer.recalled_from} "
    if transfer.annual_rate is not None:
        origin = f"borrowed at {percent(transfer.annual_rate)} a year "
    where = f"{origin}from {transfer.source} to {transfer.account_id} by {transfer.route}"
    return f"{number(transfer.amount)} {transfer.asset} {where}{when}{late}{approval}"


def desk_sentence(
    target: Target,
    transfers: Sequence[Transfer],
    accounts: Sequence[AccountOutcome],
    cost: float,
    relaxations: Sequence[Relaxation],
    certificate: str,
    trades: Sequence[TradeStep] = (),
) -> str:
    """Say what the plan is, what it does, and what it does not.

    Parameters
    ----------
    target : Target
        What every account is to reach.
    transfers : sequence of Transfer
        What is sent.
    accounts : sequence of AccountOutcome
        What becomes of the accounts.
    cost : float
        Dollars of the transfers and trades.
    relaxations : sequence of Relaxation
        What would have to change.
    certificate : str
        What was checked.
    trades : sequence of TradeStep
        What is traded inside accounts.

    Returns
    -------
    str
        One paragraph.
    """
    goal = f"P(call within {within(target.horizon_minutes)}) of at most {percent(target.probability)}"
    needy = [a for a in accounts if a.status != "gives"]
    if not needy:
        return f"Every account has {goal}: nothing is to be sent."
    count = len(needy)
    parts = [f"{count} account{'s are' if count > 1 else ' is'} over {goal}."]
    if transfers or trades:
        does = [_listed([transfer_words(t) for t in transfers], "Send ")] if transfers else []
        does += [_listed([_trade_words(t) for t in trades], "")] if trades else []
        parts.append(f"{'. '.join(does)}, for {number(cost)} dollars in all.")
    else:
        parts.append("Nothing can be sent to them in time.")
    short = [a for a in needy if a.status == "short"]
    if short:
        parts.append(_short_sentence(short, relaxations))
    parts.append(certificate)
    return " ".join(parts)


def worth_sentence(
    target: Target,
    transfers: Sequence[Transfer],
    count: int,
    worth: tuple[float, float, float],
    waits: Sequence[str],
    every: float,
    binding: Sequence[tuple[str, float]],
    certificate: str,
) -> str:
    """Say what a plan by worth sends, what it leaves, and what binds.

    Parameters
    ----------
    target : Target
        Who is over it was weighed.
    transfers : sequence of Transfer
        What is sent.
    count : int
        Accounts that were weighed.
    worth : tuple of float
        The knob, what the plan is worth, and the most that any could be, dollars.
    waits : sequence of str
        Accounts that are helped later.
    every : float
        Minutes to the next decision.
    binding : sequence of (str, float)
        Inventories that bind, and dollars that one more unit is worth.
    certificate : str
        What was checked.

    Returns
    -------
    str
        One paragraph.
    """
    knob, value, bound = worth
    over = f"over P(call within {within(target.horizon_minutes)}) of {percent(target.probability)}"
    parts = [f"{count} account{'s were' if count > 1 else ' was'} weighed, {over}, at {number(knob)} dollars a dollar."]
    if transfers:
        parts.append(f"{_listed([transfer_words(t) for t in transfers], 'Send ')}.")
        parts.append(f"That is worth {number(value)} dollars; no plan is worth more than {number(bound)}.")
    else:
        parts.append("Nothing is worth sending now.")
    if waits:
        more = f" and {len(waits) - _SHOWN} more" if len(waits) > _SHOWN else ""
        names = f"{', '.join(waits[:_SHOWN])}{more}"
        parts.append(f"Left for the next decision, in {within(round(every))}: {names}.")
    if binding:
        scarce = ", ".join(f"{name} ({number(price)} dollars a unit)" for name, price in binding[:_SHOWN])
        parts.append(f"What binds: {scarce}.")
    return " ".join([*parts, certificate])


def _trade_words(trade: TradeStep) -> str:
    return f"{trade.sentence} in {trade.account_id}{', once approved' if trade.needs_approval else ''}"


def own_sentence(steps: Sequence[OwnStep]) -> str:
    """Say what accounts do themselves.

    Parameters
    ----------
    steps : sequence of OwnStep
        At least one.

    Returns
    -------
    str
        A few sentences.
    """
    less = [s for s in steps if s.kind == "reduce"]
    back = [s for s in steps if s.kind == "release"]
    parts = []
    if less:
        parts.append(f"{_listed([_reduction(s) for s in less], 'Reduce ')}: transfers alone do not reach them.")
    if back:
        saved = number(-sum(s.cost_usd for s in back))
        parts.append(f"{_listed([_return(s) for s in back], 'Take back ')}: it saves {saved} dollars.")
    parts += [f"At {s.account_id}: {s.sentence}" for s in steps if s.kind == "substitute"]
    return " ".join(parts)


def risk_sentence(objective: Objective, before: Risk, after: Risk) -> str:
    """Say what the plan does to the loss of the desk.

    Parameters
    ----------
    objective : str
        What was minimised.
    before, after : Risk
        The loss with no action, and with the plan.

    Returns
    -------
    str
        One sentence.

    Examples
    --------
    >>> risk_sentence("cvar90", Risk(100, 90.0, 800.0, 900.0), Risk(100, 2.0, 15.0, 30.0))
    'On 100 joint paths the mean loss of the desk goes from 90 to 2 dollars, that of its worst tenth from 800 to 15.'
    """
    name, worst = ("cvar95", "twentieth") if objective == "cvar95" else ("cvar90", "tenth")
    old, new = (getattr(risk, f"{name}_usd") for risk in (before, after))
    mean = f"the mean loss of the desk goes from {number(before.expected_usd)} to {number(after.expected_usd)} dollars"
    return f"On {before.paths} joint paths {mean}, that of its worst {worst} from {number(old)} to {number(new)}."


def _reduction(step: OwnStep) -> str:
    return f"{step.symbol} of {step.account_id} by {number(step.amount)} {step.asset}"


def _return(step: OwnStep) -> str:
    return f"{number(step.amount)} {step.asset} from {step.account_id} to {step.to}"


def _listed(words: Sequence[str], verb: str) -> str:
    more = f"; and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return f"{verb}{'; '.join(words[:_SHOWN])}{more}"


def _short_sentence(short: Sequence[AccountOutcome], relaxations: Sequence[Relaxation]) -> str:
    names = ", ".join(f"{a.account_id} ({number(a.short_usd)} dollars)" for a in short[:_SHOWN])
    more = f" and {len(short) - _SHOWN} more" if len(short) > _SHOWN else ""
    sentence = f"Still short: {names}{more}."
    if not relaxations:
        return sentence
    changes = ", ".join(f"{r.limit} by {number(r.more)}" for r in relaxations[:_SHOWN])
    rest = f" and {len(relaxations) - _SHOWN} more limits" if len(relaxations) > _SHOWN else ""
    return f"{sentence} What binds, and would have to give way: {changes}{rest}."


def certificate_sentence(scenarios: int, worsened: Sequence[str], missed: Sequence[str]) -> str:
    """Say what was checked.

    Parameters
    ----------
    scenarios : int
        Price scenarios compared.
    worsened, missed : sequence of str
        Accounts that end worse, and that stay over the target.

    Returns
    -------
    str
        One or two sentences.

    Examples
    --------
    >>> certificate_sentence(7, (), ())
    'Re-priced by the engine in 7 price scenarios, no account ends worse than with no action.'
    """
    checked = f"Re-priced by the engine in {scenarios} price scenarios, "
    if worsened:
        text = f"{checked}these accounts may end worse than with no action: {', '.join(worsened)}."
    else:
        text = f"{checked}no account ends worse than with no action."
    return f"{text} Over the target after the plan: {', '.join(missed)}." if missed else text
