"""``margincast retrain`` and ``rollback`` as a scheduler sees them: exit codes, JSON, the folder of the champion."""

import json
from pathlib import Path

from models.predictor import MarginCallPredictor
from tests.cli.conftest import Run
from training.retrain import only_one

GATE = """
[gate]
least_ratio = 0.2
most_ratio = 5.0
most_ece = 0.2
most_novel = 1.0
most_milliseconds = 1000
most_slowdown = 1000
[triggers]
every_days = 30
rules = false
moved_share = 1.0
novel_share = 1.0
least_skill = -1.0
expected_loss_ratio = 100.0
"""


def test_nights_of_a_scheduler(run: Run, long_market: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate.toml"
    gate.write_text(GATE, encoding="utf-8")
    home, work, export = tmp_path / "mlruns", tmp_path / "work", tmp_path / "champion"
    common = (
        "retrain", "--market", long_market, "--registry", home, "--work", work, "--gate", gate, "--export", export,
        "--every", 1440, "--per-instant", 6, "--judged-days", 30, "--window-days", 90, "--warmup-days", 61, "--json",
    )  # fmt: skip
    first = run(*common)
    assert first.exit_code in (0, 10), (first.stderr, first.exception)
    told = json.loads(first.stdout)
    assert told["outcome"] == {0: "promoted", 10: "kept"}[first.exit_code]
    if first.exit_code == 0:
        assert MarginCallPredictor.load(export).version == "margincast/1"
        again = run(*common)
        assert again.exit_code in (0, 11)

    with only_one(work):
        busy = run(*common)
    assert busy.exit_code == 13
    assert "another retraining is at work" in busy.stderr

    early = run(*common, "--to", "2022-03-01")
    assert early.exit_code == 12
    assert json.loads(early.stdout)["outcome"] == "no data"

    back = run("rollback", "--registry", home)
    assert back.exit_code == 2
    assert "champion" in back.stderr

    gate.write_text("[gate]\nmost = 1\n", encoding="utf-8")
    wrong = run(*common)
    assert wrong.exit_code == 2
    assert "gate.most" in wrong.stderr
