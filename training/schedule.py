"""How a training set is built, and the prior that was there at each instant."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from models.errors import InputError
from models.market import MarketPanel
from models.prior import PriorModel
from models.typing import DAY_NS
from models.volatility.forecast import VolatilityKind
from training.labels import Extremes

__all__ = ["BuildSettings", "PriorSchedule"]


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """How the training set is built.

    Parameters
    ----------
    extremes : {"synchronous", "adverse", "close"}
        How extremes inside a bar are taken by the replay where several assets matter.
    keep_gaps : bool
        Whether rows with a missing bar in their window are used.
    baselines : bool
        Whether the columns of the baselines B2 to B5 are computed (needed to evaluate, not to train).
    refit_days : int
        Days between two fits of the prior where it is not given, 7 to 3650.
    paths : int
        Scenario paths of the prior, 64 to 16384.
    chunk : int
        Accounts held at once, at least 100.
    """

    extremes: Extremes = "synchronous"
    keep_gaps: bool = False
    baselines: bool = False
    refit_days: int = 91
    paths: int = 2048
    chunk: int = 10_000

    def __post_init__(self) -> None:
        for name, low, high in (("refit_days", 7, 3650), ("paths", 64, 16384), ("chunk", 100, 10**9)):
            if not low <= getattr(self, name) <= high:
                raise InputError(name, getattr(self, name), f"{low} to {high}")


@dataclass(slots=True)
class PriorSchedule:
    """The prior that was there at each instant: fitted every so often on data closed before.

    Parameters
    ----------
    panel : MarketPanel
        All of the history.
    first : int
        Nanoseconds; the first fit is made here.
    settings : BuildSettings
        Refit interval and number of paths.
    volatility : {"harx", "har", "ewma"}
        Kind of forecast.
    fixed : PriorModel, optional
        One prior for all instants; they must not lie before the end of its data.
    in_sample : bool
        Whether the fixed prior may have seen data after an instant (for training only).
    """

    panel: MarketPanel
    first: int
    settings: BuildSettings
    volatility: VolatilityKind = "harx"
    fixed: PriorModel | None = None
    in_sample: bool = False
    _kept: dict[int, PriorModel] = field(default_factory=dict)

    def period(self, as_of: int) -> int:
        """Number of the refit period that an instant lies in."""
        return int((as_of - self.first) // (self.settings.refit_days * DAY_NS))

    def at(self, as_of: int) -> PriorModel:
        """Give the prior for an instant; it has seen nothing after it.

        Parameters
        ----------
        as_of : int
            Nanoseconds UTC.

        Returns
        -------
        PriorModel
            The prior.

        Raises
        ------
        InputError
            If a fixed prior was fitted on data after the instant.
        """
        if self.fixed is not None:
            if self.fixed.fitted_until > as_of and not self.in_sample:
                raise InputError("as_of", as_of, f"an instant after the prior's data, {self.fixed.fitted_until}")
            return self.fixed
        number = self.period(as_of)
        if number not in self._kept:
            self._kept.clear()
            until = self.first + number * self.settings.refit_days * DAY_NS
            self._kept[number] = PriorModel.fit(self.panel, until, self.volatility, paths=self.settings.paths)
        return self._kept[number]

    def settled(self, as_of: int) -> PriorSchedule:
        """Give the schedule of one refit period, its prior fitted.

        Parameters
        ----------
        as_of : int
            An instant of the period, nanoseconds UTC.

        Returns
        -------
        PriorSchedule
            The same prior at every instant of the period; nothing is left to fit.

        Raises
        ------
        InputError
            If a fixed prior was fitted on data after the instant.
        """
        prior = self.at(as_of)
        return self if self.fixed is not None else replace(self, fixed=prior, in_sample=True, _kept={})
