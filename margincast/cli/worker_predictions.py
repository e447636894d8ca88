"""``margincast predict`` on the workers of a cluster: the answers of one process, chunk after chunk."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from features.sources.account_chunks import AccountChunk, UnreadChunk
from features.sources.account_intake import Intake
from features.sources.accounts import read_unread_chunks
from features.sources.parts import encode_table
from features.sources.tables import as_arrow
from margincast.cli.batch import Answer
from margincast.cli.books import CHUNK, book_of, placed
from margincast.cli.markets import MarketNeed
from margincast.cli.predictions import ROWS, Told
from models.errors import MargincastError
from models.typing import IntArray, ObjectArray

if TYPE_CHECKING:
    from margincast.cli.markets import MarketWindow
    from models.market import MarketPanel
    from models.prior import PriorModel
    from training.workers import Workers

__all__ = ["Form", "answers_of_workers"]

Form = Literal["plain", "arrow", "part"]


def answers_of_workers(
    path: Path, window: MarketWindow, at: int | None, told: Told, workers: Workers, form: Form
) -> Iterator[Answer]:
    """Answer the accounts of a file on workers, chunk by chunk; they get lines, and do all the work on them.

    Parameters
    ----------
    path : Path
        JSON Lines, or a folder of parquet twins.
    window : MarketWindow
        Where their market is.
    at : int or None
        Instant that replaces the accounts' own, nanoseconds.
    told : Told
        How to answer.
    workers : Workers
        Who answers.
    form : {"plain", "arrow", "part"}
        As what answers come back: columns, columns of Arrow for a file, or a parquet file for a folder of parts.

    Returns
    -------
    iterator of Answer
        In the order of the file.
    """
    return _Spread(window, at, told, workers, form).answers(path)


class _Spread:
    """Chunks of a file on workers. They decode the lines too; what hangs together over the whole file is seen to here.

    An answer counts if no account of the chunk was there before, and if the market that it was given from is the one
    that all accounts so far ask for; a chunk for which that is not so is read here and answered again. So answers are
    those of one process, chunk after chunk.
    """

    def __init__(self, window: MarketWindow, at: int | None, told: Told, workers: Workers, form: Form) -> None:
        self._window, self._at, self._told, self._workers, self._form = window, at, told, workers, form
        self._now = time.time_ns()
        self._panel: MarketPanel | None = None
        self._shared: Any = None

    def answers(self, path: Path) -> Iterator[Answer]:
        """Answer the accounts of a file, in its order."""
        sources = read_unread_chunks(path, CHUNK)
        first = next(sources)
        self._use(MarketNeed.of(placed(Intake(path).take(first.read()), self._at)))  # while the workers still start
        intake = Intake(path)
        sent: deque[tuple[UnreadChunk | AccountChunk, MarketPanel | None]] = deque()

        def items() -> Iterator[tuple[Any, ...]]:
            for source in chain([first], sources):
                sent.append((source, self._panel))
                yield self._item(source)

        for found in self._workers.map(_answer_part, items()):
            source, panel = sent.popleft()
            if isinstance(source, UnreadChunk) and not len(found.names) and not found.bad:
                continue  # blank lines
            new = intake.admits(found.names, found.times, found.bad)
            if new and self._window.panel_with(found.need) is panel:
                yield found.answer()
                continue
            part = source.read() if new else intake.take(source.read())
            self._use(MarketNeed.of(placed(part, self._at)))
            (again,) = self._workers.map(_answer_part, [self._item(part)])
            yield again.answer()

    def _use(self, need: MarketNeed) -> None:
        """Send the market that is needed to the workers, unless they have it."""
        panel = self._window.panel_with(need)
        if panel is not self._panel:
            self._panel, self._shared = panel, self._workers.share((self._told, panel, self._told.prior(panel)))

    def _item(self, source: UnreadChunk | AccountChunk) -> tuple[Any, ...]:
        return self._shared, source, self._at, self._now, self._form


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What a worker made of a chunk: the answer or why there is none, and what tells whether it counts.

    ``names`` and ``times`` are of the accounts as they stand in the file, ``bad`` counts the lines that are none.
    """

    said: Answer | MargincastError
    names: ObjectArray
    times: IntArray
    bad: int
    need: MarketNeed

    def answer(self) -> Answer:
        if isinstance(self.said, MargincastError):
            raise self.said
        return self.said


def _answer_part(
    shared: tuple[Told, MarketPanel, PriorModel],
    source: UnreadChunk | AccountChunk,
    at: int | None,
    now: int,
    form: Form,
) -> _Found:
    read = source.read()
    part = placed(read, at)
    try:
        said: Answer | MargincastError = _said(shared, part, now, form)
    except MargincastError as error:  # a market that is too short for this chunk, perhaps: then it is sent again
        said = error
    names, times = read.accounts["account_id"], read.accounts["as_of"]
    return _Found(said, names, times, len(read.failures), MarketNeed.of(part))


def _said(shared: tuple[Told, MarketPanel, PriorModel], part: AccountChunk, now: int, form: Form) -> Answer:
    told, panel, prior = shared
    found = told.answer(book_of(part, panel, now), prior)
    if form == "part":
        rows = found.accounts * ROWS
        return Answer({}, found.accounts, found.failures, (encode_table(found.columns), rows))
    if form == "plain":
        return found
    return Answer({name: as_arrow(values) for name, values in found.columns.items()}, found.accounts, found.failures)
