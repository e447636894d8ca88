"""The figures of the study as a compact table and as a block of Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Final

WAYS: Final = {
    "venue": "venue: last fill by anybody",
    "venue_fresh": "venue, fills at most 5 min old",
    "bars": "Binance bar, adverse extreme",
    "recorded": "venue's recorded mark (diagnosis)",
}
SCORES: Final = ("model", "prior", "maintenance/equity")


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |"


def _grid(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return "\n".join([_row(head), _row(["---"] * len(head)), *map(_row, rows)])


def _interval(figure: dict[str, float], digits: int = 2) -> str:
    return f"{figure['value']:.{digits}f} ({figure['low']:.{digits}f} to {figure['high']:.{digits}f})"


def _spread(values: Sequence[float], percent: bool = False) -> str:
    """Median and quartiles."""
    if not values:
        return "none"
    low, middle, high = (_number(100 * v if percent else v) for v in values[1:4])
    return f"{middle} ({low} to {high})"


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"


def liquidations(found: dict[str, Any]) -> str:
    """The table of the 62 liquidations."""
    head = ("prices", "valued", "in liquidation", "in call", "safe", "equity/maintenance of the safe", "notional <= 2%")
    rows = []
    for way, name in WAYS.items():
        s = found["engine"]["ways"][way]["all"]
        near = "by construction" if way == "recorded" else f"{s['notional_within_2pct']}"
        spread = _spread(s["ratio_of_missed"])
        rows.append((name, s["valued"], s["liquidation"], s["call"], s["beyond_call"], spread, near))
    return _grid(head, rows)


def quiet(found: dict[str, Any]) -> str:
    """The table of the quiet hours."""
    head = ("prices", "account-hours", "said liquidation", "of them equity <= 0", "the rest", "rate of the rest")
    rows = []
    for way in ("venue", "venue_fresh", "bars"):
        q = found["engine"]["quiet"][way]
        rest, base = q["liquidation_positive_equity"], q["hours_positive_equity"]
        rows.append(
            (
                WAYS[way],
                f"{q['account_hours']:,} of {q['accounts']} accounts",
                f"{q['liquidation']} of {q['accounts_said']} accounts",
                f"{q['equity_not_positive']} of {q['accounts_not_positive']} accounts",
                f"{rest} of {q['accounts_positive_equity']} accounts",
                f"{rest / max(base, 1):.2%}",
            )
        )
    return _grid(head, rows)


def said_before(found: dict[str, Any]) -> str:
    """The table of the hour before and of quiet hours."""
    before, same = found["ahead"]["hour_before"], found["ahead"]["account_hours"]["same_accounts"]
    head = ("median (quartiles), %", "1 h", "4 h", "24 h")
    picks = {
        f"P(call), 60 min before, {before['forecast']} liquidations": before["p_call"],
        "P(liquidation), same": before["p_liquidation"],
        "prior's P(liquidation), same": before["prior"],
        f"P(liquidation), {same['quiet']['rows']:,} quiet hours of the accounts": same["quiet"]["p_liquidation"],
    }
    rows = [(name, *(_spread(p[h], percent=True) for h in ("60", "240", "1440"))) for name, p in picks.items()]
    return _grid(head, rows)


def ranking(found: dict[str, Any], part: str) -> str:
    """The table of the ranking over account-hours."""
    study = found["ahead"]["account_hours"][part]
    titles = {
        "60": "within 1 h, P(1 h)",
        "240": "within 4 h, P(4 h)",
        "1440": "within 24 h, P(24 h)",
        "next_but_one": "in the hour after next, P(4 h)",
    }
    head = ("liquidated", "rows", *(f"AUC {s}" for s in SCORES), "model - prior", "recall at 1%", "at 5%")
    rows = []
    for key, title in titles.items():
        s = study[key]
        auc = [_interval(s[f"auc {name}"]) for name in SCORES]
        recall = [_interval(s[f"recall {b} model"]) for b in ("1%", "5%")]
        rows.append((title, s["rows_before_an_event"], *auc, _interval(s["auc model - prior"], 3), *recall))
    return _grid(head, rows)


def expected(found: dict[str, Any], part: str) -> str:
    """Expected against observed, in one sentence."""
    study = found["ahead"]["account_hours"][part]
    pieces = []
    for key, name in (("60", "1 h"), ("240", "4 h"), ("1440", "24 h")):
        s = study[key]
        pieces.append(
            f"{name}: {s['expected_rows']['model']:.1f} expected, {s['rows_before_an_event']} seen, ratio "
            f"{_interval(s['expected/observed model'])}"
        )
    return "; ".join(pieces)


def table(found: dict[str, Any]) -> str:
    """The figures that fit a terminal."""
    sides, e, a = found["sides"], found["engine"], found["ahead"]
    counts = a["hour_before"]
    lines = [
        f"{found['accounts']} users, {found['fills']:,} fills; {found['customers']} customers with deposits on record",
        f"withdrawals of flat accounts that leave 0.00: {sides['emptied_bid_bought']} of {sides['withdrawals']} if Bid "
        f"means bought, {sides['emptied_bid_sold']} if it means sold",
        f"fills of the liquidations: {e['liquidation_fills']}, positions they close: {e['positions_closed_by_them']}",
        f"recorded value below the engine's maintenance of the recorded notional: {e['rules_on_recorded_values']}",
        "",
        liquidations(found),
        "",
        *(f"not valued, {way}: {reasons}" for way, reasons in e["not_valued"].items()),
        "",
        quiet(found),
        "",
        f"one hour before: { {k: v for k, v in counts.items() if isinstance(v, int)} }",
        said_before(found),
        "",
        *(f"{part}: {a['account_hours'][part]['rows']:,} rows; {expected(found, part)}" for part in ("all", "sound")),
    ]
    return "\n".join(lines)


def markdown(found: dict[str, Any]) -> str:
    """The section for the results page."""
    return "\n\n".join((*_files(found), *_engine(found), *_ahead(found), *_limits(found)))


def _files(found: dict[str, Any]) -> tuple[str, ...]:
    e, sides = found["engine"], found["sides"]
    rules = e["rules_on_recorded_values"]
    return (
        "## The real accounts: Hyperliquid, February to May 2023",
        "`python -m benchmarks.real_accounts --data <data> --model <folder>`",
        _fill(
            f"""{found["accounts"]} users, {found["fills"]:,} fills, {found["liquidations"]} liquidations of
            {found["liquidated"]} users. Cash is deposits less withdrawals plus realised profit at average cost.
            Fees, funding and transfers inside the venue are not in the files. Nothing was tuned to the outcomes."""
        ),
        _fill(
            f"""**The reading of the files.** {sides["emptied_bid_bought"]} of {sides["withdrawals"]} withdrawals by
            flat accounts leave 0.00 if "Bid" means bought, {sides["emptied_bid_sold"]} if it means sold. The
            {e["liquidation_fills"]} fills of the liquidations are in the file of trades, in the second of the
            liquidation; they close {e["positions_closed_by_them"]} positions whole. They are booked at the price
            that leaves no equity, against one user without deposits (the venue's liquidator): all of them are left
            out of the state before and of the prices."""
        ),
        _fill(
            f"""**The rule.** The recorded account value is below the engine's maintenance of the recorded notional
            in {rules["cross_below_maintenance"]} of {rules["cross"]} liquidations of cross accounts (and in
            {rules["isolated_below_maintenance"]} of {rules["isolated"]} of isolated positions, where value and
            notional are those of the whole account)."""
        ),
    )


def _engine(found: dict[str, Any]) -> tuple[str, ...]:
    e = found["engine"]
    bars, venue, recorded = e["ways"]["bars"], e["ways"]["venue"], e["ways"]["recorded"]["all"]
    quoted = ", ".join(f"{coin} {kind}" for coin, kind in e["bars"].items())
    return (
        "**The engine on rebuilt accounts, just before the liquidation:**",
        liquidations(found),
        _fill(
            f"""Ratios are median and quartiles. Not valued: {_reasons(e["not_valued"])}. Of the cross accounts
            alone, {bars["cross"]["liquidation"]} of {bars["cross"]["valued"]} are in liquidation on bars and
            {venue["cross"]["liquidation"]} of {venue["cross"]["valued"]} on fills; isolated margin is not recorded,
            those positions were valued as if cross. The adverse extreme of a bar is the easiest price for the
            engine, and the bar reaches past the moment ({quoted}). The fills of these users are the only prices of
            the venue there are; at half of the liquidations the oldest needed is more than
            {venue["all"]["price_age_minutes"][2]:.0f} minutes old."""
        ),
        _fill(
            f"""The recorded mark (recorded notional / size, accounts with one position) uses the outcome and serves
            only to tell price from cash. Even there the rebuilt equity is within 1% of the notional (the
            maintenance) of the recorded value in no more than {recorded["equity_agrees"]} of {recorded["valued"]}:
            {recorded["equity_agrees_liquidation"]} of these are in liquidation, {recorded["equity_agrees_call"]} in
            call. In {recorded["equity_too_high"]} the rebuilt account is too rich (something left it that the files
            do not show), in {recorded["equity_too_low"]} too poor. So most of what is missed is cash that the files
            do not hold, not the margin rule."""
        ),
        "**Quiet hours** (each whole hour with a position and no liquidation within the next 60 minutes), same prices:",
        quiet(found),
        "Equity at or below zero cannot have stood there for hours: those accounts lack a deposit in the files.",
    )


def _ahead(found: dict[str, Any]) -> tuple[str, ...]:
    a = found["ahead"]
    before, hours, trees = a["hour_before"], a["account_hours"], a["model"].get("summary", {})
    sound = hours["sound"]
    events = ", ".join(str(sound[h]["events"]) for h in ("60", "240", "1440"))
    return (
        _fill(
            f"""**What the predictor said.** A model trained on {_kinds(a["market"])}, 2020-01-01 to 2023-02-15, on
            {trees.get("pairs", 0) // 2:,} sampled accounts under `{a["model"].get("ruleset")}`. 60 minutes before,
            {before["forecast"]} of {before["events"]} accounts can be forecast: {before["a coin without bars"]} hold
            a coin without bars, {before["flat an hour before"]} opened the position within the hour,
            {before["no fill before that hour"]} made its first trade within it, {before["no deposit on record"]} has
            no deposit on record. The price is the close of the newest hourly bar, up to an hour older still. In
            {before["positions_or_cash_changed_within_the_hour"]} of the {before["forecast"]} (and
            {before["changed within the hour, of all"]} of all {before["events"]}) the owner acted within the hour;
            {before["already_in_liquidation_on_these_prices"]} were in liquidation already on rebuilt cash."""
        ),
        said_before(found),
        _fill(
            f"""**Ranking {sound["rows"]:,} account-hours** of {hours["accounts"]} accounts with bars, without the
            {hours["already_in_liquidation"]} hours of {hours["accounts_already_in_liquidation"]} accounts that
            rebuilt cash places in liquidation already. The rows before a liquidation are hours of {events}
            liquidations; 95% intervals from drawing whole accounts:"""
        ),
        ranking(found, "sound"),
        _fill(f"""Liquidations among account-hours, {expected(found, "sound")}."""),
        _fill(
            f"""With those hours left in ({hours["all"]["rows"]:,} rows) they fill the top of the list: within 1 h
            AUC {_interval(hours["all"]["60"]["auc model"])}, recall at 1%
            {_interval(hours["all"]["60"]["recall 1% model"])}, at 5%
            {_interval(hours["all"]["60"]["recall 5% model"])}, expected over seen
            {_interval(hours["all"]["60"]["expected/observed model"], 1)}."""
        ),
    )


def _limits(found: dict[str, Any]) -> tuple[str, ...]:
    events = found["ahead"]["account_hours"]["sound"]["60"]["events"]
    return (
        _fill(
            f"""**Limits.** {events} liquidations carry the ranking. They show that the probabilities order the risk
            of real owners' accounts; their size is right within wide intervals only, and the trees cannot be told
            from the prior. The forecast holds the account still; owners add, reduce and reopen. The model learned
            under another venue's brackets, from sampled accounts. Prices are Binance's in USDT, the accounts are in
            USDC (off par in March 2023). The accounts are those of a venue's first weeks, small and few."""
        ),
    )


def _fill(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)


def _reasons(refusals: dict[str, dict[str, int]]) -> str:
    coins = sum(n for reason, n in refusals["bars"].items() if reason.startswith("no price"))
    cash = sum(n for reason, n in refusals["venue"].items() if reason.startswith("no deposit"))
    return f"{coins} on bars (ARB, AVAX, ATOM, MATIC, DYDX, OP have none in 2023), {cash} as no deposit is on record"


def _kinds(market: dict[str, str]) -> str:
    kinds = sorted(set(market.values()))
    return " and ".join(f"{kind} prices of {', '.join(a for a, k in market.items() if k == kind)}" for kind in kinds)


__all__ = ["markdown", "table"]
