"""``margincast demo``: the whole job on a simulated market."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from margincast.cli.app import app
from margincast.cli.console import money, note, percent, stdout
from margincast.cli.options import Ruleset, Seed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from models.account import Account
    from models.market import MarketPanel
    from models.rebalance import Recommendation
    from training.pipeline import Training, TrainSettings

__all__ = ["demo"]

RULESET = "binance-usdm"
TEST_DAYS = 240
TARGET = "0.01@1440"


@dataclass(frozen=True, slots=True)
class _Desk:
    """The accounts of the demo, what is predicted for them, and what would save those at risk."""

    rows: list[dict[str, Any]]
    plans: list[Recommendation]


@app.command(
    epilog="Example: margincast demo --out ./demo-output --seed 7\n\n"
    "Example: margincast demo --ruleset mixed --out ./demo-of-every-regime"
)
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the market, the model and the answers.")] = Path(
        "demo-output"
    ),
    seed: Seed = 7,
    ruleset: Ruleset = RULESET,
    days: Annotated[int, typer.Option("--days", help="Length of the simulated market.", min=500)] = 1095,
    per_instant: Annotated[int, typer.Option("--per-instant", help="Accounts sampled at each instant.", min=5)] = 12,
    accounts: Annotated[int, typer.Option("--accounts", help="Accounts of the desk.", min=10)] = 200,
    top: Annotated[int, typer.Option("--top", help="Accounts to show.", min=1)] = 8,
    svg: Annotated[Path | None, typer.Option("--svg", help="Also save what is printed as a picture.")] = None,
) -> None:
    """Build, train, evaluate, predict and recommend on a SIMULATED market; nothing is read from outside."""
    from margincast.cli.stages import stages
    from models.typing import DAY_NS
    from training.evaluate.report import write_metrics
    from training.pipeline import evaluate, save_training, train
    from training.report import write_report

    console = stdout()
    if svg is not None:
        console = _recording(console)
    console.print("[bold reverse] SIMULATED MARKET [/] no number below says anything about a real one")
    with stages() as report:
        panel = _market(out, days, seed)
        until = panel.end - TEST_DAYS * DAY_NS
        settings = _settings(ruleset, per_instant, seed)
        trained = train(panel, None, until, settings, progress=report)
        scored = evaluate(panel, trained.predictor, until, None, trained.baselines, settings, progress=report)
    save_training(trained, out / "model", scored.metrics)
    write_metrics(scored.metrics, out / "metrics.json")
    write_report(scored, panel, trained.predictor, out / "report")
    desk = _desk(panel, trained, out, ruleset, accounts, top, seed)
    console.print(_risk_table(desk, panel))
    console.print(_plan_table(desk))
    _quality(console, scored.metrics)
    if svg is not None:
        svg.write_text(_picture(console.export_svg(title="margincast demo (simulated market)")), encoding="utf-8")
    note(_next_steps(out))


def _picture(svg: str) -> str:
    """Leave out the fonts that rich would load from a public host: the reader's own monospace will do."""
    import re

    return re.sub(r"@font-face\s*\{.*?\}\s*", "", svg, flags=re.DOTALL)


def _settings(ruleset: str, per_instant: int, seed: int) -> TrainSettings:
    """A training that is quick rather than the best: fewer instants and paths, a shorter warm-up."""
    from training.build import BuildSettings
    from training.fit import FitParameters
    from training.pipeline import TrainSettings

    build, fit = BuildSettings(paths=1024), FitParameters(seed=seed)
    return TrainSettings(ruleset, 660, per_instant, seed, warmup_days=120, build=build, fit=fit)


def _market(out: Path, days: int, seed: int) -> MarketPanel:
    import shutil

    from features.sources import load_panel, simulate_market, write_panel

    folder = out / "market"
    if folder.is_dir():
        shutil.rmtree(folder)
    write_panel(simulate_market(days=days, seed=seed), folder)
    return load_panel(folder)


