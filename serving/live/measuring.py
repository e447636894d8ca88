"""What is found of accounts on a market: the forecast, and how bad each is by each kind of alert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from features.answer import Forecast, empty_forecast
from features.moment import Moment
from models.book import Book
from models.margin.levels import margin_levels
from models.rebalance import Policy
from serving.live.alerts import AlertRules, Measure, measure, measure_announced
from serving.live.announced import AnnouncedBook, announced_levels
from serving.live.telling import alert_rules, desk_policy
from serving.live.ways import Ways

__all__ = ["DeskSettings", "measured"]


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """What a desk wants to be told, and what it may do.

    Parameters
    ----------
    rules : AlertRules
        When it is alerted.
    policy : Policy or None
        Its own, else that of the server; None where there is neither.
    """

    rules: AlertRules
    policy: Policy | None

    @classmethod
    def of(cls, connection: Connection, tenant: str, policy: Policy | None) -> DeskSettings:
        """Read the settings of a desk; `policy` is that of the server."""
        return cls(alert_rules(connection, tenant), desk_policy(connection, tenant) or policy)


def measured(
    book: Book,
    rulesets: Sequence[str],
    moment: Moment,
    desk: DeskSettings,
    under: Sequence[AnnouncedBook],
    threads: int,
) -> tuple[Forecast, list[Measure]]:
    """Predict for accounts and measure every kind of alert.

    Parameters
    ----------
    book : Book
        n accounts.
    rulesets : sequence of str, length n
        Names of their rules.
    moment : Moment
        The market.
    desk : DeskSettings
        Of whom the accounts are.
    under : sequence of AnnouncedBook
        The same accounts under announced rules.
    threads : int
        Threads of the trees.

    Returns
    -------
    tuple of (Forecast, list of Measure)
        No measures where there is no account.
    """
    if not len(book):
        return empty_forecast(0, False), []
    seen = moment.outlook(book, num_threads=threads)
    levels = margin_levels(moment.valued(book), moment.price)
    latest = None
    if desk.policy is not None:
        latest = partial(Ways(desk.policy, book.account_id.tolist(), rulesets).latest_start, close_ns=moment.as_of)
    ahead = measure_announced(levels, announced_levels(under, moment), desk.rules, moment.as_of)
    return seen, [*measure(seen, levels, desk.rules, latest), ahead]
