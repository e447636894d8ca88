"""Errors at the edge: bad input becomes one clear line and exit code 2, never a traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from models.errors import MargincastError

__all__ = ["BAD_INPUT", "GuardedGroup"]

BAD_INPUT = 2


class GuardedGroup(TyperGroup):
    """The root command group; it reports the errors of the tree for every command below it."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and turn an error that the user can mend into a line on stderr.

        Parameters
        ----------
        ctx : click.Context
            The command line as parsed.

        Returns
        -------
        object
            Whatever the command returned.

        Raises
        ------
        typer.Exit
            With code 2 after an error of the tree or a file that cannot be opened.
        """
        try:
            return super().invoke(ctx)
        except MargincastError as error:
            raise _refusal(str(error)) from error
        except BrokenPipeError:
            raise
        except OSError as error:
            if error.filename is None:
                raise
            raise _refusal(f"{error.filename}: expected a file that can be used, was: {error.strerror}") from error


def _refusal(line: str) -> typer.Exit:
    typer.echo(f"error: {' '.join(line.split())}", err=True)
    return typer.Exit(BAD_INPUT)
