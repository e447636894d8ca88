"""The market in memory follows its files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from features.sources import simulate_market, write_panel
from models.errors import MargincastError, ModelError
from models.rebalance import Policy
from serving.model_source import load_model
from serving.runtime import build_runtime
from serving.settings import Settings
from serving.state import MarketFiles, fingerprint


def test_files_are_read_once_until_they_change(tmp_path: Path) -> None:
    whole = simulate_market(("BTC",), days=70, seed=1)
    write_panel(whole.slice(0, 1600), tmp_path)
    files = MarketFiles(Settings(market=str(tmp_path), history_days=60))
    first = files.read()
    assert first is not None
    assert first.n_bars == 60 * 24
    assert files.read() is None
    before = fingerprint(str(tmp_path))
    write_panel(whole, tmp_path)
    assert fingerprint(str(tmp_path)) != before
    second = files.read()
    assert second is not None
    assert second.end == whole.end


def test_a_reload_swaps_the_engine_and_a_broken_file_keeps_the_old_one(tmp_path: Path) -> None:
    whole = simulate_market(("BTC",), days=70, seed=1)
    write_panel(whole.slice(0, 1600), tmp_path)
    runtime = build_runtime(Settings(market=str(tmp_path), refresh_seconds=0))
    assert runtime.reload()
    old = runtime.engine
    assert not runtime.reload()
    assert runtime.engine is old
    write_panel(whole, tmp_path)
    assert runtime.reload()
    newer = runtime.engine
    assert newer.panel.end == whole.end
    path = next(p for p in tmp_path.rglob("*.parquet") if "BTC" in p.name)
    path.write_bytes(b"garbage")
    with pytest.raises((MargincastError, OSError, ValueError)):
        runtime.reload()
    assert runtime.engine is newer
    assert runtime.ready().status == "ready"
    runtime.close()


def test_policy_file_is_the_default_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('route_lag_minutes = 30\n[symbols."BTC/USDT:USDT"]\nlot = 0.001\n')
    runtime = build_runtime(Settings(policy=str(path)))
    assert runtime.policy.route_lag_minutes == 30
    assert runtime.policy.lot("BTC/USDT:USDT") == 0.001
    assert build_runtime(Settings()).policy == Policy()


def test_no_model_is_the_prior_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    assert load_model("").predictor is None
    with pytest.raises(ModelError, match=r"bundle\.json"):
        load_model(str(tmp_path))


@pytest.mark.skipif(os.name == "nt", reason="file names")
def test_a_bundle_that_is_broken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text("{")
    with pytest.raises(ModelError):
        load_model(str(tmp_path))


def test_the_assets_of_the_model_are_loaded_where_the_settings_name_none(tmp_path: Path) -> None:
    write_panel(simulate_market(("BTC", "ETH", "SOL"), days=70, seed=1), tmp_path)
    settings = Settings(market=str(tmp_path), history_days=60)
    trained = MarketFiles(settings, ["SOL", "BTC"]).read()
    named = MarketFiles(Settings(market=str(tmp_path), history_days=60, assets=("ETH",)), ["SOL", "BTC"]).read()
    assert trained is not None
    assert named is not None
    assert (trained.assets, named.assets) == (("SOL", "BTC"), ("ETH",))
