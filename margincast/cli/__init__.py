"""The command line: one small file per command, heavy imports inside their bodies."""

from margincast.cli.app import app, main

__all__ = ["app", "main"]
