"""Every published case: the reference vectors where they are present, and the golden ones always.

A file that no runner takes fails, and a case that cannot hold is listed with its reason, so that none is
dropped silently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SHARED
from tests.models.margin.published import CASES, RUNNERS
from tests.models.margin.runners import case_list, exceptions, has_runner, run

VECTORS = SHARED / "reference" / "vectors"
SIMM = {"simm_2_5_acadia_simmlib", "simm_ore_examples"}
NO_CASES = {"leverage_tiers"}
"""Golden files that hold tables for other cases."""
MOST_EXCEPTIONS = 5


def _files() -> list[Path]:
    golden = [p for p in sorted(CASES.glob("*.json")) if p.stem not in NO_CASES]
    return [*golden, *sorted(VECTORS.glob("*.json"))]


def _params() -> list[Any]:
    out = []
    for path in _files():
        document = json.loads(path.read_text())
        where = "golden" if path.parent == CASES else "published"
        if not has_runner(path.stem):
            out.append(pytest.param(path.stem, None, document, id=f"{where}-{path.stem}-no-runner"))
            continue
        reasons = exceptions(path.stem)
        for case in case_list(path.stem, document):
            reason = reasons.get(case["id"])
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            out.append(pytest.param(path.stem, case, document, id=f"{where}-{path.stem}-{case['id']}", marks=marks))
    return out


@pytest.mark.parametrize(("stem", "case", "document"), _params())
def test_published_case(stem: str, case: dict[str, Any] | None, document: dict[str, Any]) -> None:
    assert case is not None, f"{stem}.json has no runner in tests/models/margin/runners"
    tolerance = case.get("tolerance") or document.get("tolerance") or {}
    _compare(run(stem, case, document), case["expected"], tolerance, stem)


def _compare(found: Any, expected: Any, tolerance: Mapping[str, Any], path: str) -> None:
    if isinstance(expected, Mapping):
        for key, value in expected.items():
            assert key in found, f"{path}.{key} was not computed"
            _compare(found[key], value, tolerance, f"{path}.{key}")
    elif isinstance(expected, Sequence) and not isinstance(expected, str):
        assert len(found) == len(expected), path
        for i, value in enumerate(expected):
            _compare(found[i], value, tolerance, f"{path}[{i}]")
    elif isinstance(expected, float | int) and not isinstance(expected, bool):
        rel, close = tolerance.get("rel", 0.0), tolerance.get("abs", 0.0)
        assert found == pytest.approx(expected, rel=rel, abs=close), path
    else:
        assert found == expected, path


def test_golden_cases_cover_every_regime_of_the_first_runners() -> None:
    assert {p.stem for p in CASES.glob("*.json")} >= set(RUNNERS)


def test_few_cases_are_excepted() -> None:
    stems = {p.stem for p in _files() if has_runner(p.stem)} - SIMM
    assert sum(len(exceptions(s)) for s in stems) <= MOST_EXCEPTIONS


def test_every_vectors_file_has_a_runner(reference_root: Path) -> None:
    found = {p.stem for p in (reference_root / "vectors").glob("*.json")}
    assert {s for s in found if not has_runner(s)} == set()
