"""The sentences of a recommendation."""

from __future__ import annotations

from models.instrument import is_stable
from models.rebalance.moves import Move
from models.rebalance.target import Target

__all__ = ["action_words", "cannot_sentence", "number", "percent", "plan_sentence", "within"]

_VERB = {
    "top_up": "Add",
    "add_margin": "Add margin",
    "repay": "Repay",
    "reduce": "Reduce",
    "release": "Release",
    "swap": "Swap",
    "hedge": "Hedge",
    "substitute": "Substitute",
}
_AGREED = {"top_up": "Deliver", "release": "Recall", "reduce": "Unwind"}

_DOING = {
    "Add": "Adding",
    "Add margin": "Adding margin to",
    "Buy back": "Buying back",
    "Deliver": "Delivering",
    "Hedge": "Hedging with",
    "Recall": "Recalling",
    "Reduce": "Reducing",
    "Release": "Releasing",
    "Repay": "Repaying",
    "Sell": "Selling",
    "Substitute": "Substituting",
    "Swap": "Swapping",
    "Unwind": "Unwinding",
}


def number(value: float) -> str:
    """Write an amount with thousands separators and six significant digits.

    Parameters
    ----------
    value : float
        The amount.

    Returns
    -------
    str
        For people.

    Examples
    --------
    >>> number(12345.678), number(0.0123456789)
    ('12,345.7', '0.0123457')
    """
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"


def percent(p: float) -> str:
    """Write a probability.

    Parameters
    ----------
    p : float
        In [0, 1].

    Returns
    -------
    str
        Percent with three significant digits.

    Examples
    --------
    >>> percent(0.01234), percent(0.000004)
    ('1.23%', '<0.001%')
    """
    if 0 < p < 1e-5:
        return "<0.001%"
    return f"{100 * p:.3g}%"


def within(minutes: int) -> str:
    """Write a horizon.

    Parameters
    ----------
    minutes : int
        The horizon.

    Returns
    -------
    str
        In days or hours where they are whole.

    Examples
    --------
    >>> within(60), within(1440), within(4320)
    ('1 hour', '1 day', '3 days')
    """
    for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes % size == 0:
            count = minutes // size
            return f"{count} {unit}" + ("s" if count > 1 else "")
    return f"{minutes} minutes"


def action_words(move: Move, amount: float) -> str:
    """Say what is done.

    Parameters
    ----------
    move : Move
        The action.
    amount : float
        Units of its asset.

    Returns
    -------
    str
        An imperative.

    Examples
    --------
    >>> action_words(Move("top_up", "USDT", -1, None, 1.0, 10.0), 2.5)
    'Add 2.5 USDT'
    >>> action_words(Move("top_up", "BTC", -1, None, 1.0, 10.0, currency="BTC", dollar=84_000.0), 0.05)
    'Add 0.05 BTC (4,200 dollars)'
    """
    size, verb = f"{number(amount)} {move.asset}", _verb(move)
    trade = move.trade
    if trade is not None and trade.side == 0:
        return f"Swap {size}{_worth(move, amount)} for {number(move.buys(amount))} {trade.into}"
    if trade is not None:
        bought = "Buy" if trade.side > 0 else "Sell"
        return f"{bought} {size} of {move.symbol} as a hedge ({number(amount * move.price * move.dollar)} dollars)"
    if move.kind == "add_margin":
        return f"Add {size} of margin to the isolated {move.symbol}{_worth(move, amount)}"
    if move.kind != "reduce":
        return f"{verb} {size}{_worth(move, amount)}"
    if amount >= move.limit * (1 - 1e-9):
        return f"Close {move.symbol} ({size}){_paying(move, amount)}"
    if verb in ("Buy back", "Sell"):
        return f"{verb} {size} of {move.symbol} (of {number(move.limit)}){_paying(move, amount)}"
    return f"{verb} {move.symbol} by {size} (of {number(move.limit)}){_paying(move, amount)}"


def _verb(move: Move) -> str:
    """What is done, as a word: of the account's agreement, of an option, or plain."""
    closing = move.closing
    if closing is not None and closing.premium:
        return "Buy back" if closing.pays < 0 else "Sell"
    agreed = move.agreed is not None or (closing is not None and closing.outside)
    return _AGREED[move.kind] if agreed else _VERB[move.kind]


def _worth(move: Move, amount: float) -> str:
    """Dollars of an amount that is not in dollars."""
    return "" if is_stable(move.asset) else f" ({number(amount * move.price * move.dollar)} dollars)"


def _paying(move: Move, amount: float) -> str:
    """Cash that has to be at hand, or that comes in: premiums, and what the parties of an agreement settle."""
    closing = move.closing
    if closing is None or not (closing.premium or closing.outside):
        return ""
    paid = amount * closing.pays * closing.rate
    return f", {'receiving' if paid > 0 else 'paying'} {number(abs(paid))} {move.currency}"


def plan_sentence(move: Move, amount: float, target: Target, before: float, after: float) -> str:
    """Say what a plan does to P.

    Parameters
    ----------
    move : Move
        The action.
    amount : float
        Units of its asset.
    target : Target
        What was asked for.
    before, after : float
        P(call) at the target's horizon.

    Returns
    -------
    str
        One sentence.
    """
    verb = "goes" if move.kind == "release" else "falls"
    return (
        f"{action_words(move, amount)}: P(call within {within(target.horizon_minutes)}) {verb} "
        f"from {percent(before)} to {percent(after)} (target {percent(target.probability)})."
    )


def cannot_sentence(move: Move, target: Target, before: float, lowest: float, amount: float) -> str:
    """Say that an action is not enough, and the best that it does.

    Parameters
    ----------
    move : Move
        The action.
    target : Target
        What was asked for.
    before : float
        P(call) at the target's horizon now.
    lowest : float
        Lowest P found.
    amount : float
        Where it was found.

    Returns
    -------
    str
        One sentence.
    """
    what = _DOING[_verb(move)]
    head = f"{what} {move.tag} alone cannot reach {percent(target.probability)} within {within(target.horizon_minutes)}"
    if not lowest < before:
        return f"{head}: it does not lower P, which is {percent(before)}."
    return f"{head}: lowest P is {percent(lowest)} at {number(amount)} {move.asset}."
