"""Substitutions under an agreement: worth it, never worse at any moment, in its amounts, nothing from nowhere."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.account import Account
from models.book import Book
from models.margin.csa import CsaTerms, EligibleCollateral, PartyTerms, PostedCollateral, Rounding, posted_value
from models.margin.levels import STATES, margin_levels
from models.rebalance import Plan, Policy, Recommendation, Target, policy_from_mapping, recommend
from models.rebalance.balances import changed, held
from tests.models.rebalance.regimes import ASSETS, NAMED, PRICES, TERMS, gap_predict, of

DOLLARS = {"USD": 1.0, "BTC": 84_000.0, "ETH": 2_200.0}
TARGET = Target(0.05, 1440)
TRADE = ("BTC/USDT:USDT", 20.0, 90_000.0)
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def safe(book: Book) -> Any:
    """Return P of a desk that nothing can happen to."""
    return np.zeros((len(book), 4))


def posted(usd: float = 400_000.0, btc: float = 0.0, terms: CsaTerms = TERMS) -> Account:
    """Return an account that has posted cash, and coins, for trades that have lost 120,000."""
    held_now = {"USD": usd} | ({"BTC": btc} if btc else {})
    return of("csa", "USD", held_now, [TRADE], csa=terms)


def policy(rule: dict[str, Any] | None = None, route: dict[str, Any] | None = None, **more: Any) -> Policy:
    """Return a policy that lends cash at 5%, coins at 1%, and may deliver coins from a vault for cash."""
    mapping: dict[str, Any] = {
        "assets": {"USD": {"annual_cost": 0.05}, "BTC": {"annual_cost": 0.01}},
        "places": {"vault": {"inventory": {"BTC": 10.0, "ETH": 500.0}}, "bank": {"inventory": {"USD": 1e6}}},
        "routes": [{"name": "chain", "source": "vault", "to": ["csa"], "assets": ["BTC", "ETH"]} | (route or {})],
        "substitutions": [
            {"name": "s", "deliver": ["BTC"], "ask_back": ["USD"], "returns_to": "bank", "holding_days": 30}
            | (rule or {})
        ],
        "limits": {"stress": [0.9, 1.1]},
        "release": False,
    }
    return policy_from_mapping(mapping | more)


def found_for(account: Account, rules: Policy, predict: Any = safe, target: Target = TARGET) -> Recommendation:
    found, failures = recommend([account], ASSETS, PRICES, predict, target, rules)
    assert failures == []
    return found[0]


def only(found: Recommendation) -> Plan:
    (plan,) = found.plans
    assert plan.actions[0].kind == "substitute"
    return plan


def reasons(found: Recommendation) -> str:
    return " ".join(item.sentence for item in found.unreachable)


def worth(account: Account) -> float:
    """Return what is posted counts for, by the agreement alone."""
    assert account.csa is not None
    items = [PostedCollateral(asset=x.asset, market_value=x.quantity * DOLLARS[x.asset]) for x in account.collateral]
    return posted_value(items, account.csa)


def carried_out(account: Account, plan: Plan) -> tuple[Account, Account]:
    """Return the account after the delivery, and after the return."""
    action = plan.actions[0]
    assert action.into is not None
    assert action.received is not None
    between = changed(account, action.into, action.received)
    return between, changed(between, action.asset, -action.amount)


def less_inventory(rules: Policy, plan: Plan, fees: float = 0.0) -> Policy:
    """Return the policy without what was delivered, before anything has come back."""
    action = plan.actions[0]
    assert action.received is not None
    vault = rules.places["vault"]
    left = vault.inventory | {str(action.into): max(vault.inventory[str(action.into)] - action.received - fees, 0.0)}
    return msgspec.structs.replace(
        rules, places=rules.places | {"vault": msgspec.structs.replace(vault, inventory=left)}
    )


@SLOW
@given(
    usd=st.floats(200_000.0, 2e6),
    btc=st.floats(0.0, 3.0),
    stock=st.floats(0.0, 30.0),
    percentage=st.floats(0.5, 1.0),
    cash=st.sampled_from([1.0, 0.99]),
    desk_haircut=st.floats(0.0, 0.6),
    increment=st.sampled_from([None, 5_000.0, 25_000.0]),
    minimum=st.sampled_from([0.0, 50_000.0]),
    step=st.sampled_from([0.0, 0.001, 0.5]),
    fee_rate=st.sampled_from([0.0, 0.0005]),
    fee=st.sampled_from([0.0, 0.01]),
)
def test_no_moment_is_worse_and_nothing_comes_from_nowhere(
    usd: float,
    btc: float,
    stock: float,
    percentage: float,
    cash: float,
    desk_haircut: float,
    increment: float | None,
    minimum: float,
    step: float,
    fee_rate: float,
    fee: float,
) -> None:
    terms = CsaTerms(
        party=PartyTerms(minimum_transfer_amount=minimum),
        counterparty=PartyTerms(minimum_transfer_amount=minimum),
        rounding=Rounding(delivery_increment=increment, return_increment=increment),
        eligible_collateral=(
            EligibleCollateral(asset="USD", valuation_percentage=cash),
            EligibleCollateral(asset="BTC", valuation_percentage=percentage),
        ),
    )
    account = posted(usd, btc, terms)
    line = {"haircut": desk_haircut}
    rules = policy(
        route={"step": step, "fee_rate": fee_rate, "fee": fee},
        places={"vault": {"inventory": {"BTC": stock, "ETH": 0.0}}, "bank": {"inventory": {"USD": 1e6}}},
        eligibility={"csa": {"assets": {"BTC": line, "USD": {}}}},
    )
    found = found_for(account, rules)
    if not found.plans:
        assert found.unreachable
        return
    plan = only(found)
    action, done = plan.actions[0], plan.substitution
    assert done is not None
    assert action.received is not None
    between, after = carried_out(account, plan)
    cent = 1e-6 * usd
    assert worth(between) >= worth(after) - cent
    assert worth(after) >= worth(account) - cent
    assert done.counted_out == pytest.approx(action.amount * cash)
    assert done.counted_in == pytest.approx(action.received * DOLLARS["BTC"] * min(percentage, 1.0 - desk_haircut))
    assert done.counted_in >= done.counted_out - cent
    assert plan.levels_after.equity == pytest.approx(plan.levels_before.equity + worth(after) - worth(account))
    assert done.levels_between.equity == pytest.approx(plan.levels_before.equity + worth(between) - worth(account))
    assert 0.0 < action.amount <= usd
    assert action.received * (1.0 + fee_rate) + fee <= stock * (1.0 + 1e-9)
    assert done.counted_out >= minimum * (1.0 - 1e-9)
    assert action.received * DOLLARS["BTC"] * percentage >= minimum * (1.0 - 1e-9)
    if increment:
        assert on_grid(done.counted_out, increment)
        if not step:
            assert on_grid(action.received * DOLLARS["BTC"] * percentage, increment)
    if step:
        assert on_grid(action.received, step)
    assert done.saves > 0
    again = found_for(after, less_inventory(rules, plan, action.received * fee_rate + fee))
    assert again.plans == ()


def on_grid(value: float, step: float) -> bool:
    return abs(value / step - round(value / step)) < 1e-6


@SLOW
@given(
    usd=st.sampled_from([137_500.0, 400_000.0, 733_000.0]),
    funding=st.floats(-0.02, 0.08),
    coins=st.floats(-0.01, 0.05),
    interest=st.floats(0.0, 0.05),
    days=st.floats(1.0, 120.0),
    gas=st.floats(0.0, 500.0),
    book=st.floats(0.0, 500.0),
    slip=st.floats(0.0, 0.004),
)
def test_it_is_given_if_it_saves_and_then_no_other_size_saves_more(
    usd: float, funding: float, coins: float, interest: float, days: float, gas: float, book: float, slip: float
) -> None:
    account = posted(usd)
    rates = {"USD": max(funding, 0.0), "BTC": max(coins, 0.0)}
    rules = policy(
        rule={"interest": {"USD": interest}, "holding_days": days, "cost": book},
        route={"gas": gas, "impact": [[0.0, 0.0], [100_000.0, slip / 2], [300_000.0, slip]]},
        assets={name: {"annual_cost": rate} for name, rate in rates.items()},
        places={"vault": {"inventory": {"BTC": 20.0, "ETH": 0.0}}, "bank": {"inventory": {"USD": 1e6}}},
    )
    away = (4_620.0 - 2_160.0) / 1_440.0  # given on a Saturday: sent on Monday, back on Tuesday at the close

    def saves(amount: float) -> float:
        delivered = np.ceil(amount / 10_000.0 - 1e-9) * 10_000.0 / 0.8  # dollars, at 85% less 5%
        lost = slip / 2 * np.clip(delivered - 1e5, 0.0, 2e5) + slip * max(delivered - 3e5, 0.0)
        earned = amount * (rates["USD"] - interest) * max(days - away, 0.0) / 365.0
        return float(earned - delivered * rates["BTC"] * days / 365.0 - lost - gas - book)

    sizes = np.arange(50_000.0, usd + 1.0, 5_000.0)
    best = max(saves(x) for x in sizes)
    found = found_for(account, rules)
    if not found.plans:
        assert best <= 12_500.0 * rates["BTC"] * days / 365.0 + 1e-6
        assert "does not pay" in reasons(found)
        return
    plan = only(found)
    assert plan.substitution is not None
    assert plan.substitution.saves == pytest.approx(saves(plan.actions[0].amount), rel=1e-6, abs=1e-6)
    assert plan.substitution.saves > 0
    # a last step of cash may be less than the step of coins that is delivered for it
    assert plan.substitution.saves >= best - 12_500.0 * (rates["BTC"] * days / 365.0 + slip) - 1e-6
    assert plan.cost == pytest.approx(plan.actions[0].fee)


def test_what_a_likelier_call_costs_is_taken_off() -> None:
    falls = wrong_way()
    free, dear = (
        found_for(posted(300_000.0), policy(limits={"stress": [1.0], "call_cost": cost}), falls)
        for cost in (0.0, 500.0)
    )
    one, other = only(free), only(dear)
    assert one.p_after[2] > one.p_before[2]
    rise = (other.p_after[2] - other.p_before[2]) * 30.0
    assert one.substitution is not None
    assert other.substitution is not None
    assert other.substitution.saves == pytest.approx(one.substitution.saves - 500.0 * rise)


def wrong_way() -> Any:
    """Return P that grows by 0.01 with each 10,000 by which coins make a fall of a tenth worse; of `posted(3e5)`."""

    def predict(book: Book) -> Any:
        gap = margin_levels(book, PRICES * 0.9).gap_call
        return np.repeat(np.clip((162_000.0 - gap) / 1e6, 0.0, 1.0)[:, None], 4, axis=1)

    return predict


def test_no_more_is_exchanged_than_keeps_p_under_the_target() -> None:
    falls, account = wrong_way(), posted(300_000.0)
    target = Target(0.0199, 1440)
    plan = only(found_for(account, policy(limits={"stress": [1.0]}), falls, target))
    action = plan.actions[0]
    assert plan.p_after[2] <= target.probability
    assert action.amount == pytest.approx(190_000.0)
    more = changed(changed(account, "USD", -action.amount - 10_000.0), "BTC", (action.amount + 10_000.0) / 67_200.0)
    p = falls(Book.from_accounts([more], ASSETS)[0])[0, 2]
    assert p > target.probability
    after = carried_out(account, plan)[1]
    left = less_inventory(policy(limits={"stress": [1.0]}), plan)
    assert found_for(after, left, falls, target).plans == ()


def test_a_stressed_exchange_is_not_given() -> None:
    account = posted(170_000.0)
    mild, hard = (found_for(account, policy(limits={"stress": [factor]})) for factor in (1.0, 0.89))
    assert only(mild)
    assert hard.plans == ()
    assert "would be called in a price scenario" in reasons(hard)


def test_an_account_over_the_target_is_saved_first() -> None:
    found = found_for(NAMED["csa"], policy(), gap_predict())
    assert found.status == "act"
    assert {plan.actions[0].kind for plan in found.plans} <= {"top_up", "reduce"}
    assert all(item.kind != "substitute" for item in found.unreachable)


def test_status_and_sentence_say_what_is_done_and_when() -> None:
    found = found_for(posted(), policy(rule={"needs_consent": True}))
    assert found.status == "substitute"
    plan = only(found)
    assert plan.last_safe_minute is None
    assert plan.sentence.startswith("Deliver 5.95238 BTC (500,000 dollars) from vault in place of 400,000 USD with")
    assert "due back at bank by 2025-03-04 17:00 UTC" in plan.sentence
    with_release = found_for(posted(), policy(release=True))
    assert with_release.status == "release"
    assert [p.actions[0].kind for p in with_release.plans] == ["release", "substitute"]


def test_of_two_routes_the_one_that_saves_more_is_taken() -> None:
    rules = policy()
    dear = msgspec.structs.replace(rules.routes[0], name="dear", gas=100.0)
    both = msgspec.structs.replace(rules, routes=(dear, rules.routes[0]))
    plan = only(found_for(posted(), both))
    assert plan.substitution is not None
    assert plan.substitution.route == "chain"


def test_the_notices_wait_for_each_other() -> None:
    plan = only(found_for(posted(), policy()))
    assert plan.substitution is not None
    notice, delivery, back = plan.substitution.instructions
    action = plan.actions[0]
    assert (notice.channel, notice.method, notice.hold) == ("csa", "substitute", False)
    assert notice.arguments["deliver"] == {"asset": "BTC", "amount": action.received}
    assert notice.arguments["return"] == {"asset": "USD", "amount": action.amount}
    assert notice.arguments["return_due"] == "2025-03-04T17:00:00+00:00"
    assert (delivery.method, delivery.hold, delivery.reason) == ("deliver", True, "consent")
    assert (back.method, back.hold, back.reason) == ("demand_return", True, "the substitute")
    keys = [one.key for one in plan.substitution.instructions]
    assert len(set(keys)) == 3
    same, other, free = (
        only(found_for(posted(usd), policy(rule=rule))).substitution
        for usd, rule in ((400_000.0, None), (390_000.0, None), (400_000.0, {"needs_consent": False}))
    )
    assert same is not None
    assert other is not None
    assert free is not None
    assert [one.key for one in same.instructions] == keys
    assert not {one.key for one in other.instructions} & set(keys)
    assert free.instructions[1].reason == "the notice"


@pytest.mark.parametrize(("rule", "limits"), [({"needs_approval": True}, {}), ({}, {"approval_above": 499_000.0})])
def test_what_needs_approval_waits_for_it(rule: dict[str, Any], limits: dict[str, Any]) -> None:
    plan = only(found_for(posted(), policy(rule=rule, limits={"stress": [0.9]} | limits)))
    assert plan.substitution is not None
    assert plan.substitution.needs_approval
    assert [one.reason for one in plan.substitution.instructions] == ["approval"] * 3
    assert all(one.hold for one in plan.substitution.instructions)


DEFAULT = msgspec.structs.replace(TERMS, party=msgspec.structs.replace(TERMS.party, in_default=True))


@pytest.mark.parametrize(("account", "more", "words"), [
    (posted(terms=DEFAULT), {}, "in default under csa"),
    (posted(), {"rule": {"deliver": ["ETH"]}}, "The agreement does not accept ETH"),
    (posted(), {"rule": {"deliver": ["SOL"]}}, "no price for SOL"),
    (posted(), {"eligibility": {"csa": {"assets": {"USD": {}}}}}, "does not list BTC as eligible"),
    (posted(), {"eligible_assets": ["USD"]}, "does not list BTC under eligible_assets"),
    (posted(), {"route": {"to": ["other"]}}, "No route brings BTC from a place of the desk to csa"),
    (posted(), {"places": {"vault": {"inventory": {"BTC": 0.5, "ETH": 1.0}}, "bank": {}}}, "than one exchange"),
    (posted(), {"places": {"vault": {"kind": "credit_line", "inventory": {"BTC": 9.0, "ETH": 1.0}}, "bank": {}}},
     "No route brings BTC from a place of the desk"),
    (posted(), {"places": {"vault": {"draws": ["x"], "inventory": {"BTC": 9.0, "ETH": 1.0}}, "bank": {}}},
     "No route brings BTC from a place of the desk"),
    (posted(), {"assets": {"USD": {"annual_cost": 0.01}, "BTC": {"annual_cost": 0.02}}}, "does not pay"),
    (posted(), {"rule": {"interest": {"USD": 0.05}}}, "does not pay"),
    (posted(), {"rule": {"holding_days": 1.5}}, "does not pay"),
    (posted(), {"route": {"impact": [[0.0, 0.01]]}}, "does not pay"),
    (posted(), {"route": {"impact": [[0.0, 0.0], [20_000.0, 0.01]]}}, "than one exchange"),
    (posted(), {"rule": {"cost": 5_000.0}}, "more than it saves over 30 days"),
    (posted(), {"eligibility": {"csa": {"assets": {"USD": {}, "BTC": {"cap": 0.5}}}}}, "than one exchange"),
    (posted(), {"rule": {"min_saving": 5_000.0}}, "over 30 days, less than 5,000 dollars"),
])  # fmt: skip
def test_what_cannot_be_exchanged_is_refused_with_the_reason(
    account: Account, more: dict[str, Any], words: str
) -> None:
    found = found_for(account, policy(**more))
    assert found.plans == ()
    assert words in reasons(found)


@pytest.mark.parametrize(("limits", "line", "most"), [
    ({}, {"cap": 2.0}, 2.0),
    ({}, {"most_share": 0.25}, 0.25 * 400_000.0 / 67_200.0),
    ({"max_run_value": 100_000.0}, {}, 100_000.0 / 84_000.0),
])  # fmt: skip
def test_limits_of_the_desk_are_kept(limits: dict[str, Any], line: dict[str, Any], most: float) -> None:
    rules = policy(limits={"stress": [0.9]} | limits, eligibility={"csa": {"assets": {"USD": {}, "BTC": line}}})
    received = only(found_for(posted(), rules)).actions[0].received
    assert received is not None
    assert most - 10_000.0 / 67_200.0 < received <= most * (1.0 + 1e-9)


def test_accounts_without_an_agreement_and_assets_not_posted_are_left_alone() -> None:
    plain = found_for(NAMED["binance-usdm"], policy(), safe)
    assert all(item.kind != "substitute" for item in (*plain.unreachable, *(p.actions[0] for p in plain.plans)))
    none = found_for(posted(), policy(rule={"ask_back": ["ETH"]}))
    assert (none.status, none.plans, none.unreachable) == ("ok", (), ())


@SLOW
@given(
    usd=st.floats(150_000.0, 800_000.0),
    btc=st.floats(0.0, 2.0),
    probability=st.sampled_from([0.001, 0.01, 0.05]),
    stress=st.lists(st.floats(0.85, 1.15), min_size=1, max_size=3),
)
def test_no_price_of_the_policy_and_no_moment_ends_worse_than_nothing(
    usd: float, btc: float, probability: float, stress: list[float]
) -> None:
    account, target = posted(usd, btc), Target(probability, 1440)
    found = found_for(account, policy(limits={"stress": stress}), gap_predict(), target)
    for plan in [p for p in found.plans if p.actions[0].kind == "substitute"]:
        assert plan.substitution is not None
        moments = carried_out(account, plan)
        book = Book.from_accounts([account, *moments], ASSETS)[0]
        assert np.all(gap_predict()(book)[1:, 2] <= probability)
        assert plan.p_after[2] == pytest.approx(gap_predict()(book)[2, 2])
        for factor in (1.0, *stress):
            state = margin_levels(book, PRICES * factor).state
            assert np.all((state[1:] <= state[0]) | (state[1:] < STATES.index("call"))), factor


def test_exchanges_come_to_an_end() -> None:
    """Applied one after the other, each lowers what is paid, and none undoes another."""
    rule = {"deliver": ["BTC", "USD"], "ask_back": ["USD", "BTC"]}
    rules = policy(rule=rule, routes=[
        {"name": "chain", "source": "vault", "to": ["csa"], "assets": ["BTC"]},
        {"name": "wire", "source": "bank", "to": ["csa"], "assets": ["USD"]},
    ])  # fmt: skip
    account = posted(400_000.0, 1.0)
    for _ in range(3):
        found = found_for(account, rules)
        if not found.plans:
            break
        plan = found.plans[0]
        assert (plan.actions[0].asset, plan.actions[0].into) == ("USD", "BTC")
        account, rules = carried_out(account, plan)[1], less_inventory(rules, plan)
    assert found.plans == ()
    assert held(account, "USD") == pytest.approx(0.0, abs=50_000.0)
