"""``margincast predict``: the probability of a call, for one account or a million."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from margincast.cli.app import app
from margincast.cli.options import Accounts, AsJson, At, Bar, Market, Model, Out, Registry, Venue
from margincast.cli.workers import Processes, Scheduler, open_workers

if TYPE_CHECKING:
    from margincast.cli.markets import MarketWindow
    from serving.model_source import Model as LoadedModel

__all__ = ["model_window", "predict"]


@app.command(epilog="Example: margincast predict accounts.jsonl --market ./market --out calls.parquet")
def predict(
    accounts: Accounts, market: Market, model: Model = "models:/margincast@champion", at: At = None, out: Out = None,
    as_json: AsJson = False, bar: Bar = "1h", venue: Venue = "binance", registry: Registry = None,
    threads: Annotated[int, typer.Option("--threads", help="Chunks at the same time, without workers.", min=1)] = 2,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also why P(call) differs from the prior, part by part, in logits.")
    ] = False,
    most_missing: Annotated[
        float,
        typer.Option("--most-missing", help="Share of missing features beyond which the prior answers.", min=0, max=1),
    ] = 0.2,
    most_stale: Annotated[
        float,
        typer.Option("--most-stale", help="Age of the market in minutes beyond which it does.", min=0, max=10_080),
    ] = 360.0,
    workers: Processes = None, scheduler: Scheduler = None,
) -> None:  # fmt: skip
    """P(call), P(liquidation), the prior, size and time of a call, one row for each account and horizon.

    Accounts stream through in chunks, so memory does not grow with their number. Accounts that cannot be answered are
    listed in a file beside --out, by line and reason. An --out without a suffix is a folder with a parquet file for
    each chunk, which workers encode themselves. With --explain the columns explain_* add up from the logit of the prior
    to that of P(call).
    """
    from features.sources.parts import is_folder
    from features.sources.tables import TABLE_SUFFIXES
    from margincast.cli.batch import run_batch, write_answers
    from margincast.cli.books import read_books
    from margincast.cli.inputs import instant, open_model
    from margincast.cli.predictions import Told, prediction_answers
    from margincast.cli.worker_predictions import Form, answers_of_workers
    from models.predictor.fallback import Fallback

    form: Form = "plain" if out is None else "part" if is_folder(out, TABLE_SUFFIXES) else "arrow"
    when = instant("--at", at)
    with open_workers(workers, scheduler) as crew:
        loaded = open_model(model, registry)
        window = model_window(loaded, market, bar, venue, when)
        told = Told(loaded, explain, Fallback(most_missing, most_stale))
        if crew is None:
            chunks = read_books(accounts, window, when)
            run_batch("Predictions", chunks, prediction_answers(told), out, as_json, threads=threads)
        else:
            write_answers("Predictions", answers_of_workers(accounts, window, when, told, crew, form), out, as_json)


def model_window(model: LoadedModel, root: Path, bar: str, venue: str, end: int | None) -> MarketWindow:
    """Choose what of a market to load for a model.

    Parameters
    ----------
    model : Model
        The features of the whole market are computed over the assets that it was trained on; the prior alone is fitted
        on all of the market's history.
    root : Path
        Folder of the market data.
    bar, venue : str
        As in the file names.
    end : int or None
        Nothing later is read, nanoseconds.

    Returns
    -------
    MarketWindow
        The market.
    """
    from features.market import warmup_bars
    from features.sources.times import bar_minutes
    from margincast.cli.markets import MarketWindow
    from models.margin.dynamic.block import HISTORY_HOURS
    from models.prior import WARMUP_HOURS

    if model.predictor is None:
        return MarketWindow(root, bar, venue, always=None, end=end)
    minutes = bar_minutes(bar)
    days = max(WARMUP_HOURS * 60, warmup_bars(minutes) * minutes, HISTORY_HOURS * 60) // 1440 + 3
    trained = model.predictor.metadata.get("assets", model.predictor.prior.pool.assets)
    return MarketWindow(root, bar, venue, always=trained, days=days, end=end)
