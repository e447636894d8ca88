"""The server's log: lines for people, or one JSON object a line."""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, datetime
from typing import Any

import msgspec

__all__ = ["JsonLines", "log_config"]


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what the record brings as ``fields``.

    Examples
    --------
    >>> record = logging.LogRecord("margincast", 20, "", 0, "said %d", (7,), None)
    >>> '"message":"said 7"' in JsonLines().format(record)
    True
    """

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = "".join(traceback.format_exception(*record.exc_info))
        return msgspec.json.encode(line, enc_hook=str).decode()


class TextLines(logging.Formatter):
    """A line for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Give the line of a record; fields that the message does not hold stand behind it."""
        fields = getattr(record, "fields", None)
        more = "" if not fields else " " + " ".join(f"{k}={v}" for k, v in fields.items() if k in _BEHIND and v != "")
        return super().formatMessage(record) + more


_BEHIND = ("duration_ms", "request_id", "tenant")


def log_config(form: str, level: str, requests: bool) -> dict[str, Any]:
    """Configure the log, for `logging.config.dictConfig`.

    Parameters
    ----------
    form : str
        ``text`` or ``json``.
    level : str
        ``debug``, ``info``, ``warning`` or ``error``.
    requests : bool
        Whether each request has a line.

    Returns
    -------
    dict
        Everything goes to stderr.

    Examples
    --------
    >>> log_config("json", "info", False)["loggers"]["margincast.access"]["level"]
    'WARNING'
    """
    formatter = {"json": JsonLines, "text": TextLines}[form]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines", "stream": "ext://sys.stderr"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "margincast": {"level": level.upper()},
            "margincast.access": {"level": "INFO" if requests else "WARNING"},
            "uvicorn": {"level": level.upper()},
            "alembic": {"level": "WARNING"},
        },
    }
