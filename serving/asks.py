"""What may be asked of a registered account beside its name, and what its desk may do."""

from __future__ import annotations

from msgspec import Struct

from models.rebalance import Policy
from models.rebalance.changes import Changes

__all__ = ["AccountChanges", "DeskPolicy", "PlanRequest"]


class PlanRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plan must reach, and what the desk may do for it.

    ``target`` is PROBABILITY@MINUTES. Without a policy that of the desk is used, else that of the server; without a
    target that of the policy, else 0.01@1440.
    """

    target: str | None = None
    policy: Policy | None = None


class DeskPolicy(Struct, frozen=True, kw_only=True):
    """The policy that holds for a desk, and whether it is its ``own`` or that of the server."""

    own: bool
    policy: Policy


class AccountChanges(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What might be done to a registered account; ``prices`` of the changes moves the market as well."""

    changes: Changes
