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
    """What the ruleset allows as of each row: tradable symbols, collateral, and leverage by size.

    Parameters
    ----------
    name : str
        Name of the ruleset.
    assets : tuple of str
        Assets of the market.
    as_of : ndarray of int64
        Instants, one a row.
    currency : str, optional
        Settlement currency of the perpetuals; by default the first usual one in which the ruleset lists an asset.
    inverse : bool
        Whether coin-margined perpetuals are meant; sizes are then in coins.
    """

    def __init__(
        self,
        name: str,
        assets: tuple[str, ...],
        as_of: IntArray,
        currency: str | None = None,
        inverse: bool = False,
    ) -> None:
        self.name = name
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
        symbols = [f"{a}/USD:{a}" if inverse else f"{a}/{pair}" for a in assets]
        self.tiers = [[_try(rules.tier, symbol) for symbol in symbols] for rules in rulesets]
        self.initial = [[_initial(rules, symbol) for symbol in symbols] for rules in rulesets]
        table = np.array([[t is not None for t in row] for row in self.tiers], np.bool_).reshape(-1, len(assets))
        self.usdc = all(_try(rules.haircut, "USDC") is not None for _, rules in found.values())
        ratios = [[_try(rules.haircut, a) for a in assets] for rules in rulesets]
        haircuts = [[found is not None for found in row] for row in ratios]
        self._ratio = np.array([[0.0 if x is None else x.rate[0] for x in row] for row in ratios]).reshape(table.shape)
        self._call_ratio = np.array([rules.call_ratio for rules in rulesets])
        if len(as_of) and not (table.any() or any(rules.model == "lending" for rules in rulesets)):
            raise InputError("ruleset", name, f"a ruleset that knows one of {', '.join(assets)}")
        self.tradable = table[self.version]
        self.pledged = np.array(haircuts, np.bool_).reshape(-1, len(assets))[self.version]

    def ratio(self, asset: IntArray) -> FloatArray:
        """What the first dollar of an asset counts for as collateral, shape (n,); 0 where it is not accepted."""
        return np.asarray(self._ratio[self.version, asset])

    @property
    def call_ratio(self) -> FloatArray:
        """Maintenance over the call requirement, shape (n,)."""
        return np.asarray(self._call_ratio[self.version])

    def max_leverage(self, row: IntArray, asset: IntArray, notional: FloatArray) -> FloatArray:
        """Largest leverage of positions by their size.

        Parameters
        ----------
        row : ndarray of int64, shape (m,)
            Row of each position in ``as_of``.
        asset : ndarray of int64, shape (m,)
            Index of its asset.
        notional : ndarray, shape (m,)
            Its size: dollars, or coins of coin-margined contracts.

        Returns
        -------
        ndarray, shape (m,)
            Infinite where the ruleset names none.
        """
        out = np.full(len(row), np.inf)
        width = len(self.tiers[0]) if self.tiers else 1
        key = self.version[row] * width + asset
        order = np.argsort(key, kind="stable")
        found, first = np.unique(key[order], return_index=True)
        for k, where in zip(found.tolist(), np.split(order, first)[1:], strict=True):
            version, column = divmod(k, width)
            tier = self.tiers[version][column]
            if tier is not None:
                slot = np.maximum(np.searchsorted(tier.floor, notional[where], side="right") - 1, 0)
                # the call level asks for maintenance / call ratio, so leverage ends below its inverse too
                most = np.fmin(tier.max_leverage, 0.7 / np.maximum(tier.rate, 1e-9))
                out[where] = np.minimum(most, 1.0 / self.initial[version][column])[slot]
        return out


def _settlement(rulesets: list[Ruleset], assets: tuple[str, ...]) -> str:
    """Give the first of the usual settlement currencies in which the ruleset lists one of the assets."""
    for currency in _CURRENCIES:
        if any(_try(r.tier, f"{a}/{currency}:{currency}") is not None for r in rulesets for a in assets):
            return currency
    return _CURRENCIES[0]


def _initial(rules: Ruleset, symbol: str) -> float:
    """Initial margin rate of one unit where the ruleset publishes it, else next to nothing."""
    if not rules.publishes_initial or _try(rules.tier, symbol) is None:
        return 1e-9
    return max(rules.initial_rate(symbol, 1.0), 1e-9)


def _try(find: Callable[[str], TierSchedule], name: str) -> TierSchedule | None:
    try:
        return find(name)
    except MargincastError:
        return None
