"""What a challenger must show before it replaces the champion; a file that a risk committee can read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from models.errors import InputError
from training.retrain.evidence import Evidence

__all__ = ["Check", "Decision", "Gate", "decide", "load_gate"]


@dataclass(frozen=True, slots=True)
class Gate:
    """Bounds of the gate.

    Parameters
    ----------
    least_gain : float
        Log-loss skill over the champion that the lower end of the 95% interval must exceed, in [-0.5, 0.5].
    most_gain : float
        Skill over the champion beyond which a gain is taken for a leak, in (0, 1].
    refresh_days : float
        Age of the champion's data at the end of the period judged from which a challenger that is no worse than
        `refresh_loss` may replace it; 0: never. In [0, 3650].
    refresh_loss : float
        Lower end of the interval that is enough then, in [-0.5, 0].
    worst_segment : float
        A part of the accounts is broken where its skill over the champion is below this and its interval below 0;
        in [-1, 0].
    segment_calls : int
        Calls that a part needs to be judged, at least 1.
    least_ratio, most_ratio : float
        Bounds of predicted over observed calls, at every horizon with as many calls; in (0, 1] and [1, 10]. What is
        beyond passes where the champion is no nearer to 1 on the same rows.
    most_ece : float
        Expected calibration error at any horizon, in (0, 1]; what is beyond passes where the champion's is no smaller.
    most_novel : float
        Share of unusual inputs, in (0, 1].
    most_milliseconds : float
        Time of one account on one thread, above 0.
    most_slowdown : float
        The same over the champion's, at least 1.
    most_served_gap : float
        Difference between its forecasts as judged and as served, in (0, 1].

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    least_gain: float = 0.0
    most_gain: float = 0.25
    refresh_days: float = 120.0
    refresh_loss: float = -0.005
    worst_segment: float = -0.03
    segment_calls: int = 200
    least_ratio: float = 0.8
    most_ratio: float = 1.25
    most_ece: float = 0.03
    most_novel: float = 0.2
    most_milliseconds: float = 5.0
    most_slowdown: float = 3.0
    most_served_gap: float = 1e-6

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
                raise InputError(name, value, f"a number in [{low:g}, {high:g}]")


