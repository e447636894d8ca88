"""Runs and registered models in MLflow: data only, never code.

The home is one folder: ``<home>/mlflow.db`` (SQLite, which MLflow's file store has been replaced by) and
``<home>/artifacts``; or a tracking server, which keeps them where it was told to. A registered version points to the
bundle that its run logged; nothing is pickled.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from models.errors import InputError, ModelError
from training.run_figures import log_figures

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from models.predictor import MarginCallPredictor

__all__ = ["ALIASES", "MODEL_NAME", "RETRAIN", "Registered", "Registry"]

MODEL_NAME: Final = "margincast"
ALIASES: Final = ("champion", "challenger")
BUNDLE: Final = "bundle"
RETRAIN: Final = "margincast.retrain"
"""Tag of a run: the name of the retraining that logged it."""
_BEFORE: Final = "margincast.before"
_SERVERS: Final = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Registered:
    """One registered model version.

    Parameters
    ----------
    name, version : str
        Registered name and version number.
    run_id : str
        The MLflow run that trained it.
    alias : str
        The alias that was set, empty if none.
    """

    name: str
    version: str
    run_id: str
    alias: str = ""


class Registry:
    """An MLflow home: a folder, or a tracking server.

    Parameters
    ----------
    home : str or Path
        Folder, created if it is not there; or the address of a server, ``http://`` or ``https://``, which MLflow asks
        with the credentials of its own variables.
    name : str
        Name of the experiment and of the registered model.

    Raises
    ------
    InputError
        If the address is neither.

    Examples
    --------
    >>> Registry("http://mlflow.example:5000").where
    'http://mlflow.example:5000'
    """

    def __init__(self, home: str | Path = "mlruns", name: str = MODEL_NAME) -> None:
        address = str(home)
        if "://" in address and not address.startswith(_SERVERS):
            raise InputError("registry", address, "a folder, or the http:// or https:// address of a tracking server")
        self.server = address if "://" in address else ""
        self.home = Path("mlruns" if self.server else home).resolve()
        self.name = name

    @property
    def uri(self) -> str:
        """Tracking and registry address."""
        return self.server or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def where(self) -> str:
        """The folder or the server, for messages."""
        return self.server or str(self.home)

    @property
    def exists(self) -> bool:
        """Whether there is something to ask; a server is taken to be there."""
        return bool(self.server) or (self.home / "mlflow.db").is_file()

    def log(
        self,
        predictor: MarginCallPredictor,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, Any],
        fingerprint: str,
        alias: str | None = "champion",
        run_name: str | None = None,
        files: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Registered:
        """Record one training and register its bundle.

        Parameters
        ----------
        predictor : MarginCallPredictor
            The model; its version is written into the bundle.
        parameters : mapping
            Parameters of the training; values are stored as text.
        metrics : mapping
            Scores, nested as in ``metrics.json``; numbers are logged one by one, the whole as an artifact.
        fingerprint : str
            Fingerprint of the training data.
        alias : str or None
            Alias to set: ``"champion"``, ``"challenger"`` or None.
        run_name : str, optional
            Name of the run.
        files : mapping of str to str, optional
            More text files to put beside the bundle, by name.
        tags : mapping of str to str, optional
            Tags of the run.

        Returns
        -------
        Registered
            Name, version, run and alias.

        Raises
        ------
        InputError
            If the alias is not known.
        """
        if alias is not None and alias not in ALIASES:
            raise InputError("alias", alias, f"one of {', '.join(ALIASES)}, or nothing")
        client = self._client()
        run_id = client.create_run(self._experiment(client), run_name=run_name, tags=dict(tags or {})).info.run_id
        log_figures(client, run_id, {**parameters, "data_fingerprint": fingerprint}, metrics)
        _ensure_model(client, self.name)
        version = client.create_model_version(self.name, source=f"runs:/{run_id}/{BUNDLE}", run_id=run_id).version
        named = {
            **predictor.metadata,
            "version": f"{self.name}/{version}",
            "run_id": run_id,
            "data_fingerprint": fingerprint,
        }
        with tempfile.TemporaryDirectory() as scratch:
            replace(predictor, metadata=named).save(Path(scratch) / BUNDLE)
            for file, text in (files or {}).items():
                (Path(scratch) / BUNDLE / file).write_text(text, encoding="utf-8")
            (Path(scratch) / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
            client.log_artifacts(run_id, str(Path(scratch) / BUNDLE), BUNDLE)
            client.log_artifact(run_id, str(Path(scratch) / "metrics.json"))
        if alias is not None:
            client.set_registered_model_alias(self.name, alias, version)
        client.set_terminated(run_id)
        return Registered(self.name, str(version), run_id, alias or "")

    def logged(self, key: str) -> Registered | None:
        """Find the version that a retraining has registered.

        Parameters
        ----------
        key : str
            Name of the retraining.

        Returns
        -------
        Registered or None
            None where it has not got so far; a run that was cut off does not count.
        """
        client = self._client()
        runs = client.search_runs([self._experiment(client)], f"tags.`{RETRAIN}` = '{key}' and status = 'FINISHED'")
        for run in runs:
            found = client.search_model_versions(f"name = '{self.name}' and run_id = '{run.info.run_id}'")
            if found:
                return Registered(self.name, str(found[0].version), run.info.run_id, "challenger")
        return None

    def promote(self, version: str) -> str:
        """Make a version the champion, and remember which one it replaced.

        Parameters
        ----------
        version : str
            Version number.

        Returns
        -------
        str
            The champion before; empty where there was none. Doing it twice is doing it once.
        """
        client = self._client()
        wanted = self._version(client, version)
        now = self._champion(client)
        if now == str(wanted.version):
            return str(wanted.tags.get(_BEFORE, ""))
        client.set_model_version_tag(self.name, wanted.version, _BEFORE, now)
        client.set_registered_model_alias(self.name, "champion", wanted.version)
        return now

    def rollback(self) -> tuple[str, str]:
        """Make the version that the champion replaced the champion again.

        Returns
        -------
        before, now : str
            Version numbers of the champion before and after.

        Raises
        ------
        ModelError
            If there is no champion, or it did not replace another one.
        """
        client = self._client()
        champion = self._version(client, "champion")
        before = str(champion.tags.get(_BEFORE, ""))
        if not before:
            raise ModelError(
                f"{self.where}: expected a champion that replaced another one, was {self.name}/{champion.version}"
            )
        client.set_registered_model_alias(self.name, "champion", before)
        return str(champion.version), before

    def _champion(self, client: MlflowClient) -> str:
        try:
            return str(self._version(client, "champion").version)
        except ModelError:
            return ""

    def attach(self, run_id: str, folder: str | Path, name: str) -> bool:
        """Put a folder of files among the artifacts of a run.

        Parameters
        ----------
        run_id : str
            The run.
        folder : str or Path
            What to put there.
        name : str
            Folder among the artifacts.

        Returns
        -------
        bool
            False where this home does not know the run.
        """
        from mlflow.exceptions import MlflowException

        if not self.exists:
            return False
        client = self._client()
        try:
            client.get_run(run_id)
        except MlflowException:
            return False
        client.log_artifacts(run_id, str(folder), name)
        return True

    def fetch(self, alias_or_version: str = "champion", into: str | Path | None = None) -> Path:
        """Find the bundle of a registered version.

        Parameters
        ----------
        alias_or_version : str
            ``"champion"``, ``"challenger"`` or a version number.
        into : str or Path, optional
            Folder to copy the bundle to. Where it is not given, the registry's own folder is returned, or that of what
            a server gave: ``mlruns/fetched``, once for each version.

        Returns
        -------
        Path
            Folder of the bundle, for `MarginCallPredictor.load`.

        Raises
        ------
        ModelError
            If there is no registry, no such version, or its artifacts are gone.
        """
        if not self.exists:
            raise ModelError(
                f"{self.where}: expected an MLflow home with mlflow.db, was none; run `margincast train` first"
            )
        client = self._client()
        version = self._version(client, alias_or_version)
        source = self._fetched(client, version.run_id) if self.server else self._kept(client, version.run_id)
        if not source.is_dir():
            raise ModelError(f"{source}: expected the bundle of {self.name}/{version.version}, was gone; train again")
        return source if into is None else Path(shutil.copytree(source, Path(into), dirs_exist_ok=True))

    def _kept(self, client: MlflowClient, run_id: str) -> Path:
        return Path(_local(client.get_run(run_id).info.artifact_uri)) / BUNDLE

    def _fetched(self, client: MlflowClient, run_id: str) -> Path:
        """Bring the bundle of a run here, once: what a run has logged does not change."""
        from mlflow.exceptions import MlflowException

        place = self.home / "fetched" / run_id
        if not place.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(dir=place.parent))
            try:
                client.download_artifacts(run_id, BUNDLE, str(scratch))
                scratch.replace(place)
            except (MlflowException, OSError) as error:
                shutil.rmtree(scratch, ignore_errors=True)
                if not place.is_dir():  # of two at once the first one's
                    raise ModelError(
                        f"{self.where}: the bundle of run {run_id} could not be fetched: {error}"
                    ) from None
        return place / BUNDLE

    def load(self, alias_or_version: str = "champion") -> MarginCallPredictor:
        """Load a registered predictor.

        Parameters
        ----------
        alias_or_version : str
            ``"champion"``, ``"challenger"`` or a version number.

        Returns
        -------
        MarginCallPredictor
            The predictor.
        """
        from models.predictor import MarginCallPredictor

        return MarginCallPredictor.load(self.fetch(alias_or_version))

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias to a version.

        Parameters
        ----------
        alias : str
            ``"champion"`` or ``"challenger"``.
        version : str
            Version number.

        Raises
        ------
        InputError
            If the alias is not known.
        """
        if alias not in ALIASES:
            raise InputError("alias", alias, f"one of {', '.join(ALIASES)}")
        self._client().set_registered_model_alias(self.name, alias, version)

    def _client(self) -> MlflowClient:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        from mlflow import MlflowClient

        if not self.server:
            self.home.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _experiment(self, client: MlflowClient) -> str:
        found = client.get_experiment_by_name(self.name)
        if found is not None:
            return str(found.experiment_id)
        place = None if self.server else (self.home / "artifacts").as_uri()
        return str(client.create_experiment(self.name, artifact_location=place))

    def _version(self, client: MlflowClient, alias_or_version: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            if alias_or_version.isdigit():
                return client.get_model_version(self.name, alias_or_version)
            return client.get_model_version_by_alias(self.name, alias_or_version)
        except MlflowException:
            raise ModelError(
                f"{self.where}: expected a version or alias of {self.name}, was {alias_or_version!r}; "
                "run `margincast train` or name another one"
            ) from None


def _ensure_model(client: MlflowClient, name: str) -> None:
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)


def _local(uri: str) -> str:
    from urllib.parse import unquote, urlparse
    from urllib.request import url2pathname

    parsed = urlparse(uri)
    if parsed.scheme not in ("", "file"):
        raise ModelError(f"artifacts: expected a local folder, was {uri}")
    return url2pathname(unquote(parsed.path)) if parsed.scheme else uri
