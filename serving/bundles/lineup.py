"""The models of one server: the one that answers, and the challenger that is scored beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from models.errors import ModelError
from models.typing import HORIZONS
from serving.bundles.keeper import ModelKeeper, ModelSource
from serving.bundles.shadow import Shadow
from serving.metrics import Metrics
from serving.model_source import Model
from serving.schemas import ModelInfo, ModelList, ShadowDifference
from serving.settings import Settings

__all__ = ["LineUp"]

_log = logging.getLogger("margincast.serving")


class LineUp:
    """Champion and challenger, each from where the settings say.

    Parameters
    ----------
    settings : Settings
        ``model``, ``shadow``, ``tracking_uri`` and the ``model_*`` limits are used.
    clock : callable
        Nanoseconds since the epoch now.
    metrics : Metrics
        Told of what is in use and of what could not be.
    """

    def __init__(self, settings: Settings, clock: Callable[[], int], metrics: Metrics) -> None:
        def keeper(reference: str) -> ModelKeeper:
            limits = (settings.model_cache, settings.model_refresh_seconds, settings.model_timeout_seconds)
            return ModelKeeper(ModelSource(reference, settings.tracking_uri, *limits), clock)

        self.champion, self.challenger = keeper(settings.model), keeper(settings.shadow)
        self.shadow: Shadow | None = None
        self._metrics = metrics
        metrics.at_scrape(self._tell)

    @property
    def active(self) -> Model:
        """The model that answers."""
        return self.champion.active

    def start(self) -> None:
        """Load both; what cannot be loaded is logged, and the prior answers."""
        try:
            found = self.look()
            if found is not None:
                self.accept(found)
        except ModelError as error:
            _log.error("model not loaded: %s", error)
        self.refresh_shadow()

    def look(self, force: bool = False) -> Model | None:
        """Look for a model that should answer from now on, see `ModelKeeper.look`.

        Parameters
        ----------
        force : bool
            Even if nothing seems to have changed.

        Returns
        -------
        Model or None
            None where there is nothing new.

        Raises
        ------
        ModelError
            If there is something new and it is broken.
        """
        before = self.champion.failures
        try:
            return self.champion.look(force)
        finally:
            self._metrics.model_failures.labels("champion").inc(self.champion.failures - before)

    def accept(self, model: Model) -> None:
        """Say that a model answers now.

        Parameters
        ----------
        model : Model
            What `look` gave.
        """
        self.champion.accept(model)
        self._metrics.model_reloads.labels("champion").inc()

    def refuse(self, error: Exception) -> ModelError:
        """Note that a model could not be used; the old one stays.

        Parameters
        ----------
        error : Exception
            Why.

        Returns
        -------
        ModelError
            The same, with the name of the source.
        """
        self._metrics.model_failures.labels("champion").inc()
        return self.champion.refuse(error)

    def refresh_shadow(self, force: bool = False) -> None:
        """Look for a newer challenger; what cannot be loaded is logged and told at ``/v1/models``.

        Parameters
        ----------
        force : bool
            Even if nothing seems to have changed.
        """
        before = self.challenger.failures
        try:
            found = self.challenger.look(force)
        except ModelError as error:
            _log.warning("shadow %s", error)
            return
        finally:
            self._metrics.model_failures.labels("challenger").inc(self.challenger.failures - before)
        if found is not None:
            self.challenger.accept(found)
            old, self.shadow = self.shadow, Shadow(found, self._metrics)
            self._metrics.model_reloads.labels("challenger").inc()
            if old is not None:
                old.close()

    def listed(self, expired: bool) -> ModelList:
        """Name the models.

        Parameters
        ----------
        expired : bool
            Whether the one that answers is past its expiry at the newest market.

        Returns
        -------
        ModelList
            The one that answers, then the challenger where there is one.
        """
        found = [_info(self.champion, True, self.problem(expired))]
        if self.challenger.source.reference:
            told = [] if self.shadow is None else self.shadow.differences()
            found.append(_info(self.challenger, False, self.challenger.problem, told))
        return ModelList(models=found)

    def problem(self, expired: bool) -> str:
        """What is wrong with the model that answers; empty where nothing is.

        Parameters
        ----------
        expired : bool
            Whether it is past its expiry at the newest market.

        Returns
        -------
        str
            A sentence.
        """
        until = self.active.details.get("expires_at")
        late = (
            f"model: version {self.active.version} was to be used until {until}; the prior answers" if expired else ""
        )
        return "; ".join(part for part in (self.champion.problem, late) if part)

    def close(self) -> None:
        """End the challenger's thread, remove what was fetched."""
        if self.shadow is not None:
            self.shadow.close()
        for keeper in (self.champion, self.challenger):
            keeper.close()

    def _tell(self) -> None:
        info = self._metrics.model_info
        info.clear()
        info.labels("champion", self.active.name, self.active.version).set(1)
        if self.shadow is not None:
            info.labels("challenger", self.shadow.model.name, self.shadow.model.version).set(1)


def _info(keeper: ModelKeeper, active: bool, problem: str, told: list[ShadowDifference] | None = None) -> ModelInfo:
    model = keeper.active
    return ModelInfo(
        name=model.name,
        version=model.version,
        kind="prior" if model.predictor is None else "prior + LightGBM residual",
        horizons=list(HORIZONS),
        active=active,
        details=model.details,
        loaded_at=keeper.loaded_at,
        problem=problem,
        differences=told or [],
    )
