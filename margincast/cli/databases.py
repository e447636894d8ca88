"""Which database a command means."""

from __future__ import annotations

import os

from models.errors import InputError
from serving.store import Store, open_store

__all__ = ["address", "opened"]


def address(given: str | None) -> str:
    """Find the address of the database: what was given, or the variable MARGINCAST_DATABASE."""
    found = given or os.environ.get("MARGINCAST_DATABASE", "")
    if not found:
        raise InputError("database", "", "--database or the variable MARGINCAST_DATABASE, as sqlite:///FILE")
    return found


def opened(given: str | None) -> Store:
    """Open that database; its tables must be those of this version."""
    return open_store(address(given), pool=2)
