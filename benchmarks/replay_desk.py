"""Joint plans of a desk against rules that decide account by account, on inventories that are too small for all.

Every week accounts of every margin regime begin together and share the places of the policy, whose inventories are
those of ``docs/policies/guarded-accounts.toml`` times ``--share``; the next week starts with full places. Every rule
decides every eight hours, on the same accounts, with the same lags and failed transfers. The rule ``desk`` asks the
planner of ``recommend --desk`` at every decision; ``worth`` chooses for all accounts together what cannot wait, on the
curves that the other rules read; ``recommend`` asks ``recommend --desk --worth`` itself (``--asked KNOB ...``); the
others decide account by account and are served first come, first served, in an order drawn anew at each decision, or
(``urgent first``) in the order of their urgency. The predictor is the prior, fitted on bars before the first account,
or with ``--model`` a bundle. Intervals draw weeks.

Run ``python -m benchmarks.replay_desk --data DIR [--from 2025-01-01 --to 2025-06-30 --per-week 80 --share 0.002]``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import msgspec
import numpy as np

from benchmarks.replay_policies import ASSETS, POLICY, forecaster, options, parsed, report, sampled, write
from features.policy import load_policy
from features.sources import load_panel, to_ns
from margincast.cli.console import solver_on_stderr
from models.rebalance import Policy
from models.rebalance.replaying.desk import Told
from models.rebalance.replaying.together import Chosen
from models.typing import DAY_NS
from training.replay.desks import DESK_TARGETS, WORTH_KNOBS, DeskWeek, desk_week, join_weeks
from training.replay.stage import Setting, build_stage
from training.replay.study import rules_of


def scaled(policy: Policy, share: float) -> Policy:
    """The policy with a share of every inventory."""
    places = {
        name: msgspec.structs.replace(place, inventory={a: x * share for a, x in place.inventory.items()})
        for name, place in policy.places.items()
    }
    return msgspec.structs.replace(policy, places=places)


def report_plans(told: Sequence[tuple[str, float, Told]]) -> None:
    """Print what the joint plans took and said."""
    print("\n| rule | setting | plans | accounts asked about | over it | short | solver out of time | stray |", end="")
    print(" seconds: median | 95% | longest | processor seconds: median | longest |")
    print("| --- |" + " ---: |" * 12)
    for rule, knob in dict.fromkeys((name, at) for name, at, _ in told):
        own = [one for *which, one in told if which == [rule, knob]]
        wall, cpu = (np.array([getattr(one, name) for one in own]) for name in ("seconds", "processor_seconds"))
        cells = [
            rule, f"{knob:g}", len(own), sum(one.accounts for one in own), sum(one.needy for one in own),
            sum(one.status == "cannot_reach" for one in own), sum(one.timed_out for one in own),
            sum(one.stray for one in own), f"{np.median(wall):.2f}", f"{np.quantile(wall, 0.95):.2f}",
            f"{wall.max():.2f}", f"{np.median(cpu):.2f}", f"{cpu.max():.2f}",
        ]  # fmt: skip
        print("| " + " | ".join(str(cell) for cell in cells) + " |")


def report_choices(chosen: Sequence[tuple[float, Chosen]]) -> None:
    """Print what the choices by worth took, and how far they were from their bounds."""
    print("\n| knob | decisions | accounts weighed | amounts | transfers | an inventory binds | out of time |", end="")
    print(" worth, of the bound | largest gap | processor seconds: median | longest |")
    print("| ---: |" + " ---: |" * 10)
    for knob in dict.fromkeys(knob for knob, _ in chosen):
        own = [one for at, one in chosen if at == knob]
        sums = [sum(getattr(one, name) for one in own) for name in ("accounts", "offers", "orders")]
        gap = max((one.bound - one.value) / max(one.bound, 1e-9) for one in own)
        share = sum(one.value for one in own) / max(sum(one.bound for one in own), 1e-9)
        seconds = np.array([one.processor_seconds for one in own])
        cells = [
            f"{knob:g}", len(own), *sums, sum(one.binding > 0 for one in own), sum(one.timed_out for one in own),
            f"{share:.3%}", f"{gap:.3%}", f"{np.median(seconds):.2f}", f"{seconds.max():.2f}",
        ]  # fmt: skip
        print("| " + " | ".join(str(cell) for cell in cells) + " |")


def main() -> None:
    """Sample weeks, run every rule on each, print."""
    parser = options(__doc__, per_week=80, days=7, every=480)
    parser.add_argument("--share", type=float, default=0.002, help="of the inventories of the policy")
    parser.add_argument("--targets", type=float, nargs="*", default=list(DESK_TARGETS), help="settings of desk")
    parser.add_argument("--knobs", type=float, nargs="*", default=list(WORTH_KNOBS), help="settings of worth")
    parser.add_argument("--asked", type=float, nargs="*", default=[], help="settings of recommend")
    parser.add_argument("--lost", type=float, default=0.2, help="worth: price of a dollar lost with its account")
    parser.add_argument("--at-once", action="store_true", help="worth: do not wait for the next decision")
    parser.add_argument("--keep", action="store_true", help="no rule may take anything back")
    parser.add_argument("--against", default="worth", help="family whose curve the others are compared with")
    parser.add_argument("--seconds", type=float, default=2.0, help="of the solver, for one decision")
    chosen, begun = parsed(parser), time.perf_counter()
    panel = load_panel(chosen.data, assets=ASSETS)
    first, last = to_ns(chosen.start, "--from"), to_ns(chosen.stop, "--to")
    prior, predictor = forecaster(chosen.model, panel, first, chosen.paths)
    policy = scaled(load_policy(POLICY), chosen.share)
    policy = msgspec.structs.replace(policy, release=policy.release and not chosen.keep)
    changes = {"lost": chosen.lost, "waits": not chosen.at_once}
    setting = Setting(chosen.every, chosen.days * 1440, chosen.seed)
    rules, weeks = rules_of(chosen.rules), list[DeskWeek]()
    for begin in range(first, last - chosen.days * DAY_NS + 1, 7 * DAY_NS):
        seed = chosen.seed + len(weeks)
        accounts = sampled(panel, begin, begin + chosen.days * DAY_NS, chosen.per_week, chosen.days, seed)
        built = build_stage(accounts, panel, policy, prior, predictor, setting)
        assert not built.failures
        with solver_on_stderr():
            asked = chosen.targets, chosen.seconds, chosen.knobs, chosen.asked
            weeks.append(desk_week(built, rules, *asked, **changes))
        print(f"week {len(weeks)}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    joined = join_weeks(weeks, family=chosen.against)
    print(f"{len(weeks)} weeks; inventories: {chosen.share:g} of those of the policy")
    report(joined.study, chosen.against)
    report_plans(joined.told)
    report_choices(joined.chosen)
    if chosen.out is not None:
        write(joined.study, chosen.out)
    print(f"\n{time.perf_counter() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
