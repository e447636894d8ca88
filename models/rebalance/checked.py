"""Values that check the ranges their own annotations state, once, at construction."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

from models.errors import InputError

__all__ = ["Amount", "Checked", "Fraction", "Share", "convert"]

Amount: TypeAlias = Annotated[float, Meta(ge=0.0)]
"""A finite number >= 0."""
Fraction: TypeAlias = Annotated[float, Meta(ge=0.0, lt=1.0)]
"""A number in [0, 1)."""
Share: TypeAlias = Annotated[float, Meta(gt=0.0, le=1.0)]
"""A number in (0, 1]."""


_ANY = "*"
_PART = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_MISSING = re.compile(r"missing required field `([^`]*)`")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


class Checked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the values of a policy: numbers are finite and inside the range that their annotation states.

    Raises
    ------
    InputError
        If a number lies outside its range; with the field, the value and the range.

    Examples
    --------
    >>> class Fee(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ...     rate: Annotated[float, Meta(ge=0.0, le=0.1)] = 0.0
    >>> Fee(rate=0.2)
    Traceback (most recent call last):
    ...
    models.errors.InputError: rate: expected a number in [0, 0.1], was 0.2
    """

    def __post_init__(self) -> None:
        for name, bounds in _bounds(type(self)):
            value = getattr(self, name)
            if value is not None and not bounds.holds(value):
                raise InputError(name, value, str(bounds))


class _Bounds(Struct, frozen=True):
    low: float
    high: float
    open_low: bool
    open_high: bool
    whole: bool

    def holds(self, value: float) -> bool:
        """Whether a value is finite and inside."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return math.isfinite(value) and above and below

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        if math.isinf(self.high):
            return f"a finite number {'>' if self.open_low else '>='} {self.low:g}"
        left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"{kind} in {left}{self.low:g}, {self.high:g}{right}"


@lru_cache(maxsize=64)
def _bounds(cls: type[Checked]) -> tuple[tuple[str, _Bounds], ...]:
    """Ranges of the numbers among the fields of a class, in their order."""
    info = msgspec.inspect.type_info(cls)
    assert isinstance(info, msgspec.inspect.StructType)
    found = []
    for field in info.fields:
        kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        for kind in kinds:
            if isinstance(kind, msgspec.inspect.FloatType | msgspec.inspect.IntType):
                found.append((field.name, _range_of(kind)))
    return tuple(found)


def _range_of(kind: msgspec.inspect.FloatType | msgspec.inspect.IntType) -> _Bounds:
    low = kind.gt if kind.gt is not None else kind.ge
    high = kind.lt if kind.lt is not None else kind.le
    return _Bounds(
        -math.inf if low is None else float(low),
        math.inf if high is None else float(high),
        kind.gt is not None,
        kind.lt is not None,
        isinstance(kind, msgspec.inspect.IntType),
    )


def convert(mapping: Mapping[str, object], cls: type[Any], root: str) -> Any:
    """Turn plain data into a value; what is wrong is told by the path of the field, its value and the remedy.

    Parameters
    ----------
    mapping : mapping
        Plain data, as a file gives it.
    cls : type
        The class wanted.
    root : str
        First part of the path, for example ``"policy"``.

    Returns
    -------
    object
        A value of the class.

    Raises
    ------
    InputError
        If a key is unknown or missing, or a value has the wrong type or is outside its range.

    Examples
    --------
    >>> class Fee(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ...     rate: Fraction = 0.0
    >>> convert({"rate": "high"}, Fee, "fee")
    Traceback (most recent call last):
    ...
    models.errors.InputError: fee.rate: expected `float`, was 'high'
    """
    try:
        return msgspec.convert(dict(mapping), cls)
    except msgspec.ValidationError as error:
        raise _told(error, mapping, cls, root) from None


def _told(error: msgspec.ValidationError, mapping: Mapping[str, object], cls: type[Any], root: str) -> InputError:
    message, _, path = str(error).partition(" - at `$")
    steps = _steps(path.rstrip("`"))
    if _ANY in steps:
        steps = _with_keys(steps, message, mapping, cls)
    where = root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    cause = error.__cause__
    if isinstance(cause, InputError):
        return InputError(f"{where}.{cause.field}", cause.value, cause.expected)
    unknown = _UNKNOWN.search(message)
    if unknown:
        expected = "no such field: the schema of a policy lists those there are"
        return InputError(f"{where}.{unknown[1]}", _value_at(mapping, [*steps, unknown[1]]), expected)
    missing = _MISSING.search(message)
    if missing:
        return InputError(f"{where}.{missing[1]}", None, "this field, which has no default")
    wanted = message.partition(", got ")[0].removeprefix("Expected ")
    return InputError(where, _value_at(mapping, steps), wanted)


def _steps(path: str) -> list[str | int]:
    """The parts of a path such as ``.routes[0].fee``; keys of tables, which msgspec does not name, are `_ANY`."""
    found: list[str | int] = []
    for name, index in _PART.findall(path):
        found.append(name or (_ANY if index == "..." else int(index)))
    return found


def _with_keys(steps: list[str | int], message: str, mapping: Mapping[str, object], cls: type[Any]) -> list[str | int]:
    """Find the keys of tables on a path: those whose rows, alone in their tables, are refused for the same reason."""
    at = steps.index(_ANY)
    table = _value_at(mapping, steps[:at])
    for key in table if isinstance(table, Mapping) else ():
        alone = _only(mapping, steps[:at], key)
        try:
            msgspec.convert(alone, cls)
        except msgspec.ValidationError as error:
            if str(error).partition(" - at `$")[0] == message:
                known = [*steps[:at], str(key), *steps[at + 1 :]]
                return _with_keys(known, message, alone, cls) if _ANY in known else known
    return steps


def _only(value: Any, steps: list[str | int], key: object) -> Any:
    """The data with one row left of the table at a path, and nothing beside that path."""
    if not steps:
        return {key: value[key]}
    first, rest = steps[0], steps[1:]
    if isinstance(first, int):
        return [*value[:first], _only(value[first], rest, key)]
    return {**value, first: _only(value[first], rest, key)}


def _value_at(mapping: Any, steps: list[str | int]) -> Any:
    """The value at a path, or the nearest that is there."""
    value = mapping
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            break
    return value
