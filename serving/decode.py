"""Bytes to accounts: typed decode, one bad account never takes the others with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NoReturn, TypeVar

import msgspec

from models.account import Account, validate_account
from models.errors import Failure, InputError
from models.rebalance import Policy, Target, parse_target
from serving.problems import ProblemError

__all__ = ["Accounts", "decode_accounts", "decode_each", "decode_lines", "decode_recommendation", "decode_value"]

_OWN = ("reduce", "release", "substitute")
"""What a desk's plan may have accounts do themselves."""
_T = TypeVar("_T")
_account = msgspec.json.Decoder(Account)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
_flag = msgspec.json.Decoder(bool)
_chances = msgspec.json.Decoder(tuple[Annotated[float, msgspec.Meta(gt=0, lt=1)], ...])
_positive = msgspec.json.Decoder(Annotated[float, msgspec.Meta(gt=0)])
_minutes = msgspec.json.Decoder(Annotated[float, msgspec.Meta(ge=1)])
_policy = msgspec.json.Decoder(Policy | None)
_path = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_named = re.compile(r"(?:unknown|required) field `(?P<name>[^`]*)`")
_range = re.compile(r"^(?P<name>[\w.\[\]]+): (?P<what>expected .*)$", re.DOTALL)


class _Named(msgspec.Struct):
    account_id: str


