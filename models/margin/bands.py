"""Bands of an account ratio, and what a venue does in each: the states of unified accounts as data.

References
----------
Each band names its page and date.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from models.errors import InputError
from models.typing import IntArray

__all__ = [
    "BINANCE_PM",
    "BINANCE_PM_2022",
    "BYBIT_UTA_INITIAL",
    "BYBIT_UTA_MAINTENANCE",
    "HYPERLIQUID_PM",
    "OKX_MULTI_CURRENCY",
    "StateBands",
]


class StateBands(Struct, frozen=True, kw_only=True):
    """Consecutive bands of one ratio.

    Parameters
    ----------
    venue : str
        Whose rule.
    ratio : str
        What is divided by what.
    bounds : tuple of float
        Rising bounds between the bands.
    states : tuple of str
        One more than bounds: what holds below the first, between each two, and above the last.
    belongs : {"below", "above"}
        To which band a ratio on a bound belongs.
    effective_from : datetime
        From when the page says so.
    source : str
        Public page.

    Examples
    --------
    >>> BINANCE_PM.names([1.5, 1.2, 1.04, float("inf")])
    ['call', 'reduce_only', 'liquidation', 'normal']
    """

    venue: str
    ratio: str
    bounds: tuple[float, ...]
    states: tuple[str, ...]
    belongs: Literal["below", "above"]
    effective_from: datetime
    source: str

    def __post_init__(self) -> None:
        """Check that the bounds rise and each band has a state."""
        if len(self.states) != len(self.bounds) + 1:
            raise InputError("states", self.states, f"{len(self.bounds) + 1} states, one more than bounds")
        if not self.bounds or not np.all(np.diff(self.bounds) > 0) or not np.all(np.isfinite(self.bounds)):
            raise InputError("bounds", self.bounds, "finite bounds that rise")

    def state(self, ratio: ArrayLike) -> IntArray:
        """Give the band of each ratio.

        Parameters
        ----------
        ratio : array_like
            Ratios; infinite where nothing is required.

        Returns
        -------
        ndarray of int64
            Index into `states`; -1 where the ratio is not a number.
        """
        value = np.asarray(ratio, np.float64)
        found = np.searchsorted(self.bounds, value, side="left" if self.belongs == "below" else "right")
        return np.where(np.isnan(value), -1, found).astype(np.int64)

    def names(self, ratio: ArrayLike) -> list[str]:
        """Give the state of each ratio in words; ``"unknown"`` where it is not a number.

        Parameters
        ----------
        ratio : array_like
            Ratios.

        Returns
        -------
        list of str
            One for each.
        """
        return [self.states[k] if k >= 0 else "unknown" for k in np.atleast_1d(self.state(ratio)).ravel()]


BINANCE_PM: Final = StateBands(
    venue="binance-pm",
    ratio="adjusted equity / maintenance (uniMMR)",
    bounds=(1.0, 1.05, 1.2, 1.5),
    states=("liquidation_and_claim", "liquidation", "reduce_only", "call", "normal"),
    belongs="below",
    effective_from=datetime(2023, 5, 4, tzinfo=UTC),
    source="Binance FAQ 5e33af8e6ac04d57a1d0a3398e0a0752 and 4868b2f1aa6c4d08af973328462bb0bd (2025-02-06)",
)
"""Current bands of Binance Portfolio Margin."""

BINANCE_PM_2022: Final = StateBands(
    venue="binance-pm",
    ratio="equity / maintenance (uniMMR)",
    bounds=(1.2, 1.5, 2.0),
    states=("liquidation", "second_call", "call", "normal"),
    belongs="below",
    effective_from=datetime(2022, 4, 18, tzinfo=UTC),
    source="Binance FAQ 5e33af8e6ac04d57a1d0a3398e0a0752 as of 2022-04-18; what happens at or below 120 % is assumed",
)
"""Bands of the first programme: two reminders, no band in which orders may only reduce."""

BYBIT_UTA_INITIAL: Final = StateBands(
    venue="bybit-uta",
    ratio="initial margin / (margin balance - haircut loss + order loss)",
    bounds=(1.0,),
    states=("normal", "no_new_orders"),
    belongs="above",
    effective_from=datetime(2024, 8, 30, tzinfo=UTC),
    source="Bybit help centre, Trading Terms and Formulas in Unified Trading Account (2024-08-30 to 2026-03-13)",
)
"""Account initial margin rate of Bybit's unified account."""

BYBIT_UTA_MAINTENANCE: Final = StateBands(
    venue="bybit-uta",
    ratio="maintenance margin / (margin balance - haircut loss + order loss)",
    bounds=(1.0,),
    states=("normal", "liquidation"),
    belongs="above",
    effective_from=datetime(2024, 8, 30, tzinfo=UTC),
    source="Bybit help centre, Trading Terms and Formulas in Unified Trading Account (2024-08-30 to 2026-03-13)",
)
"""Account maintenance margin rate of Bybit's unified account."""

OKX_MULTI_CURRENCY: Final = StateBands(
    venue="okx",
    ratio="adjusted equity / (maintenance + liquidation fees)",
    bounds=(1.0, 3.0),
    states=("liquidation", "warning", "normal"),
    belongs="below",
    effective_from=datetime(2023, 3, 21, tzinfo=UTC),
    source="OKX help, Multi-currency margin mode: cross margin trading (2023-03-21); the warning at 300 % is assumed",
)
"""Margin ratio of OKX' multi-currency mode."""

HYPERLIQUID_PM: Final = StateBands(
    venue="hyperliquid",
    ratio="portfolio maintenance requirement / portfolio liquidation value",
    bounds=(0.95,),
    states=("normal", "liquidation"),
    belongs="below",
    effective_from=datetime(2025, 12, 1, tzinfo=UTC),
    source="Hyperliquid docs, Trading: Portfolio margin (pre-alpha 2025-12, alpha 2026)",
)
"""Portfolio margin ratio of Hyperliquid: liquidatable above 0.95."""
