"""One retraining from end to end; every stage that has ended is left out when it is taken up again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from features.market import market_features
from features.sources.folders import folder_digest, replace_folder
from models.errors import InputError, ModelError
from models.market import MarketPanel
from models.predictor.predictor import MarginCallPredictor
from models.prior import PriorModel
from models.typing import DAY_NS
from training.build import MarketColumns
from training.dataset import fingerprint
from training.evaluate.report import plain
from training.pipeline import save_training, train_dataset
from training.registry import RETRAIN, Registered, Registry
from training.retrain.chunks import Chunks, months_between, panel_digest, rules_digest
from training.retrain.evidence import Shown, gather
from training.retrain.gate import Check, Decision, Gate, decide
from training.retrain.journal import Journal
from training.retrain.parity import served_gap
from training.retrain.period import Period, period_of
from training.retrain.triggers import Reason, Triggers, due
from training.settings import Stage, TrainSettings, say, stage
from training.splits import PURGE_NS

__all__ = ["STAGES", "Outcome", "RetrainSettings", "Retraining", "retrain"]

Spoil = Callable[[MarginCallPredictor], MarginCallPredictor]
Outcome = Literal["promoted", "kept", "not due", "no data"]
STAGES: Final = ("rows", "challenger", "judged", "registered", "promoted", "exported")
"""What a run does, in order; each is written down when it has ended."""


@dataclass(frozen=True, slots=True)
class RetrainSettings:
    """How a retraining is made.

    Parameters
    ----------
    train : TrainSettings
        Ruleset, sampling, build and trees.
    judged_days : int
        Length of the newest matured period on which champion and challenger are judged, in [21, 730].
    judged_every_minutes, judged_per_instant : int
        Minutes between two instants judged, and accounts of each, both at least 1: many more than are trained on, as
        accounts are cheap to judge and a quarter of a year has few calls.
    window_days : int
        Length of the training period before it, in [60, 7300].
    prior_days : int
        The prior is fitted anew every so many days, in [1, 365]; between two fits a night builds only new months.
    expire_days : float
        Days after the end of its training data at which a model says that it has expired; 0: never. In [0, 3650].
    gate : Gate
        What a challenger must show.
    triggers : Triggers
        When a retraining is due.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    train: TrainSettings = field(default_factory=TrainSettings)
    judged_days: int = 90
    judged_every_minutes: int = 180
    judged_per_instant: int = 40
    window_days: int = 1460
    prior_days: int = 30
    expire_days: float = 365.0
    gate: Gate = field(default_factory=Gate)
    triggers: Triggers = field(default_factory=Triggers)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("judged_days", 21, 730), ("window_days", 60, 7300), ("prior_days", 1, 365), ("expire_days", 0, 3650),
            ("judged_every_minutes", 1, 10**6), ("judged_per_instant", 1, 10**6),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise InputError(name, getattr(self, name), f"{low} to {high}")


