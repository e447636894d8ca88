"""Version of the installed program."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["program_version"]


def program_version() -> str:
    """Version of the installed program.

    Returns
    -------
    str
        ``"0"`` where it is not installed.
    """
    try:
        return version("margincast")
    except PackageNotFoundError:
        return "0"
