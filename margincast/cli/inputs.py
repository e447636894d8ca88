"""From what was typed to values: names, times, markets, models."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from margincast.cli.console import note
from models.errors import InputError, ModelError

if TYPE_CHECKING:
    from models.market import MarketPanel
    from serving.model_source import Model
    from training.registry import Registry

__all__ = [
    "instant",
    "model_folder",
    "model_reference",
    "names",
    "open_market",
    "open_model",
    "open_registry",
    "registered_folder",
]

HOME = Path("mlruns")
REGISTERED = "models:/"


def names(text: str | None) -> tuple[str, ...] | None:
    """Split names at commas.

    Parameters
    ----------
    text : str or None
        For example ``"BTC,ETH"``.

    Returns
    -------
    tuple of str or None
        None where nothing was given.

    Examples
    --------
    >>> names(" BTC, ETH ,")
    ('BTC', 'ETH')
    """
    if text is None:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def instant(option: str, text: str | None) -> int | None:
    """Read a time.

    Parameters
    ----------
    option : str
        Name of the option, for the error.
    text : str or None
        ISO 8601; UTC where no zone is written.

    Returns
    -------
    int or None
        Nanoseconds since the epoch.

    Raises
    ------
    InputError
        If it is not a time.
    """
    from features.sources import to_ns

    return None if text is None else to_ns(text, option)


def open_market(
    root: Path,
    assets: str | None = None,
    bar: str = "1h",
    venue: str = "binance",
    start: int | None = None,
    end: int | None = None,
) -> MarketPanel:
    """Load the market, and say on stderr what a reader should know about it.

    Parameters
    ----------
    root : Path
        Folder of the market data.
    assets : str or None
        Names with commas; all where None.
    bar, venue : str
        As in the file names.
    start, end : int or None
        Nanoseconds; everything there is where None.

    Returns
    -------
    MarketPanel
        The market.

    Raises
    ------
    InputError
        If the folder is not there.
    """
    from features.sources import read_panel

    if not root.is_dir():
        raise InputError("--market", str(root), "a folder with {mark,perp,spot}/<venue>/<SYMBOL>-<bar>.parquet")
    load = read_panel(root, names(assets), bar, start, end, venue=venue)
    if "simulated" in load.panel.source:
        note("note: this market is SIMULATED; nothing here says anything about a real one")
    for line in load.notes:
        note(f"note: {line}")
    return load.panel


def open_model(reference: str, registry: Path | None = None) -> Model:
    """Load a model.

    Parameters
    ----------
    reference : str
        A bundle folder, ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``, or ``prior`` for the physics alone.
    registry : Path or None
        MLflow home in which a registered model is looked up; ``mlruns`` where None.

    Returns
    -------
    Model
        The predictor, with its name and version.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    from serving.model_source import load_model

    return load_model(model_folder(reference, registry))


def model_folder(reference: str, registry: Path | None = None) -> str:
    """Find where a model lies.

    Parameters
    ----------
    reference : str
        As for `open_model`.
    registry : Path or None
        As for `open_model`; the variable MLFLOW_TRACKING_URI wins, and the reference is left to MLflow.

    Returns
    -------
    str
        A folder, or a reference for MLflow; empty for the prior alone.

    Raises
    ------
    ModelError
        If there is no such registered model.
    """
    if reference == "prior":
        return ""
    if not reference.startswith(REGISTERED) or (registry is None and os.environ.get("MLFLOW_TRACKING_URI")):
        return reference
    return str(registered_folder(reference, registry))


def open_registry(registry: Path | None = None, name: str = "") -> Registry:
    """Open the MLflow home that trained models go to.

    Parameters
    ----------
    registry : Path or None
        Folder; where None the server that MLFLOW_TRACKING_URI names, else mlruns.
    name : str
        Registered name; margincast where left out.

    Returns
    -------
    Registry
        The home.

    Raises
    ------
    InputError
        If MLFLOW_TRACKING_URI names something else than a server.
    """
    from training.registry import MODEL_NAME, Registry

    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    if registry is not None or not address:
        return Registry(registry or HOME, name or MODEL_NAME)
    if not address.startswith(("http://", "https://")):
        need = "the http:// or https:// address of a tracking server; for a folder give --registry"
        raise InputError("MLFLOW_TRACKING_URI", address, need)
    return Registry(address, name or MODEL_NAME)


def registered_folder(reference: str, registry: Path | None = None) -> Path:
    """Bring the bundle of a registered model to a folder.

    Parameters
    ----------
    reference : str
        ``models:/name@alias`` or ``models:/name/version``.
    registry : Path or None
        As for `open_registry`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    name, _, which = reference.removeprefix(REGISTERED).replace("/", "@").partition("@")
    return open_registry(registry, name).fetch(which or "champion")


def model_reference(reference: str, registry: Path | None = None) -> tuple[str, str]:
    """Name a model for a server, which looks it up itself, again and again.

    Parameters
    ----------
    reference : str
        As for `open_model`.
    registry : Path or None
        As for `open_model`.

    Returns
    -------
    tuple of (str, str)
        A folder, an MLflow reference, or nothing for the prior alone; and the address of the MLflow home on this disk
        where it is looked up in one.

    Raises
    ------
    ModelError
        If there is no such home.

    Examples
    --------
    >>> model_reference("./bundle")
    ('./bundle', '')
    """
    if reference == "prior":
        return "", ""
    if not reference.startswith(REGISTERED) or (registry is None and os.environ.get("MLFLOW_TRACKING_URI")):
        return reference, ""
    from training.registry import Registry

    home = Registry(registry or HOME)
    if not (home.home / "mlflow.db").is_file():
        raise ModelError(f"{home.home}: expected an MLflow home with mlflow.db, was none; run `margincast train` first")
    return reference, home.uri
