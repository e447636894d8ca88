"""Every published case: the reference vectors where they are present, and the golden ones always.

A file of a regime that is not built is listed in `NOT_BUILT` with the reason; a file that is in
neither list fails, so that no case is dropped silently.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SHARED
from tests.models.margin.published import CASES, RUNNERS, evaluate

VECTORS = SHARED / "reference" / "vectors"
OPTIONS = "option and portfolio margin are not built, only linear margin is"
CHAIN = "on-chain margin engines are not built, only linear margin is"
NOT_BUILT = {
    "aave_health_factor": "lending accrual and pool health are not built; the health factor alone is in collateral",
    "csa_variation_margin": "margin under a credit support annex is not built",
    "derive_pmrm2_portfolio": OPTIONS,
    "derive_srm_standard": OPTIONS,
    "drift_v2_weights": CHAIN,
    "dydx_v4_margin": CHAIN,
    "fhs_scaling": "filtered historical simulation margin is not built",
    "lean_regt_and_crypto": "securities margin (Reg T) is not built",
    "mango_v4_health": CHAIN,
    "portfolio_margin_docs": OPTIONS,
    "regt_option_strategies": OPTIONS,
    "schedule_im_acadia": "initial margin of uncleared derivatives is not built",
    "simm_2_5_acadia_simmlib": "initial margin of uncleared derivatives is not built",
    "simm_ore_examples": "initial margin of uncleared derivatives is not built",
    "span_scanning_risk": "SPAN is not built",
    "synthetix_v3_perps": CHAIN,
    "vega_margin_levels": "the four-level model of Vega is not built",
}


def _files() -> list[Path]:
    golden = [p for p in sorted(CASES.glob("*.json")) if p.stem in RUNNERS]
    return [*golden, *sorted(VECTORS.glob("*.json"))]


def _params() -> list[Any]:
    out = []
    for path in _files():
        document = json.loads(path.read_text())
        where = "golden" if path.parent == CASES else "published"
        if path.stem in RUNNERS:
            for case in document["cases"]:
                tolerance = case.get("tolerance") or document["tolerance"]
                out.append(pytest.param(path.stem, case, tolerance, id=f"{where}-{path.stem}-{case['id']}"))
        elif path.stem in NOT_BUILT:
            reason = f"{len(document['cases'])} cases: {NOT_BUILT[path.stem]}"
            mark = pytest.mark.skip(reason=reason)
            out.append(pytest.param(path.stem, {}, {}, id=f"{where}-{path.stem}", marks=mark))
        else:
            out.append(pytest.param(path.stem, None, {}, id=f"{where}-{path.stem}-unlisted"))
    return out


@pytest.mark.parametrize(("regime", "case", "tolerance"), _params())
def test_published_case(regime: str, case: dict[str, Any] | None, tolerance: dict[str, float]) -> None:
    assert case is not None, f"{regime}.json is neither run nor listed in NOT_BUILT with a reason"
    found = evaluate(regime, case)
    for key, expected in case["expected"].items():
        if isinstance(expected, float | int) and not isinstance(expected, bool):
            assert found[key] == pytest.approx(expected, rel=tolerance.get("rel", 0.0), abs=tolerance.get("abs", 0.0))
        else:
            assert found[key] == expected


def test_golden_cases_cover_every_regime_that_is_built() -> None:
    assert {p.stem for p in CASES.glob("*.json")} >= set(RUNNERS)


def test_no_regime_is_both_built_and_listed_as_missing() -> None:
    assert not set(RUNNERS) & set(NOT_BUILT)


def test_every_vectors_file_is_accounted_for(reference_root: Path) -> None:
    found = {p.stem for p in (reference_root / "vectors").glob("*.json")}
    assert found - set(RUNNERS) - set(NOT_BUILT) == set()
