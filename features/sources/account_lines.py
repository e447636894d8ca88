"""Accounts in JSON Lines: decoded block by block, bad lines reported, good ones kept."""

from __future__ import annotations

import gc
import re
from ast import literal_eval
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import numpy as np

from features.sources.account_tables import Tables, columns_of
from models.account import Account
from models.errors import Failure, InputError
from models.margin.csa.terms import CsaTerms
from models.typing import IntArray

__all__ = [
    "FIRST_LINES",
    "MAX_LINE",
    "SHAPE",
    "Block",
    "decode_account",
    "decode_agreement",
    "decode_block",
    "line_chunks",
]

MAX_LINE: Final = 2**20
"""Longest line that is read, bytes."""
BLOCK: Final = 2**20
FIRST_LINES: Final = 1000
"""So many bad lines without a good one, and the file is refused."""
_TIME: Final = "a time with a zone between 1990 and 2200, not in the future, for example 2025-03-01T12:00:00Z"
SHAPE: Final = "one account a line, as JSON"
_MAGIC: Final = {
    b"PAR1": "a parquet file; pass the folder that holds accounts.parquet, positions.parquet and collateral.parquet",
    b"\x1f\x8b": "a gzip file; unpack it first",
    b"PK\x03\x04": "a zip file; unpack it first",
}
_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"unknown field `([^`]*)`")
_NOT_FINITE: Final = re.compile(r'"(\w+)"\s*:\s*(NaN|-?Infinity|nan|-?inf)\b')
_MISSING: Final = re.compile(r"missing required field `([^`]*)`")
_RANGE: Final = re.compile(r"^(?P<field>[\w.]+): expected (?P<expected>.*), was (?P<value>.*)$", re.DOTALL)
_NAME: Final = re.compile(r"^Invalid enum value '?(?P<value>.*?)'?$")
_DECODER: Final = msgspec.json.Decoder(Account)
_TERMS: Final = msgspec.json.Decoder(CsaTerms)

Decoded = tuple[Tables, IntArray, list[Failure]]
Block = tuple[int, bytes | None]
"""Whole lines with the number of the first, from 1; None stands for one line that is too long."""


def line_chunks(path: Path, lines: int) -> Iterator[tuple[Block, ...]]:
    """Cut a file into so many lines at a time, and decode none.

    Parameters
    ----------
    path : Path
        A JSON Lines file.
    lines : int
        Lines of a chunk, blank ones and bad ones included; the last chunk has what is left.

    Yields
    ------
    tuple of (int, bytes or None)
        Blocks of about 1 MiB, for `decode_block`.

    Raises
    ------
    InputError
        If the file is not JSON Lines: told from its first bytes, or from a first line over 1 MiB.
    """
    held: list[Block] = []
    room = lines
    with _open(path) as file:
        for line, block in _blocks(file, path):
            for cut, count in _cuts(line, block, room, lines):
                held.append(cut)
                room -= count
                if not room:
                    yield tuple(held)
                    held, room = [], lines
    if held:
        yield tuple(held)


def _cuts(line: int, block: bytes | None, room: int, lines: int) -> Iterator[tuple[Block, int]]:
    """A block cut after `room` lines, and every `lines` from there; with the lines of each piece."""
    if block is None:
        yield (line, None), 1
        return
    ends = _ends(block)
    first, start = 0, 0
    while first < len(ends):
        stop = min(first + room, len(ends))
        end = int(ends[stop - 1]) + 1
        yield (line + first, block[start:end]), stop - first
        first, start, room = stop, end, lines


def decode_block(line: int, block: bytes | None) -> Decoded:
    """Decode the accounts of some lines.

    Parameters
    ----------
    line : int
        Number of the first line, from 1.
    block : bytes or None
        Whole lines; None for a line that is too long.

    Returns
    -------
    tuple of (tables, ndarray of int64, list of Failure)
        Tables as `columns_of` returns them, line numbers, and the lines that are no account; a failure's ``row`` is
        its line.
    """
    return _oversize(line) if block is None else _decode(block, line)


