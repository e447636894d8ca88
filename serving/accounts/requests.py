"""Requests about registered accounts: names, conditions, cursors."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

from starlette.datastructures import Headers

from models.account import Account
from models.errors import Failure, InputError
from serving.accounts.canonical import Entry, entry_of
from serving.accounts.changes import Condition
from serving.problems import ProblemError

__all__ = ["check_name", "condition_of", "cursor", "entries_of", "name_after", "rank_after", "rank_cursor"]

_NAME = re.compile(r"[^\x00-\x1f\x7f/\ud800-\udfff]{1,200}")
_TAG = re.compile(r'\s*(?:W/)?"(\d{1,9})"\s*')
_NAME_RULE = "1 to 200 characters, none of them a slash or a control character, and not '.' or '..'"


def check_name(account_id: str) -> None:
    """Refuse a name that cannot be part of a path.

    Parameters
    ----------
    account_id : str
        The name.

    Raises
    ------
    InputError
        If it is empty, too long, or holds a slash or a control character.

    Examples
    --------
    >>> check_name("a/b")
    Traceback (most recent call last):
    ...
    models.errors.InputError: account_id: expected 1 to 200 characters, none of them a slash or a control character, \
and not '.' or '..', was 'a/b'
    """
    if not _NAME.fullmatch(account_id) or account_id in (".", ".."):
        raise InputError("account_id", account_id, _NAME_RULE)


def condition_of(headers: Headers) -> Condition:
    """Read ``If-Match`` and ``If-None-Match``.

    Parameters
    ----------
    headers : Headers
        Of the request.

    Returns
    -------
    Condition
        What must be true of the account that is there.

    Raises
    ------
    ProblemError
        400 where they are not ``*`` or versions in quotes.

    Examples
    --------
    >>> condition_of(Headers({"if-match": '"3"'})).versions
    frozenset({3})
    """
    match, none = headers.get("if-match"), headers.get("if-none-match")
    if none is not None and none.strip() != "*":
        raise ProblemError(400, "invalid_condition", "If-None-Match: expected *, to create only", "if-none-match")
    if match is None:
        return Condition(None, None if none is None else False)
    if match.strip() == "*":
        return Condition(None, True)
    tags = [_TAG.fullmatch(part) for part in match.split(",")]
    if not all(tags):
        detail = 'If-Match: expected * or the ETag of the account, for example "3"'
        raise ProblemError(400, "invalid_condition", detail, "if-match")
    return Condition(frozenset(int(tag[1]) for tag in tags if tag))


def cursor(account_id: str) -> str:
    """Write down where a page ended.

    Parameters
    ----------
    account_id : str
        The last account on it.

    Returns
    -------
    str
        For `name_after`.

    Examples
    --------
    >>> name_after(cursor("desk-7"))
    'desk-7'
    """
    return base64.urlsafe_b64encode(account_id.encode()).decode().rstrip("=")


def name_after(text: str) -> str:
    """Read where the page before ended.

    Parameters
    ----------
    text : str
        From `cursor`; empty for the first page.

    Returns
    -------
    str
        The last account on the page before.

    Raises
    ------
    InputError
        If it is not one.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InputError("after", text, "'next' of the page before") from None


def rank_after(text: str) -> tuple[float, str] | None:
    """Read where the page before ended in the order of P(call).

    Parameters
    ----------
    text : str
        From `rank_cursor`; empty for the first page.

    Returns
    -------
    tuple of (float, str) or None
        The negative of P(call), and the name.

    Raises
    ------
    InputError
        If it is not one.
    """
    if not text:
        return None
    value, _, name = name_after(text).partition(" ")
    try:
        return float.fromhex(value), name
    except ValueError:
        raise InputError("after", text, "'next' of the page before") from None


def rank_cursor(rank: tuple[float, str]) -> str:
    """Write down where a page in the order of P(call) ended.

    Parameters
    ----------
    rank : tuple of (float, str)
        The negative of P(call), and the name.

    Returns
    -------
    str
        For `rank_after`.

    Examples
    --------
    >>> rank_after(rank_cursor((-0.1, "desk 7")))
    (-0.1, 'desk 7')
    """
    return cursor(f"{rank[0].hex()} {rank[1]}")


def entries_of(accounts: Iterable[Account], rows: Iterable[int]) -> tuple[list[Entry], list[int], list[Failure]]:
    """Prepare accounts for storing.

    Parameters
    ----------
    accounts : iterable of Account
        Valid accounts.
    rows : iterable of int
        Their positions in the request.

    Returns
    -------
    tuple of (list of Entry, list of int, list of Failure)
        The entries of distinct names with their positions, and what was left out.
    """
    entries: dict[str, Entry] = {}
    kept: list[int] = []
    failures: list[Failure] = []
    for account, row in zip(accounts, rows, strict=True):
        field = f"accounts[{row}].account_id"
        try:
            check_name(account.account_id)
        except InputError as error:
            failures.append(Failure(row, account.account_id, error.code, field, str(error.at(field))))
            continue
        if account.account_id in entries:
            message = f"{field}: expected each account once in a request, {account.account_id!r} came before"
            failures.append(Failure(row, account.account_id, "duplicate", field, message))
            continue
        entries[account.account_id] = entry_of(account)
        kept.append(row)
    return list(entries.values()), kept, failures
