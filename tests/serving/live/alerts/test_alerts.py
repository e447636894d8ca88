"""Alert rules as tables: what is measured, bar by bar, and what is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.answer import BIT, Forecast, empty_forecast
from models.errors import InputError
from models.margin.levels import STATES, MarginLevels
from models.rebalance import Target, last_safe_minute
from models.typing import HORIZONS
from serving.live.alerts import KINDS, SEVERITIES, AlertRules, Raised, Standing, measure, steps, within_budget
from serving.live.alerts.measures import last_safe_minutes

QUIET = AlertRules(target="0.01@1440", critical_probability=0.2, clear_ratio=0.5, warn_minutes=0.0, lag_minutes=0.0)


def forecast_of(p: list[list[float]], flags: int = 0) -> Forecast:
    seen = empty_forecast(len(p), False)
    return replace(seen, p_call=np.array(p), flags=np.full(len(p), flags, np.int64), age_minutes=np.zeros(len(p)))


def levels_of(equity: float = 1e9, initial: float = 1.0, state: str = "release") -> MarginLevels:
    one = np.ones(1)
    code = np.array([-1 if state == "unknown" else STATES.index(state)])
    return MarginLevels(one * equity, one, one, one * initial, one, one * 0, one, code)


def told(rules: AlertRules, kind: str, bars: list[tuple[Forecast, MarginLevels]]) -> list[str]:
    """Walk one account through bars; a word for each: what is told of one kind, "-" for nothing."""
    standing: dict[tuple[str, str], Standing] = {}
    words = []
    for t, (seen, levels) in enumerate(bars):
        word = "-"
        for one in steps("desk", ["a"], measure(seen, levels, rules), standing, t):
            if one.level:
                standing["a", one.kind] = Standing(one.alert_id, one.level)
            else:
                del standing["a", one.kind]
            if one.kind == kind:
                word = SEVERITIES[one.level] if one.level else "end"
        words.append(word)
    return words


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.009, 0.01, 0.011], ["-", "-", "warning"]),
        ([0.02, 0.02, 0.03], ["warning", "-", "-"]),  # one open alert is not told again
        ([0.02, 0.009, 0.0051, 0.02, 0.005, 0.02], ["warning", "-", "-", "-", "end", "warning"]),  # flapping
        ([0.02, 0.21, 0.3, 0.02, 0.004], ["warning", "critical", "-", "-", "end"]),  # it grows once
        ([0.5, 0.0], ["critical", "end"]),
    ],
)
def test_p_over_the_target(p: list[float], expected: list[str]) -> None:
    assert told(QUIET, "p_call", [(forecast_of([[0.0, 0.0, x, 1.0]]), levels_of()) for x in p]) == expected


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        ([(50, "ok"), (9, "below_initial"), (7, "call"), (5, "liquidation")], ["-", "info", "critical", "emergency"]),
        ([(9.9, "below_initial"), (10.1, "ok"), (9.9, "below_initial"), (10.3, "ok")], ["info", "-", "-", "end"]),
        ([(7, "call"), (9, "below_initial"), (7, "call"), (50, "ok")], ["critical", "-", "-", "end"]),
        ([(7, "call"), (float("nan"), "unknown"), (7, "call")], ["critical", "-", "-"]),  # no price: nothing is known
        ([(float("nan"), "unknown")], ["-"]),
    ],
)
def test_levels_crossed(bars: list[tuple[float, str]], expected: list[str]) -> None:
    walk = [(forecast_of([[0.0] * 4]), levels_of(equity, 10.0, state)) for equity, state in bars]
    assert told(QUIET, "level", walk) == expected


def test_the_last_safe_minute() -> None:
    """P reaches 1% after 100, 20, 70 and 30000 minutes; the route takes 30."""
    rules = AlertRules(warn_minutes=60.0, lag_minutes=30.0, clear_ratio=0.5)
    walk = [(forecast_of([[0.01 * 60 / m, *([0.01 * 240 / m] * 3)]]), levels_of()) for m in (200, 80, 20, 140, 160)]
    assert told(rules, "last_safe", walk) == ["-", "warning", "critical", "-", "end"]


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4), st.sampled_from([0.01, 0.2]), st.floats(0, 5000), st.booleans()
)
def test_last_safe_minutes_are_those_of_a_plan(p: list[float], goal: float, lag: float, called: bool) -> None:
    p = sorted(p)
    seen = forecast_of([p], BIT["in_call"] if called else 0)
    rules = AlertRules(target=f"{goal}@1440", critical_probability=0.9, lag_minutes=lag)
    expected = last_safe_minute(np.array(p), Target(goal, 1440), called, lag)
    got = last_safe_minutes(seen, rules)[0]
    assert got == pytest.approx(np.inf if expected is None else expected)


@pytest.mark.parametrize(
    ("cover", "expected"),
    [
        ([2.0, 1.4, 1.52, 1.58], ["-", "warning", "-", "end"]),
        ([2.0, 4.1, 3.9, 3.7], ["-", "info", "-", "end"]),
        ([4.1, 1.4], ["info", "warning"]),  # from one side to the other
    ],
)
def test_collateral_drifts_away_from_exposure_on_either_side(cover: list[float], expected: list[str]) -> None:
    rules = AlertRules(cover_low=1.5, cover_high=4.0, cover_clear=0.05)
    walk = [(forecast_of([[0.0] * 4]), levels_of(10.0 * c, 10.0)) for c in cover]
    assert told(rules, "drift", walk) == expected
    assert told(AlertRules(), "drift", walk) == ["-"] * len(cover)  # not looked at unless asked for


def test_a_stale_market_is_told_until_it_is_fresh() -> None:
    walk = [(forecast_of([[0.0] * 4], BIT[name] if name else 0), levels_of()) for name in ("", "stale_market", "gap")]
    assert told(AlertRules(), "stale", walk) == ["-", "warning", "end"]


def test_an_account_without_exposure_has_no_cover() -> None:
    rules = AlertRules(cover_low=1.5)
    assert told(rules, "drift", [(forecast_of([[0.0] * 4]), levels_of(10.0, 0.0))]) == ["-"]


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from(STATES), st.floats(1, 30)), min_size=1, max_size=30))
def test_every_kind_has_at_most_one_open_alert_and_only_grows(bars: list[tuple[float, str, float]]) -> None:
    standing: dict[tuple[str, str], Standing] = {}
    rules = AlertRules(cover_low=1.5)
    named: set[str] = set()
    for t, (p, state, equity) in enumerate(bars):
        measures = measure(forecast_of([[p] * 4]), levels_of(equity, 10.0, state), rules)
        assert [m.kind for m in measures] == list(KINDS[:-1])
        assert all((m.keep >= m.enter).all() for m in measures)
        for one in steps("desk", ["a"], measures, standing, t):
            key = ("a", one.kind)
            if one.level:
                assert one.level > (standing[key].level if key in standing else 0)
                assert one.alert_id not in named
                named.add(one.alert_id)
                standing[key] = Standing(one.alert_id, one.level)
            else:
                assert standing.pop(key).alert_id == one.alert_id


def test_open_alerts_of_other_accounts_are_left_alone() -> None:
    other = {("b", "p_call"): Standing("x", 2)}
    assert steps("desk", ["a"], measure(forecast_of([[0.0] * 4]), levels_of(), QUIET), other, 0) == []


def test_the_same_step_twice_has_one_name_and_other_tenants_have_others() -> None:
    measures = measure(forecast_of([[0.0, 0.0, 0.5, 0.5]]), levels_of(), QUIET)
    first, again, other = (steps(t, ["a"], measures, {}, 5)[0].alert_id for t in ("desk", "desk", "else"))
    assert first == again != other


def test_the_budget_tells_the_worst_and_keeps_ends_out() -> None:
    seen = forecast_of([[0.0, 0.0, p, 1.0] for p in (0.02, 0.5, 0.03, 0.6)])
    one = levels_of()
    many = MarginLevels(
        *(
            np.repeat(getattr(one, name), 4)
            for name in ("equity", "maintenance", "call", "initial", "release", "call_amount", "gap_call", "state")
        )
    )
    raised = steps("desk", list("abcd"), measure(seen, many, QUIET)[:1], {}, 0)
    end = Raised(0, "level", 0, "z", "", 0.0, 0.0)
    told_now, beyond = within_budget([*raised, end], told=7, budget=9)
    assert [r.row for r in told_now] == [1, 3]
    assert [r.row for r in beyond] == [0, 2]
    assert within_budget(raised, told=20, budget=9) == ([], raised)


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("clear_ratio", 1e-9, 1.0), ("level_clear", 0.0, 10.0), ("lag_minutes", 0.0, 10_080.0),
        ("warn_minutes", 0.0, 10_080.0), ("cover_clear", 0.0, 0.999), ("budget_per_hour", 0, 100_000),
        ("critical_probability", 0.0101, 1.0), ("cover_low", 0.0, 1e9), ("cover_high", 0.0, 1e9),
    ],
)  # fmt: skip
def test_ranges(field: str, low: float, high: float) -> None:
    for value in (low, high):
        assert getattr(AlertRules(**{field: value}), field) == value
    for value in (low - 1, *([high + 1] if high < 1e9 else [])):
        with pytest.raises(InputError, match=field):
            AlertRules(**{field: value})


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(InputError, match="cover_low"):
        AlertRules(cover_low=2.0, cover_high=2.0)
    with pytest.raises(InputError, match="target"):
        AlertRules(target="1%")
    assert len(HORIZONS) == 4
