"""Training rows by calendar month, kept on disk: a night builds only the months that are new or have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from features.build import FEATURE_NAMES
from features.market import market_features
from models.errors import InputError
from models.margin.rulesets.loader import ruleset_digest, ruleset_names
from models.market import MarketPanel
from models.prior import PriorModel
from models.typing import DAY_NS, IntArray
from training.accounts import draw_accounts
from training.build import MarketColumns, PriorSchedule, build_dataset
from training.dataset import Dataset, concatenate, fingerprint
from training.dataset_files import read_dataset, write_dataset
from training.population import Population
from training.settings import TrainSettings, instants_between
from training.splits import PURGE_NS

__all__ = ["Chunks", "months_between", "panel_digest", "prior_digest", "rules_digest"]

_FORMAT = 1
_FIELDS = ("open", "high", "low", "close", "volume", "funding_rate")


def months_between(start: int, end: int) -> list[tuple[int, int]]:
    """Cut a period at the beginnings of calendar months.

    Parameters
    ----------
    start, end : int
        Nanoseconds UTC, ``end`` not included.

    Returns
    -------
    list of (int, int)
        First instant, and that of the next piece.

    Examples
    --------
    >>> day = 86_400 * 10**9
    >>> [(a // day, b // day) for a, b in months_between(20 * day, 70 * day)]
    [(20, 31), (31, 59), (59, 70)]
    """
    if end <= start:
        return []
    first, last = (np.datetime64(t, "ns").astype("datetime64[M]") for t in (start, end - 1))
    begins = np.arange(first + 1, last + 1).astype("datetime64[ns]").astype(np.int64).tolist()
    edges = [start, *begins, end]
    return list(pairwise(edges))


@dataclass(frozen=True, slots=True, eq=False)
class Chunks:
    """Builds the rows of a period from months that are kept.

    Parameters
    ----------
    folder : Path
        Where the months are kept.
    panel : MarketPanel
        All bars known.
    prior : PriorModel
        The prior of all rows.
    settings : TrainSettings
        Ruleset, sampling and build settings.
    columns : callable, optional
        Market features of a panel; for tests that plant a leak.
    """

    folder: Path
    panel: MarketPanel
    prior: PriorModel
    settings: TrainSettings
    columns: MarketColumns = market_features

    def accounts(self, first: int, last: int, seed: int) -> Population | None:
        """Accounts of a calendar month, or of a part of it.

        Parameters
        ----------
        first, last : int
            Nanoseconds UTC.
        seed : int
            Of the accounts.

        Returns
        -------
        Population or None
            None where no instant lies in it.
        """
        known = self.panel.between(self.panel.start, last + PURGE_NS)
        instants = _aligned(known, first, last, self.settings.every_minutes)
        if not len(instants):
            return None
        drawn = seed * 1000 + first // (28 * DAY_NS) % 1000
        return draw_accounts(known, self.settings.ruleset, instants, self.settings.per_instant, int(drawn))

    def rows(
        self, start: int, end: int, seed: int, baselines: bool, told: Callable[[int, int], None] | None = None
    ) -> Dataset:
        """Rows of the instants of a period.

        Parameters
        ----------
        start, end : int
            Nanoseconds UTC.
        seed : int
            Of the accounts; each month draws its own from it.
        baselines : bool
            Whether the columns of the baselines are there.
        told : callable, optional
            Called with (months done, months in all).

        Returns
        -------
        Dataset
            In order of time.

        Raises
        ------
        InputError
            If no account could be used in the whole period.
        """
        months = months_between(start, end)
        pieces = []
        for i, (first, last) in enumerate(months):
            pieces.append(self._month(first, last, seed, baselines))
            if told is not None:
                told(i + 1, len(months))
        found = [piece for piece in pieces if piece is not None]
        if not found:
            raise InputError("period", f"{start} to {end}", "a period with accounts inside the market's bars")
        return concatenate(found)

    def _month(self, first: int, last: int, seed: int, baselines: bool) -> Dataset | None:
        known = self.panel.between(self.panel.start, last + PURGE_NS)
        build = replace(self.settings.build, baselines=baselines)
        about = (
            _FORMAT, first, last, seed, self.settings.ruleset, self.settings.every_minutes, self.settings.per_instant,
            asdict(build), panel_digest(known), prior_digest(self.prior), rules_digest(), FEATURE_NAMES,
            self.columns.__qualname__,
        )  # fmt: skip
        path = self.folder / f"{np.datetime64(first, 'ns').astype('datetime64[D]')}-{fingerprint(*about)[:20]}.parquet"
        if path.is_file():
            return read_dataset(path)
        people = self.accounts(first, last, seed)
        if people is None:
            return None
        within = first <= self.prior.fitted_until
        schedule = PriorSchedule(known, first, build, fixed=self.prior, in_sample=within)
        pieces = list(build_dataset(known, people, schedule, build, market_columns=self.columns))
        if not pieces:
            return None
        return _keep(concatenate(pieces), path)


def panel_digest(panel: MarketPanel) -> str:
    """Digest of everything in a panel.

    Parameters
    ----------
    panel : MarketPanel
        Bars.

    Returns
    -------
    str
        Hexadecimal.
    """
    digest = hashlib.blake2b(digest_size=20)
    digest.update(repr((panel.assets, panel.bar_minutes, panel.start, panel.source)).encode())
    for name in _FIELDS:
        digest.update(np.ascontiguousarray(getattr(panel, name)).tobytes())
    if panel.implied is not None:
        digest.update(np.ascontiguousarray(panel.implied).tobytes())
    return digest.hexdigest()


def prior_digest(prior: PriorModel) -> str:
    """Digest of a fitted prior.

    Parameters
    ----------
    prior : PriorModel
        The prior.

    Returns
    -------
    str
        Hexadecimal.
    """
    digest = hashlib.blake2b(digest_size=20)
    for name, value in sorted(prior.to_arrays().items()):
        digest.update(name.encode() + np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def rules_digest() -> str:
    """Digest of all rulesets there are, those of the user included.

    Returns
    -------
    str
        Hexadecimal; another one as soon as any parameter of any ruleset changes.
    """
    return fingerprint(*((name, ruleset_digest(name)) for name in sorted(ruleset_names())))


def _aligned(panel: MarketPanel, first: int, last: int, every_minutes: int) -> IntArray:
    """Instants of a month on a grid that does not depend on where the period begins."""
    step = -(-every_minutes // panel.bar_minutes) * panel.step
    begin = -(-first // step) * step
    found = instants_between(panel, begin, last, every_minutes)
    return found[found >= first]


def _keep(rows: Dataset, path: Path) -> Dataset:
    write_dataset([rows], path)
    for other in path.parent.glob(f"{path.name[:10]}-*.parquet"):
        if other != path and other.stat().st_mtime < path.stat().st_mtime - 30 * 86_400:
            other.unlink(missing_ok=True)
    return rows
