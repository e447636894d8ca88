"""Single accounts that arrive together are predicted together: most of what one costs is the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from serving.decode import Accounts
from serving.engine import Engine
from serving.problems import ProblemError
from serving.schemas import PredictionResponse

__all__ = ["MOST", "Batcher"]

MOST: Final = 16
"""Most accounts of one call, so that the loop is free again within a millisecond or two."""
_Waiting = tuple[Accounts, asyncio.Future[PredictionResponse]]


class Batcher:
    """Predicts single accounts, those that are there in one turn of the event loop by one call.

    Parameters
    ----------
    engine : callable
        The engine in use; whatever it raises is raised to whoever waits.

    Notes
    -----
    Nobody waits for others to come: what has arrived when the loop has gone round once is predicted. Every answer is
    the one that the account would have got alone, errors among them. To be used on one event loop.
    """

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine
        self._waiting: list[_Waiting] = []

    async def predict(self, request: Accounts) -> PredictionResponse:
        """Predict one account.

        Parameters
        ----------
        request : Accounts
            A single account, from `serving.decode.decode_accounts`.

        Returns
        -------
        PredictionResponse
            As `Engine.predict` gives it.

        Raises
        ------
        ProblemError
            If the account is wrong, or no market is there.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[PredictionResponse] = loop.create_future()
        self._waiting.append((request, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._flush, loop)
        return await answer

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting = [one for one in self._waiting if not one[1].done()]  # whoever gave up is done already
        batch, self._waiting = waiting[:MOST], waiting[MOST:]
        if self._waiting:
            loop.call_soon(self._flush, loop)
        self._settle(batch)

    def _settle(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        try:
            found = self._engine().predict_each([request for request, _ in batch])
        except Exception as error:
            if len(batch) == 1 or isinstance(error, ProblemError):
                for _, answer in batch:
                    answer.set_exception(error)
                return
            for one in batch:  # a fault must not be that of those beside it
                self._settle([one])
            return
        for (_, answer), result in zip(batch, found, strict=True):
            if isinstance(result, ProblemError):
                answer.set_exception(result)
            else:
                answer.set_result(result)
