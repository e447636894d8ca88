"""What an action does to an account, against the exact engine."""

import pytest

from models.account import Account
from models.margin.levels import margin_levels
from models.margin.rulesets import load_ruleset
from models.rebalance.balances import held
from models.rebalance.effects import apply_move
from models.rebalance.moves import Move, reduce_move, round_amount
from models.rebalance.quotes import Quotes
from models.rebalance.weights import Weights
from tests.models.builders import account, book, position
from tests.models.rebalance.toy import PRICES


def _reduce(value: Account, fee_rate: float = 0.0) -> Move:
    rules = load_ruleset(value.ruleset, value.as_of)
    return reduce_move(Weights(value, rules, Quotes(value.currency, {"BTC": 50_000.0}, {})), 0, 0.0, fee_rate)


def _equity(value: object) -> float:
    return float(margin_levels(book(value), PRICES).equity[0])  # type: ignore[arg-type]


def test_top_up_adds_to_the_balance_that_is_there() -> None:
    after = apply_move(account(collateral=[("BTC", 0.1)]), Move("top_up", "BTC", -1, None, 5e4, 9.0), 0.2)
    assert held(after, "BTC") == pytest.approx(0.3)
    assert len(after.collateral) == 2


def test_top_up_of_a_new_asset() -> None:
    assert held(apply_move(account(), Move("top_up", "ETH", -1, None, 3e3, 9.0), 2.0), "ETH") == 2.0


def test_release_takes_out() -> None:
    assert held(apply_move(account(cash=100.0), Move("release", "USDT", -1, None, 1.0, 100.0), 40.0), "USDT") == 60.0


@pytest.mark.parametrize("quantity", [2.0, -2.0])
@pytest.mark.parametrize("entry", [40_000.0, 60_000.0])
def test_reducing_costs_the_fee_and_nothing_else(quantity: float, entry: float) -> None:
    before = account([position(quantity=quantity, entry_price=entry)], cash=50_000.0)
    move = _reduce(before, 0.0005)
    after = apply_move(before, move, 0.5)
    assert after.positions[0].quantity == pytest.approx(quantity * 0.75)
    assert _equity(before) - _equity(after) == pytest.approx(0.5 * 50_000 * 0.0005)


def test_reducing_all_closes_the_position() -> None:
    before = account([position(quantity=-2.0, entry_price=52_000.0)])
    after = apply_move(before, _reduce(before), 2.0)
    assert after.positions == ()
    assert held(after, "USDT") == pytest.approx(10_000 + 2 * 2_000)


def test_reducing_an_isolated_position_frees_its_margin_in_proportion() -> None:
    leg = position(quantity=1.0, entry_price=51_000.0, margin_mode="isolated", isolated_margin=5_000.0)
    before = account([leg], cash=1_000.0)
    after = apply_move(before, _reduce(before), 0.25)
    assert after.positions[0].isolated_margin == pytest.approx(3_750.0)
    assert held(after, "USDT") == pytest.approx(1_000 + 0.25 * (5_000 - 1_000))


def test_a_bankrupt_isolated_position_does_not_charge_the_wallet() -> None:
    leg = position(quantity=1.0, entry_price=60_000.0, margin_mode="isolated", isolated_margin=5_000.0)
    before = account([leg], cash=1_000.0)
    after = apply_move(before, _reduce(before), 1.0)
    assert held(after, "USDT") == pytest.approx(1_000.0)


def test_margin_is_added_to_one_isolated_position() -> None:
    legs = [position(margin_mode="isolated", isolated_margin=5_000.0), position("ETH/USDT:USDT", 1.0, 3_000.0)]
    after = apply_move(account(legs), Move("add_margin", "USDT", 0, "BTC/USDT:USDT", 1.0, 9e9), 250.0)
    assert after.positions[0].isolated_margin == 5_250.0
    assert after.positions[1] == legs[1]


@pytest.mark.parametrize(("kind", "amount", "rounded"), [
    ("top_up", 101.0, 105.0), ("top_up", 105.0, 105.0), ("top_up", 1.0, 20.0), ("top_up", 5000.0, 1000.0),
    ("release", 104.0, 100.0), ("release", 105.0, 105.0), ("release", 19.0, 0.0),
])  # fmt: skip
def test_amounts_are_rounded_to_the_safe_side(kind: str, amount: float, rounded: float) -> None:
    move = Move(kind, "USDT", -1, None, 1.0, 1000.0, step=5.0, smallest=20.0)  # type: ignore[arg-type]
    assert round_amount(amount, move) == rounded


def test_rounding_is_not_thrown_by_binary_fractions() -> None:
    move = Move("reduce", "BTC", 0, "BTC/USDT:USDT", 5e4, 10.0, step=0.001)
    assert round_amount(0.3 * 3, move) == 0.9
    assert round_amount(0.0011, move) == 0.002
