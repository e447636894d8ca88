"""Account values are checked field by field, and the message names the path."""

import math
from typing import Any

import msgspec
import pytest

from models.account import Account, validate_account
from models.errors import InputError
from tests.models.builders import AS_OF, account, position


def test_round_trip_through_json() -> None:
    held = account([position(leverage=5.0)], collateral=[("BTC", 0.5)])
    assert msgspec.json.decode(msgspec.json.encode(held), type=Account) == held


def test_unknown_field_is_refused_with_its_path() -> None:
    raw = msgspec.json.encode(account([position()])).replace(b'"quantity":1.0', b'"quantity":1.0,"size":2')
    with pytest.raises(msgspec.ValidationError, match=r"`size` - at `\$.positions\[0\]`"):
        msgspec.json.decode(raw, type=Account)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"account_id": ""}, "account_id"),
        ({"as_of": AS_OF.replace(tzinfo=None)}, "as_of"),
        ({"currency": "BTC"}, "currency"),
        ({"cash": math.nan}, "collateral[0].quantity"),
        ({"collateral": [("BTC", -1.0)]}, "collateral[1].quantity"),
        ({"positions": [position(), position("ETH/BTC:BTC")]}, "positions[1].symbol"),
        ({"positions": [position("BTC/USD:BTC")]}, "positions[0].symbol"),
        ({"positions": [position(quantity=0.0)]}, "positions[0].quantity"),
        ({"positions": [position(quantity=math.inf)]}, "positions[0].quantity"),
        ({"positions": [position(entry_price=0.0)]}, "positions[0].entry_price"),
        ({"positions": [position(leverage=0.99)]}, "positions[0].leverage"),
        ({"positions": [position(margin_mode="isolated")]}, "positions[0].isolated_margin"),
        ({"positions": [position(margin_mode="isolated", isolated_margin=-1.0)]}, "positions[0].isolated_margin"),
        ({"positions": [position(isolated_margin=1.0)]}, "positions[0].isolated_margin"),
    ],
)
def test_first_wrong_field_is_named(bad: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        validate_account(account(**bad))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "good",
    [{}, {"cash": -5.0}, {"positions": [position(leverage=1.0)]}, {"positions": [position("BTC/USDT:USDT-251226")]}],
)
def test_edges_that_are_allowed(good: dict[str, Any]) -> None:
    validate_account(account(**good))
