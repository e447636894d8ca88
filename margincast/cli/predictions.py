"""What ``margincast predict`` says of a chunk of accounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features.answer import BIT, flag_names, source_of
from features.build import FEATURE_NAMES
from features.forecast import forecast
from margincast.cli.batch import Answer, stamps
from margincast.cli.books import Chunk
from margincast.cli.moments import priced
from models.predictor.explain import PARTS
from models.prior import PriorModel
from models.typing import HORIZONS

if TYPE_CHECKING:
    from models.market import MarketPanel
    from models.predictor.explain import Explanation
    from models.predictor.fallback import Fallback
    from serving.model_source import Model

__all__ = ["ROWS", "Told", "explained", "prediction_answers"]

ROWS: Final = len(HORIZONS)
"""Of an answer, for each account."""


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
            return np.repeat(np.array([*(known[bits] for bits in seen.flags.tolist()), ""], object)[:-1], ROWS)

        odd = [";".join(FEATURE_NAMES[i] for i in row if i >= 0) for row in seen.unusual.tolist()]
        columns = {
            "account_id": np.repeat(good.book.account_id, ROWS),
            "as_of": stamps(np.repeat(good.book.as_of, ROWS)),
            "horizon_minutes": np.tile(np.array(HORIZONS, np.int32), n),
            **{name: values.ravel() for name, values in seen.figures().items()},
            **explained(seen.explanation),
            "model_version": np.full(n * ROWS, self.model.version, object),
            "flags": said(lambda bits: ";".join(flag_names(bits))),
            "source": said(lambda bits: source_of(bits)[0]),
            "source_reason": said(lambda bits: ";".join(source_of(bits)[1])),
            "novel": np.repeat((seen.flags & BIT["novel"]) != 0, ROWS),
            "unusual": np.repeat(np.array([*odd, ""], object)[:-1], ROWS),
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
