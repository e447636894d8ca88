"""What ``margincast predict`` says of a chunk of accounts: in this process, or on the workers of a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from features.answer import BIT, flag_names, source_of
from features.build import FEATURE_NAMES
from features.forecast import forecast
from features.sources.parts import encode_table
from features.sources.tables import as_arrow
from margincast.cli.batch import Answer, stamps
from margincast.cli.inputs import CHUNK, Chunk, book_of, read_chunks
from margincast.cli.moments import priced
from models.predictor.explain import PARTS
from models.prior import PriorModel
from models.typing import HORIZONS

if TYPE_CHECKING:
    from features.sources.accounts import AccountChunk
    from margincast.cli.markets import MarketWindow
    from models.market import MarketPanel
    from models.predictor.explain import Explanation
    from models.predictor.fallback import Fallback
    from serving.model_source import Model
    from training.workers import Workers

__all__ = ["Form", "Told", "answers_of_workers", "explained", "prediction_answers"]

_WIDTH = len(HORIZONS)
Form = Literal["plain", "arrow", "part"]


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """How accounts are to be answered.

    Parameters
    ----------
    model : Model
        The model; the prior is fitted on the market where it has none.
    explain : bool
        Whether columns say why P(call) differs from the prior.
    fallback : Fallback, optional
        When the prior answers in place of the model.
    """

    model: Model
    explain: bool = False
    fallback: Fallback | None = None

    def prior(self, panel: MarketPanel) -> PriorModel:
        """Give the prior of the model; without one, that of a market."""
        return PriorModel.fit(panel) if self.model.predictor is None else self.model.predictor.prior

    def answer(self, chunk: Chunk, prior: PriorModel) -> Answer:
        """Answer a chunk.

        Parameters
        ----------
        chunk : Chunk
            Accounts with their market.
        prior : PriorModel
            Of `prior`.

        Returns
        -------
        Answer
            Columns with a row for each account and horizon.
        """
        good = priced(chunk)[0]
        n = len(good.book)
        seen = forecast(
            good.book,
            good.panel,
            self.model.predictor,
            prior,
            num_threads=1,
            explain=self.explain,
            fallback=self.fallback,
        )

        def said(words: Callable[[int], str]) -> Any:
            """Turn the flags of each account into words, for each of its rows."""
            known = {bits: words(bits) for bits in np.unique(seen.flags).tolist()}
            return np.repeat(np.array([*(known[bits] for bits in seen.flags.tolist()), ""], object)[:-1], _WIDTH)

        odd = [";".join(FEATURE_NAMES[i] for i in row if i >= 0) for row in seen.unusual.tolist()]
        columns = {
            "account_id": np.repeat(good.book.account_id, _WIDTH),
            "as_of": stamps(np.repeat(good.book.as_of, _WIDTH)),
            "horizon_minutes": np.tile(np.array(HORIZONS, np.int32), n),
            **{name: values.ravel() for name, values in seen.figures().items()},
            **explained(seen.explanation),
            "model_version": np.full(n * _WIDTH, self.model.version, object),
            "flags": said(lambda bits: ";".join(flag_names(bits))),
            "source": said(lambda bits: source_of(bits)[0]),
            "source_reason": said(lambda bits: ";".join(source_of(bits)[1])),
            "novel": np.repeat((seen.flags & BIT["novel"]) != 0, _WIDTH),
            "unusual": np.repeat(np.array([*odd, ""], object)[:-1], _WIDTH),
        }
        return Answer(columns, n, good.failures)


def prediction_answers(told: Told) -> Callable[[Chunk], Answer]:
    """Make the function that answers a chunk in this process.

    Parameters
    ----------
    told : Told
        How.

    Returns
    -------
    callable
        From a chunk to columns with a row for each account and horizon.
    """
    prior = lru_cache(maxsize=1)(told.prior)
    return lambda chunk: told.answer(chunk, prior(chunk.panel))


def answers_of_workers(
    path: Path, window: MarketWindow, at: int | None, told: Told, workers: Workers, form: Form
) -> Iterator[Answer]:
    """Answer the accounts of a file on workers, chunk by chunk; they get columns and make the books themselves.

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
    now = time.time_ns()

    def items() -> Iterator[tuple[Any, ...]]:
        panel, shared = None, None
        for part in read_chunks(path, CHUNK, at):
            own = window.panel_for(part)
            if own is not panel:
                panel, shared = own, workers.share((told, own, told.prior(own)))
            yield shared, part, now, form

    return workers.map(_answer_part, items())


def _answer_part(shared: tuple[Told, MarketPanel, PriorModel], part: AccountChunk, now: int, form: Form) -> Answer:
    told, panel, prior = shared
    found = told.answer(book_of(part, panel, now), prior)
    if form == "part":
        rows = found.accounts * _WIDTH
        return Answer({}, found.accounts, found.failures, (encode_table(found.columns), rows))
    if form == "plain":
        return found
    return Answer({name: as_arrow(values) for name, values in found.columns.items()}, found.accounts, found.failures)


def explained(found: Explanation | None) -> dict[str, Any]:
    """Give the columns of an explanation.

    Parameters
    ----------
    found : Explanation or None
        Of n accounts.

    Returns
    -------
    dict of str to ndarray, shape (n * 4,)
        ``explain_prior``, the logit of the prior, then a column a part; nothing where there is no explanation.
    """
    if found is None:
        return {}
    parts = {f"explain_{name}": found.parts[:, :, i].ravel() for i, name in enumerate(PARTS)}
    return {"explain_prior": found.prior.ravel(), **parts}
