"""Long work in stages, each with its progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from margincast.cli.console import progress

__all__ = ["Report", "stages"]

Report = Callable[[str, int, int], None]


@contextmanager
def stages() -> Iterator[Report]:
    """Show a bar for each stage that reports; silent where stderr is no terminal.

    Yields
    ------
    callable
        Takes the name of the stage, what is done, and how much there is.
    """
    tasks = {}
    with progress() as bars:

        def report(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield report
