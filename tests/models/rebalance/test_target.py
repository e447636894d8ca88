"""The target, and the last safe minute that follows from it."""

import numpy as np
import pytest

from models.errors import InputError
from models.rebalance import Target, last_safe_minute, parse_target


@pytest.mark.parametrize("text", ["0.01@1440", " 0.01 @ 1440 ", "1e-2@1440"])
def test_target_is_read(text: str) -> None:
    assert parse_target(text) == Target(0.01, 1440)


@pytest.mark.parametrize("text", ["", "0.01", "0.01@", "@1440", "1%@1440", "0.01@1d", "0.01@1440@60"])
def test_other_forms_are_refused_with_the_form(text: str) -> None:
    with pytest.raises(InputError, match="PROBABILITY@MINUTES"):
        parse_target(text)


@pytest.mark.parametrize(
    ("text", "field"), [("0@60", "probability"), ("1@60", "probability"), ("nan@60", "probability")]
)
def test_probability_outside_the_open_interval(text: str, field: str) -> None:
    with pytest.raises(InputError, match=field):
        parse_target(text)


def test_horizon_outside_the_grid_names_the_grid() -> None:
    with pytest.raises(InputError, match=r"one of \(60, 240, 1440, 4320\)"):
        parse_target("0.01@100")


def test_target_writes_what_it_reads() -> None:
    assert parse_target(str(Target(0.025, 240))) == Target(0.025, 240)


def test_last_safe_minute_is_where_the_curve_crosses_less_the_lag() -> None:
    p = np.array([0.0, 0.02, 0.1, 0.2])
    assert last_safe_minute(p, Target(0.01, 60), called=False) == pytest.approx(150.0)
    assert last_safe_minute(p, Target(0.01, 60), called=False, lag_minutes=40) == pytest.approx(110.0)
    assert last_safe_minute(p, Target(0.01, 60), called=False, lag_minutes=400) == 0.0


def test_last_safe_minute_before_the_first_horizon() -> None:
    assert last_safe_minute(np.array([0.04, 0.1, 0.2, 0.3]), Target(0.01, 60), called=False) == pytest.approx(15.0)


def test_no_last_safe_minute_where_p_stays_under_and_none_left_in_a_call() -> None:
    assert last_safe_minute(np.full(4, 0.01), Target(0.01, 60), called=False) is None
    assert last_safe_minute(np.full(4, 1.0), Target(0.01, 60), called=True) == 0.0
