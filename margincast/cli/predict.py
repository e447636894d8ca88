"""``margincast predict``: the probability of a call, for one account or a million."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from margincast.cli.app import app
from margincast.cli.options import Accounts, AsJson, At, Bar, Market, Model, Out, Registry, Venue

if TYPE_CHECKING:
    from margincast.cli.batch import Answer
    from margincast.cli.inputs import Chunk
    from margincast.cli.markets import MarketWindow
    from models.market import MarketPanel
    from models.predictor.explain import Explanation
    from models.predictor.fallback import Fallback
    from serving.model_source import Model as LoadedModel

__all__ = ["model_window", "predict", "prediction_answers"]


@app.command(epilog="Example: margincast predict accounts.jsonl --market ./market --out calls.parquet")
def predict(
    accounts: Accounts, market: Market, model: Model = "models:/margincast@champion", at: At = None, out: Out = None,
    as_json: AsJson = False, bar: Bar = "1h", venue: Venue = "binance", registry: Registry = None,
    threads: Annotated[int, typer.Option("--threads", help="Chunks of accounts at the same time.", min=1)] = 2,
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
) -> None:  # fmt: skip
    """P(call), P(liquidation), the prior, size and time of a call, one row for each account and horizon.

    Accounts stream through in chunks, so memory does not grow with their number. Accounts that cannot be answered are
    listed in a file beside --out, by line and reason. With --explain the columns explain_* add up from the logit of the
    prior to that of P(call).
    """
    from margincast.cli.batch import run_batch
    from margincast.cli.inputs import instant, open_model, read_books
    from models.predictor.fallback import Fallback

    when = instant("--at", at)
    loaded = open_model(model, registry)
    window = model_window(loaded, market, bar, venue, when)
    answer = prediction_answers(loaded, explain, Fallback(most_missing, most_stale))
    run_batch("Predictions", read_books(accounts, window, when), answer, out, as_json, threads=threads)


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


def explained(found: Explanation | None) -> dict[str, Any]:
    """Give the columns of an explanation.

    Parameters
    ----------
    found : Explanation or None
        Of n accounts.

    Returns
    -------
    dict of str to ndarray, shape (n * 4,)
        ``explain_prior``, the logit of the prior, then a column a part; nothing where there is no explanation.
    """
    from models.predictor.explain import PARTS

    if found is None:
        return {}
    parts = {f"explain_{name}": found.parts[:, :, i].ravel() for i, name in enumerate(PARTS)}
    return {"explain_prior": found.prior.ravel(), **parts}


def prediction_answers(
    model: LoadedModel, explain: bool = False, fallback: Fallback | None = None
) -> Callable[[Chunk], Answer]:
    """Make the function that answers a chunk.

    Parameters
    ----------
    model : Model
        The model; the prior is fitted on the chunk's market where it has none.
    explain : bool
        Whether columns say why P(call) differs from the prior.
    fallback : Fallback, optional
        When the prior answers in place of the model.

    Returns
    -------
    callable
        From a chunk to columns with a row for each account and horizon.
    """
    from functools import lru_cache

    import numpy as np

    from features.answer import BIT, flag_names, source_of
    from features.build import FEATURE_NAMES
    from features.forecast import forecast
    from margincast.cli.batch import Answer, stamps
    from margincast.cli.moments import priced
    from models.prior import PriorModel
    from models.typing import HORIZONS

    width = len(HORIZONS)

    @lru_cache(maxsize=1)
    def physics(panel: MarketPanel) -> PriorModel:
        return PriorModel.fit(panel) if model.predictor is None else model.predictor.prior

    def answer(chunk: Chunk) -> Answer:
        good = priced(chunk)[0]
        n = len(good.book)
        seen = forecast(
            good.book,
            good.panel,
            model.predictor,
            physics(good.panel),
            num_threads=1,
            explain=explain,
            fallback=fallback,
        )

        def said(words: Callable[[int], str]) -> Any:
            """Turn the flags of each account into words, for each of its rows."""
            known = {bits: words(bits) for bits in np.unique(seen.flags).tolist()}
            return np.repeat(np.array([*(known[bits] for bits in seen.flags.tolist()), ""], object)[:-1], width)

        odd = [";".join(FEATURE_NAMES[i] for i in row if i >= 0) for row in seen.unusual.tolist()]
        columns = {
            "account_id": np.repeat(good.book.account_id, width),
            "as_of": stamps(np.repeat(good.book.as_of, width)),
            "horizon_minutes": np.tile(np.array(HORIZONS, np.int32), n),
            **{name: values.ravel() for name, values in seen.figures().items()},
            **explained(seen.explanation),
            "model_version": np.full(n * width, model.version, object),
            "flags": said(lambda bits: ";".join(flag_names(bits))),
            "source": said(lambda bits: source_of(bits)[0]),
            "source_reason": said(lambda bits: ";".join(source_of(bits)[1])),
            "novel": np.repeat((seen.flags & BIT["novel"]) != 0, width),
            "unusual": np.repeat(np.array([*odd, ""], object)[:-1], width),
        }
        return Answer(columns, n, good.failures)

    return answer
