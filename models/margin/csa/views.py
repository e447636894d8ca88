"""Both parties of an agreement: the same terms turned round, and what each owes the other.

References
----------
ISDA 1994 New York law credit support annex, paragraph 3: both parties are pledgor and secured party, each with its own
terms; what one must deliver the other must receive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from models.errors import InputError
from models.margin.csa.collateral import PostedCollateral
from models.margin.csa.credit_support import CsaOutcome, credit_support
from models.margin.csa.terms import CsaTerms

__all__ = ["TwoWay", "two_way", "view"]


class TwoWay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is due in both directions, seen from one party, in base currency.

    Parameters
    ----------
    as_pledgor : CsaOutcome
        A call is what the party delivers, a return is what it gets back.
    as_secured : CsaOutcome
        A call is what the party is delivered, a return is what it gives back.
    """

    as_pledgor: CsaOutcome
    as_secured: CsaOutcome

    @property
    def pays(self) -> float:
        """What the party transfers: its delivery and what it returns."""
        return _if(self.as_pledgor, "CALL") + _if(self.as_secured, "RETURN")

    @property
    def receives(self) -> float:
        """What is transferred to the party: the other's delivery and what comes back."""
        return _if(self.as_secured, "CALL") + _if(self.as_pledgor, "RETURN")


def view(terms: CsaTerms, party: Literal["party", "counterparty"]) -> CsaTerms:
    """Give the agreement as one of its parties sees it.

    Parameters
    ----------
    terms : CsaTerms
        The agreement as ``"party"`` sees it.
    party : {"party", "counterparty"}
        Whose view.

    Returns
    -------
    CsaTerms
        The same agreement, with that one as ``party``.

    Raises
    ------
    InputError
        If there is no such party.

    Examples
    --------
    >>> from models.margin.csa.terms import PartyTerms
    >>> view(CsaTerms(counterparty=PartyTerms(threshold=5.0)), "counterparty").party.threshold
    5.0
    """
    if party == "party":
        return terms
    if party != "counterparty":
        raise InputError("party", party, "'party' or 'counterparty'")
    return msgspec.structs.replace(terms, party=terms.counterparty, counterparty=terms.party)


def two_way(
    mark_to_market: float,
    terms: CsaTerms,
    posted: Sequence[PostedCollateral] = (),
    held: Sequence[PostedCollateral] = (),
    rates: Mapping[str, float] | None = None,
) -> TwoWay:
    """Give what both parties of an agreement on variation margin owe each other.

    Parameters
    ----------
    mark_to_market : float
        Value of the trades to `terms.party`, base currency.
    terms : CsaTerms
        The agreement as `terms.party` sees it.
    posted, held : sequence of PostedCollateral
        What the party has posted, and what it holds of the counterparty.
    rates : mapping of str to float, optional
        Base currency for one unit of each other currency.

    Returns
    -------
    TwoWay
        Both directions.

    Raises
    ------
    InputError
        If a value lies outside its range.
    UnknownAssetError
        If there is no rate for the currency of an item.

    Examples
    --------
    >>> both = two_way(-3e6, CsaTerms(), held=[PostedCollateral(asset="USD", market_value=1e6)])
    >>> both.as_pledgor.amount, both.as_secured.amount, both.pays, both.receives
    (3000000.0, 1000000.0, 4000000.0, 0.0)
    """
    return TwoWay(
        as_pledgor=credit_support(-mark_to_market, terms, posted, rates=rates),
        as_secured=credit_support(mark_to_market, view(terms, "counterparty"), held, rates=rates),
    )


def _if(outcome: CsaOutcome, action: str) -> float:
    return outcome.amount if outcome.action == action else 0.0
