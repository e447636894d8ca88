"""Policy files: the examples load, each format reads the same, faults name the file or the field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from features.policy import load_policy
from models.errors import InputError
from models.rebalance import Target, policy_schema

REPLAYED = "guarded-accounts.toml"  # `margincast replay` brings the targets itself, one for each setting
EXAMPLES = ("crypto-treasury.toml", "otc-desk.yaml", "clearing-member.toml", "on-chain-borrower.yaml", REPLAYED)


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_is_a_policy(name: str, repository: Path) -> None:
    policy = load_policy(repository / "docs" / "policies" / name)
    assert (policy.limits.goal is None) == (name == REPLAYED)
    assert policy.routes
    assert {route.source for route in policy.routes} <= set(policy.places)


def test_every_example_is_tested(repository: Path) -> None:
    folder = repository / "docs" / "policies"
    assert {p.name for p in folder.iterdir()} - {"policy.schema.json"} == set(EXAMPLES)


def test_the_published_schema_is_that_of_the_code(repository: Path) -> None:
    published = json.loads((repository / "docs" / "policies" / "policy.schema.json").read_text())
    remedy = "margincast policy schema > docs/policies/policy.schema.json"
    assert published == json.loads(json.dumps(policy_schema())), remedy


def test_values_of_an_example(repository: Path) -> None:
    policy = load_policy(repository / "docs" / "policies" / "otc-desk.yaml")
    assert policy.limits.goal == Target(0.01, 4320)
    assert policy.places["treasury"].free("USD") == 35e6
    assert policy.routes[1].hours.settlement_days == 1
    assert len(policy.routes[1].hours.holidays) == 3


def test_the_formats_read_the_same(tmp_path: Path) -> None:
    texts = {
        "a.toml": "route_lag_minutes = 5\n[assets.USDT]\nfee = 1\n",
        "a.yaml": "route_lag_minutes: 5\nassets: {USDT: {fee: 1}}\n",
        "a.json": '{"route_lag_minutes": 5, "assets": {"USDT": {"fee": 1}}}',
    }
    found = []
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        found.append(load_policy(tmp_path / name))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("name", "text", "words"), [
    ("a.toml", "a = = 1", "a TOML file"),
    ("a.yaml", "a: [1", "a YAML file"),
    ("a.json", "{", "a JSON file"),
    ("a.yaml", "- 1", "table of settings"),
    ("a.yml", "routes: [{name: a, source: b, to: ['*'], assets: [X]}]", r"policy\.routes\[0\]\.source"),
    ("a.yaml", "routes: [{name: a, source: b, to: ['*'], assets: [X], hours: {cut_off: 16:00:00}}]", "hours.cut_off"),
])  # fmt: skip
def test_a_wrong_file_is_told(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        load_policy(path)
