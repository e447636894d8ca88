"""What a ruleset allows as of many instants, in arrays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from models.errors import InputError, MargincastError
from models.margin.rulesets import Ruleset, load_ruleset
from models.margin.tiers import TierSchedule
from models.typing import FloatArray, IntArray

__all__ = ["RuleTable"]

_CURRENCIES = ("USDT", "USDC", "USD")


class RuleTable:
    """What the ruleset allows as of each row: tradable symbols, collateral, and leverage by size."""

    def __init__(self, name: str, assets: tuple[str, ...], as_of: IntArray, currency: str | None = None) -> None:
        days, day = np.unique(as_of // 86_400_000_000_000, return_inverse=True)
        found: dict[int, tuple[int, Ruleset]] = {}
        version = np.zeros(len(days), np.int64)
        for i, value in enumerate(days):
            rules = load_ruleset(name, datetime.fromtimestamp(int(value) * 86_400, UTC))
            version[i] = found.setdefault(id(rules), (len(found), rules))[0]
        self.version = version[day]
        rulesets = [rules for _, rules in found.values()]
        self.currency = currency or _settlement(rulesets, assets)
        pair = f"{self.currency}:{self.currency}"
        self.tiers = [[_try(rules.tier, f"{a}/{pair}") for a in assets] for rules in rulesets]
        table = np.array([[t is not None for t in row] for row in self.tiers], np.bool_).reshape(-1, len(assets))
        self.usdc = all(_try(rules.haircut, "USDC") is not None for _, rules in found.values())
        haircuts = [[_try(rules.haircut, a) is not None for a in assets] for _, rules in found.values()]
        if len(as_of) and not table.any():
            raise InputError("ruleset", name, f"a ruleset that knows one of {', '.join(assets)}")
        self.tradable = table[self.version]
        self.pledged = np.array(haircuts, np.bool_).reshape(-1, len(assets))[self.version]

    def max_leverage(self, asset: IntArray, notional: FloatArray) -> FloatArray:
        """Largest leverage for the size of each position, shape of ``asset``; infinite where the ruleset names none."""
        out = np.full(asset.shape, np.inf)
        for v, row in enumerate(self.tiers):
            for a, tier in enumerate(row):
                where = (asset == a) & (self.version == v)[:, None]
                if tier is not None and where.any():
                    slot = np.maximum(np.searchsorted(tier.floor, notional[where], side="right") - 1, 0)
                    # the call level asks for maintenance / call ratio, so leverage ends below its inverse too
                    out[where] = np.fmin(tier.max_leverage[slot], 0.7 / np.maximum(tier.rate[slot], 1e-9))
        return out


def _settlement(rulesets: list[Ruleset], assets: tuple[str, ...]) -> str:
    """Give the first of the usual settlement currencies in which the ruleset lists one of the assets."""
    for currency in _CURRENCIES:
        if any(_try(r.tier, f"{a}/{currency}:{currency}") is not None for r in rulesets for a in assets):
            return currency
    return _CURRENCIES[0]


def _try(find: Callable[[str], TierSchedule], name: str) -> TierSchedule | None:
    try:
        return find(name)
    except MargincastError:
        return None
