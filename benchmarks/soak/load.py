"""A desk's day in fast time: requests at a fixed rate, bars, states that change, and a reader of events."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from random import Random
from typing import Any

import httpx

__all__ = ["Load", "Tally"]

_MIX = (
    ("predict", 70), ("read", 8), ("riskiest", 3), ("history", 4), ("alerts", 3), ("tell", 8), ("explain", 2),
    ("plan", 1), ("recommend", 1),
)  # fmt: skip
_SHOWN = 5


@dataclass
class Tally:
    """What was asked and what came back.

    Parameters
    ----------
    seconds : dict of str to list of float
        Times of the answers by kind of request, from when each was due.
    errors : Counter
        Requests that failed, by kind and reason.
    events, gaps : int
        Events that the reader saw, and numbers that it missed.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    events: int = 0
    gaps: int = 0

    def failed(self) -> list[str]:
        """The most frequent failures, in words."""
        lost = [f"{self.gaps} events missed"] if self.gaps else []
        return [f"{n} x {what}" for what, n in self.errors.most_common(_SHOWN)] + lost


class Load:
    """Asks one server.

    Parameters
    ----------
    base : str
        Its address.
    key : str
        A key of the whole service.
    accounts : list of dict
        The registered accounts, as JSON.
    bars : iterator of (str, list of dict)
        Closes in order, and the bars of all assets that close then.
    """

    def __init__(
        self,
        base: str,
        key: str,
        accounts: list[dict[str, Any]],
        bars: Iterator[tuple[str, list[dict[str, Any]]]],
    ) -> None:
        headers = {"Authorization": f"Bearer {key}", "Margincast-Tenant": "desk", "Content-Type": "application/json"}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._http = httpx.AsyncClient(base_url=base, headers=headers, timeout=30.0, limits=limits)
        self._accounts, self._bars = accounts, bars
        self._random, self._told, self._turn = Random(7), count(1), cycle(accounts)
        self._now = str(accounts[0]["as_of"])
        self._asked: dict[str, Callable[[dict[str, Any]], Any]] = {
            "predict": lambda a: ("POST", "/v1/predictions", self._present(a)),
            "read": lambda a: ("GET", f"/v1/accounts/{a['account_id']}", None),
            "riskiest": lambda a: ("GET", "/v1/accounts?order=p_call&limit=20", None),
            "history": lambda a: ("GET", f"/v1/accounts/{a['account_id']}/predictions", None),
            "alerts": lambda a: ("GET", "/v1/alerts?open=true&limit=50", None),
            "tell": lambda _: self._tell(next(self._turn)),
            "explain": lambda a: ("GET", f"/v1/accounts/{a['account_id']}/explanation", None),
            "plan": lambda a: ("GET", f"/v1/accounts/{a['account_id']}/plan", None),
            "recommend": lambda a: ("POST", "/v1/recommendations", {"account": self._present(a)}),
        }
        self.tally = Tally()

    async def run(self, rate: float, seconds: float, bar_seconds: float) -> Tally:
        """Ask for a while.

        Parameters
        ----------
        rate : float
            Requests a second, whether or not those before are answered.
        seconds : float
            For how long.
        bar_seconds : float
            Pause between two bars.

        Returns
        -------
        Tally
            What came of it.
        """
        reader = asyncio.create_task(self._read_events())
        market = asyncio.create_task(self._bring_bars(bar_seconds))
        kinds, weights = zip(*_MIX, strict=True)
        start, asked = time.perf_counter(), set[asyncio.Task[None]]()
        for i in range(int(rate * seconds)):
            due = start + i / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0.0))
            kind = self._random.choices(kinds, weights)[0]
            task = asyncio.create_task(self._ask(kind, due, *self._asked[kind](self._random.choice(self._accounts))))
            asked.add(task)
            task.add_done_callback(asked.discard)
        await asyncio.gather(*asked)
        for task in (market, reader):
            if task.done():
                task.result()  # says why it ended early
            task.cancel()
        await asyncio.gather(market, reader, return_exceptions=True)
        await self._http.aclose()
        return self.tally

    async def _ask(self, kind: str, due: float, method: str, path: str, body: Any) -> None:
        content = None if body is None else json.dumps(body).encode()
        try:
            answer = await self._http.request(method, path, content=content)
        except httpx.HTTPError as error:
            self.tally.errors[f"{kind}: {type(error).__name__}"] += 1
            return
        self.tally.seconds[kind].append(time.perf_counter() - due)
        if answer.status_code >= 400:
            self.tally.errors[f"{kind}: {answer.status_code} {answer.text[:120]}"] += 1

    async def _bring_bars(self, pause: float) -> None:
        for close, bars in self._bars:
            self._now = close
            await self._ask("bars", time.perf_counter(), "POST", "/v1/market/bars", {"bars": bars})
            await asyncio.sleep(pause)

    async def _read_events(self) -> None:
        """Stay on the stream; its numbers rise by one."""
        last = 0
        async with self._http.stream("GET", "/v1/events", params={"after": 0}, timeout=None) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    number = int(line[4:])
                    self.tally.gaps += number - last - 1
                    self.tally.events, last = self.tally.events + 1, number
        self.tally.errors["events: the stream ended"] += 1

    def _present(self, account: dict[str, Any]) -> dict[str, Any]:
        return {**account, "as_of": self._now}

    def _tell(self, account: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
        """The same account with some more or less cash, told later than before."""
        first, *others = account["collateral"]
        cash = {**first, "quantity": first["quantity"] * self._random.uniform(0.98, 1.02)}
        stamp = f"{account['as_of'][:19]}.{next(self._told):06d}Z"
        changed = {**account, "as_of": stamp, "collateral": [cash, *others]}
        return "PUT", f"/v1/accounts/{account['account_id']}", changed
