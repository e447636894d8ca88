"""A scenario ruleset as one validated value."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

import msgspec
from msgspec import Struct

from models.errors import InputError
from models.margin.portfolio.contingencies import (
    Basis,
    Confidence,
    DeltaShock,
    Discount,
    Factors,
    Minimum,
    Offset,
    Peg,
    Rates,
    RateShock,
    Roll,
    Vega,
)
from models.margin.portfolio.shocks import SKEWS, Extended, Grid, Point, Scenario, Skew, VolShock, points, within

__all__ = ["PortfolioRules", "portfolio_rules_schema"]


class PortfolioRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Portfolio margin by scenarios.

    The requirement before factors is ``max(worst scenario loss, basis) + roll + delta_shock + vega + rate``, at least
    `minimum`; maintenance is that times ``factors.maintenance`` plus the `rates`.

    Parameters
    ----------
    name, title : str
        Of the ruleset.
    effective_from : date
        When its parameters came into force.
    source : tuple of str
        Where they are published.
    settlement : {"quote", "coin"}
        What profit and loss is settled in; a coin loss is turned into quote currency at today's price.
    settlement_window_seconds : float
        Time before an expiry over which its settlement price is averaged; what is fixed no longer moves.
    vol : VolShock
        Moves of volatility.
    skew : Skew, optional
        Needed by scenarios that tilt or bend it.
    grid : Grid, optional
        Price moves with volatility moves.
    extended : Extended, optional
        Moves beyond the grid.
    scenarios : tuple of Scenario
        Single scenarios.
    discount, basis, roll, delta_shock, vega, rate, minimum, confidence, peg, offset : optional
        Contingencies, each left out where the rule has none.
    rates : Rates
        Shares of notional.
    factors : Factors
        Shares of the scenario requirement.
    assumed : dict of str to str
        What is not published, by field.
    """

    name: str
    title: str
    effective_from: date
    source: tuple[str, ...]
    settlement: Literal["quote", "coin"] = "quote"
    settlement_window_seconds: float = 0.0
    vol: VolShock
    skew: Skew | None = None
    grid: Grid | None = None
    extended: Extended | None = None
    scenarios: tuple[Scenario, ...] = ()
    discount: Discount | None = None
    basis: Basis | None = None
    roll: Roll | None = None
    delta_shock: DeltaShock | None = None
    vega: Vega | None = None
    rate: RateShock | None = None
    minimum: Minimum | None = None
    confidence: Confidence | None = None
    peg: Peg | None = None
    offset: Offset | None = None
    rates: Rates = Rates()
    factors: Factors = Factors()
    assumed: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Check what no single part can: scenarios against each other and against the shocks they name."""
        within("settlement_window_seconds", self.settlement_window_seconds, 0.0, 86_400.0)
        if not self.source:
            raise InputError("source", [], "at least one source: where the parameters are published")
        if self.extended is not None and self.grid is None:
            raise InputError("extended", "without a grid", "a grid: extended moves are scaled back to its edge")
        if self.extended is not None and self.grid is not None and max(map(abs, self.grid.prices)) == 0.0:
            raise InputError("grid.prices", list(self.grid.prices), "a move other than 0 beside extended moves")
        found = self.points()
        if not any(p.price == 0.0 for p in found):
            raise InputError("scenarios", [p.price for p in found], "the zero price move among them (add price 0)")
        tilted = next((p.vol for p in found if p.vol in SKEWS), None)
        if tilted is not None and self.skew is None:
            raise InputError("skew", None, f"its parameters: there is a {tilted!r} scenario")

    def points(self) -> tuple[Point, ...]:
        """List every scenario: grid, extended moves, single ones.

        Returns
        -------
        tuple of Point
            In the order in which they are computed.
        """
        return points(self.grid, self.extended, self.scenarios)


def portfolio_rules_schema() -> dict[str, Any]:
    """Give the JSON schema of a ruleset file.

    Returns
    -------
    dict
        JSON Schema 2020-12, ready for ``json.dumps``.

    Examples
    --------
    >>> sorted(portfolio_rules_schema()["$defs"]["VolShock"]["required"])
    ['down', 'up']
    """
    return msgspec.json.schema(PortfolioRules)
