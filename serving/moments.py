"""The market at the instants that are asked about: the newest, and the last few earlier ones."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable

from features.moment import Moment, moment_at
from models.account import Account
from models.errors import InputError
from models.market import MarketPanel
from models.predictor.fallback import Fallback
from models.prior import PriorModel
from models.typing import MINUTE_NS
from serving.instants import instant
from serving.model_source import Model
from serving.schemas import Market

__all__ = ["Moments"]

_KEPT = 16


class Moments:
    """One market, at its newest bar and at earlier ones.

    Parameters
    ----------
    panel : MarketPanel
        The market.
    model : Model
        The model.
    prior : PriorModel
        The physics.
    clock : callable
        Nanoseconds since the epoch now.
    skew_seconds : float
        How far ahead of the clock an instant may be.
    fallback : Fallback
        When the prior answers in place of the model.
    newest : Moment, optional
        The newest moment where it is at hand.
    """

    def __init__(
        self,
        panel: MarketPanel,
        model: Model,
        prior: PriorModel,
        clock: Callable[[], int],
        skew_seconds: float,
        fallback: Fallback,
        newest: Moment | None = None,
    ) -> None:
        self._panel, self._prior, self._predictor, self._fallback = panel, prior, model.predictor, fallback
        self._clock = clock
        self._skew = int(skew_seconds * 1e9)
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Moment] = OrderedDict()
        self.newest = newest or self._made(panel.end)
        self._sources, self._behind = sorted(set(panel.source)), _behind(self.newest)

    def latest(self) -> int:
        """Newest instant that is not in the future: of the clock, or of the market where the clock is behind it."""
        return max(self._clock() + self._skew, self.newest.as_of)

    def instant(self, account: Account, latest: int) -> int:
        """Give the instant of an account.

        Parameters
        ----------
        account : Account
            The account.
        latest : int
            From `latest`.

        Returns
        -------
        int
            Nanoseconds since the epoch.

        Raises
        ------
        InputError
            If it has no zone, or is in the future.
        """
        if account.as_of.tzinfo is None:
            raise InputError("as_of", account.as_of.isoformat(), "a time with a zone, for example 2025-03-01T12:00:00Z")
        return self.past(int(account.as_of.timestamp() * 1e6) * 1000, latest)

    def past(self, as_of: int, latest: int) -> int:
        """Refuse an instant in the future; others are given back."""
        if as_of > latest:
            now = instant(self._clock()).isoformat(timespec="seconds")
            raise InputError("as_of", instant(as_of).isoformat(), f"a time that is not in the future (now {now})")
        return as_of

    def at(self, as_of: int) -> Moment:
        """Give the market that was known at an instant: the newest, or an earlier one; the last few are kept."""
        if as_of >= self.newest.as_of:
            return self.newest
        row = int(self._panel.row_closed(as_of))
        with self._lock:
            moment = self._kept.get(row)
            if moment is None:
                moment = self._kept[row] = self._made(as_of)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(row)
        return moment

    def market(self) -> Market:
        """The newest market, as answers name it."""
        end = self.newest.as_of
        age = (self._clock() - end) / MINUTE_NS
        return Market(as_of=instant(end), age_minutes=round(age, 3), sources=self._sources, behind_minutes=self._behind)

    def _made(self, as_of: int) -> Moment:
        return moment_at(self._panel, as_of, self._prior, self._predictor, self._fallback)


def _behind(moment: Moment) -> dict[str, float | None]:
    """Assets whose last bar is older than the newest one, and by how many minutes; None where there is none."""
    late = dict(zip(moment.assets, ((moment.as_of - moment.closed) / MINUTE_NS).tolist(), strict=True))
    return {asset: round(m, 3) if math.isfinite(m) else None for asset, m in late.items() if not m < 1e-6}
