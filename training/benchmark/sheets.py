"""The tables of the benchmark as text: a title, headings and rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from training.baselines import NAMES
from training.benchmark.compare import least_cost
from training.benchmark.names import FILTER, OURS
from training.evaluate.decisions import RATIOS
from training.evaluate.segments import RANGE, SMALLEST
from training.evaluate.table import horizon_name, interval

__all__ = ["Sheet", "attainable_sheets", "comparison_sheets", "transfer_sheets", "walk_forward_sheets"]

Found = Mapping[str, Any]


class Sheet(NamedTuple):
    """One table."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def comparison_sheets(found: Found) -> list[Sheet]:
    """Lay out a comparison.

    Parameters
    ----------
    found : mapping
        From `training.benchmark.compare.compare`.

    Returns
    -------
    list of Sheet
        Scores of each horizon and of all, expected costs of the same, equal alerts, contested band, calibration.
    """
    horizons = list(found["scores"][OURS])
    out = [_scores(found, h) for h in horizons] + [_costs(found, h) for h in horizons]
    out += [_equal_alerts(found)] if found["equal_alerts"] else []
    return [*out, _contested(found), _calibration(found)]


def attainable_sheets(found: Found) -> list[Sheet]:
    """Lay out the shares of the attainable skill.

    Parameters
    ----------
    found : mapping
        From `training.benchmark.attainable.attainable`.

    Returns
    -------
    list of Sheet
        A table for each part of the accounts, and the costs expected by the truth at each horizon.
    """
    words = {"all": "all accounts", "several_positions": "several positions", "contested": "contested band"}
    out = [_attainable(words[part], entry) for part, entry in found.items() if entry]
    return [*out, *(_true_costs(horizon, entry["forecasts"]) for horizon, entry in found["all"].items())]


def walk_forward_sheets(found: Found) -> list[Sheet]:
    """Lay out a walk forward: skill over the prior by year, and with each crash left out.

    Parameters
    ----------
    found : mapping
        From `training.benchmark.real.walk_forward_track`.

    Returns
    -------
    list of Sheet
        Two tables.
    """
    columns = ("test period", "forecasts", "called", "log loss", "pred/obs", "1 h", "4 h", "24 h", "72 h", "pooled")
    rows = [_year(name, part) for name, part in [*found["periods"].items(), ("all", found)]]
    out = [Sheet("Skill of margincast over the prior (B5) by test period [95%]", columns, rows)]
    heads = ("crash", "worst day", "forecasts", "calls", "pred/obs", "skill on it alone", "skill without it")
    crashes = [
        (
            c["crash"],
            f"{c['worst_day']:.1%}",
            f"{c['forecasts']:,}",
            f"{c['calls']:,}",
            _ratio(c["predicted_over_observed"]),
            interval(_known(c["skill_on_it"])),
            interval(_known(c["skill_without_it"])),
        )
        for c in found["crashes"]
    ]
    title = "Skill over the prior on each crash, which no model that is judged on it had seen, and without it [95%]"
    return [*out, Sheet(title, heads, crashes)]


def transfer_sheets(found: Found) -> list[Sheet]:
    """Lay out the skill on assets that were left out of the training.

    Parameters
    ----------
    found : mapping
        From `training.benchmark.transfer.leave_asset_out_track`.

    Returns
    -------
    list of Sheet
        One table.
    """
    columns = (
        "asset left out", "forecasts", "called", "log loss", "pred/obs", "1 h", "4 h", "24 h", "72 h", "pooled",
        "one position", "over P",
    )  # fmt: skip
    rows = []
    for name, part in [*found["assets"].items(), ("all", found)]:
        alone = interval(_known(part["one_position"])) if "one_position" in part else ""
        over = {key: skill["pooled"] for key, skill in part["skill"].items()}
        rows.append((*_year(name, part), alone, interval(_known(over["P"]))))
    title = "Skill over B5, which has seen the asset, of models trained without it, on accounts that hold it [95%]"
    return [Sheet(title, columns, rows)]


