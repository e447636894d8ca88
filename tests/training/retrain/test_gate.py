"""The gate alone: each bound refuses what is beyond it, with its number, and nothing else."""

from dataclasses import replace

import pytest

from models.errors import InputError
from training.evaluate.bootstrap import Skill
from training.retrain import Evidence, Gate, decide, load_gate
from training.retrain.triggers import load_triggers

GOOD = Evidence(
    skill=Skill(0.02, 0.01, 0.03, 13), champion_age_days=10.0,
    segments=(("regime linear", 900, Skill(0.01, 0.0, 0.02, 13)), ("asset BTC", 50, Skill(-0.4, -0.6, -0.2, 13))),
    calibration=((60, 500, 1.02, 0.002), (1440, 900, 0.97, 0.004)),
    novel_share=0.02, milliseconds=0.4, slowdown=1.1, rows=10_000,
)  # fmt: skip


def failed(seen: Evidence, gate: Gate | None = None) -> dict[str, str]:
    """Names and words of the checks that failed."""
    decision = decide(seen, gate or Gate())
    found = {check.name: check.words for check in decision.checks if not check.passed}
    assert decision.promote == (not found)
    return found


def test_an_honest_improvement_is_promoted():
    assert failed(GOOD) == {}


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"skill": Skill(0.02, -0.001, 0.04, 13)}, "gain", r"\+2.00% \[-0.10%, \+4.00%\]"),
        ({"skill": Skill(0.6, 0.5, 0.7, 13)}, "believable", "leak"),
        ({"segments": (("regime csa", 900, Skill(-0.05, -0.08, -0.01, 13)),)}, "segments", "regime csa, -5.00%"),
        ({"calibration": ((60, 500, 1.3, 0.002),)}, "ratio", r"1\.300 at 1 h, beyond the bounds of 0\.8 to 1\.25"),
        ({"calibration": ((60, 500, 0.7, 0.002),)}, "ratio", "0.700"),
        ({"calibration": ((60, 500, 1.0, 0.05),)}, "ece", "0.0500 at 1 h, beyond the bound of 0.03"),
        ({"novel_share": 0.3}, "novelty", "30.0% of the inputs"),
        ({"milliseconds": 6.0}, "latency", "6.00 ms, beyond 5"),
        ({"slowdown": 4.0}, "slowdown", "4.0 times"),
    ],
)
def test_each_bound_refuses_what_is_beyond_it(change, name, words):
    import re

    found = failed(replace(GOOD, **change))
    assert list(found) == [name]
    assert re.search(words, found[name])


def test_a_part_with_few_calls_or_an_unsure_loss_does_not_refuse():
    unsure = (("asset ETH", 900, Skill(-0.05, -0.12, 0.01, 13)), ("asset BTC", 199, Skill(-0.4, -0.6, -0.2, 13)))
    assert failed(replace(GOOD, segments=unsure)) == {}


def test_calibration_beyond_a_bound_passes_where_the_champion_is_no_nearer():
    crash = replace(GOOD, calibration=((60, 500, 0.6, 0.05),), champion_calibration=((60, 500, 0.55, 0.06),))
    assert failed(crash) == {}
    nearer = replace(crash, champion_calibration=((60, 500, 0.65, 0.04),))
    assert set(failed(nearer)) == {"ratio", "ece"}
    assert "(the champion's is 0.6500)" in failed(nearer)["ratio"]
    other_side = replace(crash, champion_calibration=((60, 500, 1.7, 0.06),))
    assert failed(other_side) == {}  # as far on the other side


def test_an_old_champion_is_refreshed_by_one_that_is_no_worse():
    level = replace(GOOD, skill=Skill(0.001, -0.003, 0.005, 13))
    assert list(failed(level)) == ["gain"]
    assert failed(replace(level, champion_age_days=130.0)) == {}
    assert list(failed(replace(level, champion_age_days=130.0, skill=Skill(0.0, -0.02, 0.02, 13)))) == ["gain"]
    assert list(failed(replace(level, champion_age_days=130.0), Gate(refresh_days=0))) == ["gain"]


def test_without_a_champion_all_but_the_gain_counts():
    first = replace(GOOD, skill=None, segments=(), slowdown=float("nan"), champion_age_days=float("nan"))
    assert failed(first) == {}
    assert list(failed(replace(first, calibration=((60, 500, 3.0, 0.002),)))) == ["ratio"]


def test_a_gate_is_read_from_a_file(tmp_path):
    path = tmp_path / "gate.toml"
    path.write_text("[gate]\nleast_gain = 0.01\nsegment_calls = 500\n[triggers]\nevery_days = 30\nrules = false\n")
    assert load_gate(path) == Gate(least_gain=0.01, segment_calls=500)
    assert (load_triggers(path).every_days, load_triggers(path).rules) == (30, False)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[gate]\nleast = 1\n", r"gate\.least: expected one of"),
        ("[gate]\nmost_ece = 0\n", "most_ece: expected a number in"),
        ("[gate]\nmost_ece = 'x'\n", "most_ece"),
        ("[gates]\n", r"\[gate\] and \[triggers\]"),
        ("[gate\n", "a TOML file"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, text, match):
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=match):
        load_gate(path)


@pytest.mark.parametrize(
    ("text", "match"), [("[triggers]\nrules = 1\n", "true or false"), ("[triggers]\nx = 1\n", "one of")]
)
def test_wrong_triggers_are_refused_by_name(tmp_path, text, match):
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=match):
        load_triggers(path)
