"""The Typer application and the console script's entry point."""

from typing import Annotated

import typer

import margincast
from margincast.cli.guard import GuardedGroup
from margincast.cli.streams import keep_stdout_for_results

app = typer.Typer(
    cls=GuardedGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"margincast {margincast.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Predict margin calls and recommend the cheapest way to avoid them."""
    from margincast.cli.rules import load_own_rules

    load_own_rules()


def main() -> None:
    """Run the command line: exit code 0 ok, 2 bad input, 1 anything else."""
    keep_stdout_for_results()
    app()
