"""The log: one JSON object a line, whatever is in it, or lines for people."""

from __future__ import annotations

import json
import logging
import logging.config
from typing import Any

import pytest

from serving.logs import JsonLines, TextLines, log_config


def record(message: str, fields: dict[str, Any] | None = None, error: bool = False) -> logging.LogRecord:
    """Return a record, with the traceback of an error where asked for."""
    held = None
    if error:
        try:
            raise ValueError("line one\nline two")
        except ValueError as caught:
            held = (ValueError, caught, caught.__traceback__)
    found = logging.LogRecord("margincast.serving", logging.WARNING, "f.py", 1, message, None, held)
    if fields is not None:
        found.fields = fields
    return found


def test_a_line_is_one_object_even_with_a_traceback() -> None:
    text = JsonLines().format(record("two\nlines \u2028", {"status": 500, "odd": object}, error=True))
    assert "\n" not in text
    line = json.loads(text)
    assert (line["level"], line["logger"], line["message"]) == ("warning", "margincast.serving", "two\nlines \u2028")
    assert line["status"] == 500
    assert "line two" in line["error"]
    assert line["time"].endswith("+00:00")


def test_text_has_the_fields_that_the_message_lacks() -> None:
    text = TextLines().format(record("GET /x 200", {"status": 200, "duration_ms": 1.5, "tenant": ""}))
    assert text.endswith("margincast.serving: GET /x 200 duration_ms=1.5")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("requests", [True, False])
def test_the_configuration_is_one_that_logging_takes(form: str, requests: bool) -> None:
    names = ("margincast", "margincast.access", "uvicorn", "alembic")
    before = {name: logging.getLogger(name).level for name in names}
    root = logging.getLogger()
    kept, level = list(root.handlers), root.level
    try:
        logging.config.dictConfig(log_config(form, "info", requests))
        assert logging.getLogger("margincast.access").isEnabledFor(logging.INFO) is requests
        assert logging.getLogger("margincast.serving").isEnabledFor(logging.INFO)
    finally:
        root.handlers[:], root.level = kept, level
        for name, value in before.items():
            logging.getLogger(name).setLevel(value)
