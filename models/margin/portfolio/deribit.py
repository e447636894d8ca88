"""Deribit's portfolio margin as its risk matrix reports it: vectors in coin, aggregation over pairs, the two levels.

References
----------
Deribit, private/simulate (docs.deribit.com/api-reference/account-management/private-simulate) and "Portfolio Margin"
(support article 25944756247837), 2026-02.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from models.errors import InputError
from models.margin._parameters import parameter
from models.margin.portfolio.contingencies import DeltaShock, Factors, Offset, Roll
from models.margin.portfolio.engine import scenario_margin
from models.margin.portfolio.holdings import Holdings
from models.margin.portfolio.rules import PortfolioRules
from models.margin.portfolio.shocks import Extended, Grid, VolShock
from models.margin.portfolio.valuation import option_marks, scenario_profit
from models.typing import FloatArray

__all__ = ["EXTENDED_MOVES", "RiskMatrix", "RiskVectors", "deribit_rules", "risk_matrix", "risk_vectors"]

EXTENDED_MOVES: Final = (-0.66, -0.33, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
_VOLS: Final = ("down", "none", "up")


@dataclass(frozen=True, slots=True, eq=False)
class RiskVectors:
    """Profit and loss of every move, coins, before offsets and dampener.

    Parameters
    ----------
    standard : ndarray, shape (moves, 3)
        Price moves from the lowest to the highest; volatility down, unchanged, up.
    extended : ndarray, shape (m,)
        Extended moves, scaled back to the edge of the range.
    """

    standard: FloatArray
    extended: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class RiskMatrix:
    """Margin of one currency, coins.

    Parameters
    ----------
    standard, extended : ndarray
        Profit and loss after offsets and dampener, shaped as in `RiskVectors`.
    worst_case : float
        Worst loss, >= 0.
    worst_index : int
        Its place: standard moves in rows of three, then extended ones; of equal ones the unchanged volatility.
    roll_shock, delta_shock, correlation : float
        Contingencies.
    risk_matrix_margin : float
        Their sum with the worst case.
    initial_margin, maintenance_margin : float
        The two levels.
    """

    standard: FloatArray
    extended: FloatArray
    worst_case: float
    worst_index: int
    roll_shock: float
    delta_shock: float
    correlation: float
    risk_matrix_margin: float
    initial_margin: float
    maintenance_margin: float


def deribit_rules(parameters: Mapping[str, float], effective_from: date, currency: str = "") -> PortfolioRules:
    """Build the ruleset from the parameters that the venue answers.

    Parameters
    ----------
    parameters : mapping
        Fields of public/pme/get_params and of ``model_params`` in private/simulate, one currency pair and its currency
        in one mapping.
    effective_from : date
        Day of the answer.
    currency : str
        For the name.

    Returns
    -------
    PortfolioRules
        The ruleset, coin-settled.

    Raises
    ------
    InputError
        If a parameter is missing or out of range.

    Examples
    --------
    >>> answered = {
    ...     "price_range": 0.16, "volatility_range_up": 0.5, "volatility_range_down": 0.25,
    ...     "short_term_vega_power": 0.3, "long_term_vega_power": 0.13, "min_volatility_for_shock_up": 0.5,
    ...     "m_inc": 5e-5, "max_delta_shock": 0.1, "delta_total_liq_shock_threshold": 2e7,
    ...     "annualised_move_risk": 0.075, "min_annualised_move": 0.01, "pnl_offset": 0, "max_offsetable_pnl": 0}
    >>> deribit_rules(answered, date(2024, 6, 17), "BTC").grid.prices
    (-0.16, -0.12, -0.08, -0.04, 0.0, 0.04, 0.08, 0.12, 0.16)
    """

    def get(name: str, default: float | None = None) -> float:
        return parameter(parameters, name, default)

    steps, reach = int(get("buckets_count", 4)), get("price_range")
    if steps < 1 or int(get("vol_scenarios", 3)) != len(_VOLS):
        raise InputError("parameters.buckets_count", steps, "at least 1, and 3 volatility scenarios")
    return PortfolioRules(
        name=f"deribit-pm-{currency.lower()}".rstrip("-"),
        title=f"Deribit portfolio margin {currency}".rstrip(),
        effective_from=effective_from,
        source=("docs.deribit.com/api-reference/account-management/private-simulate",),
        settlement="coin",
        vol=VolShock(
            up=get("volatility_range_up"),
            down=get("volatility_range_down"),
            short_power=get("short_term_vega_power"),
            long_power=get("long_term_vega_power"),
            least_up=get("min_volatility_for_shock_up"),
        ),
        grid=Grid(prices=tuple(reach * k / steps for k in range(-steps, steps + 1)), vols=("down", "none", "up")),
        extended=Extended(
            prices=EXTENDED_MOVES,
            factor=get("extended_table_factor", 1.0),
            dampener=get("extended_dampener_usd", get("extended_dampener", 0.0)),
        ),
        roll=Roll(annualised=get("annualised_move_risk"), least=get("min_annualised_move")),
        delta_shock=DeltaShock(
            threshold=get("delta_total_liq_shock_threshold"), slope=get("m_inc"), cap=get("max_delta_shock")
        ),
        offset=Offset(share=get("pnl_offset"), most=get("max_offsetable_pnl")),
        factors=Factors(maintenance=get("mm_factor", 0.8)),
        assumed={"delta_shock": "the formula is not published, see engine.delta_shock"},
    )


def risk_vectors(rules: PortfolioRules, held: Holdings) -> RiskVectors:
    """Give the profit and loss of holdings under every move.

    Parameters
    ----------
    rules : PortfolioRules
        With a grid; volatility down, unchanged and up in this order.
    held : Holdings
        Positions of one pair, or one position alone.

    Returns
    -------
    RiskVectors
        Coins.

    Raises
    ------
    InputError
        If the ruleset has no such grid or settles in quote currency.

    Examples
    --------
    >>> from models.margin.portfolio.loader import load_portfolio_rules
    >>> vectors = risk_vectors(load_portfolio_rules("deribit-pm-btc"), Holdings(65_666.19, perpetual=0.314538364))
    >>> vectors.standard[0, 1].round(9), vectors.extended[0].round(9)
    (np.float64(-0.059912069), np.float64(-0.059912069))
    """
    if rules.grid is None or rules.grid.vols != _VOLS or rules.settlement != "coin":
        raise InputError("rules", rules.name, "a coin-settled ruleset whose grid has the volatilities down, none, up")
    marks = option_marks(held, 0.0)
    found = np.array([scenario_profit(rules, held, p._replace(dampener=0.0), marks) for p in rules.points()])
    size = len(rules.grid.prices) * len(_VOLS)
    coins = found / held.spot
    return RiskVectors(coins[:size].reshape(-1, len(_VOLS)), coins[size:])


def risk_matrix(
    rules: PortfolioRules,
    pairs: Sequence[Holdings],
    *,
    correlation: float = 0.0,
    spot_margin: float = 0.0,
    open_orders_margin: float = 0.0,
    mmp_margin: float = 0.0,
) -> RiskMatrix:
    """Compute the margin of one settlement currency.

    Parameters
    ----------
    rules : PortfolioRules
        Coin-settled, with a grid and an offset.
    pairs : sequence of Holdings
        Positions of each currency pair; within a pair profit and loss net in full, between pairs gains count for the
        offset share only, up to its cap.
    correlation, spot_margin, open_orders_margin, mmp_margin : float
        Further margin that the venue reports, coins.

    Returns
    -------
    RiskMatrix
        The matrix and the two levels, coins.

    Examples
    --------
    >>> from models.margin.portfolio.loader import load_portfolio_rules
    >>> found = risk_matrix(load_portfolio_rules("deribit-pm-eth"), [Holdings(1949.34, perpetual=-0.999487053)])
    >>> round(found.risk_matrix_margin, 9), found.worst_index
    (0.157461562, 25)
    """
    vectors = [risk_vectors(rules, held) for held in pairs]
    if not vectors:
        raise InputError("pairs", [], "the holdings of at least one currency pair")
    index = pairs[0].spot
    standard = _aggregate(rules.offset, np.stack([v.standard for v in vectors]), index)
    extended = _aggregate(rules.offset, np.stack([v.extended for v in vectors]), index)
    far = rules.points()[standard.size :]
    relief = np.array([p.dampener / ((1.0 + p.edge) * index) for p in far])
    extended = extended - np.copysign(np.minimum(relief, np.abs(extended)), extended)
    losses = np.concatenate([standard.ravel(), extended])
    order = sorted(range(len(losses)), key=lambda s: (losses[s], s < standard.size and s % len(_VOLS) != 1, s))
    parts = [scenario_margin(rules, held) for held in pairs]
    roll = sum(p.roll / held.spot for p, held in zip(parts, pairs, strict=True))
    delta = sum(p.delta / held.spot for p, held in zip(parts, pairs, strict=True))
    worst = max(-float(losses[order[0]]), 0.0)
    total = worst + roll + delta + correlation
    return RiskMatrix(
        standard=standard,
        extended=extended,
        worst_case=worst,
        worst_index=order[0],
        roll_shock=roll,
        delta_shock=delta,
        correlation=correlation,
        risk_matrix_margin=total,
        initial_margin=rules.factors.initial * total + spot_margin + open_orders_margin + mmp_margin,
        maintenance_margin=rules.factors.maintenance * total,
    )


def _aggregate(offset: Offset | None, vectors: FloatArray, index: float) -> FloatArray:
    """Losses of all pairs, and the share of the gains that counts."""
    loss, gain = np.minimum(vectors, 0.0).sum(axis=0), np.maximum(vectors, 0.0).sum(axis=0)
    if offset is None:
        return loss + gain
    counted: FloatArray = loss + np.minimum(offset.share * gain, offset.most / index)
    return counted