def _open(path: Path) -> IO[bytes]:
    """The file, past its first look."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError("path", str(path), "a file that exists") from None
    head = file.read(65_536)
    try:
        _sniff(path, head)
    except InputError:
        file.close()
        raise
    file.seek(3 if head.startswith(b"\xef\xbb\xbf") else 0)
    return file


def _sniff(path: Path, head: bytes) -> None:
    for magic, meaning in _MAGIC.items():
        if head.startswith(magic):
            raise InputError("path", str(path), f"JSON Lines, {SHAPE}, but this is {meaning}")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise InputError("path", str(path), f"{SHAPE}, but the file is empty")
    if b"\0" in head:
        raise InputError("path", str(path), f"JSON Lines, {SHAPE}, but this is binary")
    if text.startswith(b"["):
        raise InputError("path", str(path), f"{SHAPE}, without the [ ] and commas of a JSON array")
    if not text.startswith(b"{"):
        raise InputError(f"{path}: line 1", text[:40].decode("utf-8", "replace"), f"{SHAPE}, starting with {{")


def _blocks(file: IO[bytes], path: Path) -> Iterator[Block]:
    """Whole lines in blocks with the number of their first; None stands for one line that is too long."""
    line, rest = 1, b""
    while piece := file.read(BLOCK):
        cut = piece.rfind(b"\n") + 1
        if not cut and len(rest) + len(piece) > MAX_LINE:
            if line == 1:
                raise InputError("path", str(path), f"JSON Lines, {SHAPE}, but the first line is longer than 1 MiB")
            yield line, None
            line, rest = line + 1, _skip_line(file)
            continue
        block = rest + piece[:cut]
        rest = piece[cut:] if cut else rest + piece
        if cut:
            yield line, block
            line += block.count(b"\n")
    if rest:
        yield line, rest


def _skip_line(file: IO[bytes]) -> bytes:
    """Read past the end of a line in bounded memory; what follows it in the last piece."""
    while piece := file.read(BLOCK):
        cut = piece.find(b"\n") + 1
        if cut:
            return piece[cut:]
    return b""


def _oversize(line: int) -> Decoded:
    message = f"line {line}: expected at most {MAX_LINE} bytes, was longer"
    return columns_of([]), np.empty(0, np.int64), [Failure(line, "", "invalid_input", f"line {line}", message)]


def _decode(block: bytes, line: int) -> Decoded:
    """One call for a clean block; line by line where that fails or where lines are blank or too long."""
    ends = _ends(block)
    starts = np.append(0, ends[:-1] + 1)
    with _collector_paused():
        tables = _decode_clean(block, len(ends)) if np.max(ends - starts) <= MAX_LINE else None
        if tables is not None:
            return tables, np.arange(line, line + len(ends)), []
        return _one_by_one(block, starts, ends, line)


def _ends(block: bytes) -> IntArray:
    """Where each line ends, the last one with or without its line feed."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10)
    return ends if block.endswith(b"\n") else np.append(ends, len(block))


def _decode_clean(block: bytes, n: int) -> Tables | None:
    """Columns of `n` good lines; None where one is not. The values are gone when the collector resumes."""
    try:
        accounts = _DECODER.decode_lines(block)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if len(accounts) != n or any(_bad_time(account.as_of) for account in accounts):
        return None
    return columns_of(accounts)


