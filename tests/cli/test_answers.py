"""What the commands answer: right numbers, one row where one belongs, flags, formats, nothing left behind."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.answer import AMOUNT_NAMES, TIME_NAMES
from features.sources import load_panel
from models.errors import Failure
from tests.cli.conftest import Run, Write, account, position


def sheet(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def near_and_far(market: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Build one account a few percent above its call as of the market's end, and one far above."""
    panel = load_panel(market)
    price = float(panel.close[panel.column("BTC"), -1])
    legs = [position(entry_price=price)]
    thin = [{"asset": "USDT", "quantity": 0.06 * price}]
    return account("near", positions=legs, collateral=thin), account("far", positions=legs)


def test_margin_agrees_with_the_rules_by_hand(run: Run, write: Write, market: Path) -> None:
    path = write(account(positions=[position(leverage=10.0)]))
    done = run("margin", path, "--market", market, "--json")
    assert done.exit_code == 0, done.stderr
    row = json.loads(done.stdout)["rows"][0]
    panel = load_panel(market)
    price = panel.snapshot(panel.start + (68 * 24) * panel.step).price[panel.column("BTC")]
    assert row["equity"] == pytest.approx(30_000 + (price - 40_000))
    assert row["call"] == pytest.approx(row["maintenance"] / 0.8)
    assert row["release"] == pytest.approx(1.25 * row["initial"])
    assert (row["account_id"], row["as_of"], row["flags"]) == ("a", "2022-03-10T00:00:00Z", "")


def test_predict_gives_a_row_for_each_account_and_horizon(
    run: Run, write: Write, market: Path, market_end: str, tmp_path: Path
) -> None:
    path = write(*near_and_far(market))
    out = tmp_path / "calls.csv"
    done = run("predict", path, "--market", market, "--model", "prior", "--at", market_end, "--out", out)
    assert done.exit_code == 0, done.stderr
    rows = sheet(out)
    assert list(rows[0]) == [
        "account_id", "as_of", "horizon_minutes", "p_call", "p_liquidation", "prior", *AMOUNT_NAMES,
        *TIME_NAMES, "model_version", "flags", "source", "source_reason", "novel", "unusual",
    ]  # fmt: skip
    assert [(row["account_id"], int(row["horizon_minutes"])) for row in rows] == [
        (name, horizon) for name in ("near", "far") for horizon in (60, 240, 1440, 4320)
    ]
    p = np.array([float(row["p_call"]) for row in rows]).reshape(2, 4)
    liquidation = np.array([float(row["p_liquidation"]) for row in rows]).reshape(2, 4)
    assert (np.diff(p, axis=1) >= 0).all()
    assert (liquidation <= p).all()
    assert (p[0] > p[1]).all()
    assert {row["flags"] for row in rows} == {"prior_only"}
    assert not (tmp_path / "calls.failures.jsonl").exists()


