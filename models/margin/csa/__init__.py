"""OTC trades under a credit support annex: amounts, collateral, levels, timetable, both parties."""

from models.margin.csa.cdm import terms_from_cdm_sample, to_cdm
from models.margin.csa.collateral import (
    PostedCollateral,
    collateral_item_value,
    posted_share,
    posted_value,
    to_base_currency,
)
from models.margin.csa.credit_support import (
    CsaOutcome,
    credit_support,
    csa_levels,
    initial_margin_support,
    round_amount,
)
from models.margin.csa.terms import CsaTerms, EligibleCollateral, PartyTerms, Rounding
from models.margin.csa.timetable import (
    Timetable,
    add_business_days,
    call_due,
    demand_deadline,
    is_business_day,
    last_demand,
)
from models.margin.csa.views import TwoWay, two_way, view

__all__ = [
    "CsaOutcome",
    "CsaTerms",
    "EligibleCollateral",
    "PartyTerms",
    "PostedCollateral",
    "Rounding",
    "Timetable",
    "TwoWay",
    "add_business_days",
    "call_due",
    "collateral_item_value",
    "credit_support",
    "csa_levels",
    "demand_deadline",
    "initial_margin_support",
    "is_business_day",
    "last_demand",
    "posted_share",
    "posted_value",
    "round_amount",
    "terms_from_cdm_sample",
    "to_base_currency",
    "to_cdm",
    "two_way",
    "view",
]
