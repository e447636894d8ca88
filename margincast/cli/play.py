"""``margincast data cut`` and ``data play``: a recorded market, brought to a server bar by bar as if it came in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from margincast.cli.console import emit_json, note
from margincast.cli.data import Root, Target, data
from margincast.cli.options import AsJson, Assets, Bar, Start, Stop, Venue

if TYPE_CHECKING:
    from models.market import MarketPanel

__all__ = ["batches_of", "cut", "play"]

_PATIENCE = 120


@data.command(epilog="Example: margincast data cut ./market --out ./before --to 2024-08-04")
def cut(
    root: Root, out: Target, to: Annotated[str, typer.Option("--to", help="First instant left out (UTC).")]
) -> None:
    """Copy a market up to an instant; the rest can be played to a server."""
    from features.sources.cut import cut_market

    left = cut_market(root, out, to)
    note(f"{out} holds the bars before {to}; {left:,} rows left out")


@data.command(
    epilog="Example: margincast data play ./market --from 2024-08-04 --to 2024-08-06 --url http://127.0.0.1:8000"
)
def play(
    root: Root, start: Start = None, stop: Stop = None,
    url: Annotated[str, typer.Option("--url", help="The server.")] = "http://127.0.0.1:8000",
    key: Annotated[
        str, typer.Option("--key", envvar="MARGINCAST_KEY", help="Key of the whole service, role operate.")
    ] = "",
    pause: Annotated[float, typer.Option("--pause", help="Seconds between two bars.", min=0.0)] = 0.5,
    assets: Assets = None, bar: Bar = "1h", venue: Venue = "binance", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send the bars of a recorded market to a server in fast time, all assets of a bar together."""
    from features.sources.times import iso
    from margincast.cli.inputs import instant, open_market

    panel = open_market(root, assets, bar, venue, instant("--from", start), instant("--to", stop))
    total = {"bars": 0, "accepted": 0, "duplicate": 0, "revised": 0, "late": 0, "failures": 0}
    for close, batch in batches_of(panel):
        answer = _send(url, key, batch)
        for name in total:
            got = answer.get(name, 0)
            total[name] += len(got) if isinstance(got, list) else got
        total["bars"] += len(batch["bars"])
        note(f"{iso(close)}  {answer['accepted']} accepted, {len(answer['failures'])} failed")
        time.sleep(pause)
    if as_json:
        emit_json(total)
    else:
        note(", ".join(f"{count:,} {name}" for name, count in total.items()))


def batches_of(panel: MarketPanel) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give the bars of a panel as requests, one for each stamp.

    Parameters
    ----------
    panel : MarketPanel
        Bars.

    Yields
    ------
    close : int
        Close of the bar, nanoseconds UTC.
    body : dict
        Body of ``POST /v1/market/bars``; stamps without any bar are left out.
    """
    import math

    from features.sources.times import iso

    names = ("open", "high", "low", "close", "volume", "funding_rate")
    for t in range(panel.n_bars):
        bars = []
        for a, asset in enumerate(panel.assets):
            values = {name: float(getattr(panel, name)[a, t]) for name in names}
            if math.isfinite(values["close"]):
                known = {name: value for name, value in values.items() if math.isfinite(value)}
                stamp = iso(panel.start + t * panel.step)
                bars.append({"asset": asset, "timestamp": stamp, **known, "source": panel.source[a]})
        if bars:
            yield panel.start + (t + 1) * panel.step, {"bars": bars}


def _send(url: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    """Post bars; while the server asks for patience, wait and try again."""
    import json
    import urllib.error
    import urllib.request

    from models.errors import InputError

    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    until = time.monotonic() + _PATIENCE
    while True:
        request = urllib.request.Request(f"{url.rstrip('/')}/v1/market/bars", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503) or time.monotonic() > until:
                raise InputError("--url", url, f"a server that takes bars, it said {error.read().decode()}") from None
            time.sleep(float(error.headers.get("Retry-After", 1)))
        except urllib.error.URLError as error:
            raise InputError("--url", url, f"a server that answers ({error.reason})") from None
