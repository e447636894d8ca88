"""Where a desk keeps what it may move, and the ways from there to its accounts."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.account import Account
from models.errors import InputError
from models.rebalance.checked import Amount, Checked, Fraction
from models.rebalance.hours import Hours
from models.rebalance.steps import Steps, check_impact, check_rising

__all__ = ["Place", "Route", "leads_to"]

_LONGEST_LAG = 43_200.0


class Place(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place that holds assets: a wallet, a venue, a custodian, a credit line, or an account of the desk.

    Parameters
    ----------
    kind : {"wallet", "venue", "custodian", "credit_line", "account"}
        What it is. An account holds what its own file says, and gives away excess only.
    account : str or None
        Name of the account, for kind ``"account"`` only.
    inventory : dict of str to float
        Units of each asset that are there; on a credit line, that may be borrowed.
    least : dict of str to float
        Units of each asset that must stay.
    draws : tuple of str or None
        Accounts that may draw on it; None: every account that a route leads to.
    segregated : bool
        Whether it is segregated, or may not be rehypothecated: it then serves the accounts in `draws` only.
    annual_rate : float
        What borrowing from it costs, a fraction a year, in [0, 10].

    Raises
    ------
    InputError
        If the kind and the account do not go together, or more must stay than is there.

    Examples
    --------
    >>> Place(inventory={"USDT": 5e6}, least={"USDT": 1e6}).free("USDT")
    4000000.0
    """

    kind: Literal["wallet", "venue", "custodian", "credit_line", "account"] = "wallet"
    account: str | None = None
    inventory: dict[str, Amount] = msgspec.field(default_factory=dict)
    least: dict[str, Amount] = msgspec.field(default_factory=dict)
    draws: tuple[str, ...] | None = None
    segregated: bool = False
    annual_rate: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.kind == "account") != (self.account is not None):
            raise InputError(
                "account", self.account, f"a name for kind 'account' and nothing else, kind is {self.kind!r}"
            )
        if self.account is not None and self.inventory:
            raise InputError("inventory", self.inventory, "nothing: an account holds what its own file says")
        if self.segregated and not self.draws:
            raise InputError("draws", self.draws, "the accounts that a segregated place serves")
        for asset, units in self.least.items() if self.account is None else ():
            if units > self.inventory.get(asset, 0.0):
                expected = f"at most the inventory of {self.inventory.get(asset, 0.0):g}"
                raise InputError(f"least.{asset}", units, expected)

    def free(self, asset: str) -> float:
        """Units of an asset that may leave, 0 for an account."""
        return self.inventory.get(asset, 0.0) - self.least.get(asset, 0.0) if self.account is None else 0.0

    def serves(self, account_id: str) -> bool:
        """Whether an account may draw on it."""
        return self.draws is None or account_id in self.draws


class Route(Checked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way for assets from a place to accounts.

    Parameters
    ----------
    name : str
        Name of the route, once in a policy.
    source : str
        The place it starts from.
    to : tuple of str
        Accounts it leads to; ``"*"``: every account, ``"ruleset:NAME"``: every account of a ruleset.
    assets : tuple of str
        Assets that it takes.
    min_transfer, max_transfer : float
        Smallest and largest amount of one transfer, units of the asset.
    step : float
        Amounts are multiples of it (0: any amount).
    fee : float
        Flat fee of one transfer, units of the asset, paid by the place.
    fee_rate : float
        Fee as a fraction of the amount, in [0, 1), paid by the place.
    gas : float
        Cost of one transfer, dollars.
    impact : tuple of tuple of float
        Slippage by size: dollars, and the rate that is lost on what lies above; both rise. Paid by the place.
    lag : tuple of tuple of float
        Minutes until arrival as a distribution: probability in (0, 1] and minutes, both rising. Empty: at once.
    hours : Hours
        When it takes instructions.
    failure_rate : float
        Share of its transfers that fail and come back, in [0, 1).
    needs_approval : bool
        Whether every transfer must be approved.

    Raises
    ------
    InputError
        If a list is empty, or does not rise.

    Examples
    --------
    >>> Route(name="wire", source="bank", to=("*",), assets=("USD",), lag=((0.5, 60.0), (0.95, 240.0))).fee
    0.0
    """

    name: str
    source: str
    to: tuple[str, ...]
    assets: tuple[str, ...]
    min_transfer: Amount = 0.0
    max_transfer: Amount | None = None
    step: Amount = 0.0
    fee: Amount = 0.0
    fee_rate: Fraction = 0.0
    gas: Amount = 0.0
    impact: Steps = ()
    lag: Steps = ()
    hours: Hours = Hours()
    failure_rate: Fraction = 0.0
    needs_approval: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("name", "source", "to", "assets"):
            if not getattr(self, name):
                raise InputError(name, getattr(self, name), "at least one name")
        if self.max_transfer is not None and self.max_transfer < self.min_transfer:
            raise InputError("max_transfer", self.max_transfer, f"at least min_transfer, {self.min_transfer:g}")
        if any(not 0 < p <= 1 or minutes > _LONGEST_LAG for p, minutes in self.lag):
            raise InputError("lag", self.lag, f"pairs of a probability in (0, 1] and minutes in [0, {_LONGEST_LAG:g}]")
        check_impact(self.impact)
        check_rising("lag", self.lag)


def leads_to(to: tuple[str, ...], account: Account) -> bool:
    """Whether a list of accounts of a policy names an account.

    Parameters
    ----------
    to : tuple of str
        Accounts; ``"*"``: every account, ``"ruleset:NAME"``: every account of a ruleset.
    account : Account
        The account.

    Returns
    -------
    bool
        Whether it is one of them.
    """
    return any(name in ("*", account.account_id, f"ruleset:{account.ruleset}") for name in to)
