"""Funding rates: read, merged, and refused."""

from pathlib import Path

import numpy as np
import pytest

from features.sources import Funding, read_funding, write_funding
from models.errors import InputError

START = 1_735_689_600_000_000_000
EIGHT = 8 * 3_600_000_000_000


def test_written_rates_are_added_and_replace_older_ones(tmp_path: Path) -> None:
    write_funding(tmp_path, "binance", Funding.of("ETHUSDT", np.array([START]), np.array([1e-4])))
    new = Funding.of("BTCUSDT", START + np.array([EIGHT, 0]), np.array([3e-4, 2e-4]))
    write_funding(tmp_path, "binance", new)
    write_funding(tmp_path, "binance", Funding.of("ETHUSDT", np.array([START]), np.array([9e-4])))
    whole = read_funding(tmp_path)
    assert whole.symbol.tolist() == ["BTCUSDT", "BTCUSDT", "ETHUSDT"]
    assert whole.time.tolist() == [START, START + EIGHT, START]
    assert whole.rate.tolist() == [2e-4, 3e-4, 9e-4]


def test_no_file_is_no_rates(tmp_path: Path) -> None:
    assert len(read_funding(tmp_path, "nowhere")) == 0


def test_csv_beside_parquet_and_a_column_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "funding/okx/funding_all-8h.csv"
    path.parent.mkdir(parents=True)
    path.write_text("symbol,timestamp,funding_rate\nBTCUSDT,2025-01-01T00:00:00Z,0.0001\n")
    assert read_funding(tmp_path, "okx").time.tolist() == [START]
    path.write_text("symbol,timestamp\nBTCUSDT,2025-01-01\n")
    with pytest.raises(InputError, match=r"funding_all-8h.csv: columns: expected also funding_rate"):
        read_funding(tmp_path, "okx")


def test_a_ccxt_history_row_without_a_rate_is_named() -> None:
    with pytest.raises(InputError, match=r"BTCUSDT funding\[0\]\.fundingRate: expected a number, was None"):
        Funding.from_history([{"timestamp": 1, "fundingRate": None}], "BTCUSDT")
