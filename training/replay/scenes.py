"""Accounts and market at a decision, for the rule that plans a whole desk with the full planner."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np

from features.moment import Moment, moment_at
from models.account import Account
from models.instrument import parse_symbol
from models.margin.rulesets.loader import ruleset_model
from models.margin.valuation import Volatility
from models.rebalance.balances import changed
from models.rebalance.effects import apply_move
from models.rebalance.replaying.desk import Scene
from models.typing import FloatArray, IntArray
from training.replay.epochs import Asked

__all__ = ["MarketScenes"]


class MarketScenes:
    """Scenes of a stage: `models.rebalance.replaying.desk.Scenes`.

    Parameters
    ----------
    asked : Asked
        Accounts in columns, market and predictor; every scene is made from bars closed before it.
    accounts : sequence of Account, length n
        The same accounts as values, in the same order.

    Notes
    -----
    Accounts are held still, as in the walk: what changes is the funding that they have paid, the time to the expiry of
    what they hold, and what they were sent. The market of the newest instant is kept: several rules ask in turn.
    """

    def __init__(self, asked: Asked, accounts: Sequence[Account]) -> None:
        self.asked, self.accounts = asked, accounts
        self._seen: dict[int, Moment] = {}

    def __call__(self, bar: int, rows: IntArray, held: FloatArray) -> Scene:
        """Give the scene of a decision.

        Parameters
        ----------
        bar : int
            Bar of the panel at whose open is decided.
        rows : ndarray of int, shape (m,)
            The accounts that are asked about.
        held : ndarray, shape (m,)
            What was sent to each of them, units of its lever.

        Returns
        -------
        Scene
            Of these accounts.
        """
        moment = self._moment(bar)
        now = datetime.fromtimestamp(moment.as_of / 1e9, UTC)
        pairs = zip(rows.tolist(), held.tolist(), strict=True)
        accounts = [self._account(i, bar, x, now, moment.price) for i, x in pairs]
        rates = _volatility(accounts, moment)
        return Scene(accounts, moment.assets, moment.price, moment.p_call, now, rates)

    def _moment(self, bar: int) -> Moment:
        if bar not in self._seen:
            asked, panel = self.asked, self.asked.panel
            found = moment_at(panel, panel.start + bar * panel.step, asked.prior, asked.predictor)
            self._seen = {bar: found}
        return self._seen[bar]

    def _account(self, i: int, bar: int, held: float, now: datetime, price: FloatArray) -> Account:
        """An account with its funding paid, that of a coin account at the present price, and with what was sent."""
        paid = self.asked.watch.paid[i][:, bar - int(self.asked.watch.first[i])]
        coin = int(self.asked.levers.book.arrays.account_numeraire[i])
        paid = paid / price[coin] if coin >= 0 else paid
        account = msgspec.structs.replace(_after_funding(self.accounts[i], paid), as_of=now)
        return apply_move(account, self.asked.levers.moves[i], held) if held > 0 else account


def _after_funding(account: Account, paid: FloatArray) -> Account:
    """Take funding, in account currency, from the wallet and from the margin of isolated positions in their order."""
    alone = [k for k, position in enumerate(account.positions) if position.margin_mode == "isolated"]
    if paid[0]:
        account = changed(account, account.currency, -float(paid[0]))
    if not alone or not np.any(paid[1:]):
        return account
    positions = list(account.positions)
    for k, x in zip(alone, paid[1:].tolist(), strict=True):
        left = max((positions[k].isolated_margin or 0.0) - x, 0.0)
        positions[k] = msgspec.structs.replace(positions[k], isolated_margin=left)
    return msgspec.structs.replace(account, positions=tuple(positions))


def _volatility(accounts: Sequence[Account], moment: Moment) -> Volatility:
    """Implied volatility, with the margin rates of what accounts under dynamic margin hold."""
    dynamic = [a for a in accounts if ruleset_model(a.ruleset) == "dynamic"]
    bases = {parse_symbol(position.symbol).base for a in dynamic for position in a.positions}
    return moment.volatility(np.array([asset in bases for asset in moment.assets], np.bool_))
