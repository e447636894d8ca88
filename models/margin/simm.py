"""ISDA SIMM from a CRIF, computed by Open Source Risk Engine; margincast has no SIMM of its own.

The methodology is ISDA's (a licence is needed for commercial use), its calibrations are those built into the engine.
Where the initial margin is known already, it enters as a number: `models.margin.csa.csa_levels` and
`models.margin.csa.credit_support` take it as the margin amount.

References
----------
Open Source Risk Engine, analytic ``SIMM`` (PyPI ``open-source-risk-engine``, checked with 1.8.17.0); ISDA, "Common Risk
Interchange Format" (CRIF columns); ISDA SIMM methodology 2.5 (December 2022).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final, Literal, TypeAlias

from models.errors import InputError

__all__ = [
    "CRIF_COLUMNS",
    "PRODUCT_CLASSES",
    "RISK_TYPES",
    "Cell",
    "CrifRow",
    "simm_available",
    "simm_by_portfolio",
    "simm_from_crif",
]

CrifRow: TypeAlias = Mapping[str, str | float | None]
Cell: TypeAlias = tuple[str, str, str]
"""Product class, risk class and margin type; ``"All"`` for a total."""

CRIF_COLUMNS: Final = (
    "TradeID",
    "PortfolioID",
    "ProductClass",
    "RiskType",
    "Qualifier",
    "Bucket",
    "Label1",
    "Label2",
    "Amount",
    "AmountCurrency",
    "AmountUSD",
)
"""Columns that are handed to the engine."""

PRODUCT_CLASSES: Final = ("RatesFX", "Credit", "Equity", "Commodity")
RISK_TYPES: Final = (
    "Risk_IRCurve",
    "Risk_IRVol",
    "Risk_Inflation",
    "Risk_InflationVol",
    "Risk_XCcyBasis",
    "Risk_FX",
    "Risk_FXVol",
    "Risk_CreditQ",
    "Risk_CreditVol",
    "Risk_CreditNonQ",
    "Risk_CreditVolNonQ",
    "Risk_BaseCorr",
    "Risk_Equity",
    "Risk_EquityVol",
    "Risk_Commodity",
    "Risk_CommodityVol",
    "Notional",
    "Param_ProductClassMultiplier",
    "Param_AddOnFixedAmount",
    "Param_AddOnNotionalFactor",
)
"""What a SIMM record may be; the engine skips other records without an error, so they are refused here."""

_REGULATION_COLUMN = {"Call": "collect_regulations", "Post": "post_regulations"}
_WHEEL = "open-source-risk-engine"
_EMPTY_MARKET_DATE = "2020-01-01"
_ONE_SET = "netting set"
_TOTAL: Cell = ("All", "All", "All")


def simm_available() -> bool:
    """Say whether the engine is installed.

    Returns
    -------
    bool
        Whether `simm_from_crif` can compute.

    Examples
    --------
    >>> simm_available() in (True, False)
    True
    """
    return find_spec("ORE") is not None


def simm_from_crif(
    rows: Iterable[CrifRow],
    version: str,
    holding_period: int = 10,
    calculation_currency: str = "USD",
    side: Literal["Call", "Post"] = "Call",
    regulation: str | None = None,
) -> dict[Cell, float]:
    """Compute SIMM of one netting set.

    Parameters
    ----------
    rows : iterable of mapping
        CRIF records: `CRIF_COLUMNS`, with ``collect_regulations`` and ``post_regulations`` where a regulation is asked
        for. ``AmountUSD`` may be left out where ``AmountCurrency`` is USD; the engine gets no exchange rates.
    version : str
        SIMM version as the engine spells it, for example ``"2.5"``, ``"2.6"`` or ``"2.8+2506"``.
    holding_period : int
        Margin period of risk in days: 10, or 1 for daily settled trades.
    calculation_currency : str
        Currency whose own exchange-rate risk does not count. Amounts are in US dollars.
    side : {"Call", "Post"}
        Margin collected from the counterparty, or posted to it.
    regulation : str, optional
        Use only the records under this regulation, for example ``"ESA"``; all records where None.

    Returns
    -------
    dict
        US dollars by product class, risk class and margin type; ``("All", "All", "All")`` is the total, 0 where there
        are no records. Cells that the engine leaves out are zero.

    Raises
    ------
    InputError
        If the engine is not installed or refuses its input, or an argument or a record is wrong.

    Examples
    --------
    >>> row = {"RiskType": "Risk_IRCurve", "ProductClass": "RatesFX", "Qualifier": "USD", "Bucket": "1", "Label1": "2w",
    ...        "Label2": "OIS", "Amount": 4e6, "AmountCurrency": "USD"}
    >>> if simm_available():
    ...     assert round(simm_from_crif([row], "2.5")["All", "All", "All"]) == 460_000_000
    """
    named = [{**row, "PortfolioID": _ONE_SET} for row in rows]
    found = simm_by_portfolio(named, version, holding_period, calculation_currency, side, regulation)
    return found.get(_ONE_SET, {_TOTAL: 0.0})


def simm_by_portfolio(
    rows: Iterable[CrifRow],
    version: str,
    holding_period: int = 10,
    calculation_currency: str = "USD",
    side: Literal["Call", "Post"] = "Call",
    regulation: str | None = None,
) -> dict[str, dict[Cell, float]]:
    """Compute SIMM of many netting sets in one run of the engine.

    Parameters
    ----------
    rows : iterable of mapping
        CRIF records as in `simm_from_crif`, told apart by ``PortfolioID``.
    version, holding_period, calculation_currency, side, regulation
        As in `simm_from_crif`.

    Returns
    -------
    dict
        For each portfolio that has records, what `simm_from_crif` gives.

    Raises
    ------
    InputError
        As in `simm_from_crif`.

    Examples
    --------
    >>> if simm_available():
    ...     assert simm_by_portfolio([], "2.5") == {}
    """
    if side not in _REGULATION_COLUMN:
        raise InputError("side", side, "'Call' (collected) or 'Post'")
    if holding_period not in (1, 10):
        raise InputError("holding_period", holding_period, "10 or 1 days")
    given = list(rows)
    records = [_record(row, f"rows[{i}]") for i, row in enumerate(given)]
    chosen = [i for i, row in enumerate(given) if _is_under(row, side, regulation)]
    engine = _engine()
    if not chosen:
        return {}
    try:
        report = _run(engine, _as_csv([records[i] for i in chosen]), version, holding_period, calculation_currency)
    except RuntimeError as error:
        reason = f"input that Open Source Risk Engine accepts ({error}); check the version and the columns"
        raise InputError("crif", version, reason) from error
    names = {str(given[i].get("PortfolioID") or "") for i in chosen}
    return {name: {_TOTAL: 0.0} for name in sorted(names)} | _cells(report, side)


def _engine() -> ModuleType:
    if not simm_available():
        raise InputError("simm", None, f"the wheel {_WHEEL}, which is not installed: pip install 'margincast[simm]'")
    return import_module("ORE")


def _is_under(row: CrifRow, side: str, regulation: str | None) -> bool:
    listed = str(row.get(_REGULATION_COLUMN[side]) or "").split(",")
    return regulation is None or regulation in {name.strip() for name in listed}


def _record(row: CrifRow, path: str) -> list[str]:
    if row.get("RiskType") not in RISK_TYPES:
        raise InputError(f"{path}.RiskType", row.get("RiskType"), f"one of {', '.join(RISK_TYPES)}")
    if row.get("ProductClass") not in (*PRODUCT_CLASSES, "", None):
        raise InputError(f"{path}.ProductClass", row.get("ProductClass"), f"one of {', '.join(PRODUCT_CLASSES)}")
    if not _is_number(row.get("Amount")):
        raise InputError(f"{path}.Amount", row.get("Amount"), "a finite number")
    values = {**row, "AmountUSD": _in_dollars(row, path)}
    return ["" if values.get(name) is None else str(values[name]) for name in CRIF_COLUMNS]


def _is_number(value: str | float | None) -> bool:
    try:
        return value is not None and math.isfinite(float(value))
    except ValueError:
        return False


def _in_dollars(row: CrifRow, path: str) -> str | float | None:
    given = row.get("AmountUSD")
    if given not in (None, ""):
        return given
    currency = row.get("AmountCurrency") or ""
    if currency not in ("", "USD"):
        raise InputError(f"{path}.AmountUSD", given, f"the amount in US dollars, as AmountCurrency is {currency!r}")
    return row.get("Amount") if currency == "USD" else None


def _as_csv(records: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(CRIF_COLUMNS)
    writer.writerows(records)
    return out.getvalue()


def _run(engine: Any, crif: str, version: str, holding_period: int, currency: str) -> dict[str, list[Any]]:
    inputs = engine.InputParameters()
    inputs.setAsOfDate(_EMPTY_MARKET_DATE)
    inputs.setConventions("<Conventions/>")
    inputs.setCurveConfigs("<CurveConfiguration/>")
    inputs.setTodaysMarketParams("<TodaysMarket/>")
    inputs.setSimmVersion(version)
    inputs.setMporDays(holding_period)
    inputs.setCrifFromBuffer(crif, "\n", ",", '"')
    inputs.setSimmCalculationCurrencyCall(currency)
    inputs.setSimmCalculationCurrencyPost(currency)
    inputs.setSimmResultCurrency("USD")
    inputs.insertAnalytic("SIMM")
    app = engine.OREApp(inputs, "", 0, False, True)
    app.run(engine.StrVector(), engine.StrVector())
    if "simm" not in app.getReportNames():
        raise RuntimeError(
            "no result: a bucket, label or qualifier is not one of this version, or a currency is unknown"
        )
    report = app.getReport("simm")
    names = [report.header(i) for i in range(report.columns())]
    read = {"InitialMargin": report.dataAsReal}
    return {name: list(read.get(name, report.dataAsString)(i)) for i, name in enumerate(names)}


def _cells(report: Mapping[str, Sequence[Any]], side: str) -> dict[str, dict[Cell, float]]:
    wanted = ("Portfolio", "ProductClass", "RiskClass", "MarginType", "Bucket", "SimmSide", "InitialMargin")
    found: dict[str, dict[Cell, float]] = {}
    for portfolio, product, risk, kind, bucket, of, margin in zip(*(report[name] for name in wanted), strict=True):
        if of == side and bucket == "All":
            found.setdefault(portfolio, {})[product, risk, kind] = margin
    return found
