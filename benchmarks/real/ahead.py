"""What the predictor said before the liquidations, with a model that has seen nothing of that time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.real.accounts import Snapshots, snapshots
from benchmarks.real.engine import minutes_to_event, quantiles
from benchmarks.real.ranking import Ranking, expected_over_observed, rank
from benchmarks.real.records import Records
from features.forecast import Forecast, forecast
from features.sources import load_panel
from models.margin.levels import STATES, margin_levels
from models.market import MarketPanel
from models.predictor.predictor import MarginCallPredictor
from models.typing import HORIZONS, HOUR_NS, BoolArray, FloatArray, IntArray

ASSETS: Final = ("BTC", "ETH", "LTC", "ADA", "XRP", "SOL", "DOGE", "BNB")
"""Coins with hourly bars in early 2023: five with mark prices, three with spot prices only."""
START, TRAIN_END, END = "2020-01-01", "2023-02-15", "2023-05-03"
PER_INSTANT: Final = 25
SEED: Final = 7
QUIET_MINUTES: Final = 1440.0


def load_hourly(root: str | Path) -> MarketPanel:
    """Hourly bars of the coins, from 2020 to the last fill."""
    return load_panel(root, ASSETS, "1h", START, END)


def trained(panel: MarketPanel, folder: Path | None) -> tuple[MarginCallPredictor, dict[str, Any]]:
    """Load the model in the folder, or train one on what is before `TRAIN_END`, and keep it there."""
    from training.pipeline import TrainSettings, train

    if folder is not None and (folder / "bundle.json").is_file():
        model = MarginCallPredictor.load(folder)
    else:
        settings = TrainSettings(per_instant=PER_INSTANT, seed=SEED, baselines=False)
        model = train(panel, START, TRAIN_END, settings).predictor
        if folder is not None:
            model.save(folder)
    if model.prior.fitted_until > np.datetime64(TRAIN_END, "ns").astype(np.int64):
        raise ValueError(f"--model: expected a model trained on data before {TRAIN_END}, was {model.version}")
    return model, dict(model.metadata)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Forecasts for n states.

    Parameters
    ----------
    states : Snapshots
        The accounts.
    model : Forecast
        The predictor's answer.
    physics : Forecast
        The prior's answer.
    burden : ndarray, shape (n,)
        Maintenance / equity at the same prices: the simplest ranking there is; infinite where equity is not positive.
    sound : ndarray of bool, shape (n,)
        Whether the engine does not place the account in liquidation already.
    """

    states: Snapshots
    model: Forecast
    physics: Forecast
    burden: FloatArray
    sound: BoolArray


def look_ahead(states: Snapshots, panel: MarketPanel, model: MarginCallPredictor) -> Outlook:
    """Forecast each state from the last bar that is closed at its instant; every coin must be in the panel."""
    book, failures = states.book(panel.assets)
    if failures:
        raise ValueError(f"states: {failures[0].message}")
    said = forecast(book, panel, model, num_threads=1)
    physics = forecast(book, panel, None, prior=model.prior)
    levels = margin_levels(book, panel.close.T[panel.row_closed(states.time)])
    with np.errstate(divide="ignore", invalid="ignore"):
        burden = np.where(levels.equity > 0, levels.maintenance / levels.equity, np.inf)
    return Outlook(states, said, physics, burden, levels.state != STATES.index("liquidation"))


def with_bars(states: Snapshots, panel: MarketPanel) -> BoolArray:
    """States whose every coin has a bar closed at the instant, shape (n,)."""
    known = np.isin(states.coin.astype(str), panel.assets)
    column = np.array([panel.assets.index(c) if c in panel.assets else 0 for c in states.coin], np.int64)
    bar = panel.row_closed(states.time[states.row])
    return states.every(known & np.isfinite(panel.close[column, bar]))


@dataclass(frozen=True, slots=True)
class HourBefore:
    """The accounts 60 minutes before their liquidation.

    Parameters
    ----------
    counts : dict
        Why liquidations have no forecast.
    outlook : Outlook
        Forecasts of the others.
    event : ndarray of int, shape (n,)
        Their rows in the file of liquidations.
    changed : ndarray of bool, shape (n,)
        Whether the positions or the cash changed within the hour.
    """

    counts: dict[str, int]
    outlook: Outlook
    event: IntArray
    changed: BoolArray


def hour_before(records: Records, panel: MarketPanel, model: MarginCallPredictor) -> HourBefore:
    """Forecast every liquidated account as it stood an hour before."""
    events = records.liquidations
    users, times = events["user"].to_numpy(object), events["time"].to_numpy(np.int64)
    then = snapshots(records, users, times - HOUR_NS, inclusive=True)
    now = snapshots(records, users, times, inclusive=False)
    known = np.isin(users, records.customers)
    empty = known & (then.legs == 0)
    first = records.fills.groupby("user")["time"].min().reindex(users).to_numpy(np.int64)
    new = empty & (first > times - HOUR_NS)
    blind = known & ~empty & ~with_bars(then, panel)
    keep = np.asarray(known & ~empty & ~blind, bool)
    changed = _changed(then, now)
    counts = {
        "events": len(users),
        "no deposit on record": int((~known).sum()),
        "no fill before that hour": int(new.sum()),
        "flat an hour before": int((empty & ~new).sum()),
        "a coin without bars": int(blind.sum()),
        "forecast": int(keep.sum()),
        "changed within the hour, of all": int(changed.sum()),
    }
    outlook = look_ahead(then.take(keep), panel, model)
    return HourBefore(counts, outlook, np.flatnonzero(keep), changed[keep])


