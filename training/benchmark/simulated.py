"""The track on a simulated market, where the exact P(call) of every account is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from models.book import Book
from models.errors import InputError
from models.typing import DAY_NS
from training.accounts import draw_accounts
from training.benchmark.attainable import attainable
from training.benchmark.compare import compare
from training.benchmark.contest import fit_contestants
from training.benchmark.filtered import filter_market
from training.benchmark.law import Law
from training.benchmark.market import KnownMarket, draw_market
from training.benchmark.truth import Truth, nested
from training.build import BuildSettings
from training.evaluate.report import plain
from training.fit import FitParameters
from training.population import Population
from training.scoring import evaluation_set
from training.settings import Stage, TrainSettings, instants_between, say, stage
from training.splits import PURGE_NS

__all__ = ["FULL", "QUICK", "SimulatedSettings", "simulated_track"]


@dataclass(frozen=True, slots=True)
class SimulatedSettings:
    """Sizes of the simulated track.

    Parameters
    ----------
    assets : tuple of str
        Assets of the market.
    train_days, test_days : int
        Length of the two periods; the first begins with a warm-up.
    warmup_days : int
        Days before the first training instant, at least 61.
    train_every, test_every : int
        Minutes between instants. 2460 (41 hours) passes through all hours of the week.
    train_accounts, test_accounts : int
        Accounts of an instant.
    paths : int
        Futures of each test instant, an even number from 4 on.
    prior_paths : int
        Scenario paths of the prior.
    particles : int
        Particles of the filter that knows the law, at least 100.
    rounds : int
        Most rounds of boosted peers.
    ruleset : str
        Ruleset of the accounts, of linear contracts.
    """

    assets: tuple[str, ...] = ("BTC", "ETH", "SOL", "XRP")
    train_days: int = 1095
    test_days: int = 364
    warmup_days: int = 180
    train_every: int = 660
    test_every: int = 2460
    train_accounts: int = 28
    test_accounts: int = 30
    paths: int = 4000
    prior_paths: int = 2048
    particles: int = 4000
    rounds: int = 200
    ruleset: str = "binance-usdm"

    def __post_init__(self) -> None:
        """Refuse what the track cannot be run with."""
        if self.paths < 4 or self.paths % 2:
            raise InputError("paths", self.paths, "an even number from 4 on")
        if self.test_days < 8:
            raise InputError("test_days", self.test_days, "at least 8")
        if self.particles < 100:
            raise InputError("particles", self.particles, "at least 100")


FULL: Final = SimulatedSettings()
QUICK: Final = SimulatedSettings(
    assets=("BTC", "ETH"), train_days=300, test_days=56, warmup_days=75, train_every=960, test_every=2460,
    train_accounts=10, test_accounts=12, paths=400, prior_paths=256, particles=500, rounds=40,
)  # fmt: skip


def simulated_track(
    settings: SimulatedSettings = FULL,
    seed: int = 7,
    peers: Sequence[str] | None = None,
    progress: Stage | None = None,
) -> dict[str, Any]:
    """Train on a simulated market and compare with the truth on the time after.

    Parameters
    ----------
    settings : SimulatedSettings
        Sizes.
    seed : int
        Seed of the market, of its futures, of the accounts and of the trees.
    peers : sequence of str, optional
        Which peers; all by default.
    progress : callable, optional
        Called with (stage, done, in all).

    Returns
    -------
    dict
        about, notes, attainable (`training.benchmark.attainable`) and the keys of `training.benchmark.compare`.
    """
    market = draw_market(Law(assets=settings.assets), settings.train_days + settings.test_days, seed)
    panel, cut = market.panel, market.panel.start + settings.train_days * DAY_NS
    training = _train_settings(settings, seed)
    contestants = fit_contestants(panel, panel.start, cut, training, peers, settings.rounds, progress)
    accounts, truth, filtered = known_accounts(market, settings, cut, seed, progress)
    prior = contestants.training.predictor.prior
    dataset = evaluation_set(panel, prior, cut, panel.end, training, accounts, progress).dataset
    if len(dataset) != 2 * len(truth.one):
        raise InputError("accounts", len(dataset) // 2, f"{len(truth.one)}, all of those that were simulated")
    forecasts = contestants.forecasts(dataset)
    return plain(
        {
            "about": {**asdict(settings), "seed": seed, "law": asdict(market.law), "accounts": len(truth.one)},
            "notes": contestants.notes,
            "attainable": attainable(dataset, truth, forecasts, filtered),
            **compare(dataset, forecasts, panel),
        }
    )


def known_accounts(
    market: KnownMarket, settings: SimulatedSettings, cut: int, seed: int, progress: Stage | None = None
) -> tuple[Population, Truth, Truth]:
    """Sample accounts of the test period, and find the truth of each.

    Parameters
    ----------
    market : KnownMarket
        Market with its state.
    settings : SimulatedSettings
        Sizes.
    cut : int
        Begin of the test period, nanoseconds UTC.
    seed : int
        Seed of training; the accounts are drawn with the next one.
    progress : callable, optional
        Called with (stage, done, in all).

    Returns
    -------
    tuple of (Population, Truth, Truth)
        Accounts whose longest horizon ends within the market, their truth in the same order, and what a filter that
        knows the law counts for them.
    """
    panel = market.panel
    instants = instants_between(panel, cut, panel.end - PURGE_NS + 1, settings.test_every)
    accounts = draw_accounts(panel, settings.ruleset, instants, settings.test_accounts, seed + 1)
    book, _ = Book.from_columns(accounts.accounts, accounts.positions, accounts.collateral, panel.assets)
    truth = nested(market, book, settings.paths, progress=stage(progress, "truth"))
    say(progress, "particles", 0, 1)
    kept = min(settings.particles, settings.paths // 2)
    cloud = filter_market(market, np.unique(book.as_of), settings.particles, kept, settings.warmup_days)
    say(progress, "particles", 1, 1)
    return accounts, truth, nested(cloud, book, settings.paths, progress=stage(progress, "filter"))


def _train_settings(settings: SimulatedSettings, seed: int) -> TrainSettings:
    build, fit = BuildSettings(paths=settings.prior_paths), FitParameters(seed=seed)
    return TrainSettings(
        settings.ruleset,
        settings.train_every,
        settings.train_accounts,
        seed,
        settings.warmup_days,
        build=build,
        fit=fit,
    )