def _desk(panel: MarketPanel, trained: Training, out: Path, ruleset: str, count: int, top: int, seed: int) -> _Desk:
    """Sample accounts as of the last bar, predict for all, recommend for those most at risk."""
    import time

    import numpy as np

    from features.sources import write_table
    from features.sources.account_tables import accounts_of
    from features.sources.accounts import write_account_columns
    from margincast.cli.books import Chunk
    from margincast.cli.moments import snapshot_prices, valued_at
    from margincast.cli.predictions import Told, prediction_answers
    from margincast.cli.recommend import plan_columns
    from models.book import Book
    from models.margin.levels import margin_levels
    from models.rebalance import Policy, parse_target
    from serving.decode import Accounts
    from serving.engine import Engine
    from serving.model_source import load_model
    from training.accounts import draw_accounts

    people = draw_accounts(panel, ruleset, np.array([panel.end]), count, seed + 2)
    write_account_columns(out / "accounts.jsonl", people.accounts, people.positions, people.collateral)
    model = load_model(str(out / "model"))
    book, _ = Book.from_columns(people.accounts, people.positions, people.collateral, panel.assets)
    columns = prediction_answers(Told(model))(Chunk(book, np.arange(len(book)), [], panel)).columns
    write_table(out / "predictions.parquet", columns)
    prices = snapshot_prices(book, panel)[0]
    levels = margin_levels(valued_at(book, prices, panel), prices)
    p = np.asarray(columns["p_call"]).reshape(len(book), -1)
    worst = np.argsort(-p[:, 2], kind="stable")[:top]
    values = accounts_of(people.accounts, people.positions, people.collateral)
    chosen = [values[i] for i in worst]
    engine = Engine(panel, model, time.time_ns)
    plans = engine.recommend(
        Accounts(chosen, list(range(top)), [], False), parse_target(TARGET), Policy()
    ).recommendations
    write_table(out / "plans.jsonl", plan_columns(plans))
    amount = np.asarray(columns["call_amount_q50"]).reshape(len(book), -1)
    rows = [
        {
            "account": values[i].account_id,
            "positions": _holdings(values[i]),
            "equity": levels.equity[i],
            "call at": levels.call[i],
            "p": p[i],
            "amount": amount[i, 2],
        }
        for i in worst.tolist()
    ]
    return _Desk(rows, plans)


def _holdings(account: Account) -> str:
    """What an account holds, shortly: its positions, or its balances where it has none."""
    if not account.positions:
        return ", ".join(f"{c.quantity:+.4g} {c.asset}" for c in account.collateral)
    options = sum("-C" in q.symbol or "-P" in q.symbol for q in account.positions)
    rest = [q for q in account.positions if not ("-C" in q.symbol or "-P" in q.symbol)]
    words = [f"{options} option{'s' if options > 1 else ''}"] if options else []
    return ", ".join([*words, *(f"{q.quantity:+.4g} {q.symbol.partition('/')[0]}" for q in rest)])


def _risk_table(desk: _Desk, panel: MarketPanel) -> Table:
    from rich.table import Table

    from features.sources.times import iso

    table = Table(title=f"The accounts most at risk, as of {iso(panel.end)}", title_justify="left", header_style="bold")
    for name in ("account", "positions"):
        table.add_column(name)
    for name in ("equity", "call below", "P(call) 1 h", "4 h", "24 h", "72 h", "typical call"):
        table.add_column(name, justify="right")
    for row in desk.rows:
        shown = [percent(float(value)) for value in row["p"]]
        shown[2] = f"[bold red]{shown[2]}[/]" if row["p"][2] > 0.1 else shown[2]
        cells = (money(row["equity"]), money(row["call at"]), *shown, money(row["amount"]))
        table.add_row(row["account"], row["positions"], *cells)
    return table


def _plan_table(desk: _Desk) -> Table:
    from rich.table import Table

    title = f"What would save each: the cheapest single action that brings P(call within a day) to {percent(0.01)}"
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in ("account", "cheapest action", "or"):
        table.add_column(name)
    table.add_column("start within", justify="right")
    for result in desk.plans:
        words = [plan.sentence.partition(": P(call")[0] for plan in result.plans]
        first = words[0] if words else "no single action is enough"
        minutes = result.last_safe_minute
        start = "-" if minutes is None else f"{minutes:,.0f} min"
        table.add_row(result.account_id, first, words[1] if len(words) > 1 else "", start)
    return table


def _quality(console: Console, metrics: dict[str, Any]) -> None:
    from training.evaluate.table import baseline_table, horizon_table, regime_table

    console.print(horizon_table(metrics, f"How good it is: the last {TEST_DAYS} days, not trained on"))
    console.print(baseline_table(metrics, "Beside every baseline (log loss, all horizons together: lower is better)"))
    if metrics["regimes"]:
        console.print(regime_table(metrics, "By margin regime (log loss, all horizons together)"))
    skill = metrics["skill_vs_prior"]["pooled"]
    verdict = "better than" if skill["low"] > 0 else "worse than" if skill["high"] < 0 else "not told apart from"
    console.print(
        f"In log loss the model is [bold]{verdict}[/] baseline B5: {skill['value']:+.2%}, 95% interval "
        f"{skill['low']:+.2%} to {skill['high']:+.2%}. The market is [bold]simulated[/]."
    )


def _recording(console: Console) -> Console:
    from rich.console import Console

    return Console(record=True, width=min(console.width, 140), highlight=False)


def _next_steps(out: Path) -> str:
    return (
        f"\nwritten to {out}: market/, model/, accounts.jsonl, predictions.parquet, plans.jsonl, metrics.json\n"
        f"open {out}/report/report.html: how good it is, beside every baseline\n"
        f"try: margincast predict {out}/accounts.jsonl --market {out}/market --model {out}/model --out calls.csv\n"
        f"     margincast recommend {out}/accounts.jsonl --market {out}/market --model {out}/model --target 0.01@1440\n"
        f"     margincast serve --market {out}/market --model {out}/model"
    )
