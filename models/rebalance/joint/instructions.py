"""A plan as instructions for venues, wallets and counterparties: values only, nothing is ever sent from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from models.account import Account
from models.instrument import is_stable
from models.margin.csa.timetable import call_due
from models.rebalance.instruction import Instruction, key_of
from models.rebalance.joint.plan import DeskPlan, OwnStep, TradeStep, Transfer

__all__ = ["Instruction", "instructions_of"]

_ANNEX = "csa"


def instructions_of(plan: DeskPlan, accounts: Sequence[Account], now: datetime) -> tuple[Instruction, ...]:
    """Turn a plan into instructions; this is the dry run, and there is no other.

    Parameters
    ----------
    plan : DeskPlan
        The plan.
    accounts : sequence of Account
        Its accounts.
    now : datetime
        When it was made, with a time zone.

    Returns
    -------
    tuple of Instruction
        In the order of the transfers, each after the loan or the return that it comes from; then trades, then what
        accounts do themselves.

    Raises
    ------
    InputError
        If `now` has no time zone, for deliveries under an annex.

    References
    ----------
    ccxt manual, "Transfers" (``transfer(code, amount, fromAccount, toAccount, params)``), "Borrow and repay margin"
    (``borrowCrossMargin(code, amount, params)``, ``repayCrossMargin(code, amount, params)``), "Margin"
    (``addMargin(symbol, amount, params)``), and "Orders" (``createOrder(symbol, type, side, amount, price, params)``,
    ``createMarketBuyOrderWithCost(symbol, cost, params)``).
    """
    by_name = {account.account_id: account for account in accounts}
    sent = [one for transfer in plan.transfers for one in _sent(transfer, by_name, now)]
    traded = [_trade_instruction(step, now) for step in plan.trades]
    own = [one for step in plan.own for one in _own_instructions(step, by_name[step.account_id], now)]
    return (*sent, *traded, *own)


def _sent(transfer: Transfer, accounts: Mapping[str, Account], now: datetime) -> list[Instruction]:
    """A transfer, after the loan that it is drawn from or the return that it waits for."""
    own = _instruction(transfer, accounts[transfer.account_id], now)
    amount = transfer.amount + transfer.fee
    if transfer.annual_rate is not None:
        key = key_of(now, "borrow", own.key)
        params = {"clientOrderId": key, "line": transfer.source}
        loan = {"code": transfer.asset, "amount": amount, "params": params}
        return [Instruction(key, "ccxt", "borrowCrossMargin", loan, own.hold, own.reason), own]
    if transfer.recalled_from is not None:
        terms = accounts[transfer.recalled_from].csa
        assert terms is not None
        due = call_due(now, terms.timetable).isoformat()
        demand = {"agreement": transfer.recalled_from, "asset": transfer.asset, "amount": amount, "due": due}
        notice = Instruction(key_of(now, "recall", own.key), "csa", "demand_return", demand, own.hold, own.reason)
        return [notice, replace(own, hold=True, reason=own.reason or "the return")]
    return [own]


def _trade_instruction(step: TradeStep, now: datetime) -> Instruction:
    key = key_of(now, step.rule, step.account_id, step.asset, repr(step.amount))
    params = {"clientOrderId": key, "account": step.account_id}
    reason = "approval" if step.needs_approval else ""
    if step.kind == "hedge":
        side = "buy" if (step.quantity or 0.0) > 0 else "sell"
        order = {"symbol": step.symbol, "type": "market", "side": side, "amount": step.amount, "params": params}
        return Instruction(key, "ccxt", "createOrder", order, bool(reason), reason)
    if is_stable(step.asset) and not is_stable(step.into or ""):
        order = {"symbol": f"{step.into}/{step.asset}", "cost": step.amount, "params": params}
        return Instruction(key, "ccxt", "createMarketBuyOrderWithCost", order, bool(reason), reason)
    symbol = f"{step.asset}/{step.into}"
    order = {"symbol": symbol, "type": "market", "side": "sell", "amount": step.amount, "params": params}
    return Instruction(key, "ccxt", "createOrder", order, bool(reason), reason)


def _instruction(transfer: Transfer, account: Account, now: datetime) -> Instruction:
    key = _key(transfer, now)
    reason = "approval" if transfer.needs_approval else "its time" if transfer.stage == "ready" else ""
    if account.ruleset == _ANNEX and account.csa is not None:
        due = call_due(now, account.csa.timetable).isoformat()
        notice = {"agreement": account.account_id, "asset": transfer.asset, "amount": transfer.amount, "due": due}
        return Instruction(key, "csa", "deliver", notice, bool(reason), reason)
    common: dict[str, Any] = {"code": transfer.asset, "amount": transfer.amount}
    params = {"clientOrderId": key, "route": transfer.route}
    if transfer.kind == "repay":
        return Instruction(key, "ccxt", "repayCrossMargin", common | {"params": params}, bool(reason), reason)
    if transfer.kind == "add_margin":
        place = {"symbol": transfer.symbol, "amount": transfer.amount}
        return Instruction(key, "ccxt", "addMargin", place | {"params": params}, bool(reason), reason)
    where = {"fromAccount": transfer.source, "toAccount": transfer.account_id, "params": params}
    return Instruction(key, "ccxt", "transfer", common | where, bool(reason), reason)


def _own_instructions(step: OwnStep, account: Account, now: datetime) -> tuple[Instruction, ...]:
    """What an account does itself; an exchange has its notices already."""
    if step.substitution is not None:
        return step.substitution.instructions
    return (_own_instruction(step, account, now),)


def _own_instruction(step: OwnStep, account: Account, now: datetime) -> Instruction:
    annex = account.ruleset == _ANNEX and account.csa is not None
    if step.kind == "reduce" and annex:
        return _unwind(step, account, now)
    if step.kind == "reduce":
        key = key_of(now, "reduce", step.symbol or "", step.account_id, step.asset, repr(step.amount))
        quantity = next(p.quantity for p in account.positions if p.symbol == step.symbol)
        params = {"reduceOnly": True, "clientOrderId": key}
        side = "sell" if quantity > 0 else "buy"
        order = {"symbol": step.symbol, "type": "market", "side": side, "amount": step.amount, "params": params}
        return Instruction(key, "ccxt", "createOrder", order, False, "")
    key = key_of(now, step.route or "", step.account_id, step.to or "", step.asset, repr(step.amount))
    if annex and account.csa is not None:
        due = call_due(now, account.csa.timetable).isoformat()
        demand = {"agreement": account.account_id, "asset": step.asset, "amount": step.amount, "due": due}
        return Instruction(key, "csa", "demand_return", demand, False, "")
    params = {"clientOrderId": key, "route": step.route}
    where = {"fromAccount": step.account_id, "toAccount": step.to, "params": params}
    return Instruction(key, "ccxt", "transfer", {"code": step.asset, "amount": step.amount} | where, False, "")


def _unwind(step: OwnStep, account: Account, now: datetime) -> Instruction:
    """An early termination: it is asked of the other party, and waits for its agreement."""
    key = key_of(now, "unwind", step.symbol or "", step.account_id, step.asset, repr(step.amount))
    quantity = next(p.quantity for p in account.positions if p.symbol == step.symbol)
    side = "sell" if quantity > 0 else "buy"
    terms = {"agreement": step.account_id, "symbol": step.symbol, "side": side, "amount": step.amount}
    return Instruction(key, "csa", "unwind", terms, True, "approval" if step.needs_approval else "consent")


def _key(transfer: Transfer, now: datetime) -> str:
    """The same for the same transfer at the same instant, and for no other."""
    way = transfer.route, transfer.source, transfer.account_id
    return key_of(now, *way, transfer.asset, repr(transfer.amount))
