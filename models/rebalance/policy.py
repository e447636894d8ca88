"""What the desk may do, and at what cost."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from models.errors import InputError

__all__ = ["AssetRule", "Policy", "SymbolRule", "policy_from_mapping"]


def _check_range(name: str, value: float, high: float) -> None:
    if not (math.isfinite(value) and 0 <= value <= high):
        raise InputError(name, value, "a finite number >= 0" if math.isinf(high) else f"a number in [0, {high:g}]")


class AssetRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules for moving one asset, all in units of the asset.

    Parameters
    ----------
    min_transfer : float
        Smallest amount that is worth or allowed to move, >= 0.
    step : float
        Amounts are multiples of it (0: any amount), >= 0.
    cap : float or None
        Most that can be added; None where there is no limit.
    fee : float
        Flat fee of one transfer, >= 0.
    """

    min_transfer: float = 0.0
    step: float = 0.0
    cap: float | None = None
    fee: float = 0.0

    def __post_init__(self) -> None:
        for name in ("min_transfer", "step", "fee"):
            _check_range(name, getattr(self, name), math.inf)
        if self.cap is not None:
            _check_range("cap", self.cap, math.inf)


class SymbolRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules for trading one instrument.

    Parameters
    ----------
    lot : float
        Orders are multiples of it, in the units of the position's quantity: base units, dollars of a coin-margined
        contract (0: any amount), >= 0.
    """

    lot: float = 0.0

    def __post_init__(self) -> None:
        _check_range("lot", self.lot, math.inf)


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the desk may do.

    Parameters
    ----------
    eligible_assets : tuple of str or None
        Assets that may be added, repaid or taken out. None: the account currency, what the account holds or owes
        already and what its credit support annex lists; ``("*",)``: also every asset that the ruleset accepts and the
        market prices.
    reduce, release : bool
        Whether positions may be reduced, and whether excess may be taken out.
    taker_fee : float or None
        Fee rate of a reducing order on its notional, in [0, 0.1]; the ruleset's where None. That of an option is capped
        at 12.5% of its premium.
    route_lag_minutes : float
        Minutes until a transfer has arrived, in [0, 10080].
    assets : dict of str to AssetRule
        Rules by asset.
    symbols : dict of str to SymbolRule
        Rules by instrument.

    Examples
    --------
    >>> Policy(eligible_assets=("USDT",), route_lag_minutes=30).asset_rule("USDT").step
    0.0
    """

    eligible_assets: tuple[str, ...] | None = None
    reduce: bool = True
    release: bool = True
    taker_fee: float | None = None
    route_lag_minutes: float = 0.0
    assets: dict[str, AssetRule] = msgspec.field(default_factory=dict)
    symbols: dict[str, SymbolRule] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_range("route_lag_minutes", self.route_lag_minutes, 10_080.0)
        if self.taker_fee is not None:
            _check_range("taker_fee", self.taker_fee, 0.1)

    def asset_rule(self, asset: str) -> AssetRule:
        """Rules for an asset, the defaults where the policy has none."""
        return self.assets.get(asset, _ANY_ASSET)

    def lot(self, symbol: str) -> float:
        """Lot of an instrument in the units of a position's quantity, 0 where the policy has none."""
        rule = self.symbols.get(symbol)
        return rule.lot if rule is not None else 0.0


_ANY_ASSET = AssetRule()


def policy_from_mapping(mapping: Mapping[str, object]) -> Policy:
    """Build a policy from the content of a policy file.

    Parameters
    ----------
    mapping : mapping
        Keys as the parameters of `Policy`; ``assets`` and ``symbols`` are tables of rules.

    Returns
    -------
    Policy
        The policy.

    Raises
    ------
    InputError
        If a key is unknown, or a value has the wrong type or is outside its range; the field is named.

    Examples
    --------
    >>> policy_from_mapping({"assets": {"USDT": {"min_transfer": 10}}}).asset_rule("USDT").min_transfer
    10.0
    >>> policy_from_mapping({"asets": {}})
    Traceback (most recent call last):
    ...
    models.errors.InputError: policy: expected a valid policy (Object contains unknown field `asets`), was {'asets': {}}
    """
    try:
        return msgspec.convert(dict(mapping), Policy)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        field = f"policy{path.rstrip('`')}"
        raise InputError(field, dict(mapping), f"a valid policy ({message})") from None
