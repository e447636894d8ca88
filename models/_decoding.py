"""Decoding of documents that people write: every fault is told by field, value and remedy."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from models.errors import InputError

__all__ = ["decode_document"]

T = TypeVar("T")


def decode_document(text: bytes | str, kind: type[T], what: str) -> T:
    """Decode and check a JSON document.

    Parameters
    ----------
    text : bytes or str
        The document.
    kind : type
        Struct to decode to.
    what : str
        What it is, for the message where it is no JSON at all.

    Returns
    -------
    object
        An instance of `kind`.

    Raises
    ------
    InputError
        If it is no JSON, or a field is missing, unknown, of the wrong kind or out of range.
    """
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        shown = text[:80] if isinstance(text, str) else text[:80].decode(errors="replace")
        raise InputError(what, shown, f"a JSON object ({error})") from None
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise _explain(error, document, what) from None


def _explain(error: msgspec.ValidationError, document: Any, what: str) -> InputError:
    """Turn a decoder's message into field, value and remedy."""
    message, _, where = str(error).partition(" - at `$")
    path = where.rstrip("`").lstrip(".")
    cause = error.__cause__
    if isinstance(cause, InputError):
        return InputError(".".join(p for p in (path, cause.field) if p), cause.value, cause.expected)
    named = re.search(r"(missing required|unknown) field `(\w+)`", message)
    if named is None:
        return InputError(path or what, _at(document, path), f"another value ({message})")
    kind, field = named.groups()
    if kind == "unknown":
        return InputError(".".join(p for p in (path, field) if p), field, f"a known field: remove it ({message})")
    return InputError(".".join(p for p in (path, field) if p), None, "a value: the field is required")


def _at(document: Any, path: str) -> Any:
    """Value at a path such as ``grid.prices[2]``."""
    value = document
    for name, index in re.findall(r"(\w+)|\[(\d+)\]", path):
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            return None
    return value
