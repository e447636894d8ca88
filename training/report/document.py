"""The document of a model: what it is for, what it rests on, how it is checked, who answers for it.

Its parts are those that supervisors ask of a model: OCC Bulletin 2026-13 (17 April 2026),
issued by the Federal Reserve as SR 26-2. What only the user knows (owner, uses, materiality) is read from a file, and
said to be missing where it is not there.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from features.sources.times import iso
from models.errors import InputError
from models.market import MarketPanel
from models.predictor.predictor import MarginCallPredictor
from training.report.judged import Judged, label_of
from training.report.parts import Cell, Report, Section, Table
from training.report.sections import headline, limits
from training.scoring import Evaluation

__all__ = ["Ownership", "build_document", "load_ownership"]

_MISSING = "not stated: give it in the file of --about"


@dataclass(frozen=True, slots=True)
class Ownership:
    """What only those who use a model can say of it.

    Parameters
    ----------
    owner, validator, approver : str
        Who answers for it, who challenges it, who lets it be used.
    uses : str
        What is decided on its answers.
    materiality : str
        What a wrong answer may cost, and how that was judged.
    next_review : str
        Date of the next review.
    """

    owner: str = ""
    validator: str = ""
    approver: str = ""
    uses: str = ""
    materiality: str = ""
    next_review: str = ""


def load_ownership(path: str | Path) -> Ownership:
    """Read a TOML file with the fields of `Ownership`.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Ownership
        What the file does not name is empty.

    Raises
    ------
    InputError
        If the file is not TOML, or a field is unknown or not a text.
    """
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError("--about", str(path), f"a TOML file ({error})") from None
    known = {f.name for f in fields(Ownership)}
    for name, value in found.items():
        if name not in known or not isinstance(value, str):
            raise InputError(f"about.{name}", value, f"a text, and one of {', '.join(sorted(known))}")
    return Ownership(**found)


def build_document(
    evaluation: Evaluation, panel: MarketPanel, predictor: MarginCallPredictor, about: Ownership
) -> Report:
    """Write the document of a model from its evaluation.

    Parameters
    ----------
    evaluation : Evaluation
        From `training.scoring.evaluate`.
    panel : MarketPanel
        The market it ran on.
    predictor : MarginCallPredictor
        The model.
    about : Ownership
        What only those who use it can say.

    Returns
    -------
    Report
        For `training.report.write_page`.
    """
    judged = Judged(evaluation, panel, predictor)
    found = evaluation.metrics["about"]
    parts = [
        _purpose(about),
        _lineage(judged),
        _design(),
        _benchmarks(judged),
        Section("outcomes", "Outcomes analysis", (*headline(judged), "The report beside this document has the whole.")),
        limits(judged),
        _monitoring(judged, about),
        _practice(),
    ]
    title = f"Model document: margin-call predictor {found['model']}"
    line = f"Evaluated from {iso(found['from'])[:10]} to {iso(found['until'])[:10]} on {found['accounts']:,} accounts"
    missing = [f.name for f in fields(Ownership) if not getattr(about, f.name)]
    warning = f"Not stated yet: {', '.join(missing).replace('_', ' ')}." if missing else ""
    return Report(title, line, _summary(judged), parts, warning)


def _summary(judged: Judged) -> list[str]:
    return [
        "It says how likely a margin account is to be called for collateral within 1, 4, 24 and 72 hours, how large "
        "the "
        "call would be, and when it would come.",
        headline(judged)[0],
    ]


def _purpose(about: Ownership) -> Section:
    rows: list[tuple[Cell, ...]] = [
        (f.name.replace("_", " "), getattr(about, f.name) or _MISSING) for f in fields(Ownership)
    ]
    words = (
        "Purpose: warn of margin calls in time to act, and rank accounts and actions. Not for: setting margin "
        "requirements, pricing, or closing positions without a person. Outside the rulesets and assets it was "
        "trained on "
        "the physics still answers, and the answer says so.",
    )
    table = Table("ownership", "Use, materiality, and who answers for it", ("what", "stated"), tuple(rows), ("", ""))
    return Section("purpose", "Purpose, use and materiality", words, tables=[table])


def _lineage(judged: Judged) -> Section:
    data = judged.predictor.metadata
    names = (
        ("trained_from", "training data from"), ("trained_until", "training data until"), ("ruleset", "accounts"),
        ("data_fingerprint", "fingerprint of the training rows"), ("rules_digest", "digest of the rulesets"),
        ("expires_at", "to be used until"), ("run_id", "MLflow run"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [(words, _known(data.get(key))) for key, words in names]
    rows += [
        ("prior fitted until", iso(judged.predictor.prior.fitted_until)),
        ("assets", ", ".join(judged.panel.assets)),
        ("columns read", str(len(judged.predictor.feature_names))),
        ("trees", str(judged.predictor.booster.num_trees())),
    ]
    words = (
        "Bars of mark prices, funding and, where there is one, an index of implied volatility; accounts sampled or "
        "given; requirements by dated rulesets; outcomes by replaying each account, held still, along the bars that "
        "came.",
    )
    table = Table("lineage", "Where the model comes from", ("what", "value"), tuple(rows), ("", ""))
    return Section("lineage", "Data lineage", words, tables=[table])


def _known(value: object) -> str:
    if isinstance(value, int) and value > 10**15:
        return iso(value)
    return "–" if value is None else str(value)


def _design() -> Section:
    words = (
        "A prior from physics: volatility by a heterogeneous autoregression of realised ranges with a season of the "
        "week; past three-day windows of all assets together, scaled to the volatility forecast now (filtered "
        "historical "
        "simulation); the share of these paths on which the account's own rules say that it is called.",
        "Boosted trees learn what the prior misses: their sum is added to the prior's logit. Probabilities do not "
        "fall with "
        "the horizon nor with leverage. Where inputs are unlike those of the training, trees are drawn back to the "
        "prior; "
        "where they are missing or stale, or the model has expired, the prior answers alone, and the answer says so.",
        "Assumed: the account is held still; the next days move like some past ones, rescaled; a market that trades; "
        "rules as published, with their dates. docs/method.md of the project gives formulas and sources.",
    )
    return Section("design", "Design and assumptions", words)


def _benchmarks(judged: Judged) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for name, part in judged.metrics["baselines"].items():
        seen = part["skill_of_model"]
        rows.append((label_of(name), part["pooled"]["log_loss"], seen["value"], seen["low"], seen["high"]))
    table = Table(
        "benchmarks", "Log loss over all horizons, and what the model saves against each",
        ("benchmark", "log loss", "saved", "low", "high"), tuple(rows), ("", ".5f", "+.2%", "+.2%", "+.2%"),
    )  # fmt: skip
    words = ("Simpler models on the same rows, from the base rate to what a quant would use without learning (B5).",)
    return Section("benchmarks", "Benchmarks", words, tables=[table])


def _monitoring(judged: Judged, about: Ownership) -> Section:
    rows: list[tuple[Cell, ...]] = [
        ("calibration of what was said", "margincast ledger report; gauges of the service", "outside 0.8 to 1.25"),
        ("loss on matured outcomes", "margincast retrain, trigger `loss`", "worse than the model's own prior"),
        ("inputs moved, unusual inputs", "margincast retrain, triggers `drift`, `novelty`", "as the gate's file says"),
        ("rules changed", "margincast retrain, trigger `rules`", "any ruleset of the training"),
        ("market stale, model expired", "flags of every answer, metrics of the service", "at once"),
    ]
    columns = ("watched", "by", "review when")
    table = Table("monitoring", "Monitoring and review triggers", columns, tuple(rows), ("", "", ""))
    expiry = judged.predictor.metadata.get("expires_at", "no date: it does not expire by itself")
    words = (
        f"Used until: {expiry}. Next review: {about.next_review or _MISSING}. Whoever validates can repeat every "
        f"number: the "
        "command, the period and the fingerprints are above.",
    )
    return Section("monitoring", "Monitoring, owner and review triggers", words, tables=[table])


def _practice() -> Section:
    rows: list[tuple[Cell, ...]] = [
        (
            "understand initial margin and what it may become (BCBS-CPMI-IOSCO, January 2025: transparency, "
            "simulation tools)",
            "margincast margin gives the four levels and the gap now; what-if and predict give them after a move or "
            "a change",
        ),
        (
            "responsiveness of margin to volatility (the same report)",
            "rulesets with dynamic margin and the measures of procyclicality; requirements are replayed as they were",
        ),
        (
            "liquidity preparedness for margin and collateral calls (FSB, December 2024)",
            "probability, size and time of calls by horizon; a plan from the collateral, routes and lags of the "
            "policy file",
        ),
        (
            "smooth variation-margin processes (CPMI-IOSCO and BCBS-IOSCO, January 2025)",
            "CSA timetable, thresholds, rounding and delivery notices in the agreement's own terms; last safe "
            "minute by route",
        ),
    ]
    table = Table(
        "practice", "Points of margin practice, and what answers them", ("point", "answered by"), tuple(rows), ("", "")
    )
    words = (
        "Where the reports of the standard setters on margin practice ask something of a market participant, these "
        "parts of "
        "the product answer; none of it makes a firm compliant by itself.",
    )
    return Section("practice", "Margin practice", words, tables=[table])
