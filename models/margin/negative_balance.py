"""How much may be owed in a Binance Portfolio Margin account before a day's interest is charged.

The charge is ``|min(balance + threshold, 0)| * daily rate`` on the balance over all wallets at 00:00 UTC
(`models.margin.collateral.negative_balance_interest`).

References
----------
Binance announcements of 2023-02-06 (one threshold of 200,000 USDT) and of 2025-05-09 (tiers by asset and VIP level).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from models.errors import InputError

__all__ = ["NEGATIVE_BALANCE_RULES", "NegativeBalanceRule", "negative_balance_threshold"]


class NegativeBalanceRule(Struct, frozen=True, kw_only=True):
    """How much of an asset may be owed free of interest.

    Parameters
    ----------
    effective_from : datetime
        First instant of the rule.
    asset : str
        Asset code.
    vip : int or None
        VIP level; None where the rule is the same for all.
    threshold : float
        Units of the asset, >= 0.
    source : str
        Public page.
    """

    effective_from: datetime
    asset: str
    vip: int | None
    threshold: float
    source: str


NEGATIVE_BALANCE_RULES: Final = (
    NegativeBalanceRule(
        effective_from=datetime(2023, 2, 27, 8, tzinfo=UTC),
        asset="USDT",
        vip=None,
        threshold=200_000.0,
        source="Binance announcement of 2023-02-06: USDT of the USD-M wallet, from 2023-02-27 08:00 UTC",
    ),
    NegativeBalanceRule(
        effective_from=datetime(2025, 5, 17, tzinfo=UTC),
        asset="USDT",
        vip=9,
        threshold=10_000.0,
        source="Binance announcement of 2025-05-09: tiered thresholds from 2025-05-17; VIP 9 is its worked example",
    ),
)
"""Published thresholds. Since 2025-05-17 they depend on asset and VIP level, and the page prints VIP 9 in USDT only."""


def negative_balance_threshold(asset: str, vip: int, as_of: datetime) -> float:
    """Give how much of an asset may be owed free of interest.

    Parameters
    ----------
    asset : str
        Asset code.
    vip : int
        VIP level, 0 to 9.
    as_of : datetime
        Timezone-aware.

    Returns
    -------
    float
        Units of the asset; infinite before the first rule, when no interest was charged.

    Raises
    ------
    InputError
        If no threshold is published for the asset and the level at that time, or the time has no zone.

    Examples
    --------
    >>> negative_balance_threshold("USDT", 9, datetime(2025, 6, 1, tzinfo=UTC))
    10000.0
    """
    if as_of.tzinfo is None:
        raise InputError("as_of", as_of.isoformat(), "a time with a zone, for example 2025-06-01T00:00:00Z")
    if as_of < NEGATIVE_BALANCE_RULES[0].effective_from:
        return float("inf")
    newest = max(r.effective_from for r in NEGATIVE_BALANCE_RULES if r.effective_from <= as_of)
    for rule in NEGATIVE_BALANCE_RULES:
        if rule.effective_from == newest and rule.asset == asset and rule.vip in (None, vip):
            return rule.threshold
    known = ", ".join(f"{r.asset} VIP {r.vip}" for r in NEGATIVE_BALANCE_RULES if r.effective_from == newest)
    raise InputError("asset", f"{asset} VIP {vip}", f"a published threshold ({known}), or your own number")