def full_name(name: str) -> str:
    """Name of a forecast with its meaning.

    Parameters
    ----------
    name : str
        For example ``"B5"``.

    Returns
    -------
    str
        The name, and for a baseline what it is.

    Examples
    --------
    >>> full_name("B5"), full_name("histgb")
    ('B5 filtered historical simulation, HAR', 'histgb')
    """
    if name == FILTER:
        return "the law known, volatility filtered from the bars"
    return f"{name} {NAMES[name]}" if name in NAMES else name


def _scores(found: Found, horizon: str) -> Sheet:
    columns = (
        "forecast", "log loss", "Brier", "ECE", "AUC", "pred/obs", "recall@1%", "lead", "recall@2%", "lead",
        "skill of margincast over it [95%]",
    )  # fmt: skip
    parts = {name: scored[horizon] for name, scored in found["scores"].items()}
    first = parts[OURS]
    rows = []
    for name in sorted(parts, key=lambda n: float(parts[n]["log_loss"] or 0.0)):
        s = parts[name]
        recall, lead = s["recall_at_budget"], s["lead_at_budget"]
        over = "" if name == OURS else interval(_known(found["skill"][name][horizon]))
        cells = (full_name(name), _five(s["log_loss"]), _five(s["brier"]), _four(s["ece"]), _four(s["auc"]))
        caught = (_share(recall["0.01"]), _hours(lead["0.01"]), _share(recall["0.02"]), _hours(lead["0.02"]))
        rows.append((*cells, _ratio(s["predicted_over_observed"]), *caught, over))
    title = f"{horizon_name(horizon)}: {first['n']:,} forecasts, {first['base_rate'] or 0.0:.2%} called"
    return Sheet(title, columns, rows)


def _costs(found: Found, horizon: str) -> Sheet:
    costs = {name: scored[horizon]["expected_cost"] for name, scored in found["scores"].items()}
    title = f"{horizon_name(horizon)}: expected cost, losses per 1,000 forecasts, by cost of acting over loss"
    return _cost_sheet(title, costs, found["best_cost"][horizon])


def _cost_sheet(title: str, costs: Found, best: Found) -> Sheet:
    rows = [(full_name(name), *(_cost(cost[str(r)]) for r in RATIOS)) for name, cost in costs.items()]
    return Sheet(title, ("forecast", *(f"{r:.0%}" for r in RATIOS)), [*rows, ("best", *(best[str(r)] for r in RATIOS))])


def _equal_alerts(found: Found) -> Sheet:
    columns = ("horizon", "levels", "alerted", "recall of B8", "lead", "recall of margincast", "lead", "best recall")
    rows = []
    for horizon, levels in found["equal_alerts"].items():
        for level, e in levels.items():
            if e:
                rows.append((horizon_name(horizon), level, *_alerts(e)))
    return Sheet(
        "At as many alerts as the static two-level alert raises, at its upper level and at both", columns, rows
    )


def _alerts(e: Found) -> tuple[str, ...]:
    recall, lead = e["recall"], e["lead_minutes"]
    best = max(recall, key=lambda n: recall[n])
    pairs = (cell for name in ("B8", OURS) for cell in (_share(recall[name]), _hours(lead[name])))
    return (f"{e['share_alerted']:.2%}", *pairs, f"{best} {_share(recall[best])}")


