"""A challenger that scores the same accounts beside, off the request path; only its differences are told."""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict

import numpy as np

from features.answer import BIT, Forecast
from features.moment import Moment, moment_at
from models.book import Book
from models.typing import HORIZONS, FloatArray
from serving.metrics import Metrics
from serving.model_source import Model
from serving.schemas import ShadowDifference

__all__ = ["Shadow"]

_log = logging.getLogger("margincast.serving")

_WAITING = 64
_MOMENTS = 4
_MOST = 2_000
_UNSCORED = BIT["no_price"] | BIT["in_call"]

_Offer = tuple[Moment, Book, FloatArray]


class Shadow:
    """Scores beside with one model, in a thread of its own.

    Parameters
    ----------
    model : Model
        The challenger.
    metrics : Metrics
        Told of every difference.

    Notes
    -----
    When it is more than 64 offers behind, further ones are dropped and counted: it never holds up an answer. Of
    a book of more than 2,000 accounts it scores so many, evenly spread.
    """

    def __init__(self, model: Model, metrics: Metrics) -> None:
        self.model = model
        self._metrics = metrics
        self._queue: queue.Queue[_Offer | None] = queue.Queue(_WAITING)
        self._moments: OrderedDict[tuple[int, int], tuple[Moment, Moment]] = OrderedDict()
        self._lock = threading.Lock()
        self._count = 0
        self._sum = np.zeros(len(HORIZONS))
        self._sum_abs = np.zeros(len(HORIZONS))
        self._most = np.zeros(len(HORIZONS))
        self._thread = threading.Thread(target=self._work, name="margincast-shadow", daemon=True)
        self._thread.start()

    def offer(self, moment: Moment, book: Book, seen: Forecast) -> None:
        """Let the challenger score what was just answered, when it has time.

        Parameters
        ----------
        moment : Moment
            The market of the answer.
        book : Book
            n accounts.
        seen : Forecast
            What was answered.
        """
        if len(book) > _MOST:
            rows = np.linspace(0, len(book) - 1, _MOST).astype(np.int64)
            book, seen_p, flags = book.take(rows), seen.p_call[rows], seen.flags[rows]
        else:
            seen_p, flags = seen.p_call, seen.flags
        scored = np.where(((flags & _UNSCORED) != 0)[:, None], np.nan, seen_p)
        try:
            self._queue.put_nowait((moment, book, scored))
        except queue.Full:
            self._metrics.shadow_dropped.inc(len(book))

    def differences(self) -> list[ShadowDifference]:
        """Challenger minus answer so far, by horizon; empty before the first account."""
        with self._lock:
            n = self._count
            if n == 0:
                return []
            parts = (self._sum / n, self._sum_abs / n, self._most)
            columns = zip(HORIZONS, *(part.tolist() for part in parts), strict=True)
            return [ShadowDifference(h, n, mean, size, most) for h, mean, size, most in columns]

    def close(self) -> None:
        """End the thread; what still waits is dropped."""
        while True:
            try:
                self._queue.put_nowait(None)
                return
            except queue.Full:
                try:
                    self._queue.get_nowait()
                except queue.Empty:
                    continue

    def _work(self) -> None:
        while (offer := self._queue.get()) is not None:
            try:
                self._compare(*offer)
            except Exception:
                _log.exception("the shadow model %s failed on %d accounts", self.model.version, len(offer[1]))

    def _compare(self, moment: Moment, book: Book, answered: FloatArray) -> None:
        found = self._beside(moment).outlook(book, num_threads=1).p_call - answered
        found = found[np.isfinite(found).all(axis=1)]
        if not len(found):
            return
        size = np.abs(found)
        with self._lock:
            self._count += len(found)
            self._sum += found.sum(axis=0)
            self._sum_abs += size.sum(axis=0)
            self._most = np.maximum(self._most, size.max(axis=0))
        self._metrics.shadow_accounts.inc(len(found))
        for column, horizon in enumerate(HORIZONS):
            told = self._metrics.shadow_difference.labels(str(horizon))
            for value in size[:, column].tolist():
                told.observe(value)

    def _beside(self, moment: Moment) -> Moment:
        """The same instant with the challenger's prior and trees."""
        key = (id(moment), moment.as_of)
        kept = self._moments.get(key)
        if kept is not None and kept[0] is moment:
            return kept[1]
        predictor = self.model.predictor
        assert predictor is not None
        made = moment_at(moment.panel, moment.as_of, predictor.prior, predictor, moment.fallback)
        self._moments[key] = (moment, made)
        while len(self._moments) > _MOMENTS:
            self._moments.popitem(last=False)
        return made
