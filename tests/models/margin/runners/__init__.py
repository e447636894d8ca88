"""Published cases, put to the engine: one module for each vectors file, named as the file is.

A module has ``run(case, document)``, which returns our value for each key that the case expects (or one
value where the case expects one). It may have ``EXCEPTIONS``, a reason for each case that cannot hold, and
``cases(document)``, which lists the cases where they are not under ``cases``. The golden files of
``tests/cases`` have the same shapes and run through the same code.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tests.models.margin.published import RUNNERS

__all__ = ["case_list", "exceptions", "has_runner", "run"]


def has_runner(stem: str) -> bool:
    """Say whether the cases of a file can be run."""
    return stem in RUNNERS or find_spec(f"{__name__}.{stem}") is not None


def run(stem: str, case: dict[str, Any], document: dict[str, Any]) -> Any:
    """Give our value for what the case expects."""
    if stem in RUNNERS:
        return RUNNERS[stem](case)
    return import_module(f"{__name__}.{stem}").run(case, document)


def exceptions(stem: str) -> dict[str, str]:
    """Give the reason for each case of a file that cannot hold."""
    if stem in RUNNERS:
        return {}
    found: dict[str, str] = getattr(import_module(f"{__name__}.{stem}"), "EXCEPTIONS", {})
    return found


def case_list(stem: str, document: dict[str, Any]) -> list[dict[str, Any]]:
    """List the cases of a file."""
    lister = None if stem in RUNNERS else getattr(import_module(f"{__name__}.{stem}"), "cases", None)
    found: list[dict[str, Any]] = document["cases"] if lister is None else lister(document)
    return found
