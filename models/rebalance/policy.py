"""What the desk may do, and at what cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from models.account import Account
from models.errors import InputError
from models.rebalance.checked import Amount, Checked, convert
from models.rebalance.limits import Eligibility, RiskLimits
from models.rebalance.places import Place, Route, leads_to
from models.rebalance.substitution import Substitution
from models.rebalance.trades import Hedge, Swap, Unwind

__all__ = ["AssetRule", "Policy", "SymbolRule", "policy_from_mapping", "policy_schema"]


class AssetRule(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
    annual_cost : float
        What the asset would earn elsewhere, or costs to fund, a fraction a year in [0, 10].
    """

    min_transfer: Amount = 0.0
    step: Amount = 0.0
    cap: Amount | None = None
    fee: Amount = 0.0
    annual_cost: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.0


class SymbolRule(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules for trading one instrument.

    Parameters
    ----------
    lot : float
        Orders are multiples of it, in the units of the position's quantity: base units, dollars of a coin-margined
        contract (0: any amount), >= 0.
    """

    lot: Amount = 0.0


class Policy(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
    places : dict of str to Place
        Where the desk keeps what it may move.
    routes : tuple of Route
        Ways from a place to accounts.
    swaps : tuple of Swap
        Collateral that may be sold for other collateral inside accounts; none by default.
    hedges : tuple of Hedge
        Instruments in which accounts may be hedged; none by default.
    substitutions : tuple of Substitution
        Collateral under an agreement that may be exchanged for other collateral; none by default.
    unwinds : tuple of Unwind
        Trades under an agreement that may be terminated with the other party, where positions may be reduced. With
        none, which is the default, every one may be, at the taker fee; with some, only those that they list.
    eligibility : dict of str to Eligibility
        Eligible collateral by account or, for accounts that are not named, by ruleset; where there is neither, what the
        ruleset accepts.
    limits : RiskLimits
        Target, number of moves, approvals, and how losses are counted.

    Raises
    ------
    InputError
        If a range is left, a route starts from or a substitution returns to no place of the policy, or a name is there
        twice.

    Examples
    --------
    >>> Policy(eligible_assets=("USDT",), route_lag_minutes=30).asset_rule("USDT").step
    0.0
    """

    eligible_assets: tuple[str, ...] | None = None
    reduce: bool = True
    release: bool = True
    taker_fee: Annotated[float, Meta(ge=0.0, le=0.1)] | None = None
    route_lag_minutes: Annotated[float, Meta(ge=0.0, le=10_080.0)] = 0.0
    assets: dict[str, AssetRule] = msgspec.field(default_factory=dict)
    symbols: dict[str, SymbolRule] = msgspec.field(default_factory=dict)
    places: dict[str, Place] = msgspec.field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    swaps: tuple[Swap, ...] = ()
    hedges: tuple[Hedge, ...] = ()
    substitutions: tuple[Substitution, ...] = ()
    unwinds: tuple[Unwind, ...] = ()
    eligibility: dict[str, Eligibility] = msgspec.field(default_factory=dict)
    limits: RiskLimits = RiskLimits()

    def __post_init__(self) -> None:
        super().__post_init__()
        seen: set[str] = set()
        for i, route in enumerate(self.routes):
            if route.source not in self.places:
                expected = f"one of the places ({', '.join(self.places) or 'there is none'})"
                raise InputError(f"routes[{i}].source", route.source, expected)
            self._check_assets(i, route)
        self._check_returns()
        for group in ("routes", "swaps", "hedges", "substitutions", "unwinds"):
            for i, rule in enumerate(getattr(self, group)):
                if rule.name in seen:
                    raise InputError(f"{group}[{i}].name", rule.name, "each name once")
                seen.add(rule.name)

    def _check_assets(self, i: int, route: Route) -> None:
        place = self.places[route.source]
        for asset in route.assets:
            if place.account is None and asset not in place.inventory:
                expected = (
                    f"assets in the inventory of {route.source!r} ({', '.join(place.inventory) or 'it has none'})"
                )
                raise InputError(f"routes[{i}].assets", asset, expected)

    def _check_returns(self) -> None:
        own = [name for name, place in self.places.items() if place.account is None]
        for i, rule in enumerate(self.substitutions):
            if rule.returns_to is not None and rule.returns_to not in own:
                expected = f"one of the places that are no accounts ({', '.join(own) or 'there is none'})"
                raise InputError(f"substitutions[{i}].returns_to", rule.returns_to, expected)

    def eligible(self, account_id: str, ruleset: str) -> Eligibility | None:
        """Collateral eligible for an account; None where only its ruleset says."""
        return self.eligibility.get(account_id, self.eligibility.get(ruleset))

    def unwind(self, account: Account, symbol: str) -> Unwind | None:
        """First rule by which a position under an agreement may be unwound; None where no rule lists it."""
        for rule in self.unwinds if account.csa is not None else ():
            if leads_to(rule.to, account) and ("*" in rule.symbols or symbol in rule.symbols):
                return rule
        return None

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
    >>> policy_from_mapping({"routes": [{"name": "a", "source": "vault", "to": ["*"], "assets": ["USDT"]}]})
    Traceback (most recent call last):
    ...
    models.errors.InputError: policy.routes[0].source: expected one of the places (there is none), was 'vault'
    """
    return cast("Policy", convert(mapping, Policy, "policy"))


def policy_schema() -> dict[str, Any]:
    """Give the JSON schema of a policy file.

    Returns
    -------
    dict
        JSON schema, draft 2020-12; it does not say which names must be known to each other.

    Examples
    --------
    >>> sorted(policy_schema()["$defs"]["Route"]["required"])
    ['assets', 'name', 'source', 'to']
    """
    schema = msgspec.json.schema(Policy)
    for part in schema["$defs"].values():
        part["description"] = part["description"].strip().partition("\n")[0]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Policy of a desk", **schema}
