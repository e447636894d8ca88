"""The hindcast: its words and marks are those of the numbers, week by week."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from training.report import build_hindcast, write_page, write_twins


def row(minutes: int, n: int, called: int, expected: float, **more: Any) -> dict[str, Any]:
    ratio = expected / called if called else None
    found = {
        "horizon_minutes": minutes, "n": n, "called": called, "expected": expected, "ratio": ratio, "log_loss": 0.1,
        "prior_log_loss": 0.11, "ece": 0.004, "censored": 2, "skill": 0.09, "blocks": 6, "ratio_low": None,
        "ratio_high": None, "skill_low": None, "skill_high": None,
    }  # fmt: skip
    return {**found, **more}


HORIZONS = [
    row(60, 900, 20, 30.0, ratio_low=1.2, ratio_high=1.9, skill_low=-0.02, skill_high=0.2),
    row(240, 800, 40, 38.0, ratio_low=0.7, ratio_high=1.2),
    row(1440, 0, 0, 0.0),
]
WEEKS = [
    {**row(60, 400, 4, 9.0), "week": "2024-W52"},
    {**row(60, 300, 6, 6.6), "week": "2025-W01"},
    {**row(60, 200, 10, 14.4), "week": "2025-W03"},
    {**row(240, 800, 40, 38.0), "week": "2025-W01"},
]


def test_words_give_the_figures_with_their_intervals_and_horizons_without_outcomes_are_left_out() -> None:
    report = build_hindcast(HORIZONS, WEEKS, "a ledger")
    assert list(report.headline) == [
        "Within 1 h: 30.0 calls were expected, 20 came (expected over called 1.50, 95% 1.20 to 1.90); the skill over "
        "the prior was +9.00%, 95% -2.00% to +20.00%, over 900 predictions.",
        "Within 4 h: 38.0 calls were expected, 40 came (expected over called 0.95, 95% 0.70 to 1.20); the skill over "
        "the prior was +9.00%, no interval, over 800 predictions.",
    ]
    assert [section.name for section in report.sections] == ["all", "within-60", "within-240", "limits"]


def test_a_horizon_is_marked_where_its_ratio_is_told_apart_from_one() -> None:
    assert build_hindcast(HORIZONS, WEEKS, "").sections[0].tables[0].flagged == {0}


def test_weeks_stand_where_they_were_and_the_furthest_off_is_named_among_those_with_calls() -> None:
    (figure,) = build_hindcast(HORIZONS, WEEKS, "").sections[1].figures
    assert figure.says == ("3 weeks; of those with 5 calls or more, 2025-W03 was furthest off: 14.4 expected, 10 came.")
    assert [cells[0] for cells in figure.table.rows] == ["2024-W52", "2025-W01", "2025-W03"]
    assert "days since 2024-12-23" in figure.svg
    assert ">20<" in figure.svg  # the last one begins on day 21: two weeks lie between the last two


def test_nothing_matured_is_said_and_written(tmp_path: Path) -> None:
    page = write_page(build_hindcast([row(60, 0, 0, 0.0)], [], "an empty ledger"), tmp_path / "hindcast.html")
    text = page.read_text(encoding="utf-8")
    assert "Nothing that was said has matured yet." in text
    assert "an empty ledger" in text


def test_the_tables_are_written_whole(tmp_path: Path) -> None:
    files = write_twins(build_hindcast(HORIZONS, WEEKS, ""), tmp_path)
    assert {file.name for file in files} == {"hindcast.csv", "hindcast-60-minutes.csv", "hindcast-240-minutes.csv"}
    with (tmp_path / "hindcast-60-minutes.csv").open(encoding="utf-8") as handle:
        assert [(line["week"], line["called"], line["expected"]) for line in csv.DictReader(handle)] == [
            ("2024-W52", "4", "9.0"), ("2025-W01", "6", "6.6"), ("2025-W03", "10", "14.4"),
        ]  # fmt: skip
