"""SIMM from a CRIF: what is handed to the engine, what is read back, and what is refused before it could be skipped."""

from __future__ import annotations

import csv
import io
import types
from typing import Any

import pytest

from models.errors import InputError
from models.margin import simm
from models.margin.simm import CRIF_COLUMNS, simm_available, simm_by_portfolio, simm_from_crif

ROW: dict[str, Any] = {
    "TradeID": "1",
    "PortfolioID": "A",
    "ProductClass": "RatesFX",
    "RiskType": "Risk_IRCurve",
    "Qualifier": "USD",
    "Bucket": "1",
    "Label1": "2w",
    "Label2": "OIS",
    "Amount": 4e6,
    "AmountCurrency": "USD",
    "collect_regulations": "ESA,USPR",
    "post_regulations": "SEC, CFTC",
}
TOTAL = ("All", "All", "All")
needs_engine = pytest.mark.skipif(not simm_available(), reason="needs the wheel open-source-risk-engine")


class _Report:
    """Rows as the engine's report gives them, column by column."""

    names = ("Portfolio", "ProductClass", "RiskClass", "MarginType", "Bucket", "SimmSide", "InitialMargin")

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self.rows = rows

    def columns(self) -> int:
        return len(self.names)

    def header(self, i: int) -> str:
        return self.names[i]

    def dataAsString(self, i: int) -> list[Any]:
        assert self.names[i] != "InitialMargin"
        return [row[i] for row in self.rows]

    def dataAsReal(self, i: int) -> list[Any]:
        assert self.names[i] == "InitialMargin"
        return [row[i] for row in self.rows]


class _Engine(types.SimpleNamespace):
    """Stands in for the wheel: records what it is told, gives what it is set to give."""

    def __init__(self, rows: list[tuple[Any, ...]], reports: tuple[str, ...] = ("simm",)) -> None:
        super().__init__(told={}, runs=0, StrVector=list)
        engine = self

        class InputParameters:
            def __getattr__(self, name: str) -> Any:
                return lambda *args: engine.told.__setitem__(name, args)

        class OREApp:
            def __init__(self, *args: Any) -> None:
                assert args[1:3] == ("", 0), "no log file is written"

            def run(self, *args: Any) -> None:
                engine.runs += 1

            def getReportNames(self) -> tuple[str, ...]:
                return reports

            def getReport(self, name: str) -> _Report:
                return _Report(rows)

        self.InputParameters, self.OREApp = InputParameters, OREApp

    def records(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.told["setCrifFromBuffer"][0])))


def engine_that_gives(monkeypatch: pytest.MonkeyPatch, *rows: tuple[Any, ...], **more: Any) -> _Engine:
    engine = _Engine(list(rows), **more)
    monkeypatch.setattr(simm, "_engine", lambda: engine)
    return engine


def test_without_the_wheel_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simm, "simm_available", lambda: False)
    with pytest.raises(InputError, match=r"simm: .*open-source-risk-engine.*pip install 'margincast\[simm\]'"):
        simm_from_crif([ROW], "2.5")


def test_many_portfolios_are_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_that_gives(
        monkeypatch,
        ("A", *TOTAL, "All", "Call", 1.0),
        ("B", *TOTAL, "All", "Call", 2.0),
        ("B", *TOTAL, "All", "Post", 9.0),
    )
    found = simm_by_portfolio([ROW, {**ROW, "PortfolioID": "B"}, {**ROW, "PortfolioID": "C"}], "2.6", 1, "EUR")
    assert found == {"A": {TOTAL: 1.0}, "B": {TOTAL: 2.0}, "C": {TOTAL: 0.0}}
    assert engine.runs == 1
    assert engine.told["setSimmVersion"] == ("2.6",)
    assert engine.told["setMporDays"] == (1,)
    assert engine.told["setSimmCalculationCurrencyCall"] == ("EUR",)


def test_only_totals_over_buckets_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = ("RatesFX", "InterestRate", "Delta")
    total, bucket = (("netting set", *cell, name, "Post", margin) for name, margin in (("All", 5.0), ("USD", 7.0)))
    engine_that_gives(monkeypatch, total, bucket)
    assert simm_from_crif([ROW], "2.5", side="Post")[cell] == 5.0


def test_records_are_chosen_by_the_regulation_of_the_side(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_that_gives(monkeypatch)
    rows = [ROW, {**ROW, "TradeID": "2", "collect_regulations": "ESAX", "post_regulations": None}]
    simm_from_crif(rows, "2.5", regulation="ESA")
    assert [r["TradeID"] for r in engine.records()] == ["1"]
    simm_from_crif(rows, "2.5", side="Post", regulation="CFTC")
    assert [r["TradeID"] for r in engine.records()] == ["1"]
    simm_from_crif(rows, "2.5")
    assert [r["TradeID"] for r in engine.records()] == ["1", "2"]
    assert simm_from_crif(rows, "2.5", regulation="SEC") == {TOTAL: 0.0}


def test_a_record_is_written_with_every_column_and_its_dollars(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_that_gives(monkeypatch)
    factor = {"RiskType": "Param_AddOnNotionalFactor", "Qualifier": "a, b", "Amount": "12.5"}
    simm_from_crif([ROW, factor, {**ROW, "AmountCurrency": "EUR", "AmountUSD": 5e6}], "2.5")
    first, second, third = engine.records()
    assert tuple(first) == CRIF_COLUMNS
    assert (first["Amount"], first["AmountUSD"]) == ("4000000.0", "4000000.0")
    assert (second["Qualifier"], second["AmountUSD"], second["ProductClass"]) == ("a, b", "", "")
    assert (third["AmountCurrency"], third["AmountUSD"]) == ("EUR", "5000000.0")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"RiskType": "Risk_Weather"}, "rows[1].RiskType"),
        ({"RiskType": None}, "rows[1].RiskType"),
        ({"ProductClass": "Weather"}, "rows[1].ProductClass"),
        ({"Amount": "many"}, "rows[1].Amount"),
        ({"Amount": float("nan")}, "rows[1].Amount"),
        ({"Amount": None}, "rows[1].Amount"),
        ({"AmountCurrency": "EUR"}, "rows[1].AmountUSD"),
    ],
)
def test_a_record_that_the_engine_would_skip_is_refused(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], field: str
) -> None:
    engine = engine_that_gives(monkeypatch)
    with pytest.raises(InputError) as raised:
        simm_from_crif([ROW, {**ROW, **change}], "2.5")
    assert raised.value.field == field
    assert engine.runs == 0


@pytest.mark.parametrize(
    ("arguments", "field"), [({"side": "Both"}, "side"), ({"holding_period": 5}, "holding_period")]
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as raised:
        simm_from_crif([ROW], "2.5", **arguments)
    assert raised.value.field == field


def test_a_run_without_result_is_an_error_and_not_a_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    engine_that_gives(monkeypatch, reports=("runtimes",))
    with pytest.raises(InputError, match=r"crif: .*bucket, label or qualifier"):
        simm_from_crif([ROW], "2.5")


@needs_engine
def test_the_engine_adds_up_two_portfolios_apart() -> None:
    found = simm_by_portfolio([ROW, {**ROW, "PortfolioID": "B", "Amount": -8e6}], "2.5")
    assert found["A"][TOTAL] == pytest.approx(460e6)
    assert found["B"][TOTAL] > found["A"][TOTAL]


@needs_engine
def test_the_engine_refuses_an_unknown_version() -> None:
    with pytest.raises(InputError, match="SIMM version"):
        simm_from_crif([ROW], "9.9")