def test_formats_hold_the_same_rows(run: Run, write: Write, market: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = write(account("x"), account("y"))
    for suffix in ("parquet", "csv", "jsonl"):
        done = run("predict", path, "--market", market, "--model", "prior", "--out", tmp_path / f"p.{suffix}")
        assert done.exit_code == 0, done.stderr
    table = pq.read_table(tmp_path / "p.parquet")
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert table.column("p_call").to_pylist() == [row["p_call"] for row in lines]
    assert [float(row["p_call"]) for row in sheet(tmp_path / "p.csv")] == table.column("p_call").to_pylist()
    assert str(table.schema.field("as_of").type) == "timestamp[us, tz=UTC]"


def test_no_positions_stale_and_late_markets_are_flagged(run: Run, write: Write, market: Path) -> None:
    path = write(account("empty", positions=[]), account("late", as_of="2023-01-01T00:00:00Z"))
    done = run("predict", path, "--market", market, "--model", "prior", "--json")
    assert done.exit_code == 0, done.stderr
    flags = {row["account_id"]: row["flags"] for row in json.loads(done.stdout)["rows"]}
    assert "no_positions" in flags["empty"]
    assert "stale_market" in flags["late"]
    levels = json.loads(run("margin", path, "--market", market, "--json").stdout)["rows"]
    assert [row["flags"] for row in levels] == ["no_positions", "stale_market"]


def test_a_time_after_the_last_bar_gives_the_last_bars_answer_and_a_flag(
    run: Run, write: Write, market: Path, market_end: str
) -> None:
    arguments = ("predict", write(account("far")), "--market", market, "--model", "prior", "--json", "--at")
    late, last = run(*arguments, "2023-01-01"), run(*arguments, market_end)
    rows, others = (json.loads(done.stdout)["rows"] for done in (late, last))
    assert [row["p_call"] for row in rows] == [row["p_call"] for row in others]
    assert all("stale_market" in row["flags"] for row in rows)
    assert not any("stale_market" in row["flags"] for row in others)


def test_recommend_names_what_saves_an_account(run: Run, write: Write, market: Path, market_end: str) -> None:
    path = write(*near_and_far(market))
    done = run("recommend", path, "--market", market, "--model", "prior", "--at", market_end, "--json")
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    near = [row for row in rows if row["account_id"] == "near"]
    assert {row["kind"] for row in near} == {"top_up", "reduce"}
    assert all(row["p_after"] <= 0.01 < row["p_before"] for row in near)
    assert {row["status"] for row in rows if row["account_id"] == "far"} <= {"ok", "release"}


def test_replay_finds_what_the_bars_show(run: Run, write: Write, market: Path) -> None:
    panel = load_panel(market)
    price = panel.close[panel.column("BTC")]
    row = 24 * 30
    deepest = price[row] - panel.low[panel.column("BTC"), row : row + 72].min()
    assert deepest > 0
    when = str(np.datetime64(panel.start + row * panel.step, "ns").astype("datetime64[s]")) + "Z"
    cash = [{"asset": "USDT", "quantity": 0.0}]
    thin = account(
        "thin",
        when,
        collateral=[{"asset": "USDT", "quantity": 0.9 * deepest}],
        positions=[position(entry_price=price[row])],
    )
    safe = account(
        "safe", when, positions=[position(entry_price=price[row])], collateral=[{"asset": "USDT", "quantity": 1e6}]
    )
    path = write(thin, safe, account("gone", when, positions=[], collateral=cash))
    done = run("replay", path, "--market", market, "--json")
    assert done.exit_code == 0, done.stderr
    rows = {row["account_id"]: row for row in json.loads(done.stdout)["rows"]}
    assert 0 < rows["thin"]["minutes_to_call"] <= rows["thin"]["minutes_to_liquidation"] <= 4320
    assert rows["thin"]["call_amount"] > 0
    assert rows["safe"]["minutes_to_call"] is None
    assert not rows["safe"]["truncated"]


def test_replay_chooses_accounts_by_time(run: Run, write: Write, market: Path) -> None:
    path = write(*(account(f"a{day}", f"2022-02-0{day}T00:00:00Z") for day in range(1, 6)))
    done = run("replay", path, "--market", market, "--from", "2022-02-02", "--to", "2022-02-03", "--json")
    assert [row["account_id"] for row in json.loads(done.stdout)["rows"]] == ["a2", "a3"]


def test_chunks_join_seamlessly(
    run: Run, write: Write, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from margincast.cli import books

    path = write(*(account(f"a{i}", collateral=[{"asset": "USDT", "quantity": 1_000.0 * i}]) for i in range(1, 12)))
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    assert run("predict", path, "--market", market, "--model", "prior", "--out", whole).exit_code == 0
    monkeypatch.setattr(books, "CHUNK", 4)
    assert run("predict", path, "--market", market, "--model", "prior", "--out", parts).exit_code == 0
    rows, others = ([json.loads(line) for line in path.read_text().splitlines()] for path in (whole, parts))
    assert [row.pop("account_id") for row in rows] == [row.pop("account_id") for row in others]
    assert [row["p_call"] for row in rows] == pytest.approx([row["p_call"] for row in others], rel=1e-12)


def test_a_failed_run_leaves_the_old_answer(run: Run, write: Write, market: Path, tmp_path: Path) -> None:
    out = tmp_path / "calls.csv"
    out.write_text("old")
    (tmp_path / "bad.jsonl").write_bytes(b"\x00\x01")
    assert run("predict", tmp_path / "bad.jsonl", "--market", market, "--model", "prior", "--out", out).exit_code == 2
    assert out.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.jsonl", "calls.csv"]


def test_an_old_list_of_failures_goes_when_all_is_well(tmp_path: Path) -> None:
    from margincast.cli.files import write_failures

    path = tmp_path / "x.failures.jsonl"
    assert write_failures(path, [Failure(1, "a", "c", "f", "m")] * 2) == 2
    assert len(path.read_text().splitlines()) == 2
    assert write_failures(path, []) == 0
    assert not path.exists()


def desk_policy(tmp_path: Path, usdt: float) -> Path:
    path = tmp_path / "desk.json"
    route = {"name": "chain", "source": "hot", "to": ["*"], "assets": ["USDT"], "step": 1, "gas": 2}
    limits = {"target": "0.01@1440", "stress": [0.9, 1.1]}
    places = {"hot": {"inventory": {"USDT": usdt}}}
    path.write_text(json.dumps({"places": places, "routes": [route], "limits": limits}))
    return path


def test_recommend_plans_a_desk(run: Run, write: Write, market: Path, market_end: str, tmp_path: Path) -> None:
    path, out = write(*near_and_far(market)), tmp_path / "plan.json"
    base = ("recommend", path, "--market", market, "--model", "prior", "--at", market_end, "--desk", "--policy")
    done = run(*base, desk_policy(tmp_path, 1e6), "--json", "--out", out, "--front", "0.05,0.005")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["plan"]["status"] == "act"
    assert [t["account_id"] for t in found["plan"]["transfers"]] == ["near"]
    assert found["plan"]["transfers"][0]["amount"] == round(found["plan"]["transfers"][0]["amount"])
    assert found["instructions"][0]["method"] == "transfer"
    assert [point["probability"] for point in found["front"]] == [0.05, 0.005]
    assert found["front"][0]["moved_usd"] <= found["front"][1]["moved_usd"]
    assert found["front"][0]["risk"]["cvar95_usd"] >= found["front"][1]["risk"]["cvar95_usd"]
    table = run(*base, desk_policy(tmp_path, 1e6), "--front", "0.05,0.005")
    assert "cvar90 usd" in " ".join(table.stdout.split())
    assert json.loads(out.read_text()) == found
    assert "--front: expected probabilities" in run(*base, desk_policy(tmp_path, 1e6), "--front", "5").stderr
    words = run(*base, desk_policy(tmp_path, 1.0))
    assert words.exit_code == 0
    assert "inventory: USDT at hot" in " ".join(words.stdout.split())
    more = run(*base, desk_policy(tmp_path, 1.0), "--reduce")
    assert more.exit_code == 0, more.stderr
    assert "What accounts do themselves" in more.stdout
    assert "transfers alone do not reach them" in " ".join(more.stdout.split())


def test_recommend_plans_a_desk_by_worth(run: Run, write: Write, market: Path, market_end: str, tmp_path: Path) -> None:
    path, policy = write(*near_and_far(market)), tmp_path / "worth.json"
    rules = json.loads(desk_policy(tmp_path, 1e6).read_text())
    rules["limits"] |= {"liquidation_cost": 500}
    policy.write_text(json.dumps(rules))
    base = ("recommend", path, "--market", market, "--model", "prior", "--at", market_end, "--policy", policy)
    done = run(*base, "--desk", "--worth", "1", "--json")
    assert done.exit_code == 0, done.stderr
    plan = json.loads(done.stdout)["plan"]
    assert plan["knob"] == 1.0
    assert [t["account_id"] for t in plan["transfers"]] == ["near"]
    assert plan["bound_usd"] <= plan["cost_usd"] < 0.0
    table = run(*base, "--desk", "--worth", "1")
    assert "Worth sending now" in table.stdout
    assert "no plan is worth more than" in " ".join(table.stdout.split())
    waits = run(*base, "--desk", "--worth", "1", "--every", "1", "--json")
    assert json.loads(waits.stdout)["plan"]["waits"] == ["near"]
    assert json.loads(waits.stdout)["plan"]["transfers"] == []
    for more in ((), ("--desk", "--reduce"), ("--desk", "--release"), ("--desk", "--front", "0.1")):
        refused = run(*base, "--worth", "1", *more)
        assert refused.exit_code == 2
        assert "--worth: expected with --desk, and without --reduce" in " ".join(refused.stderr.split())
    assert "knob: expected a number above 0, was 0" in run(*base, "--desk", "--worth", "0").stderr


def test_recommend_trades_inside_accounts_by_the_rules_of_the_policy(
    run: Run, write: Write, market: Path, market_end: str, tmp_path: Path
) -> None:
    rules = json.loads(desk_policy(tmp_path, 1.0).read_text())
    rules |= {"hedges": [{"name": "future", "symbol": "BTC/USDT:USDT-301227", "step": 0.001}], "reduce": False}
    policy = tmp_path / "trading.json"
    policy.write_text(json.dumps(rules))
    base = ("recommend", write(*near_and_far(market)), "--market", market, "--model", "prior", "--at", market_end)
    one = run(*base, "--policy", policy, "--json")
    assert one.exit_code == 0, one.stderr
    near = [row for row in json.loads(one.stdout)["rows"] if row["account_id"] == "near"]
    assert "hedge" in {row["kind"] for row in near}
    desk = run(*base, "--policy", policy, "--desk")
    assert desk.exit_code == 0, desk.stderr
    assert "Trades inside accounts" in desk.stdout
    words = " ".join(desk.stdout.split())
    assert "as a hedge" in words
    assert "joint paths the mean loss of the desk goes from" in words


def test_a_desk_writes_json_only(run: Run, write: Write, market: Path, market_end: str, tmp_path: Path) -> None:
    path = write(*near_and_far(market))
    done = run(
        "recommend", path, "--market", market, "--model", "prior", "--at", market_end, "--desk",
        "--policy", desk_policy(tmp_path, 1e6), "--out", tmp_path / "plan.parquet",
    )  # fmt: skip
    assert done.exit_code == 2
    assert "--out: expected a file that ends in .json" in done.stderr
