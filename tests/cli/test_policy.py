"""``margincast policy``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import Run


def test_a_valid_policy_is_counted(run: Run, repository: Path) -> None:
    seen = run("policy", "check", repository / "docs" / "policies" / "crypto-treasury.toml", "--json")
    assert seen.exit_code == 0
    found: dict[str, Any] = json.loads(seen.stdout)
    assert found["places"] == ["cold", "hot", "prime"]
    assert (found["swaps"], found["hedges"]) == (["spot"], ["quarterly future, BTC"])
    assert found["target"] == "0.01@1440"


def test_a_fault_is_told_by_field_value_and_remedy(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "desk.toml"
    path.write_text('[[routes]]\nname = "wire"\nsource = "vault"\nto = ["*"]\nassets = ["USDT"]\n')
    seen = run("policy", "check", path)
    assert seen.exit_code == 2
    assert "policy.routes[0].source: expected one of the places (there is none), was 'vault'" in seen.stderr


def test_the_schema_is_printed(run: Run) -> None:
    seen = run("policy", "schema")
    assert json.loads(seen.stdout)["$defs"]["Policy"]["additionalProperties"] is False
