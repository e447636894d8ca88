"""What goes over the wire besides the account itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from models.account import Account
from models.errors import Failure
from models.rebalance import Policy, Recommendation
from models.rebalance.joint import DeskPlan, FrontPoint

__all__ = [
    "AccountPrediction",
    "AccountBatch",
    "DeskResponse",
    "Market",
    "ModelInfo",
    "ModelList",
    "PredictionResponse",
    "Problem",
    "Ready",
    "RecommendationRequest",
    "RecommendationResponse",
    "Row",
    "RowExplanation",
    "ShadowDifference",
]


class AccountBatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several accounts in one request; ``explain`` may stand beside the fields of a single account as well."""

    accounts: list[Account]
    explain: bool = False


class RecommendationRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Accounts, and what a plan must reach: ``target`` is PROBABILITY@MINUTES; with ``desk`` for all of them together.

    ``front`` lists other probabilities for which the cost of the desk is asked. With ``reduce`` the plan of a desk
    reduces positions where transfers cannot reach the target, with ``release`` it takes back what is not needed, with
    ``substitute`` it exchanges what is posted under agreements where that saves. Where no target is given it is that of
    the policy, else 0.01@1440. With ``worth``, dollars that may be spent to avoid a dollar of expected loss, a desk is
    sent what saves the most and cannot wait ``every_minutes`` for the next decision; accounts over the target are
    weighed.
    """

    accounts: list[Account]
    target: str = "0.01@1440"
    policy: Policy | None = None
    desk: bool = False
    front: list[float] = []
    reduce: bool = False
    release: bool = False
    substitute: bool = False
    worth: Annotated[float, Meta(gt=0)] | None = None
    every_minutes: Annotated[float, Meta(ge=1)] = 480.0


class Market(Struct, frozen=True, kw_only=True):
    """The market that the answer was computed on; ages are minutes since the close of the last bar.

    ``behind_minutes`` names the assets whose own last bar is older than that, and by how much; null where none is.
    """

    as_of: datetime
    age_minutes: float
    sources: list[str]
    behind_minutes: dict[str, float | None] = {}


class Row(Struct, frozen=True, gc=False):
    """One horizon of one account; probabilities in [0, 1], amounts in account currency, times in minutes.

    Amounts and times are given a call within the horizon; what the model does not know is null.
    """

    horizon_minutes: int
    p_call: float
    p_liquidation: float
    prior: float
    call_amount_q10: float | None
    call_amount_q25: float | None
    call_amount_q50: float | None
    call_amount_q75: float | None
    call_amount_q90: float | None
    call_amount_q95: float | None
    call_amount_q99: float | None
    time_to_call: float | None
    time_to_call_q10: float | None
    time_to_call_q90: float | None


class RowExplanation(Struct, frozen=True, gc=False):
    """Why P(call) at one horizon differs from the prior: logits that add up, ``logit_prior + parts = logit_p_call``.

    ``parts`` is null where P(call) does not come from the trees: in a call already, or nothing to call.
    """

    horizon_minutes: int
    logit_prior: float
    parts: dict[str, float] | None
    logit_p_call: float | None


class AccountPrediction(Struct, frozen=True, gc=False):
    """What is predicted for one account.

    ``source`` is model or prior, with the reasons for the prior: no_model, missing_features, stale_features,
    expired_model. Where ``novelty`` is above 1 the input is more unusual than nearly all of the training: ``novel``,
    with the three features that are furthest out; the trees count less then and the amounts are wider.
    """

    account_id: str
    as_of: datetime
    market_as_of: datetime
    market_age_minutes: float
    state: str
    flags: list[str]
    rows: list[Row]
    source: str
    source_reason: list[str]
    novel: bool
    novelty: float | None
    unusual: list[str]
    explanation: list[RowExplanation] | UnsetType = UNSET


class PredictionResponse(Struct, frozen=True, kw_only=True):
    """Predictions of the good accounts in their order, and the bad ones by reason."""

    model_version: str
    market: Market
    predictions: list[AccountPrediction]
    failures: list[Failure]


class RecommendationResponse(Struct, frozen=True, kw_only=True):
    """Recommendations of the good accounts in their order, and the bad ones by reason."""

    model_version: str
    market: Market
    recommendations: list[Recommendation]
    failures: list[Failure]


class DeskResponse(Struct, frozen=True, kw_only=True):
    """The plan of a whole desk, what other targets would cost, and the accounts left out by reason."""

    model_version: str
    market: Market
    plan: DeskPlan
    front: list[FrontPoint]
    failures: list[Failure]


class ShadowDifference(Struct, frozen=True, gc=False):
    """P(call) of the challenger minus what was answered, over the accounts that it scored beside."""

    horizon_minutes: int
    accounts: int
    mean: float
    mean_absolute: float
    largest_absolute: float


class ModelInfo(Struct, frozen=True, kw_only=True):
    """One model: the one that answers (``active``), or the challenger that is scored beside it.

    ``problem`` says what is wrong with the place it comes from: a bundle that could not be used and was not, a tracking
    server that does not answer, or a model past its expiry.
    """

    name: str
    version: str
    kind: str
    horizons: list[int]
    active: bool
    details: dict[str, str]
    loaded_at: datetime | None = None
    problem: str = ""
    differences: list[ShadowDifference] = []


class ModelList(Struct, frozen=True, kw_only=True):
    """The models of the server."""

    models: list[ModelInfo]


class Ready(Struct, frozen=True, kw_only=True):
    """Whether requests can be answered, and on what; ``model_problem`` where the model is not what it should be."""

    status: str
    model_version: str
    prior_only: bool
    market: Market | None
    reason: str = ""
    model_problem: str = ""


class Problem(Struct, frozen=True, kw_only=True):
    """An error, RFC 9457; ``error`` repeats the detail under /v2, where the Open Inference Protocol looks for it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str = ""
    instance: str = ""
    error: str = ""