def _changed(then: Snapshots, now: Snapshots) -> BoolArray:
    """States that differ in cash or in any position, shape (n,)."""

    def content(states: Snapshots) -> list[tuple[float, dict[str, float]]]:
        held: list[dict[str, float]] = [{} for _ in range(len(states))]
        for row, coin, quantity in zip(states.row, states.coin, states.quantity, strict=True):
            held[row][str(coin)] = float(quantity)
        return list(zip(states.cash.tolist(), held, strict=True))

    return np.array([a != b for a, b in zip(content(then), content(now), strict=True)], bool)


def describe(found: HourBefore) -> dict[str, Any]:
    """Quantiles of what was said an hour before."""
    model, physics = found.outlook.model, found.outlook.physics
    tables = {"p_call": model.p_call, "p_liquidation": model.p_liquidation, "prior": physics.p_liquidation}
    out: dict[str, Any] = dict(found.counts)
    out["positions_or_cash_changed_within_the_hour"] = int(found.changed.sum())
    out["already_in_liquidation_on_these_prices"] = int((~found.outlook.sound).sum())
    for name, table in tables.items():
        out[name] = {str(h): quantiles(table[:, k]) for k, h in enumerate(HORIZONS[:3])}
    return out


def account_hours_study(
    records: Records, hours: Snapshots, panel: MarketPanel, model: MarginCallPredictor, draws: int
) -> dict[str, Any]:
    """Rank all account-hours that can be forecast; count what was expected against what came."""
    priced = hours.take(with_bars(hours, panel))
    outlook = look_ahead(priced, panel, model)
    minutes = minutes_to_event(records, priced)
    out: dict[str, Any] = {
        "account_hours": len(hours),
        "with_bars": len(priced),
        "accounts": len(set(priced.user)),
        "already_in_liquidation": int((~outlook.sound).sum()),
        "accounts_already_in_liquidation": len(set(priced.user[~outlook.sound])),
    }
    out["all"] = _scores(outlook, minutes, np.ones(len(priced), bool), draws)
    out["sound"] = _scores(outlook, minutes, outlook.sound, draws)
    out["same_accounts"] = _same_accounts(outlook, minutes)
    return out


def _scores(outlook: Outlook, minutes: FloatArray, rows: BoolArray, draws: int) -> dict[str, Any]:
    out: dict[str, Any] = {"rows": int(rows.sum())}
    for k, horizon in enumerate(HORIZONS[:3]):
        hit = (minutes <= horizon) & rows
        said, physics = outlook.model.p_liquidation[:, k], outlook.physics.p_liquidation[:, k]
        scores = {"model": said[rows], "prior": physics[rows], "maintenance/equity": outlook.burden[rows]}
        users = outlook.states.user[rows]
        ranking = rank(scores, hit[rows], users, draws)
        ranking["expected/observed model"] = expected_over_observed(said[rows], hit[rows], users, draws)
        ranking["expected/observed prior"] = expected_over_observed(physics[rows], hit[rows], users, draws)
        out[str(horizon)] = {
            "rows_before_an_event": int(hit.sum()),
            "events": _events(outlook.states, minutes, hit),
            "expected_rows": {"model": float(said[rows].sum()), "prior": float(physics[rows].sum())},
            **_plain(ranking),
        }
    # at least an hour of warning: liquidated in the hour after next
    late = (minutes > 60) & (minutes <= 120) & rows
    use = rows & ~(minutes <= 60)
    scores = {
        "model": outlook.model.p_liquidation[use, 1],
        "prior": outlook.physics.p_liquidation[use, 1],
        "maintenance/equity": outlook.burden[use],
    }
    out["next_but_one"] = {
        "rows_before_an_event": int(late.sum()),
        **_plain(rank(scores, late[use], outlook.states.user[use], draws)),
    }
    return out


def _events(states: Snapshots, minutes: FloatArray, hit: BoolArray) -> int:
    """Distinct liquidations behind the rows."""
    at = states.time[hit] + np.round(minutes[hit] * (HOUR_NS / 60) / 1e9).astype(np.int64) * 1_000_000_000
    return len(set(zip(states.user[hit], at.tolist(), strict=True)))


def _plain(ranking: Ranking) -> dict[str, Any]:
    return {name: {"value": v, "low": lo, "high": hi} for name, (v, lo, hi) in ranking.items()}


def _same_accounts(outlook: Outlook, minutes: FloatArray) -> dict[str, Any]:
    """The hour before a liquidation against the quiet hours (none within a day) of the accounts that had one."""
    sound = outlook.sound
    struck = set(outlook.states.user[(minutes <= 60) & sound])
    same = np.array([u in struck for u in outlook.states.user], bool) & sound
    groups = {"hour_before": same & (minutes <= 60), "quiet": same & (minutes > QUIET_MINUTES)}
    out: dict[str, Any] = {"accounts": len(struck)}
    for name, rows in groups.items():
        p = {str(h): quantiles(outlook.model.p_liquidation[rows, k]) for k, h in enumerate(HORIZONS[:3])}
        out[name] = {"rows": int(rows.sum()), "p_liquidation": p}
    return out
