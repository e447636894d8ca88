"""How long a desk may wait: the latest minute at which a transfer on some route of its policy still arrives in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from models.errors import MargincastError
from models.instrument import is_stable
from models.margin.rulesets import load_ruleset, ruleset_names
from models.rebalance import Policy, Route
from models.rebalance.hours import arrival, lag_at
from models.typing import HORIZONS, BoolArray, FloatArray, ObjectArray
from serving.instants import instant

__all__ = ["Ways", "latest_start"]

_MINUTE = timedelta(minutes=1)
_DAYS = HORIZONS[-1] // 1440 + 2


def latest_start(crossing: FloatArray, route: Route, now: datetime, confidence: float) -> FloatArray:
    """Give the latest minute at which a transfer on a route can start and still arrive.

    Parameters
    ----------
    crossing : ndarray, shape (n,)
        Minutes from now until it must have arrived; at most the longest horizon, or infinite.
    route : Route
        Its lag and its opening hours are used.
    now : datetime
        With a zone.
    confidence : float
        Probability with which it is to have arrived.

    Returns
    -------
    ndarray, shape (n,)
        Minutes from now: before the route closes for the last time in time, not below 0, which says that it is too
        late; infinite where `crossing` is.

    Examples
    --------
    >>> route = Route(name="chain", source="vault", to=("*",), assets=("USDT",), lag=((0.95, 45.0),))
    >>> latest_start(np.array([30.0, 60.0, np.inf]), route, instant(0), 0.95)
    array([ 0., 15., inf])
    """
    opens, closes, ready = _windows(route, now, confidence)
    out = np.full(len(crossing), np.inf)
    due = np.isfinite(crossing)
    if not len(opens):
        out[due] = 0.0
        return out
    if route.hours.settlement_days:
        last = np.searchsorted(ready, crossing[due], "right") - 1
        start = closes[np.maximum(last, 0)]
    else:
        sent = crossing[due] - lag_at(route.lag, confidence)
        last = np.searchsorted(opens, sent, "right") - 1
        start = np.minimum(sent, closes[np.maximum(last, 0)])
    out[due] = np.where(last < 0, 0.0, np.maximum(start, 0.0))
    return out


def _windows(route: Route, now: datetime, confidence: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """When the route opens, when it closes, and when what is sent as it opens has arrived; minutes from now."""
    hours, zone = route.hours, ZoneInfo(route.hours.time_zone)
    today = now.astimezone(zone).date()
    days = [day for day in (today + timedelta(days=i) for i in range(-1, _DAYS)) if hours.is_open(day)]
    opens = [datetime.combine(day, hours.opens, zone) for day in days]
    if hours.cut_off is None:
        closes = [datetime.combine(day + timedelta(days=1), time(), zone) for day in days]
    else:
        closes = [datetime.combine(day, hours.cut_off, zone) for day in days]
    first, last = (np.array([(when - now) / _MINUTE for when in whens]) for whens in (opens, closes))
    waits = np.array([arrival(when, hours, route.lag, confidence) for when in opens])
    there = last >= 0
    return first[there], last[there], (first + waits)[there]


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """The routes of a policy to some accounts.

    Parameters
    ----------
    policy : Policy
        Of the desk, or of the server.
    account_id, ruleset : sequence of str, length n
        The accounts.
    """

    policy: Policy
    account_id: Sequence[str]
    ruleset: Sequence[str]

    def latest_start(self, crossing: FloatArray, close_ns: int) -> FloatArray:
        """Give the latest minute at which a transfer can start on the route that leaves most time.

        Parameters
        ----------
        crossing : ndarray, shape (n,)
            Minutes until it must have arrived.
        close_ns : int
            From when they count, nanoseconds.

        Returns
        -------
        ndarray, shape (n,)
            Minutes, see the function `latest_start`; NaN where no route leads with an asset that the policy and the
            account's rules accept. A policy without routes has one lag for all, where it has one.
        """
        out, now = np.full(len(crossing), np.nan), instant(close_ns)
        if not self.policy.routes and self.policy.route_lag_minutes > 0:
            return np.maximum(crossing - self.policy.route_lag_minutes, 0.0)
        names, rules = np.array(self.account_id, object), np.array(self.ruleset, object)
        for route in self.policy.routes:
            rows = np.flatnonzero(self._led(route, names, rules, now))
            if len(rows):
                found = latest_start(crossing[rows], route, now, self.policy.limits.arrival_confidence)
                out[rows] = np.fmax(out[rows], found)
        return out

    def _led(self, route: Route, names: ObjectArray, rules: ObjectArray, now: datetime) -> BoolArray:
        """Which accounts the route leads to, from a place that has something for them that they may take."""
        place, n = self.policy.places[route.source], len(self.account_id)
        there = [asset for asset in route.assets if place.account is not None or place.free(asset) > 0]
        if not there:
            return np.zeros(n, np.bool_)
        led = np.full(n, "*" in route.to)
        for to in route.to:
            led |= rules == to.removeprefix("ruleset:") if to.startswith("ruleset:") else names == to
        if place.draws is not None:
            led &= np.isin(np.asarray(names, str), np.array(place.draws, str))
        led &= names != (place.account or "")
        return self._taken(led, there, names, rules, now)

    def _taken(
        self, led: BoolArray, assets: Sequence[str], names: ObjectArray, rules: ObjectArray, now: datetime
    ) -> BoolArray:
        """Leave out the accounts that may take none of the assets: by their rules, or by the policy."""
        for ruleset in set(rules[led].tolist()):
            good = [asset for asset in assets if _counts(ruleset, asset, now)]
            for row in np.flatnonzero(led & (rules == ruleset)):
                lines = self.policy.eligible(names[row], ruleset) if self.policy.eligibility else None
                led[row] = any(lines is None or lines.line(asset) is not None for asset in good)
        return led


def _counts(ruleset: str, asset: str, at: datetime) -> bool:
    """Whether an asset counts under rules; what cannot be told from them alone counts: agreements, coins at par."""
    if ruleset not in ruleset_names():
        return True
    rules = load_ruleset(ruleset, at)
    if rules.model == "csa" or is_stable(asset):
        return True
    try:
        return float(rules.haircut(asset).rate[0]) > 0.0
    except MargincastError:
        return False