def _one_by_one(block: bytes, starts: IntArray, ends: IntArray, line: int) -> Decoded:
    accounts: list[Account] = []
    lines: list[int] = []
    failures: list[Failure] = []
    for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        if end - start > MAX_LINE:
            failures += _oversize(line + i)[2]
            continue
        text = block[start:end].strip()
        if not text:
            continue
        try:
            accounts.append(decode_account(text))
            lines.append(line + i)
        except InputError as error:
            failures.append(Failure.from_error(error, line + i, _account_id(text)))
    return columns_of(accounts), np.array(lines, np.int64), failures


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Decoding makes many values and no cycles; the collector would take most of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def decode_account(text: bytes | str) -> Account:
    """Decode one account; its values are checked by `models.account.validate_account`.

    Parameters
    ----------
    text : bytes or str
        A JSON object.

    Returns
    -------
    Account
        The account.

    Raises
    ------
    InputError
        With the path of the field: an unknown or missing field, a wrong type, text that is not JSON, a time without
        a zone.

    Examples
    --------
    >>> decode_account('{"account_id": "a", "as_of": "2025-03-01T12:00:00Z", "ruleset": "r", "x": 1}')
    Traceback (most recent call last):
    ...
    models.errors.InputError: x: expected a known field, was 'x'
    """
    try:
        account = _DECODER.decode(text)
    except UnicodeDecodeError:
        raise InputError("line", "bytes", f"UTF-8 text, {SHAPE}") from None
    except msgspec.DecodeError as error:
        raise _explain(str(error), text) from None
    if _bad_time(account.as_of):
        raise InputError("as_of", account.as_of.isoformat(), _TIME)
    return account


def decode_agreement(text: str, path: str = "csa") -> CsaTerms:
    """Decode the terms of a credit support annex.

    Parameters
    ----------
    text : str
        A JSON object.
    path : str
        Path of the object, for the error.

    Returns
    -------
    CsaTerms
        The terms.

    Raises
    ------
    InputError
        With the path of the field: an unknown field, a wrong type, a value outside its range, text that is not JSON.

    Examples
    --------
    >>> decode_agreement('{"party": {"threshold": 1e6}}').party.threshold
    1000000.0
    >>> decode_agreement('{"party": {"threshold": -1.0}}')
    Traceback (most recent call last):
    ...
    models.errors.InputError: csa.party.threshold: expected an amount >= 0, or 'infinite', was -1.0
    """
    try:
        return _TERMS.decode(text)
    except msgspec.DecodeError as error:
        found = _explain(str(error), text)
    where = path if found.field == "line" else f"{path}.{found.field}"
    raise InputError(where, found.value, "the terms as a JSON object" if found.field == "line" else found.expected)


def _bad_time(as_of: datetime) -> bool:
    """Whether a time has no zone, or cannot be held in nanoseconds."""
    return as_of.tzinfo is None or not 1990 <= as_of.year < 2200


def _explain(message: str, text: bytes | str) -> InputError:
    match = _AT.match(message)
    what, path = (match["what"], match["path"] or "") if match else (message, "")
    for pattern, expected in ((_UNKNOWN, "a known field"), (_MISSING, "a value, the field is required")):
        named = pattern.search(what)
        if named:
            full = f"{path}.{named[1]}" if path else named[1]
            return InputError(full, named[1] if pattern is _UNKNOWN else None, expected)
    out_of_range = _RANGE.match(what)
    if out_of_range:  # raised by a value of its own
        full = f"{path}.{out_of_range['field']}" if path else out_of_range["field"]
        return InputError(full, _value(out_of_range["value"]), out_of_range["expected"])
    name = _NAME.match(what)
    if name:
        return InputError(path, name["value"], "a name that the field knows")
    number = _NOT_FINITE.search(text if isinstance(text, str) else text.decode("utf-8", "replace"))
    if "JSON is malformed" in what and number:
        return InputError(number[1], number[2], "a finite number")
    if "JSON is malformed" in what or "truncated" in what:
        shown = text[:60] if isinstance(text, str) else text[:60].decode("utf-8", "replace")
        return InputError("line", shown, f"{SHAPE} with finite numbers ({what})")
    expected, _, got = what.partition(", got ")
    return InputError(path or "line", got.strip("`") or what, expected.removeprefix("Expected ").replace("`", ""))


def _value(shown: str) -> Any:
    """What a message shows as a value; the text itself where it is no literal."""
    try:
        return literal_eval(shown)
    except (ValueError, SyntaxError):
        return shown


def _account_id(text: bytes) -> str:
    """The name in a line that could not be decoded, empty where there is none."""
    try:
        value: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    found = value.get("account_id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
