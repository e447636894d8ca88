"""What collateral counts for in one account: by its ruleset, or by its credit support annex."""

from __future__ import annotations

from dataclasses import dataclass

from models.account import Account
from models.errors import MargincastError
from models.instrument import is_stable
from models.margin.csa import posted_share
from models.margin.rulesets import Ruleset
from models.margin.tiers import TierSchedule
from models.rebalance.quotes import Quotes

__all__ = ["Weights"]


@dataclass(frozen=True, slots=True)
class Weights:
    """The collateral side of an account's rules.

    Parameters
    ----------
    account : Account
        The account.
    rules : Ruleset
        Its ruleset.
    quotes : Quotes
        Present prices.
    """

    account: Account
    rules: Ruleset
    quotes: Quotes

    def refusal(self, asset: str) -> str | None:
        """Why an asset cannot be added, in a sentence; None where it can."""
        if self.quotes.own(asset) <= 0:
            return f"The market has no price for {asset}."
        name = self.rules.name if self.account.csa is None else "The agreement"
        try:
            counts = self.first_ratio(asset) > 0
        except MargincastError:
            counts = False
        return None if counts else f"{name} does not accept {asset} as collateral."

    def first_ratio(self, asset: str) -> float:
        """Share of its market value for which the first unit of an asset counts."""
        if self.account.csa is not None:
            return posted_share(asset, self.account.csa)
        return 1.0 if self._at_par(asset) else float(self._schedule(asset, 1.0).rate[0])

    def counted(self, asset: str, quantity: float) -> float:
        """What so many units of an asset count for, account currency; what is owed counts in full."""
        value = quantity * self.quotes.own(asset)
        if value <= 0 or self._at_par(asset):
            return value
        if self.account.csa is not None:
            return value * self.first_ratio(asset)
        unit = self.quotes.dollar(self.account.currency)
        return float(self._schedule(asset, quantity)(value * unit)) / unit

    def _at_par(self, asset: str) -> bool:
        return asset == self.account.currency and is_stable(asset) and not self.rules.weighs_currency

    def _schedule(self, asset: str, quantity: float) -> TierSchedule:
        return self.rules.haircut(asset, quantity) if self.rules.weighs_by_quantity else self.rules.haircut(asset)
