"""Rules of a replay in the report: the curve keeps what nothing beats, the words say what the numbers say."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.errors import InputError
from tests.training.report.conftest import Whole
from training.report import load_replay, write_report
from training.report.replayed import Ruled
from training.report.sections.replayed import frontier, replayed


def rule(name: str, knob: float | None, liquidated: int, spent: float, losses: float, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "rule": name, "knob": knob, "width": None, "called": liquidated + 3, "liquidated": liquidated, "spent": spent,
        "losses": losses, "total": spent + losses, "regret": None, "idle_share": 0.1, "moves": 4, "moves_per_day": 0.5,
        "refused": 0, "worsened": 0, "broken": 0,
    }  # fmt: skip
    return {**row, **more}


def compared(name: str, low: float | None, high: float | None) -> dict[str, Any]:
    middle = None if low is None or high is None else (low + high) / 2
    return {
        "name": name, "knob": 1.5, "spent": 10.0, "liquidated": 4, "plan_liquidated": 2.0, "fewer": middle,
        "fewer_low": low, "fewer_high": high, "plan_spent": None, "cheaper": None, "cheaper_low": None,
        "cheaper_high": None,
    }  # fmt: skip


@pytest.fixture
def answer() -> dict[str, Any]:
    """Return what the command prints: nothing, rules, perfect foresight."""
    rules = [
        rule("nothing", None, 9, 0.0, 9000.0), rule("static", 1.2, 6, 100.0, 6000.0),
        rule("static", 2.0, 6, 300.0, 6000.0), rule("static", 3.0, 4, 900.0, 4000.0),
        rule("plan", 0.1, 3, 80.0, 3000.0), rule("plan", 1.0, 1, 400.0, 1000.0, worsened=1),
        rule("foresight", 1.0, 0, 50.0, 0.0),
    ]  # fmt: skip
    against = [compared("static", 1.0, 3.0), compared("static", -3.0, -1.0), compared("band", -1.0, 2.0),
               compared("band", None, None)]  # fmt: skip
    return {"accounts": 40, "left_out": 2, "account_days": 560.0, "days": 28.0, "rules": rules, "against_plan": against}


@pytest.fixture
def path(tmp_path: Path, answer: dict[str, Any]) -> Path:
    file = tmp_path / "replay.json"
    file.write_text(json.dumps(answer))
    return file


def test_the_words_say_what_the_numbers_say(path: Path) -> None:
    section = replayed(load_replay(path))
    text = " ".join(section.words)
    assert "40 accounts, 2 left out, 20 at a time over 28 days. Untouched, 12 were called and 9 liquidated" in text
    assert "that of the plan at 1: $1,400, with 1 liquidated; it saves $7,600 against doing nothing" in text
    assert "would have paid $50" in text
    assert "Of 4 settings of other rules, 3 can be set beside the plan at equal cost" in text
    assert "fewer for sure than 1, more for sure than 1" in text
    assert "made an account worse, marked: 1." in text
    assert section.figures[0].says == "The plan gets furthest down, to 1 of 9, for $400."
    assert section.figures[0].table.flagged == frozenset({5})


def test_a_setting_that_another_one_beats_is_off_the_curve(answer: dict[str, Any]) -> None:
    rules = [msgspec.convert(row, Ruled) for row in answer["rules"] if row["rule"] == "static"]
    assert [r.knob for r in frontier(rules[::-1])] == [1.2, 3.0]
    assert frontier([]) == []


def test_the_report_holds_it_before_its_limits_and_as_csv(whole: Whole, path: Path, tmp_path: Path) -> None:
    page = write_report(whole.evaluation, whole.panel, whole.predictor, tmp_path / "r", replayed=load_replay(path))
    text = page.read_text()
    assert 0 < text.index('id="replayed"') < text.index('id="limits"')
    with (tmp_path / "r" / "data" / "rules-replayed.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["rule"], r["setting"], r["liquidated"], r["spent"]) for r in rows][:2] == [
        ("nothing", "", "9", "0.0"), ("a static threshold", "1.2", "6", "100.0")]  # fmt: skip
    assert len((tmp_path / "r" / "data" / "rules-against-plan.csv").read_text().splitlines()) == 5


def test_rules_that_spent_nothing_are_told_without_a_curve(path: Path, answer: dict[str, Any]) -> None:
    answer["rules"] = answer["rules"][:1]
    answer["against_plan"] = []
    path.write_text(json.dumps(answer))
    section = replayed(load_replay(path))
    assert section.figures[0].says == "No rule spent anything."
    assert len(section.words) == 1


@pytest.mark.parametrize("text", ["[]", "{", json.dumps({"accounts": 1}), "null"])
def test_another_file_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(InputError, match=r"--replay: expected what `margincast replay --policy FILE --json` printed"):
        load_replay(path)


def test_rules_must_begin_with_nothing(path: Path, answer: dict[str, Any]) -> None:
    answer["rules"] = answer["rules"][1:]
    path.write_text(json.dumps(answer))
    with pytest.raises(InputError, match="rules that begin with nothing"):
        load_replay(path)