@dataclass(frozen=True, slots=True, eq=False)
class Retraining:
    """What a retraining did.

    Parameters
    ----------
    outcome : {"promoted", "kept", "not due", "no data"}
        How it ended.
    reasons : tuple of Reason
        What made it due, or not.
    decision : Decision or None
        What the gate said.
    registered : Registered or None
        The challenger in the registry.
    folder : Path
        What the run left: challenger, stages, decision.
    summary : dict
        All numbers, for JSON.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...]
    decision: Decision | None
    registered: Registered | None
    folder: Path
    summary: dict[str, Any]


def retrain(
    panel: MarketPanel,
    registry: Registry,
    work: str | Path,
    settings: RetrainSettings | None = None,
    force: bool = False,
    export: str | Path | None = None,
    progress: Stage | None = None,
    spoil: Spoil | None = None,
    columns: MarketColumns = market_features,
) -> Retraining:
    """Train a challenger, hold it against the gate, and promote it or not.

    Parameters
    ----------
    panel : MarketPanel
        All bars known.
    registry : Registry
        Champion and challenger.
    work : str or Path
        Folder of rows and runs, kept between nights.
    settings : RetrainSettings, optional
        Settings.
    force : bool
        Whether to train although no trigger is pulled.
    export : str or Path, optional
        Folder that always holds the bundle of the champion; replaced whole.
    progress : callable, optional
        Called with (stage, done, in all).
    spoil : callable, optional
        Changes the challenger; for tests of the gate.
    columns : callable, optional
        Market features of a panel; for tests that plant a leak.

    Returns
    -------
    Retraining
        What was done. The same inputs give the same run: one that was killed is taken up where it stood, one that had
        ended is not done again.
    """
    chosen = settings or RetrainSettings()
    folder = Path(work)
    times = period_of(panel, chosen.judged_days, chosen.window_days, chosen.prior_days, chosen.train.warmup_days)
    if times is None:
        return Retraining("no data", (), None, None, folder, {"outcome": "no data", "bars": panel.n_bars})
    run = _Run(panel, registry, folder, chosen, times, progress, columns)
    if not force:
        reasons = run.due()
        if reasons and not any(reason.pulled for reason in reasons):
            summary = {"outcome": "not due", "triggers": [asdict(reason) for reason in reasons]}
            return Retraining("not due", tuple(reasons), None, None, folder, summary)
    return run.whole(export, spoil)


@dataclass(slots=True)
class _Run:
    panel: MarketPanel
    registry: Registry
    work: Path
    settings: RetrainSettings
    times: Period
    progress: Stage | None
    columns: MarketColumns = market_features
    _prior: PriorModel | None = None
    _reasons: tuple[Reason, ...] = ()

    def prior(self) -> PriorModel:
        """The prior of the challenger; it has seen nothing of the period judged."""
        if self._prior is None:
            say(self.progress, "prior", 0, 1)
            self._prior = PriorModel.fit(self.panel, self.times.prior, paths=self.settings.train.build.paths)
            say(self.progress, "prior", 1, 1)
        return self._prior

    def champion(self) -> MarginCallPredictor | None:
        """The model that answers now."""
        try:
            return self.registry.load("champion")
        except ModelError:
            return None

    def chunks(self, prior: PriorModel) -> Chunks:
        """Rows to train on, as a model with this prior sees them."""
        return Chunks(self.work / "rows", self.panel, prior, self.settings.train, self.columns)

    def judging(self, prior: PriorModel) -> Chunks:
        """Rows to judge on, as a model with this prior sees them."""
        chosen = self.settings
        dense = replace(chosen.train, every_minutes=chosen.judged_every_minutes, per_instant=chosen.judged_per_instant)
        return Chunks(self.work / "rows", self.panel, prior, dense, self.columns)

    def shown(self, predictor: MarginCallPredictor) -> Shown:
        """A model with the rows judged, as it sees them."""
        rows = self.judging(predictor.prior).rows(
            self.times.judged, self.times.until, self.settings.train.seed + 1, False
        )
        return Shown(predictor, rows)

    def due(self) -> list[Reason]:
        """What the triggers see; nothing where there is no champion."""
        champion = self.champion()
        if champion is None:
            return []
        shown = self.shown(champion)
        try:
            newest = self.judging(champion.prior).rows(
                self.times.until, self.times.end, self.settings.train.seed + 1, False
            )
        except InputError:
            newest = None
        found = due(shown, newest, self.times.end, rules_digest(), self.settings.triggers)
        self._reasons = tuple(found)
        return found

    def key(self) -> str:
        """Name of the run: another one as soon as anything that it depends on changes."""
        about = (asdict(self.settings), panel_digest(self.panel), rules_digest(), asdict(self.times))
        return fingerprint(*about)[:16]

    def whole(self, export: str | Path | None, spoil: Spoil | None) -> Retraining:
        """Do all stages, those that have ended left out."""
        key = self.key()
        journal = Journal(self.work / "runs" / key)
        begun = journal.get("begun")
        if begun is None:
            champion = self.champion()
            begun = {"champion": "" if champion is None else champion.version.rpartition("/")[2]}
            journal.done("begun", **begun)
        before = begun["champion"]
        beside = self.registry.load(before) if before else None
        challenger = self._challenger(journal, spoil)
        seen, decision = self._judged(journal, challenger, beside)
        registered = self._registered(journal, key, challenger, seen, decision)
        if decision.promote:
            self._promoted(journal, registered.version)
            if export is not None:
                self._exported(journal, registered.version, Path(export))
        outcome: Outcome = "promoted" if decision.promote else "kept"
        summary = self._summary(journal, outcome, before, seen, decision, registered)
        journal.done("ended", **summary)
        return Retraining(outcome, self._reasons, decision, registered, journal.folder, summary)

    def _challenger(self, journal: Journal, spoil: Spoil | None) -> MarginCallPredictor:
        folder = journal.folder / "challenger"
        if journal.get("challenger") is not None:
            return MarginCallPredictor.load(folder)
        train, times = self.settings.train, self.times
        prior = self.prior()
        told = stage(self.progress, "rows")
        rows = self.chunks(prior).rows(times.first, times.judged - PURGE_NS, train.seed, False, told)
        journal.done("rows", pairs=len(rows), fingerprint=rows.fingerprint)
        trained = train_dataset(rows, prior, times.first, times.judged, train, self.progress)
        about = {**trained.predictor.metadata, "rules_digest": rules_digest(), "trained_until": times.judged}
        predictor = replace(trained.predictor, metadata=about)
        if self.settings.expire_days:
            predictor = predictor.expiring(times.judged + int(self.settings.expire_days * DAY_NS))
        predictor = predictor if spoil is None else spoil(predictor)
        say(self.progress, "challenger", 0, 1)
        scratch = folder.with_name("challenger.part")
        shutil.rmtree(scratch, ignore_errors=True)
        save_training(replace(trained, predictor=predictor), scratch)
        replace_folder(scratch, folder, move=True)
        journal.done("challenger", bundle=folder_digest(folder), **plain(trained.summary))
        say(self.progress, "challenger", 1, 1)
        return MarginCallPredictor.load(folder)

    def _judged(
        self, journal: Journal, challenger: MarginCallPredictor, beside: MarginCallPredictor | None
    ) -> tuple[dict[str, Any], Decision]:
        found = journal.get("judged")
        if found is None:
            say(self.progress, "judged", 0, 1)
            champion = None if beside is None else self.shown(beside)
            own = self.shown(challenger)
            seen = gather(own, champion, self.panel, self.times.end)
            seen = replace(seen, served_gap=self._served_gap(own))
            decision = decide(seen, self.settings.gate)
            found = plain(
                {"evidence": asdict(seen), "promote": decision.promote, "checks": [asdict(c) for c in decision.checks]}
            )
            journal.done("judged", **found)
            say(self.progress, "judged", 1, 1)
        checks = tuple(Check(c["name"], c["passed"], _number(c["found"]), c["words"]) for c in found["checks"])
        return dict(found["evidence"]), Decision(bool(found["promote"]), checks)

    def _served_gap(self, own: Shown) -> float:
        first, last = months_between(self.times.judged, self.times.until)[0]
        people = self.judging(own.predictor.prior).accounts(first, last, self.settings.train.seed + 1)
        return 0.0 if people is None else served_gap(own, self.panel, people)

    def _registered(
        self, journal: Journal, key: str, challenger: MarginCallPredictor, seen: dict[str, Any], decision: Decision
    ) -> Registered:
        found = journal.get("registered")
        if found is not None:
            return Registered(**found)
        say(self.progress, "registered", 0, 1)
        known = self.registry.logged(key)
        if known is None:
            parameters = {"retrain_key": key, **asdict(self.times)}
            data = str(challenger.metadata.get("data_fingerprint", ""))
            gate = {check.name: float(check.passed) for check in decision.checks}
            told = [asdict(check) for check in decision.checks]
            files = {"decision.json": json.dumps(plain({"promote": decision.promote, "checks": told}), indent=2)}
            known = self.registry.log(
                challenger, parameters, {"gate": gate, "evidence": seen}, data, "challenger",
                run_name=f"retrain-{key}", files=files, tags={RETRAIN: key},
            )  # fmt: skip
        journal.done("registered", **asdict(known))
        say(self.progress, "registered", 1, 1)
        return known

    def _promoted(self, journal: Journal, version: str) -> None:
        if journal.get("promoted") is None:
            say(self.progress, "promoted", 0, 1)
            journal.done("promoted", version=version, before=self.registry.promote(version))
            say(self.progress, "promoted", 1, 1)

    def _exported(self, journal: Journal, version: str, folder: Path) -> None:
        if journal.get("exported") is None:
            say(self.progress, "exported", 0, 1)
            replace_folder(self.registry.fetch(version), folder)
            journal.done("exported", folder=str(folder))
            say(self.progress, "exported", 1, 1)

    def _summary(
        self, journal: Journal, outcome: Outcome, before: str, seen: Mapping[str, Any],
        decision: Decision, registered: Registered,
    ) -> dict[str, Any]:  # fmt: skip
        summary: dict[str, Any] = plain(
            {
                "outcome": outcome,
                "run": journal.folder.name,
                "challenger": f"{registered.name}/{registered.version}",
                "bundle": (journal.get("challenger") or {}).get("bundle"),
                "champion_before": before,
                "times": asdict(self.times),
                "triggers": [asdict(reason) for reason in self._reasons],
                "checks": [asdict(check) for check in decision.checks],
                "evidence": dict(seen),
            }
        )
        return summary


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
