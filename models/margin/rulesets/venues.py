"""Rulesets whose margin is a formula of the position's size, or a model of blocks: where their parameters come from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np

from models.errors import UnknownAssetError, UnknownSymbolError
from models.margin.tiers import TierSchedule
from models.margin.venues import drift, dydx, mango, synthetix, vega
from models.margin.venues.parameters import load_parameters
from models.typing import FloatArray

__all__ = [
    "VENUE_MODELS",
    "block_parameters",
    "venue_collateral",
    "venue_initial_rate",
    "venue_parameters",
    "venue_schedule",
]

_MODULES: Final[Mapping[str, Any]] = {
    "vega": vega,
    "synthetix": synthetix,
    "dydx": dydx,
    "drift": drift,
    "mango": mango,
}
VENUE_MODELS: Final = tuple(_MODULES)
"""Margin models whose rate follows the size (and side) of the position by a formula."""
_WRAPPED: Final = {"BTC": "WBTC", "ETH": "WETH"}


def venue_parameters(name: str, symbol: str, instant: datetime) -> Mapping[str, float]:
    """Parameters of a market in force at an instant."""
    return load_parameters(name, instant).of(symbol)


def venue_schedule(model: str, parameters: Mapping[str, float], quantity: float) -> TierSchedule:
    """Maintenance of a position of so many base units as a function of notional."""
    found: TierSchedule = _MODULES[model].maintenance_schedule(parameters, quantity)
    return found


def venue_initial_rate(model: str, parameters: Mapping[str, float], quantity: float) -> float:
    """Initial margin over notional of a position of so many base units."""
    return float(_MODULES[model].initial_rate(parameters, quantity))


def venue_collateral(model: str, name: str, asset: str, quantity: float, instant: datetime) -> TierSchedule:
    """Counted value of so many units of an asset as a function of their market value."""
    found = load_parameters(name, instant)
    key = asset if asset in found.parameters else _WRAPPED.get(asset, asset)
    try:
        parameters = found.of(key)
    except UnknownSymbolError:
        known = ", ".join(sorted(k for k in found.parameters if "/" not in k and not k.startswith("EMODE")))
        raise UnknownAssetError("asset", asset, f"a collateral asset of {name}: {known}") from None
    if model == "lending":
        return _flat(float(parameters["liquidation_threshold"]))
    schedule: TierSchedule = _MODULES[model].collateral_schedule(parameters, quantity)
    return schedule


@lru_cache(maxsize=256)
def _flat(rate: float) -> TierSchedule:
    return TierSchedule.from_rates([0.0], [rate])


@lru_cache(maxsize=1024)
def block_parameters(model: str, name: str, asset: str) -> FloatArray:
    """Flat parameter row of a model of blocks for an underlying."""
    if model == "deribit-standard":
        from models.margin.option import StandardParameters, pack_parameters

        return pack_parameters(StandardParameters())
    if model == "srm":
        from models.margin._srm_kernel import pack_parameters as pack_srm
        from models.margin.srm_parameters import MAINNET

        return pack_srm(MAINNET[asset if asset in MAINNET else "ETH"])
    if model == "regt":
        from models.margin.securities_kernel import pack_parameters as pack_regt

        return pack_regt()
    if model == "dynamic":
        return np.array([np.nan, 1.25 / 0.8])
    from models.margin.portfolio import load_portfolio_rules, pack_rules

    return pack_rules(load_portfolio_rules(_rules_for(name, asset)))


def _rules_for(name: str, asset: str) -> str:
    """Name of the scenario rules of an asset: a venue may have a set for each."""
    base = {"deribit-pm": {"BTC": "deribit-pm-btc"}, "okx-pm": {"BTC": "okx-pm-btc", "ETH": "okx-pm-btc"}}
    other = {"deribit-pm": "deribit-pm-eth", "okx-pm": "okx-pm-altcoin"}
    return base.get(name, {}).get(asset, other.get(name, name))
