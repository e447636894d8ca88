"""The values of a desk's plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.account import Account
from models.rebalance.joint.network import Refusal
from models.rebalance.plan import Kind, Levels, Substituted
from models.rebalance.policy import Policy
from models.rebalance.target import Target

__all__ = [
    "AccountOutcome",
    "Certificate",
    "DeskPlan",
    "FrontPoint",
    "Objective",
    "OwnStep",
    "Relaxation",
    "Risk",
    "TradeStep",
    "Transfer",
]


Objective = Literal["expected", "cvar90", "cvar95", "sum of cvar90", "sum of cvar95"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """One thing to send.

    Parameters
    ----------
    route, source : str
        Route and the place it starts from.
    account_id : str
        Who receives it.
    kind : {"top_up", "repay", "add_margin"}
        What it does there.
    asset : str
        What moves.
    amount : float
        Units that arrive.
    fee : float
        Units that leave the place on top.
    value_usd, cost_usd : float
        Dollars of the amount; fees, gas, impact, funding and opportunity cost.
    arrives_minutes : float
        Minutes until it has arrived at the confidence of the policy.
    start_within_minutes : float or None
        Last safe minute of this route to this account; None: beyond the last horizon.
    stage : {"send", "ready"}
        Whether it must leave now, or only be readied: its last safe minute is more than two hours away.
    late : bool
        Whether it may arrive after the call.
    needs_approval : bool
        Whether the route or the size asks for approval.
    symbol : str or None
        The isolated position whose margin it is, for ``"add_margin"``.
    annual_rate : float or None
        What borrowing it costs, a fraction a year, where it is drawn on a credit line.
    recalled_from : str or None
        Agreement whose other party is asked to return it, where there is one.
    """

    route: str
    source: str
    account_id: str
    kind: Kind
    asset: str
    amount: float
    fee: float
    value_usd: float
    cost_usd: float
    arrives_minutes: float
    start_within_minutes: float | None
    stage: Literal["send", "ready"]
    late: bool
    needs_approval: bool
    symbol: str | None = None
    annual_rate: float | None = None
    recalled_from: str | None = None


@dataclass(frozen=True, slots=True)
class TradeStep:
    """A trade inside an account.

    Parameters
    ----------
    account_id : str
        The account.
    rule : str
        The policy's rule.
    kind : {"swap", "hedge"}
        Collateral sold for other collateral, or a position opened against what the account holds.
    asset : str
        What is sold; of a hedge, what the amount counts.
    amount : float
        Units.
    value_usd, cost_usd : float
        Dollars of the amount; fee, slippage, and what a hedge costs over the holding days.
    symbol : str or None
        The instrument of a hedge.
    quantity : float or None
        Position that a hedge opens, > 0 long.
    into : str or None
        What a swap buys.
    received : float or None
        Units of it.
    needs_approval : bool
        Whether the rule or the size asks for approval.
    sentence : str
        The trade in a few words.
    """

    account_id: str
    rule: str
    kind: Literal["swap", "hedge"]
    asset: str
    amount: float
    value_usd: float
    cost_usd: float
    symbol: str | None
    quantity: float | None
    into: str | None
    received: float | None
    needs_approval: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class OwnStep:
    """What an account does itself: reduce a position, give back what it does not need, exchange what it has posted.

    Parameters
    ----------
    account_id : str
        The account.
    kind : {"reduce", "release", "substitute"}
        What it does.
    asset : str
        What the amount counts; of an exchange, what is asked back.
    symbol : str or None
        The position, for ``"reduce"``.
    amount : float
        Units.
    value_usd : float
        Dollars of the amount.
    cost_usd : float
        Fees; of a release, fees less what the asset earns elsewhere over the holding days (< 0: it saves); of an
        exchange, less what it saves.
    route, to : str or None
        Route that a release takes the other way, or that a substitute takes, and the place where what is given back
        goes to.
    p_before, p_after : tuple of float, length 4
        P(call) at the four horizons after the transfers, and with the step.
    levels_after : Levels
        The exact engine's levels, account currency.
    sentence : str
        The step in one sentence.
    needs_approval : bool
        Whether the rule of an unwind or an exchange under an agreement, or its size, asks for approval.
    into : str or None
        What is delivered as a substitute.
    received : float or None
        Units of it.
    substitution : Substituted or None
        Timetable, worth and notices of an exchange.
    """

    account_id: str
    kind: Literal["reduce", "release", "substitute"]
    asset: str
    symbol: str | None
    amount: float
    value_usd: float
    cost_usd: float
    route: str | None
    to: str | None
    p_before: tuple[float, ...]
    p_after: tuple[float, ...]
    levels_after: Levels
    sentence: str
    needs_approval: bool = False
    into: str | None = None
    received: float | None = None
    substitution: Substituted | None = None


@dataclass(frozen=True, slots=True)
class AccountOutcome:
    """One account before and after the plan.

    Parameters
    ----------
    account_id : str
        The account.
    status : {"reached", "late", "short", "gives", "reduced", "left"}
        Under the target; under it, but a transfer may come too late; still over it; gave collateral; under it by a
        reduction; still over it, as nothing more is worth sending now.
    p_before, p_after : tuple of float, length 4
        P(call) at the four horizons, by the full predictor.
    levels_before, levels_after : Levels
        The exact engine's levels, account currency.
    short_usd : float
        Dollars of collateral that it still lacks to the target.
    """

    account_id: str
    status: Literal["reached", "late", "short", "gives", "reduced", "left"]
    p_before: tuple[float, ...]
    p_after: tuple[float, ...]
    levels_before: Levels
    levels_after: Levels
    short_usd: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was checked of a plan after it was made.

    Parameters
    ----------
    scenarios : int
        Price scenarios in which the exact engine compared the accounts with and without the plan.
    stress : tuple of float
        Price factors of the scenarios: of all assets together, and of each asset alone.
    worsened : tuple of str
        Accounts that some scenario leaves in a worse state than doing nothing, or whose P rises.
    missed : tuple of str
        Accounts that the plan does not bring under the target.
    sentence : str
        The same in words.
    """

    scenarios: int
    stress: tuple[float, ...]
    worsened: tuple[str, ...]
    missed: tuple[str, ...]
    sentence: str

    @property
    def clean(self) -> bool:
        """Whether no account ends worse and all are under the target."""
        return not self.worsened and not self.missed


