"""``margincast replay --policy``: what rules would have done with the collateral of a desk, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from margincast.cli.books import read_all
from margincast.cli.console import emit_json, note, show_rows, solver_on_stderr
from margincast.cli.inputs import names, open_model

if TYPE_CHECKING:
    from models.account import Account
    from models.errors import Failure
    from models.prior import PriorModel
    from models.rebalance.replaying.rules import Rule
    from serving.model_source import Model
    from training.replay.stage import Setting
    from training.replay.study import Study

__all__ = ["replay_rules"]

MOST = 100_000
PATHS = 1024
SECONDS = 2.0
"""Of the solver, for one joint plan."""
SHOWN = (
    "rule", "knob", "width", "called", "liquidated", "spent", "losses", "total", "regret", "idle_share",
    "moves_per_day", "refused", "worsened", "broken",
)  # fmt: skip
COMPARED = (
    "name", "knob", "spent", "liquidated", "fewer", "fewer_low", "fewer_high", "cheaper", "cheaper_low",
    "cheaper_high",
)  # fmt: skip


def replay_rules(
    accounts: Path,
    market: Path,
    policy: Path,
    model: str,
    registry: Path | None,
    span: tuple[int | None, int | None],
    at: int | None,
    setting: Setting,
    rules: str | None,
    out: Path | None,
    as_json: bool,
    bar: str,
    venue: str,
) -> None:
    """Run rules on accounts and print what became of them.

    Parameters
    ----------
    accounts, market, policy : Path
        Accounts, market data, policy file.
    model : str
        Model reference; ``prior``: the physics, fitted on the bars before the first account.
    registry : Path or None
        MLflow home.
    span : tuple of (int or None, int or None)
        First and last instant of accounts that take part, nanoseconds.
    at : int or None
        Instant that replaces the accounts' own.
    setting : Setting
        How often is decided, for how long each account is watched, and the seed.
    rules : str or None
        Families with commas, ``desk``, ``worth`` and ``recommend`` for joint plans; all but these where None.
    out : Path or None
        Table of results: .csv, .jsonl or .parquet.
    as_json : bool
        Whether to print JSON.
    bar, venue : str
        As in the file names of the market.

    Raises
    ------
    InputError
        If the file has no account that can be replayed, or the model knew what followed.
    """
    from features.policy import load_policy
    from features.sources.tables import TableWriter
    from margincast.cli.stages import stages
    from training.replay.desks import DESK_TARGETS, WORTH_KNOBS, desk_rules, recommend_rules, worth_rules
    from training.replay.stage import build_stage
    from training.replay.study import FAMILIES, rules_of, study

    families = names(rules) or FAMILIES
    single = [family for family in families if family not in ("desk", "worth", "recommend")]
    chosen, terms = rules_of(single), load_policy(policy)
    loaded = open_model(model, registry)
    with stages() as report, solver_on_stderr():
        read, panel, failures = _read(accounts, market, loaded, span, at, bar, venue)
        prior = _prior(loaded, panel, read, model)
        built = build_stage(read, panel, terms, prior, loaded.predictor, setting, report)
        joint: list[Rule] = [*desk_rules(built, DESK_TARGETS, SECONDS)] if "desk" in families else []
        joint += worth_rules(built, WORTH_KNOBS, SECONDS) if "worth" in families else []
        joint += recommend_rules(built, WORTH_KNOBS, SECONDS) if "recommend" in families else []
        found = study(built.stage, built.accounts, [*chosen, *joint], report)
    for failure in [*failures, *built.failures]:
        note(f"left out: {failure.account_id or f'line {failure.row}'}: {failure.message}")
    if out is not None:
        rows = found.rows()
        with TableWriter(out) as table:
            table.write({name: np.array([row[name] for row in rows]) for name in rows[0]})
    if as_json:
        emit_json(_answer(found, len(failures) + len(built.failures)))
    else:
        _show(found)


def _read(
    accounts: Path,
    market: Path,
    model: Model,
    span: tuple[int | None, int | None],
    at: int | None,
    bar: str,
    venue: str,
) -> tuple[list[Account], Any, list[Failure]]:
    """Accounts of the span, the market that they need, and the lines that are no accounts."""
    from features.sources.account_tables import accounts_of
    from margincast.cli.predict import model_window
    from models.errors import InputError

    window = model_window(model, market, bar, venue, None)
    whole = read_all(accounts, MOST, at)
    read = accounts_of(*whole.columns)
    kept = [a for a in read if _inside(int(a.as_of.timestamp()) * 1_000_000_000, span)]
    if not kept:
        raise InputError("ACCOUNTS", len(read), "accounts from --from to --to")
    return kept, window.panel_for(whole), list(whole.failures)


def _inside(when: int, span: tuple[int | None, int | None]) -> bool:
    first, last = span
    return (first is None or when >= first) and (last is None or when <= last)


def _prior(model: Model, panel: Any, accounts: Sequence[Account], reference: str) -> PriorModel:
    """The physics as it was known before the first account; a model that was fitted later is refused."""
    from features.sources.times import iso
    from models.errors import InputError
    from models.prior import PriorModel

    first = min(int(a.as_of.timestamp()) * 1_000_000_000 for a in accounts)
    if model.predictor is None:
        return PriorModel.fit(panel, until=first, paths=PATHS)
    prior = model.predictor.prior
    if prior.fitted_until > first:
        until = iso(prior.fitted_until)
        raise InputError("--model", reference, f"a model fitted before the first account at {iso(first)}, not {until}")
    return prior


def _answer(found: Study, left_out: int) -> dict[str, Any]:
    return {
        "accounts": found.accounts,
        "left_out": left_out,
        "account_days": found.account_days,
        "days": found.days,
        "rules": found.rows(),
        "against_plan": found.compared(),
    }


def _show(found: Study) -> None:
    at_once = found.account_days / max(found.days, 1e-9)
    title = f"{found.accounts} accounts, {at_once:.0f} at a time, over {found.days:.0f} days; dollars"
    show_rows(title, [{name: row[name] for name in SHOWN} for row in found.rows()], False)
    compared = [{name: row[name] for name in COMPARED} for row in found.compared()]
    if compared:
        show_rows(
            "Against the curve of the plan: fewer liquidations at equal cost, dollars saved at as many", compared, False
        )
