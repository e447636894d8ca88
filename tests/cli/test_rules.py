"""``margincast rules`` and the folder of own rulesets."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from typer.testing import CliRunner

from margincast.cli import app
from models.margin.rulesets import loader as loader_module


@pytest.fixture
def run(monkeypatch):
    """Call the command line; nothing that is registered stays."""

    def call(*words, folder=None):
        if folder is not None:
            monkeypatch.setenv("MARGINCAST_RULES", str(folder))
        return CliRunner().invoke(app, list(words))

    yield call
    loader_module._OWN.clear()
    for cached in (loader_module._document, loader_module.ruleset_model, loader_module._ruleset):
        cached.cache_clear()


def own(tmp_path, **changes):
    document = json.loads(files("models.margin.rulesets").joinpath("generic-linear.json").read_text())
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document | {"name": "mine", "title": "My desk"} | changes))
    return path


def test_lists_every_ruleset_with_its_model(run):
    rows = json.loads(run("rules", "list", "--json").stdout)
    found = {row["name"]: row["model"] for row in rows}
    assert found["binance-usdm"] == "linear"
    assert found["deribit-pm"] == "scenario"
    assert len(found) == len(loader_module.shipped_names())


def test_a_valid_file_is_named(run, tmp_path):
    seen = run("rules", "check", str(own(tmp_path)), "--json")
    assert seen.exit_code == 0
    assert json.loads(seen.stdout) == {"name": "mine", "model": "linear", "title": "My desk", "valid": True}


def test_a_missing_tier_is_told_by_file_field_value_and_remedy(run, tmp_path):
    seen = run("rules", "check", str(own(tmp_path, default_tables=[[0, 4]])))
    assert seen.exit_code == 2
    assert "mine.json: default_tables[0].table: expected an index into tables, which has 1, was 4" in seen.stderr


def test_a_file_that_is_not_there_is_bad_input(run, tmp_path):
    assert run("rules", "check", str(tmp_path / "none.json")).exit_code == 2


def test_the_folder_of_own_rulesets_is_read_by_every_command(run, tmp_path):
    own(tmp_path)
    rows = json.loads(run("rules", "list", "--json", folder=tmp_path).stdout)
    assert "mine" in {row["name"] for row in rows}


def test_a_folder_that_is_not_there_is_bad_input(run, tmp_path):
    seen = run("rules", "list", folder=tmp_path / "none")
    assert seen.exit_code == 2
    assert "MARGINCAST_RULES" in seen.stderr


def test_the_schema_names_the_fields_of_scenario_rules(run):
    assert "scenarios" in run("rules", "schema").stdout
