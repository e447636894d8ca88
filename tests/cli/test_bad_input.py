"""Bad input: one clear line and exit code 2, or a failure row beside the good ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run, Write, account, position

COMMANDS = (["margin"], ["predict", "--model", "prior"], ["recommend", "--model", "prior"], ["replay"])

BAD_ACCOUNTS = {
    "unknown symbol": (account("bad", positions=[position(symbol="NOPE/USDT:USDT")]), "NOPE/USDT:USDT"),
    "no such symbol": (account("bad", positions=[position(symbol="BTCUSDT")]), "ccxt unified symbol"),
    "negative collateral": (account("bad", collateral=[{"asset": "BTC", "quantity": -1.0}]), ">= 0"),
    "unknown asset": (account("bad", collateral=[{"asset": "WAT", "quantity": 1.0}]), "WAT"),
    "unknown ruleset": (account("bad", ruleset="nowhere"), "nowhere"),
    "zero quantity": (account("bad", positions=[position(quantity=0.0)]), "quantity"),
    "future": (account("bad", as_of="2999-01-01T00:00:00Z"), "future"),
    "far future": (account("bad", as_of="2100-01-01T00:00:00Z"), "not in the future"),
    "unknown field": (account("bad", leverge=3), "leverge"),
    "no zone": (account("bad", as_of="2022-03-10T00:00:00"), "zone"),
    "before the market": (account("bad", as_of="2021-06-01T00:00:00Z"), "market"),
    "not finite": (
        json.dumps(account("bad")).replace("40000.0", "NaN"),
        "entry_price: expected a finite number",
    ),
    "not json": ("this is not json", "JSON"),
}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
@pytest.mark.parametrize("name", BAD_ACCOUNTS)
def test_a_bad_account_never_loses_the_good_ones(
    command: list[str], name: str, run: Run, write: Write, market: Path, tmp_path: Path
) -> None:
    bad, words = BAD_ACCOUNTS[name]
    path, out = write(account("first"), bad, account("last")), tmp_path / "out.jsonl"
    done = run(command[0], path, "--market", market, "--out", out, *command[1:])
    assert done.exit_code == 0, done.stderr
    assert {json.loads(line)["account_id"] for line in out.read_text().splitlines()} == {"first", "last"}
    failures = [json.loads(line) for line in (tmp_path / "out.failures.jsonl").read_text().splitlines()]
    assert [failure["row"] for failure in failures] == [2]
    assert words in failures[0]["message"]
    assert "line 2" in done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
def test_nothing_good_is_exit_code_2(command: list[str], run: Run, write: Write, market: Path, tmp_path: Path) -> None:
    path = write(account("bad", ruleset="nowhere"))
    done = run(command[0], path, "--market", market, *command[1:])
    assert done.exit_code == 2
    assert "ruleset" in done.stderr
    assert "nowhere" in done.stderr


def refusal(done: Any) -> str:
    """Return the single line of an error, after the notes about the market."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert done.exit_code == 2, done.output
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert "Traceback" not in done.output
    return lines[0]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x00\x01\x02" * 10_000, "binary"),
        (b"x" * 3_000_000, "one account a line"),
        (b"PAR1" + b"\x00" * 100, "parquet"),
        (b"", "empty"),
        (b"[{}]", "array"),
    ],
    ids=("binary", "endless line", "parquet", "empty", "array"),
)
def test_garbage_is_refused_in_one_line(
    command: list[str], content: bytes, words: str, run: Run, market: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "garbage.jsonl", tmp_path / "out.csv"
    path.write_bytes(content)
    assert words in refusal(run(command[0], path, "--market", market, "--out", out, *command[1:]))
    assert not list(tmp_path.glob("*out*"))


def test_a_gigabyte_of_garbage_is_refused_from_its_first_bytes(run: Run, market: Path, tmp_path: Path) -> None:
    path = tmp_path / "huge.jsonl"
    with path.open("wb") as file:
        file.write(b'{"not": "an account"')
        file.truncate(2**30)  # sparse: a gigabyte without a line end
    assert "huge.jsonl" in refusal(run("margin", path, "--market", market))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--market", "no-such-folder"), "--market: expected a folder"),
        (("--market", "{market}", "--at", "yesterday"), "--at: expected an ISO time"),
        (("--market", "{market}", "--out", "answer.xlsx"), ".parquet, .csv, .jsonl"),
        (("--market", "{market}", "--bar", "7m"), "bar"),
        (("--market", "{market}", "--venue", "moon"), "moon"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    arguments: tuple[str, ...], words: str, run: Run, write: Write, market: Path
) -> None:
    path = write(account())
    assert words in refusal(run("margin", path, *(a.format(market=market) for a in arguments)))


def test_a_missing_file_and_a_missing_model_say_what_to_do(
    run: Run, write: Write, market: Path, tmp_path: Path
) -> None:
    assert "a file that exists" in refusal(run("margin", tmp_path / "none.jsonl", "--market", market))
    path = write(account())
    assert "bundle.json" in refusal(run("predict", path, "--market", market, "--model", tmp_path))
    line = refusal(run("predict", path, "--market", market, "--registry", tmp_path / "mlruns"))
    assert "margincast train" in line


@pytest.mark.parametrize("target", ["1%", "0.01@7", "2@1440"])
def test_a_wrong_target_is_refused(target: str, run: Run, write: Write, market: Path) -> None:
    path = write(account())
    assert "target" in refusal(run("recommend", path, "--market", market, "--model", "prior", "--target", target))


def test_a_wrong_policy_is_refused_with_its_key(run: Run, write: Write, market: Path, tmp_path: Path) -> None:
    policy = tmp_path / "desk.toml"
    policy.write_text("route_lag_minutes = -1\n")
    line = refusal(run("recommend", write(account()), "--market", market, "--model", "prior", "--policy", policy))
    assert "route_lag_minutes" in line
