"""Watches where a model comes from; a new one is handed out once, a broken one leaves the old one in use."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from models.errors import ModelError
from models.predictor.store import FILES
from serving.bundles.fetch import REFERENCE, Fetched, fetch, last_fetched
from serving.model_source import PRIOR, Model, load_folder
from serving.settings import Secret

__all__ = ["ModelKeeper", "ModelSource"]

Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model is looked for.

    Parameters
    ----------
    reference : str
        Folder of a bundle, or an MLflow reference; empty: the prior alone.
    tracking_uri : Secret
        MLflow tracking URI, for such a reference.
    cache : str
        Folder that keeps fetched bundles; empty: one that goes with the process.
    refresh_seconds : float
        An MLflow reference is asked again after so long; 0: only when forced. A folder is looked at every time.
    timeout_seconds : float
        Longest time that MLflow may take.
    """

    reference: str
    tracking_uri: Secret = field(default_factory=Secret)
    cache: str = ""
    refresh_seconds: float = 300.0
    timeout_seconds: float = 120.0


class ModelKeeper:
    """The model in use and what became of the last attempt to replace it.

    Parameters
    ----------
    source : ModelSource
        Where to look.
    clock : callable
        Nanoseconds since the epoch now.

    Notes
    -----
    `look` gives a new model; whoever asked builds on it and then says `accept`, or `refuse` where it did not work out.
    Until then, and for ever where the new one is broken, ``active`` is the old one (the prior where there was none).
    """

    def __init__(self, source: ModelSource, clock: Callable[[], int]) -> None:
        self.source = source
        self.active: Model = PRIOR
        self.failures = 0
        self.loaded_at: datetime | None = None
        self._unread = self._unfetched = ""
        self._clock = clock
        self._tried: tuple[str, Signature] | None = None
        self._asked_ns: int | None = None
        fetched = source.reference.startswith(REFERENCE)
        self._folder: tuple[Path, str] | None = None if fetched else (Path(source.reference), "")
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @property
    def problem(self) -> str:
        """What is wrong with the source now; empty where nothing is."""
        wrong = [reason for reason in (self._unfetched, self._unread) if reason]
        stays = "the prior answers" if self.active.predictor is None else f"version {self.active.version} stays in use"
        return "; ".join([*wrong, stays]) if wrong else ""

    def look(self, force: bool = False) -> Model | None:
        """Look for a model that is not the one in use.

        Parameters
        ----------
        force : bool
            Ask MLflow, and read the bundle, even if nothing seems to have changed.

        Returns
        -------
        Model or None
            None where there is nothing new.

        Raises
        ------
        ModelError
            If there is something new and it is broken; it is not read again until it changes.
        """
        if not self.source.reference:
            return None
        try:
            found = self._find(force)
        except ModelError as error:
            self.failures += 1
            self._unfetched = str(error)
            raise
        if found is None:
            return None
        folder, name = found
        try:
            seen = (str(folder), _signature(folder))
            if seen == self._tried and not force:
                return None
            self._tried = seen
            model = load_folder(folder, self.source.reference, name)
            if (str(folder), _signature(folder)) != seen:
                self._tried = None
                raise ModelError(f"model: {folder} changed while it was read; it is read again at the next look")
        except Exception as error:  # whatever a bundle of another program may raise: the old model stays
            raise self.refuse(error) from None
        return model

    def accept(self, model: Model) -> None:
        """Say that a model is in use now.

        Parameters
        ----------
        model : Model
            What `look` gave.
        """
        self.active, self._unread = model, ""
        self.loaded_at = datetime.fromtimestamp(self._clock() / 1e9, UTC)

    def refuse(self, error: Exception) -> ModelError:
        """Note that a model could not be used.

        Parameters
        ----------
        error : Exception
            Why.

        Returns
        -------
        ModelError
            The same, with the name of the source.
        """
        reason = str(error) or type(error).__name__
        self._unread = reason if reason.startswith("model: ") else f"model: {self.source.reference}: {reason}"
        self.failures += 1
        return ModelError(self.problem)

    def close(self) -> None:
        """Remove what was fetched, unless it is in a folder that was named."""
        if self._scratch is not None:
            self._scratch.cleanup()

    def _find(self, force: bool) -> tuple[Path, str] | None:
        if self.source.reference.startswith(REFERENCE) and (force or self._due()):
            self._asked_ns = self._clock()
            found = self._fetch()
            self._folder = (found.folder, found.name)
        return self._folder

    def _due(self) -> bool:
        if self._asked_ns is None:
            return True
        seconds = self.source.refresh_seconds
        return seconds > 0 and not 0 <= self._clock() - self._asked_ns < seconds * 1e9

    def _fetch(self) -> Fetched:
        """Ask MLflow; before the first answer, what a run before this one fetched will do."""
        source, cache = self.source, self._cache()
        try:
            found = fetch(source.reference, source.tracking_uri, cache, source.timeout_seconds)
        except ModelError as error:
            known = None if self._tried else last_fetched(source.reference, source.tracking_uri, cache)
            if known is None:
                raise
            self.failures += 1
            self._unfetched = str(error)
            return known
        self._unfetched = ""
        return found

    def _cache(self) -> Path:
        if self.source.cache:
            return Path(self.source.cache)
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="margincast-models-", ignore_cleanup_errors=True)
        return Path(self._scratch.name)


def _signature(folder: Path) -> Signature:
    """Size, time of change and number of each file of a bundle; equal for equal states."""
    parts = [folder] if (folder / "bundle.json").is_file() else sorted(p.parent for p in folder.rglob("bundle.json"))
    out = []
    for name in FILES if parts else ():
        try:
            info = (parts[0] / name).stat()
        except OSError:
            continue
        out.append((name, info.st_size, info.st_mtime_ns, info.st_ino))
    return tuple(out)
