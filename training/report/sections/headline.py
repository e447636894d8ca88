"""The findings in words."""

from __future__ import annotations

from typing import Any

from features.sources.times import iso
from training.evaluate.segments import RANGE
from training.evaluate.table import horizon_name
from training.report.judged import Judged

__all__ = ["about", "headline", "verdict"]


def about(judged: Judged) -> str:
    """Say which model was judged on what.

    Parameters
    ----------
    judged : Judged
        The evaluation.

    Returns
    -------
    str
        One line.
    """
    found = judged.metrics["about"]
    sources = ", ".join(sorted(set(judged.panel.source)))
    return (
        f"Model {found['model']} on {found['accounts']:,} accounts ({found['ruleset']}) from {iso(found['from'])[:10]} "
        f"to {iso(found['until'])[:10]}; market: {', '.join(judged.panel.assets)} ({sources})"
    )


def verdict(skill: dict[str, Any]) -> str:
    """Say whether a skill is told apart from none.

    Parameters
    ----------
    skill : dict
        value, low, high.

    Returns
    -------
    str
        ``"better than"``, ``"worse than"`` or ``"not told apart from"``.

    Examples
    --------
    >>> verdict({"value": 0.01, "low": -0.01, "high": 0.03})
    'not told apart from'
    """
    if skill["low"] is not None and skill["low"] > 0:
        return "better than"
    return "worse than" if skill["high"] is not None and skill["high"] < 0 else "not told apart from"


def headline(judged: Judged) -> list[str]:
    """Say what was found, the most important first.

    Parameters
    ----------
    judged : Judged
        The evaluation.

    Returns
    -------
    list of str
        Sentences.
    """
    metrics = judged.metrics
    return [_skill(metrics), _calibrated(metrics), _alerts(metrics), _amounts(metrics), _parts(metrics)]


def _skill(metrics: dict[str, Any]) -> str:
    skill = metrics["skill_vs_prior"]
    each = [verdict(skill[h]) for h in metrics["horizons"]]
    ahead = [horizon_name(h) for h, word in zip(metrics["horizons"], each, strict=True) if word == "better than"]
    named = f"; with an interval above zero at {', '.join(ahead)}" if ahead else "; at no horizon above zero for sure"
    one = skill["pooled"]
    return (
        f"In log loss over all horizons the model is {verdict(one)} B5, the strongest forecast without learning: "
        f"{one['value']:+.2%}, 95% interval {one['low']:+.2%} to {one['high']:+.2%}{named}."
    )


def _calibrated(metrics: dict[str, Any]) -> str:
    pooled = metrics["pooled"]
    ratio, worst = pooled["predicted_over_observed"], max(s["ece"] for s in metrics["horizons"].values())
    if ratio is None:
        return "No call came in the period: nothing can be said of calibration."
    word = "as many" if 0.97 <= ratio <= 1.03 else "more" if ratio > 1 else "fewer"
    return (
        f"It expected {word} calls {'as' if word == 'as many' else 'than'} came: {ratio:.3f} of them; the expected "
        f"calibration error is at most {worst:.4f} at any horizon."
    )


def _alerts(metrics: dict[str, Any]) -> str:
    day = metrics["horizons"]["1440"]
    recall, lead = day["recall_at_budget"]["0.01"], day["lead_at_budget"]["0.01"]
    if recall is None:
        return "No call came within a day."
    when = "" if lead is None else f", half of them at least {lead / 60:.0f} h ahead"
    return f"Alerting the 1% of accounts most at risk within a day finds {recall:.0%} of the calls that came{when}."


def _amounts(metrics: dict[str, Any]) -> str:
    found = metrics.get("call_amount", {})
    if not found.get("n") or found.get("model") is None:
        return "No amount of a call could be judged."
    share = found["model"]["coverage"][found["levels"].index(0.9)]
    return f"The 90% quantile of the call amount was enough for {share:.1%} of {found['n_compared']:,} calls."


def _parts(metrics: dict[str, Any]) -> str:
    judged = [part for part in metrics.get("calibration", []) if part["judged"]]
    wrong = [f"{part['trait']} {part['part']} ({part['ratio']:.2f})" for part in judged if part["flagged"]]
    if not judged:
        return "No part of the accounts has enough calls to be judged alone."
    said = f"Of {len(judged)} parts with enough calls to judge, "
    if not wrong:
        return f"{said}none has predicted over observed outside {RANGE[0]:g} to {RANGE[1]:g}."
    verb = "has" if len(wrong) == 1 else "have"
    return f"{said}{len(wrong)} {verb} it outside {RANGE[0]:g} to {RANGE[1]:g}: {', '.join(wrong)}."
