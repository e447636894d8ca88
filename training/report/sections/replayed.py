"""What rules for collateral would have done about the calls, and at what cost."""

from __future__ import annotations

from collections.abc import Sequence

from training.report.drawing import Series, line_chart
from training.report.drawing.charts import Look
from training.report.parts import Cell, Figure, Section, Table
from training.report.replayed import Compared, Replayed, Ruled

__all__ = ["frontier", "replayed"]

_WORDS = {
    "nothing": "nothing", "static": "a static threshold", "band": "a band", "dynamic": "a dynamic threshold",
    "target": "a target for P(call)", "plan": "the plan", "desk": "joint plans",
    "foresight": "perfect foresight",
}  # fmt: skip
_DRAWN = ("static", "band", "dynamic", "target", "plan", "desk", "foresight")


def replayed(found: Replayed) -> Section:
    """Draw liquidations against dollars spent, by rule, and list every setting.

    Parameters
    ----------
    found : Replayed
        A replay of rules.

    Returns
    -------
    Section
        One figure, and two tables.
    """
    nothing, rules = found.rules[0], [r for r in found.rules if r.rule not in ("nothing", "foresight")]
    at_once = found.account_days / max(found.days, 1e-9)
    left = f", {found.left_out} left out" if found.left_out else ""
    words = [
        f"{found.accounts:,} accounts{left}, {at_once:,.0f} at a time over {found.days:,.0f} days. Untouched, "
        f"{nothing.called:,} were called and {nothing.liquidated:,} liquidated, which cost ${nothing.losses:,.0f}. "
        "Every rule met the same accounts, market, lags and failed transfers.",
    ]
    if rules:
        words.append(_cheapest(min(rules, key=lambda r: r.total), nothing, found.rules))
    if found.against_plan:
        words.append(_against(found.against_plan))
    wrong = [r for r in rules if r.broken or r.worsened]
    if wrong:
        words.append(f"Settings that broke a rule of the policy or made an account worse, marked: {len(wrong)}.")
    tables = [_compared(found.against_plan)] if found.against_plan else []
    return Section("replayed", "What would rules have done about it?", words, [_curve(found)], tables)


def frontier(rules: Sequence[Ruled]) -> list[Ruled]:
    """Keep the settings that no other one beats, by what is spent.

    Parameters
    ----------
    rules : sequence of Ruled
        Settings of one rule.

    Returns
    -------
    list of Ruled
        Rising in dollars spent, falling in liquidations.
    """
    kept: list[Ruled] = []
    for rule in sorted(rules, key=lambda r: (r.spent, r.liquidated)):
        if not kept or rule.liquidated < kept[-1].liquidated:
            kept.append(rule)
    return kept


def _name(rule: Ruled | Compared) -> str:
    code = rule.rule if isinstance(rule, Ruled) else rule.name
    return _WORDS.get(code, code)


def _cheapest(best: Ruled, nothing: Ruled, rules: Sequence[Ruled]) -> str:
    saved = nothing.total - best.total
    verb = "saves" if saved >= 0 else "costs"
    text = (
        f"The lowest total of spending and losses is that of {_name(best)} at {best.knob:g}: ${best.total:,.0f}, with "
        f"{best.liquidated:,} liquidated; it {verb} ${abs(saved):,.0f} against doing nothing."
    )
    known = next((r for r in rules if r.rule == "foresight" and r.knob == 1.0), None)
    return text if known is None else f"{text} Who had known the future would have paid ${known.total:,.0f}."


def _against(compared: Sequence[Compared]) -> str:
    known = [c for c in compared if c.fewer_low is not None and c.fewer_high is not None]
    better = sum(c.fewer_low > 0 for c in known if c.fewer_low is not None)
    worse = sum(c.fewer_high < 0 for c in known if c.fewer_high is not None)
    return (
        f"Of {len(compared)} settings of other rules, {len(known)} can be set beside the plan at equal cost: it "
        f"liquidates fewer for sure than {better}, more for sure than {worse}, and is not told apart from the rest "
        "(95% intervals over weeks)."
    )


def _curve(found: Replayed) -> Figure:
    title = "Accounts liquidated against dollars spent, by rule"
    by_rule = {name: frontier([r for r in found.rules if r.rule == name and r.spent > 0]) for name in _DRAWN}
    nothing = found.rules[0].liquidated
    ends = {name: kept[-1] for name, kept in by_rule.items() if kept and name != "foresight"}
    least = min(ends.values(), key=lambda r: (r.liquidated, r.spent), default=None)
    says = "No rule spent anything."
    if least is not None:
        name = _name(least).capitalize()
        says = f"{name} gets furthest down, to {least.liquidated:,} of {nothing:,}, for ${least.spent:,.0f}."
    series = [
        Series(_WORDS[name], [r.spent for r in kept], [float(r.liquidated) for r in kept], marks=True)
        for name, kept in by_rule.items()
        if kept
    ]
    look = Look(
        "dollars spent", "accounts liquidated", "{:,.0f}".format, "{:,.0f}".format, x_log=bool(series), y_keep=(0.0,),
        across=((float(nothing), "nothing"),),
    )  # fmt: skip
    shown = series or [Series("nothing", [0.0, 1.0], [float(nothing)] * 2)]
    return Figure(title, says, line_chart(title, says, shown, look), _settings(found))


def _settings(found: Replayed) -> Table:
    columns = (
        "rule", "setting", "width", "called", "liquidated", "spent", "losses", "total", "regret", "idle share", "moves",
        "refused", "worsened", "broken",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            _name(r), r.knob, r.width, r.called, r.liquidated, r.spent, r.losses, r.total, r.regret, r.idle_share,
            r.moves, r.refused, r.worsened, r.broken,
        )
        for r in found.rules
    ]  # fmt: skip
    formats = ("", ".4g", ".3g", ",", ",", ",.0f", ",.0f", ",.0f", ",.0f", ".1%", ",", ",", ",", ",")
    flagged = frozenset(i for i, r in enumerate(found.rules) if r.worsened or r.broken)
    return Table("rules-replayed", "Every rule at every setting; dollars", columns, tuple(rows), formats, flagged)


def _compared(compared: Sequence[Compared]) -> Table:
    columns = ("rule", "setting", "spent", "liquidated", "plan: fewer", "low", "high", "plan: cheaper", "low", "high")
    rows: list[tuple[Cell, ...]] = [
        (
            _name(c), c.knob, c.spent, c.liquidated, c.fewer, c.fewer_low, c.fewer_high, c.cheaper, c.cheaper_low,
            c.cheaper_high,
        )
        for c in compared
    ]  # fmt: skip
    formats = ("", ".4g", ",.0f", ",.0f", *["+.1f"] * 3, *["+,.0f"] * 3)
    caption = "The plan against each: liquidations fewer at equal cost, dollars saved at as many"
    return Table("rules-against-plan", caption, columns, tuple(rows), formats)