_id = msgspec.json.Decoder(_Named)


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of a request.

    Parameters
    ----------
    accounts : list of Account
        Those that could be read.
    rows : list of int
        Their positions in the request.
    failures : list of Failure
        Those that could not.
    single : bool
        Whether the request was one account and not a list.
    explain : bool
        Whether the answer shall say why P(call) differs from the prior.
    desk : bool
        Whether they are to be planned together.
    front : tuple of float
        Other probabilities for which the cost of the desk is asked.
    reduce, release, substitute : bool
        Whether the desk's plan may reduce positions, take back what is not needed, and exchange what is posted.
    worth : float or None
        Dollars that may be spent to avoid a dollar of expected loss, where the desk has no target to reach.
    every_minutes : float
        Minutes to the next decision, with ``worth``.
    """

    accounts: list[Account]
    rows: list[int]
    failures: list[Failure]
    single: bool
    explain: bool = False
    desk: bool = False
    front: tuple[float, ...] = ()
    reduce: bool = False
    release: bool = False
    substitute: bool = False
    worth: float | None = None
    every_minutes: float = 480.0


def decode_accounts(body: bytes, max_accounts: int) -> Accounts:
    """Read one account, or ``{"accounts": [...]}``; ``"explain": true`` may stand beside the fields of either.

    Parameters
    ----------
    body : bytes
        The JSON of the request.
    max_accounts : int
        Most accounts allowed.

    Returns
    -------
    Accounts
        The good accounts, and failures for the others where there is a list.

    Raises
    ------
    ProblemError
        400 for what is not JSON, 422 with the path of the field for one account, or an envelope, that is wrong.

    Examples
    --------
    >>> decode_accounts(b'{"accounts": [{"account_id": "x"}]}', 10).failures[0].code
    'invalid_input'
    """
    try:
        account = _account.decode(body)
        validate_account(account)
        return Accounts([account], [0], [], True)
    except InputError as error:
        raise ProblemError(422, error.code, str(error), error.field) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        fields = _envelope(body)
        if "explain" in fields:
            explain = _part(_flag, fields.pop("explain"), "explain")
            return replace(decode_accounts(msgspec.json.encode(fields), max_accounts), explain=explain)
        if "accounts" not in fields:
            _refuse(error)
        unknown = [name for name in fields if name != "accounts"]
        if unknown:
            _unknown(unknown[0], "accounts")
        return _decode_list(fields["accounts"], max_accounts)


def decode_lines(body: bytes, max_accounts: int) -> Accounts:
    """Read accounts that stand one a line; empty lines are passed over.

    Parameters
    ----------
    body : bytes
        JSON lines.
    max_accounts : int
        Most accounts allowed.

    Returns
    -------
    Accounts
        The good accounts and failures for the others; rows count the lines that are not empty.

    Raises
    ------
    ProblemError
        413 for too many.

    Examples
    --------
    >>> decode_lines(b'{"account_id": "x"}', 10).failures[0].account_id
    'x'
    """
    items = [msgspec.Raw(line) for line in body.splitlines() if line.strip()]
    return decode_each(items, max_accounts)


def decode_value(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """Read a body of one type.

    Parameters
    ----------
    decoder : msgspec.json.Decoder
        Of the type.
    body : bytes
        JSON.

    Returns
    -------
    object
        Of the type.

    Raises
    ------
    ProblemError
        400 for what is not JSON, 422 with the path of the field that is wrong.
    """
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        _refuse(error)


def decode_recommendation(body: bytes, max_accounts: int) -> tuple[Accounts, Target | None, Policy | None]:
    """Read ``{"accounts": [...]}`` or ``{"account": {...}}`` with target, policy and desk, or one account.

    Parameters
    ----------
    body : bytes
        The JSON of the request.
    max_accounts : int
        Most accounts allowed.

    Returns
    -------
    tuple of (Accounts, Target or None, Policy or None)
        None where the request does not say.

    Raises
    ------
    ProblemError
        As `decode_accounts`.
    """
    fields = _envelope(body)
    if "account_id" in fields:
        return decode_accounts(body, max_accounts), None, None
    known = ("accounts", "account", "target", "policy", "desk", "front", *_OWN, "worth", "every_minutes")
    for name in fields:
        if name not in known:
            _unknown(name, ", ".join(known))
    if ("accounts" in fields) == ("account" in fields):
        raise ProblemError(422, "invalid_input", "Give either 'accounts' (a list) or 'account' (one).", "accounts")
    target = parse_target(_part(_text, fields["target"], "target")) if "target" in fields else None
    policy = _part(_policy, fields["policy"], "policy") if "policy" in fields else None
    desk, reduce, release, substitute = (
        _part(_flag, fields[name], name) if name in fields else False for name in ("desk", *_OWN)
    )
    front = _part(_chances, fields["front"], "front") if "front" in fields else ()
    worth = _part(_positive, fields["worth"], "worth") if "worth" in fields else None
    every = _part(_minutes, fields["every_minutes"], "every_minutes") if "every_minutes" in fields else 480.0
    if worth is not None and (not desk or reduce or release or substitute or front):
        others = ", ".join(f"'{name}'" for name in (*_OWN, "front"))
        detail = f"worth: expected with 'desk', and without {others}, was {worth:g}"
        raise ProblemError(422, "invalid_input", detail, "worth")
    if "account" in fields:
        account = _part(_account, fields["account"], "account")
        try:
            validate_account(account)
        except InputError as error:
            raise ProblemError(422, error.code, str(error), f"account.{error.field}") from None
        batch = Accounts([account], [0], [], True)
    else:
        batch = _decode_list(fields["accounts"], max_accounts)
    asked = replace(
        batch, desk=desk, front=front, reduce=reduce, release=release, substitute=substitute, worth=worth,
        every_minutes=every,
    )  # fmt: skip
    return asked, target, policy


def _envelope(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _fields.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        _refuse(error)


def _decode_list(raw: msgspec.Raw, max_accounts: int) -> Accounts:
    items: list[msgspec.Raw] = _part(_items, raw, "accounts")
    return decode_each(items, max_accounts)


def decode_each(items: Sequence[msgspec.Raw], max_accounts: int) -> Accounts:
    """Read accounts that stand each for itself.

    Parameters
    ----------
    items : sequence of msgspec.Raw
        The JSON of one account each.
    max_accounts : int
        Most accounts allowed.

    Returns
    -------
    Accounts
        The good accounts and failures for the others.

    Raises
    ------
    ProblemError
        413 for too many.
    """
    if len(items) > max_accounts:
        detail = f"accounts: expected at most {max_accounts} in one request, was {len(items)}"
        raise ProblemError(413, "too_many_accounts", detail, "accounts")
    accounts: list[Account] = []
    rows: list[int] = []
    failures: list[Failure] = []
    for row, item in enumerate(items):
        try:
            account = _account.decode(item)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            what, path = _split(error)
            field = f"accounts[{row}]" + (f".{path}" if path else "")
            failures.append(Failure(row, _name(item), "invalid_input", field, f"{field}: {what}"))
            continue
        try:
            validate_account(account)
        except InputError as error:
            failures.append(_failure(error, row, account.account_id))
            continue
        accounts.append(account)
        rows.append(row)
    return Accounts(accounts, rows, failures, False)


def _failure(error: InputError, row: int, account_id: str) -> Failure:
    field = f"accounts[{row}].{error.field}"
    return Failure(row, account_id, error.code, field, f"accounts[{row}].{error}")


def _name(item: msgspec.Raw) -> str:
    try:
        return str(_id.decode(item).account_id)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""


def _part(decoder: msgspec.json.Decoder[_T], raw: msgspec.Raw, name: str) -> _T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        _refuse(error, name)


def _split(error: Exception) -> tuple[str, str]:
    match = _path.match(str(error))
    what, path = (match["what"], match["path"] or "") if match else (str(error), "")
    out_of_range = _range.match(what)  # raised by a value of its own
    if out_of_range:
        what = out_of_range["what"]
    named = out_of_range or _named.search(what)
    return what, ".".join(part for part in (path, named["name"] if named else "") if part)


def _refuse(error: Exception, prefix: str = "") -> NoReturn:
    if isinstance(error, msgspec.ValidationError):
        what, path = _split(error)
        field = ".".join(part for part in (prefix, path) if part).replace(".[", "[")
        raise ProblemError(422, "invalid_input", f"{field}: {what}" if field else what, field) from None
    raise ProblemError(400, "malformed_json", f"The body is not JSON: {error}.") from None


def _unknown(name: str, known: Sequence[str] | str) -> NoReturn:
    raise ProblemError(422, "invalid_input", f"{name}: unknown field; known are {known}", name)
