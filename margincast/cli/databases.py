"""Which database a command means."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from models.errors import InputError
from serving.ledger.verify import Anchor
from serving.store import Store, open_store

__all__ = ["BY_HAND", "address", "anchors_of", "day", "opened"]

BY_HAND = "command-line"
"""Who the record of changes names where a command made one."""


def address(given: str | None) -> str:
    """Find the address of the database: what was given, or the variable MARGINCAST_DATABASE."""
    found = given or os.environ.get("MARGINCAST_DATABASE", "")
    if not found:
        raise InputError("database", "", "--database or the variable MARGINCAST_DATABASE, as sqlite:///FILE")
    return found


def opened(given: str | None) -> Store:
    """Open that database; its tables must be those of this version."""
    return open_store(address(given), pool=2)


def day(ns: int | None) -> str:
    """Write a time of the database to the second; empty where there is none."""
    return "" if ns is None else f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}Z"


def anchors_of(file: Path) -> list[Anchor]:
    """Read what ``margincast ledger head`` wrote."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Anchor])
    except msgspec.DecodeError as error:
        raise InputError("anchor", str(file), f"a file that 'margincast ledger head' wrote ({error})") from None
