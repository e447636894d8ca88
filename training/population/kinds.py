"""The types of accounts, their margin regimes, and the default mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["DEFAULT_MIXTURE", "HEDGED", "LINEAR", "REGIMES", "TREASURY", "TYPES", "Kind", "type_index"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of account in the mixture.

    Parameters
    ----------
    name : str
        Name of the type.
    share : float
        Share of the accounts of its regime.
    legs : tuple of int
        Fewest and most positions.
    leverage : tuple of float
        Lowest and highest gross exposure over equity; of a loan, the health factor at the opening; of options, the
        part of equity that their initial margin takes at the opening.
    typical : float
        Median of the leverage before bounds; 0 where it is uniform.
    isolated : float
        Share of accounts in isolated margin.
    coin : float
        Share of accounts with BTC or ETH in their collateral.
    coin_share : tuple of float
        Range of the part of the collateral that is BTC or ETH.
    regime : str
        Margin regime, one of `REGIMES`.
    rulesets : tuple of (str, float)
        Rulesets and the share of each.
    """

    name: str
    share: float
    legs: tuple[int, int]
    leverage: tuple[float, float]
    typical: float
    isolated: float
    coin: float
    coin_share: tuple[float, float]
    regime: str = "linear"
    rulesets: tuple[tuple[str, float], ...] = (("binance-usdm", 1.0),)


_NO: Final = (0.0, 0.0)
_ALL: Final = (1.0, 1.0)
_INVERSE: Final = (("binance-coinm", 0.7), ("generic-inverse", 0.3))
_OPTION: Final = (("deribit-standard", 0.65), ("derive-srm", 0.35))
_SCENARIO: Final = (("deribit-pm", 0.4), ("okx-pm", 0.25), ("derive-pmrm2", 0.2), ("paradex-pm", 0.15))
_VENUES: Final = (
    ("dydx-v4", 0.35),
    ("drift-v2", 0.2),
    ("synthetix-v3", 0.2),
    ("mango-v4", 0.15),
    ("vega", 0.1),
)
_UNIFIED: Final = (("binance-pm", 0.6), ("bybit-uta", 0.4))
_AAVE: Final = (("aave-v3", 1.0),)
_USE: Final = (0.15, 0.95)

TYPES: Final = (
    Kind("retail", 0.42, (1, 1), (3.0, 50.0), 6.0, 0.6, 0.0, _NO),
    Kind("core", 0.18, (1, 1), (1.5, 15.0), 3.0, 0.0, 0.35, (0.2, 0.8)),
    Kind("multi", 0.22, (2, 5), (2.0, 15.0), 3.5, 0.0, 0.35, (0.2, 0.8)),
    Kind("hedged", 0.10, (2, 2), (4.0, 30.0), 7.0, 0.0, 0.0, _NO),
    Kind("treasury", 0.08, (1, 2), (1.0, 5.0), 2.0, 0.0, 1.0, (0.6, 0.95)),
    Kind("coin-long", 0.6, (1, 2), (1.0, 20.0), 3.5, 0.25, 1.0, _ALL, "inverse", _INVERSE),
    Kind("coin-short", 0.4, (1, 2), (1.0, 20.0), 4.5, 0.15, 1.0, _ALL, "inverse", _INVERSE),
    Kind("unified", 1.0, (1, 3), (0.5, 6.0), 2.0, 0.0, 1.0, _ALL, "unified", _UNIFIED),
    Kind("option-seller", 0.45, (1, 4), _USE, 0.0, 0.0, 0.65, _ALL, "option", _OPTION),
    Kind("covered-call", 0.10, (1, 3), _USE, 0.0, 0.0, 0.65, _ALL, "option", _OPTION),
    Kind("option-buyer", 0.20, (2, 3), _USE, 0.0, 0.0, 0.65, _ALL, "option", _OPTION),
    Kind("option-spread", 0.25, (2, 4), _USE, 0.0, 0.0, 0.65, _ALL, "option", _OPTION),
    Kind("short-gamma", 1.0, (5, 21), _USE, 0.0, 0.0, 0.65, _ALL, "portfolio", _SCENARIO),
    Kind("loan", 0.75, (0, 0), (1.3, 3.0), 0.0, 0.0, 1.0, _ALL, "loan", _AAVE),
    Kind("coin-loan", 0.25, (0, 0), (1.3, 3.0), 0.0, 0.0, 1.0, _ALL, "loan", _AAVE),
    Kind("csa", 1.0, (1, 3), (1.0, 1.0), 0.0, 0.0, 0.25, _ALL, "csa", (("csa", 1.0),)),
    Kind("onchain", 1.0, (1, 2), (1.5, 15.0), 3.5, 0.0, 0.25, (0.2, 0.6), "venue", _VENUES),
)
"""All types; the first are the linear ones."""
REGIMES: Final[Mapping[str, float]] = MappingProxyType(
    {
        "linear": 0.42,
        "inverse": 0.10,
        "unified": 0.08,
        "option": 0.16,
        "portfolio": 0.07,
        "loan": 0.07,
        "csa": 0.05,
        "venue": 0.05,
    }
)
"""Share of each margin regime in the default mixture."""
DEFAULT_MIXTURE: Final[Mapping[str, float]] = MappingProxyType({k.name: REGIMES[k.regime] * k.share for k in TYPES})
"""Share of each type of account in `sample_mixed`."""
LINEAR: Final = sum(k.regime == "linear" for k in TYPES)
"""Number of linear types."""
_INDEX: Final = {k.name: i for i, k in enumerate(TYPES)}


def type_index(name: str) -> int:
    """Place of a type in `TYPES`, by its name."""
    return _INDEX[name]


HEDGED: Final = type_index("hedged")
TREASURY: Final = type_index("treasury")