_RANGES: Mapping[str, tuple[float, float]] = {
    "least_gain": (-0.5, 0.5),
    "most_gain": (1e-6, 1.0),
    "refresh_days": (0.0, 3650.0),
    "refresh_loss": (-0.5, 0.0),
    "worst_segment": (-1.0, 0.0),
    "segment_calls": (1, 10**9),
    "least_ratio": (1e-6, 1.0),
    "most_ratio": (1.0, 10.0),
    "most_ece": (1e-6, 1.0),
    "most_novel": (1e-6, 1.0),
    "most_milliseconds": (1e-3, 1e6),
    "most_slowdown": (1.0, 1e6),
    "most_served_gap": (1e-12, 1.0),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of the gate.

    Parameters
    ----------
    name : str
        What was checked.
    passed : bool
        Whether it holds.
    found : float
        What was found.
    words : str
        A sentence with the number and the bound.
    """

    name: str
    passed: bool
    found: float
    words: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says.

    Parameters
    ----------
    promote : bool
        Whether every check holds.
    checks : tuple of Check
        All of them.
    """

    promote: bool
    checks: tuple[Check, ...]

    def reasons(self) -> list[str]:
        """Sentences of the checks that failed; of all where none did.

        Returns
        -------
        list of str
            Sentences.
        """
        failed = [check.words for check in self.checks if not check.passed]
        return failed or [check.words for check in self.checks]


def load_gate(path: str | Path) -> Gate:
    """Read a gate from the ``[gate]`` table of a TOML file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Gate
        Bounds that the file does not name have their defaults.

    Raises
    ------
    InputError
        If the file is not TOML, or names a bound that there is not, or one outside its range.
    """
    table = read_table(path, "gate")
    known = {f.name for f in fields(Gate)}
    for name in table:
        if name not in known:
            raise InputError(f"gate.{name}", table[name], f"one of {', '.join(sorted(known))}")
    return Gate(**table)


def read_table(path: str | Path, name: str) -> dict[str, Any]:
    """Read one table of a TOML file.

    Parameters
    ----------
    path : str or Path
        The file.
    name : str
        The table; empty where the file does not have it.

    Returns
    -------
    dict
        Its values.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError("gate", str(path), f"a TOML file ({error})") from None
    unknown = sorted(set(found) - {"gate", "triggers"})
    if unknown:
        raise InputError("gate", unknown[0], "tables [gate] and [triggers]")
    return dict(found.get(name, {}))


def decide(seen: Evidence, gate: Gate) -> Decision:
    """Hold a challenger against the gate.

    Parameters
    ----------
    seen : Evidence
        What it showed.
    gate : Gate
        The bounds.

    Returns
    -------
    Decision
        With a sentence for every check.
    """
    checks = (
        _gain(seen, gate),
        _believable(seen, gate),
        _segments(seen, gate),
        *_calibration(seen, gate),
        _novelty(seen, gate),
        *_latency(seen, gate),
        _served(seen, gate),
    )
    return Decision(all(check.passed for check in checks), checks)


def _gain(seen: Evidence, gate: Gate) -> Check:
    skill = seen.skill
    if skill is None:
        return Check("gain", True, float("nan"), "There is no champion yet.")
    span = f"{skill.value:+.2%} [{skill.low:+.2%}, {skill.high:+.2%}] in log loss over the champion"
    if skill.low > gate.least_gain:
        return Check("gain", True, skill.low, f"It gains {span}; the lower end exceeds {gate.least_gain:+.2%}.")
    old = 0 < gate.refresh_days <= seen.champion_age_days
    if old and skill.low > gate.refresh_loss:
        words = (
            f"It is {span}: no worse than {gate.refresh_loss:+.2%}, which is enough as the champion's data are "
            f"{seen.champion_age_days:.0f} days old."
        )
        return Check("gain", True, skill.low, words)
    bound = f"the lower end does not exceed {gate.least_gain:+.2%}"
    return Check("gain", False, skill.low, f"It is {span}: {bound}.")


def _believable(seen: Evidence, gate: Gate) -> Check:
    gain = 0.0 if seen.skill is None else seen.skill.value
    passed = gain <= gate.most_gain
    words = f"A gain of {gain:+.2%} is " + (
        "believable." if passed else f"beyond {gate.most_gain:+.0%}: look for a leak before believing it."
    )
    return Check("believable", passed, gain, words)


def _segments(seen: Evidence, gate: Gate) -> Check:
    broken = [
        (name, skill)
        for name, calls, skill in seen.segments
        if calls >= gate.segment_calls and skill.value < gate.worst_segment and skill.high < 0
    ]
    judged = sum(calls >= gate.segment_calls for _, calls, _ in seen.segments)
    if not broken:
        return Check("segments", True, 0.0, f"None of {judged} parts with {gate.segment_calls} calls is broken.")
    name, worst = min(broken, key=lambda item: item[1].value)
    words = (
        f"{len(broken)} of {judged} parts are worse than the champion beyond {gate.worst_segment:+.1%}, the worst: "
        f"{name}, {worst.value:+.2%} [{worst.low:+.2%}, {worst.high:+.2%}]."
    )
    return Check("segments", False, worst.value, words)


def _calibration(seen: Evidence, gate: Gate) -> list[Check]:
    """What is beyond a bound passes where the champion is no nearer on the same rows: a crash moves both."""
    theirs = {h: (r, e) for h, _, r, e in seen.champion_calibration}
    found = [(h, r) for h, calls, r, _ in seen.calibration if calls >= gate.segment_calls]
    beyond = [
        (h, r)
        for h, r in found
        if not gate.least_ratio <= r <= gate.most_ratio and _away(r) > _away(theirs.get(h, (1.0, 0.0))[0])
    ]
    horizon, ratio = max(beyond or found, key=lambda item: _away(item[1]), default=(0, 1.0))
    place = "beyond" if beyond else "passed by"
    bounds = f"{gate.least_ratio:g} to {gate.most_ratio:g}{_beside(theirs, horizon, 0)}"
    said = f"Predicted over observed is {ratio:.3f} at {horizon // 60} h, {place} the bounds of {bounds}."
    wrong = [(h, e) for h, _, _, e in seen.calibration if e > gate.most_ece and e > theirs.get(h, (1.0, 0.0))[1]]
    hour, worst = max(wrong or [(h, e) for h, _, _, e in seen.calibration], key=lambda item: item[1], default=(0, 0.0))
    place = "beyond" if wrong else "passed by"
    bound = f"{gate.most_ece:g}{_beside(theirs, hour, 1)}"
    error = f"The calibration error is {worst:.4f} at {hour // 60} h, {place} the bound of {bound}."
    return [Check("ratio", not beyond, ratio, said), Check("ece", not wrong, worst, error)]


def _away(ratio: float) -> float:
    return max(ratio, 1.0 / max(ratio, 1e-9))


def _beside(theirs: Mapping[int, tuple[float, float]], horizon: int, which: int) -> str:
    return f" (the champion's is {theirs[horizon][which]:.4f})" if horizon in theirs else ""


def _novelty(seen: Evidence, gate: Gate) -> Check:
    share = seen.novel_share
    passed = not share > gate.most_novel
    words = f"{share:.1%} of the inputs are unusual, {'within' if passed else 'beyond'} {gate.most_novel:.0%}."
    return Check("novelty", passed, share, words)


def _served(seen: Evidence, gate: Gate) -> Check:
    gap = seen.served_gap
    passed = gap <= gate.most_served_gap
    words = f"Served without any later bar, its forecasts differ by at most {gap:.1e} from those judged" + (
        "." if passed else f", beyond {gate.most_served_gap:g}: a feature knows the future, or is computed otherwise."
    )
    return Check("served", passed, gap, words)


def _latency(seen: Evidence, gate: Gate) -> list[Check]:
    own, slower = seen.milliseconds, seen.slowdown
    fast = own <= gate.most_milliseconds
    words = f"One account takes {own:.2f} ms, {'within' if fast else 'beyond'} {gate.most_milliseconds:g}."
    near = not slower > gate.most_slowdown
    beside = f"That is {slower:.1f} times the champion's, {'within' if near else 'beyond'} {gate.most_slowdown:g}."
    if seen.skill is None:
        return [Check("latency", fast, own, words)]
    return [Check("latency", fast, own, words), Check("slowdown", near, slower, beside)]