def _contested(found: Found) -> Sheet:
    columns = ("forecast", "log loss", "Brier", "ECE", "AUC", "pred/obs", "skill of margincast over it [95%]")
    parts = {name: scored["pooled"] for name, scored in found["contested"]["scores"].items()}
    rows = []
    for name in sorted(parts, key=lambda n: float(parts[n]["log_loss"] or 0.0)):
        s = parts[name]
        over = "" if name == OURS else interval(_known(found["contested"]["skill"][name]["pooled"]))
        cells = (_five(s["log_loss"]), _five(s["brier"]), _four(s["ece"]), _four(s["auc"]))
        rows.append((full_name(name), *cells, _ratio(s["predicted_over_observed"]), over))
    first = parts[OURS]
    title = (
        f"Contested band (nearer than two forecast deviations), all horizons: {first['n']:,} forecasts, "
        f"{first['base_rate'] or 0.0:.2%} called"
    )
    return Sheet(title, columns, rows)


def _calibration(found: Found) -> Sheet:
    """Parts that are judged, hours only where they are flagged, and those that look ahead."""
    rows = []
    every = found["calibration"]
    for c in every:
        if c["flagged"] or c["trait"] == "ahead" or (c["judged"] and c["trait"] != "hour"):
            mark = "OUTSIDE" if c["flagged"] else "not judged" if c["trait"] == "ahead" else ""
            cells = (c["trait"], c["part"], f"{c['forecasts']:,}", f"{c['calls']:,}")
            rows.append((*cells, _ratio(c["ratio"]), mark))
    judged = [c for c in every if c["judged"]]
    outside = sum(c["flagged"] for c in judged)
    title = (
        f"Predicted over observed by part: {outside} of {len(judged)} with at least {SMALLEST} calls are outside "
        f"{RANGE[0]:g} to {RANGE[1]:g} (hours are listed where they are outside)"
    )
    return Sheet(title, ("trait", "part", "forecasts", "calls", "pred/obs", ""), rows)


def _attainable(part: str, entry: Found) -> Sheet:
    horizons = list(entry)
    names = sorted(entry[horizons[-1]]["forecasts"], key=lambda n: entry[horizons[-1]]["forecasts"][n]["loss"])
    rows = [("Bayes: expected log loss", *(_five(entry[h]["bayes_loss"]) for h in horizons), "")]
    rows.append(("B0: expected log loss", *(_five(entry[h]["forecasts"]["B0"]["loss"]) for h in horizons), ""))
    for name in names:
        if name != "B0":
            seen = [entry[h]["forecasts"][name] for h in horizons]
            over = "" if name == OURS else interval(_known(seen[-1]["skill_of_margincast"]))
            rows.append((full_name(name), *(_attained(s["share"]) for s in seen), over))
    title = f"Share of the attainable skill, from B0 to the Bayes forecast [95%]: {part}"
    last = "pooled skill of margincast over it [95%]"
    return Sheet(title, ("forecast", *(horizon_name(h) for h in horizons), last), rows)


def _true_costs(horizon: str, forecasts: Found) -> Sheet:
    costs = {name: f["expected_cost"] for name, f in forecasts.items() if name != FILTER}
    title = f"{horizon_name(horizon)}: expected cost by the truth, losses per 1,000 forecasts, by cost over loss"
    return _cost_sheet(title, costs, least_cost(costs))


def _year(name: str, part: Found) -> tuple[str, ...]:
    pooled, over = part["scores"][OURS]["pooled"], part["skill"]["B5"]
    head = (name, f"{pooled['n']:,}", f"{pooled['base_rate']:.2%}", _five(pooled["log_loss"]))
    return (*head, _ratio(pooled["predicted_over_observed"]), *(interval(_known(over[h])) for h in over))


def _known(skill: Found) -> dict[str, float]:
    """A skill whose undefined parts are NaN again."""
    return {k: float("nan") if v is None else v for k, v in skill.items()}


def _attained(share: Found) -> str:
    s = _known(share)
    return f"{s['value']:.1%} [{100 * s['low']:.1f}, {100 * s['high']:.1f}]"


def _five(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"


def _four(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _cost(value: float | None) -> str:
    return "-" if value is None else f"{1000 * value:.3f}"


def _hours(minutes: float | None) -> str:
    return "-" if minutes is None else f"{minutes / 60:.0f} h"
