"""What collateral may be used where, and the limits that a desk's plans keep."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.errors import InputError
from models.rebalance.checked import Amount, Checked, Fraction, Share
from models.rebalance.target import Target, parse_target

__all__ = ["CollateralLine", "Eligibility", "RiskLimits"]


class CollateralLine(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One eligible asset.

    Parameters
    ----------
    haircut : float
        Haircut of the desk or its regulator, in [0, 1); the larger of it and that of the ruleset applies.
    cap : float or None
        Most units that an account may hold after the plan.
    most_share : float
        Most of the collateral value of an account that may be in it, in (0, 1].
    """

    haircut: Fraction = 0.0
    cap: Amount | None = None
    most_share: Share = 1.0


class Eligibility(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Collateral that may be sent to accounts of a ruleset, or to one account.

    Parameters
    ----------
    assets : dict of str to CollateralLine
        Eligible assets.
    others : bool
        Whether assets that are not listed may be sent as well, by the ruleset alone.

    Examples
    --------
    >>> Eligibility(assets={"USDT": CollateralLine()}).line("BTC") is None
    True
    """

    assets: dict[str, CollateralLine] = msgspec.field(default_factory=dict)
    others: bool = False

    def line(self, asset: str) -> CollateralLine | None:
        """Rule for an asset; None where it is not eligible."""
        return self.assets.get(asset, _ANY if self.others else None)


_ANY = CollateralLine()


class RiskLimits(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the desk's plans must keep, and how it counts losses.

    Parameters
    ----------
    target : str or None
        PROBABILITY@MINUTES that every account is to reach; that of the request where None.
    max_moves : int or None
        Most transfers of one run.
    max_moves_per_account : int or None
        Most transfers to one account in a run.
    approval_above : float or None
        Transfers of more than so many dollars are marked for approval.
    max_run_value : float or None
        Most dollars that one run may move.
    arrival_confidence : float
        Probability with which a transfer is to have arrived in time, in (0, 1].
    risk_measure : {"expected", "cvar90", "cvar95"}
        How losses are counted: the mean, or the mean of the worst tenth or twentieth, of the desk on joint paths where
        there are any, else of each account.
    call_cost : float
        What a call costs, dollars.
    call_cost_rate : float
        What a call costs, as a fraction of the call requirement, in [0, 1).
    liquidation_cost : float
        What a liquidation costs, dollars, whatever its size.
    liquidation_cost_rate : float
        What a liquidation costs, as a fraction of the maintenance requirement, in [0, 1).
    holding_days : float
        Days for which the opportunity cost of what is sent is counted, in [0, 365].
    stress : tuple of float
        Price factors of the certificate: all assets together, and each alone; in (0, 10].

    Examples
    --------
    >>> RiskLimits(target="0.005@4320").goal
    Target(probability=0.005, horizon_minutes=4320)
    """

    target: str | None = None
    max_moves: Annotated[int, Meta(ge=0)] | None = None
    max_moves_per_account: Annotated[int, Meta(ge=1)] | None = None
    approval_above: Amount | None = None
    max_run_value: Amount | None = None
    arrival_confidence: Share = 0.95
    risk_measure: Literal["expected", "cvar90", "cvar95"] = "expected"
    call_cost: Amount = 0.0
    call_cost_rate: Fraction = 0.0
    liquidation_cost: Amount = 0.0
    liquidation_cost_rate: Fraction = 0.05
    holding_days: Annotated[float, Meta(ge=0.0, le=365.0)] = 3.0
    stress: tuple[Annotated[float, Meta(gt=0.0, le=10.0)], ...] = (0.7, 0.8, 0.9, 1.1, 1.2, 1.3)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target is not None:
            parse_target(self.target)
        if any(not 0 < factor <= 10 for factor in self.stress):
            raise InputError("stress", self.stress, "price factors in (0, 10]")

    @property
    def goal(self) -> Target | None:
        """The target as a value; None where the request gives it."""
        return None if self.target is None else parse_target(self.target)