@dataclass(frozen=True, slots=True)
class Relaxation:
    """The smallest change of a limit, together with the others listed, that would let every account reach the target.

    Parameters
    ----------
    limit : str
        The limit, by name.
    more : float
        By how much: units of the asset for inventories and caps, dollars for shares, needs and the run, transfers for
        numbers of moves.
    """

    limit: str
    more: float


@dataclass(frozen=True, slots=True)
class Risk:
    """What calls and liquidations cost the desk by the horizon of the target, on paths that all accounts share.

    Parameters
    ----------
    paths : int
        Number of paths, of the same weight.
    expected_usd, cvar90_usd, cvar95_usd : float
        Mean loss of all accounts together; mean of the worst tenth, and of the worst twentieth, of the paths.
    """

    paths: int
    expected_usd: float
    cvar90_usd: float
    cvar95_usd: float


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """What another target would cost.

    Parameters
    ----------
    probability : float
        Target at the same horizon.
    transfers_usd, total_usd : float
        Dollars of the transfers, and with the losses that remain.
    moved_usd : float
        Dollars moved.
    short_usd : float
        Dollars of collateral that would lack.
    risk : Risk or None
        The loss that would remain, where there are joint paths.
    """

    probability: float
    transfers_usd: float
    total_usd: float
    moved_usd: float
    short_usd: float
    risk: Risk | None = None


@dataclass(frozen=True, slots=True)
class DeskPlan:
    """What a desk should send now, for all accounts together.

    Parameters
    ----------
    target : Target
        What every account is to reach.
    status : {"ok", "act", "cannot_reach"}
        Nothing to do; the plan brings every account under the target; it does as much as can be done.
    method : {"nothing", "milp", "exchange", "greedy"}
        Who found it.
    transfers : tuple of Transfer
        What to send, the most urgent first.
    accounts : tuple of AccountOutcome
        The accounts that take part.
    cost_usd, transfers_usd : float
        Cost with the losses that remain; transfers and trades alone.
    bound_usd, gap : float or None
        No plan that meets the needs costs less; relative distance to it. None where there is no bound, as of the
        fallback.
    timed_out : bool
        Whether the solver ran out of time.
    shadow : dict of str to float
        Dollars that one more unit of each binding limit would save.
    relaxations : tuple of Relaxation
        Where the target cannot be reached: the binding limits and the smallest change.
    refused : tuple of Refusal
        What could not be used, and why.
    warnings : tuple of str
        What the plan rests on that may not hold: prices older than the ruleset of an account allows.
    certificate : Certificate
        What was checked.
    sentence : str
        The plan in one paragraph.
    accounts_after : tuple of Account
        All accounts with the plan carried out.
    policy_after : Policy
        The policy with the inventory that is left; what an exchange brings back is not in it before it is there.
    own : tuple of OwnStep
        What accounts do themselves, where that was asked for.
    trades : tuple of TradeStep
        Swaps and hedges inside accounts, where the policy has rules for them; part of the same optimum.
    objective : {"expected", "cvar90", "cvar95", "sum of cvar90", "sum of cvar95"}
        Which loss was minimised with the cost: that of the desk on joint paths where there are any, else the sum of
        those of the accounts, which is never below it.
    risk_before, risk_after : Risk or None
        The loss of the desk with no action and with the plan, where there are joint paths.
    knob : float or None
        Of a plan by worth: dollars that may be spent to avoid a dollar of expected loss. Its target says only who was
        weighed, its cost is what it is worth, taken from 0, and no plan costs less than its bound.
    waits : tuple of str
        Of a plan by worth: accounts that are to be helped, but at the next decision, as help then still comes in time.
    """

    target: Target
    status: Literal["ok", "act", "cannot_reach"]
    method: Literal["nothing", "milp", "exchange", "greedy"]
    transfers: tuple[Transfer, ...]
    accounts: tuple[AccountOutcome, ...]
    cost_usd: float
    transfers_usd: float
    bound_usd: float | None
    gap: float | None
    timed_out: bool
    shadow: dict[str, float]
    relaxations: tuple[Relaxation, ...]
    refused: tuple[Refusal, ...]
    warnings: tuple[str, ...]
    certificate: Certificate
    sentence: str
    accounts_after: tuple[Account, ...]
    policy_after: Policy
    own: tuple[OwnStep, ...] = ()
    trades: tuple[TradeStep, ...] = ()
    objective: Objective = "expected"
    risk_before: Risk | None = None
    risk_after: Risk | None = None
    knob: float | None = None
    waits: tuple[str, ...] = ()
