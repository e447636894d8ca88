"""The name of an option strategy, from the shape of its legs alone."""

from __future__ import annotations

from collections.abc import Sequence

from models.margin.securities import OptionPosition

__all__ = ["strategy_name"]

_STRIPS: dict[tuple[float, ...], str] = {
    (1, -2, 1): "long {} butterfly",
    (-1, 2, -1): "short {} butterfly",
    (1, -1, -1, 1): "long {} condor",
    (-1, 1, 1, -1): "short {} condor",
}
_HEDGES = {
    (1, True, False): "covered call",
    (1, False, True): "protective put",
    (1, True, True): "collar",
    (-1, False, True): "covered put",
    (-1, True, False): "protective call",
    (-1, True, True): "reverse conversion",
}


def strategy_name(options: Sequence[OptionPosition], shares: float = 0.0) -> str:
    """Name a strategy.

    Parameters
    ----------
    options : sequence of OptionPosition
        Its legs.
    shares : float
        Shares held with them, < 0 short.

    Returns
    -------
    str
        The field's name, ``"combination"`` where it has none.

    Examples
    --------
    >>> strategy_name([OptionPosition(True, 90.0, -1, 7.0), OptionPosition(False, 90.0, -1, 3.7)])
    'short straddle'
    >>> strategy_name([OptionPosition(True, 90.0, -1, 7.0)], 100.0)
    'covered call'
    """
    legs = sorted((o for o in options if o.quantity), key=lambda o: (o.strike, o.is_call))
    if shares:
        return _stock(legs, shares)
    if len(legs) == 1:
        return f"{_side(legs[0])} {_kind(legs[0])}"
    if len({o.quantity > 0 for o in legs}) == 1:
        return _one_sided(legs)
    if len({abs(o.days) for o in legs}) > 1:
        return _calendar(legs)
    kinds = {o.is_call for o in legs}
    return _strip(legs) if len(kinds) == 1 else _mixed(legs)


def _kind(option: OptionPosition) -> str:
    return "call" if option.is_call else "put"


def _side(option: OptionPosition) -> str:
    return "long" if option.quantity > 0 else "short"


def _one_sided(legs: list[OptionPosition]) -> str:
    if len(legs) == 2 and legs[0].is_call != legs[1].is_call:
        return f"{_side(legs[0])} {'straddle' if legs[0].strike == legs[1].strike else 'strangle'}"
    return f"{_side(legs[0])} options"


def _calendar(legs: list[OptionPosition]) -> str:
    if len(legs) != 2 or legs[0].is_call != legs[1].is_call:
        return "combination"
    shape = "calendar" if legs[0].strike == legs[1].strike else "diagonal"
    return f"{_kind(legs[0])} {shape} spread"


def _ratio(legs: list[OptionPosition]) -> tuple[float, ...]:
    least = min(abs(o.quantity) for o in legs)
    return tuple(o.quantity / least for o in legs)


def _strip(legs: list[OptionPosition]) -> str:
    """Legs of one kind, by strike."""
    ratio = _ratio(legs)
    if len(legs) == 2 and ratio in ((1, -1), (-1, 1)):
        credit = (ratio == (-1, 1)) == legs[0].is_call
        return f"{_kind(legs[0])} {'credit' if credit else 'debit'} spread"
    if len({o.strike for o in legs}) == len(legs) and ratio in _STRIPS:
        return _STRIPS[ratio].format(_kind(legs[0]))
    return "combination"


def _mixed(legs: list[OptionPosition]) -> str:
    """Two puts and two calls: box, iron butterfly, iron condor."""
    puts, calls = [o for o in legs if not o.is_call], [o for o in legs if o.is_call]
    if len(puts) != 2 or len(calls) != 2 or len({abs(o.quantity) for o in legs}) != 1:
        return "combination"
    put, call = _ratio(puts), _ratio(calls)
    if sum(put) or sum(call):
        return "combination"
    low, high = [o.strike for o in puts], [o.strike for o in calls]
    if low == high and put != call:
        return f"{'long' if call[0] > 0 else 'short'} box spread"
    if put == (1, -1) and call == (-1, 1) and low[1] <= high[0]:
        return f"short iron {'butterfly' if low[1] == high[0] else 'condor'}"
    if put == (-1, 1) and call == (1, -1) and low[1] <= high[0]:
        return f"long iron {'butterfly' if low[1] == high[0] else 'condor'}"
    return "combination"


def _stock(legs: list[OptionPosition], shares: float) -> str:
    """Stock with a call, a put or both that match it contract for contract."""
    side = 1 if shares > 0 else -1
    call = [o for o in legs if o.is_call and side * o.quantity < 0]
    put = [o for o in legs if not o.is_call and side * o.quantity > 0]
    single = len(call) <= 1 and len(put) <= 1 and len(call) + len(put) == len(legs) > 0
    if not single or any(o.units != abs(shares) for o in legs):
        return "combination with stock"
    if call and put and not _paired(side, call[0], put[0]):
        return "combination with stock"
    if side > 0 and call and put and call[0].strike == put[0].strike:
        return "conversion"
    return _HEDGES[(side, bool(call), bool(put))]


def _paired(side: int, call: OptionPosition, put: OptionPosition) -> bool:
    if call.days != put.days:
        return False
    return put.strike <= call.strike if side > 0 else put.strike == call.strike
