"""What each desk may do: its own policy, else that of the server."""

from __future__ import annotations

from models.errors import StoreError
from models.rebalance import Policy
from serving.live.telling import desk_policy
from serving.store import Store

__all__ = ["Policies"]


class Policies:
    """Reads policies of desks, and remembers each for when the database does not answer.

    Parameters
    ----------
    server : Policy
        For desks that have none.
    store : Store or None
        Where those of desks are; None: there are none.
    """

    def __init__(self, server: Policy, store: Store | None) -> None:
        self.server = server
        self._store = store
        self._known: dict[str, Policy | None] = {}

    def of(self, tenant: str | None) -> Policy:
        """Give the policy of a desk.

        Parameters
        ----------
        tenant : str or None
            The desk; None: who asks is none.

        Returns
        -------
        Policy
            As it was read last where the database does not answer.

        Raises
        ------
        StoreError
            If the database does not answer and it was never read.
        """
        store = self._store
        if store is None or tenant is None:
            return self.server
        try:
            found = self._known[tenant] = store.query(lambda connection: desk_policy(connection, tenant))
        except StoreError:
            if tenant not in self._known:
                raise
            found = self._known[tenant]
        return found or self.server
