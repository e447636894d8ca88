"""A predictor as a folder of data: trees as text, the prior as arrays, the rest as JSON. Nothing in it is executed."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import ModelError, SchemaMismatchError
from models.predictor.amounts import AmountModel
from models.predictor.calibration import Calibration
from models.predictor.novelty import NoveltyModel
from models.predictor.predictor import MarginCallPredictor, schema_hash
from models.predictor.size import SizeModel
from models.predictor.timing import TimeModel
from models.predictor.trees import flatten_trees
from models.prior import PriorModel
from models.typing import HORIZONS

__all__ = ["FILES", "FORMAT", "check_columns", "load_bundle", "save_bundle"]

FORMAT = 2
"""Written; 1, without what is in ``parts.json``, is still read."""
FILES = ("booster.txt", "bundle.json", "prior.npz", "parts.json")
_FIRST_FILES = FILES[:3]


def save_bundle(model: MarginCallPredictor, folder: str | Path) -> Path:
    """Write a predictor to a folder.

    Parameters
    ----------
    model : MarginCallPredictor
        The predictor.
    folder : str or Path
        Created if it is not there; files of the same names are replaced.

    Returns
    -------
    Path
        The folder.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    text = model.booster.model_to_string()
    parts: dict[str, Any] = {"times": model.times.as_dict()}
    parts |= {} if model.novelty is None else {"novelty": model.novelty.as_dict()}
    parts |= {} if model.amounts is None else {"amounts": model.amounts.as_dict()}
    more = json.dumps(parts, separators=(",", ":")) + "\n"
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **model.prior.to_arrays())
    record = {
        "format": FORMAT,
        "feature_names": list(model.feature_names),
        "horizons": list(HORIZONS),
        "schema_hash": schema_hash(model.feature_names),
        "booster_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "parts_sha256": hashlib.sha256(more.encode()).hexdigest(),
        "prior_sha256": hashlib.sha256(arrays.getvalue()).hexdigest(),
        "calibration": model.calibration.as_dict(),
        "size": model.size.as_dict(),
        "metadata": dict(model.metadata),
    }
    summary = json.dumps(record, indent=2) + "\n"
    content = (text.encode(), summary.encode(), arrays.getvalue(), more.encode())
    for name, data in zip(FILES, content, strict=True):
        (target / f"{name}.part").write_bytes(data)
    for name in FILES:  # whoever reads in between finds hashes that do not fit, and the old or the new bundle after
        (target / f"{name}.part").replace(target / name)
    return target


def load_bundle(folder: str | Path, feature_names: Sequence[str] | None = None) -> MarginCallPredictor:
    """Read a predictor from a folder.

    Parameters
    ----------
    folder : str or Path
        What :func:`save_bundle` wrote.
    feature_names : sequence of str, optional
        The columns that the caller will give; checked against those of the training.

    Returns
    -------
    MarginCallPredictor
        The predictor, with bit-equal predictions.

    Raises
    ------
    ModelError
        If a file is missing or broken.
    SchemaMismatchError
        If the columns differ.
    """
    import lightgbm as lgb

    source = Path(folder)
    record = _read_record(source)
    names = tuple(record["feature_names"])
    if record["schema_hash"] != schema_hash(names) or record["horizons"] != list(HORIZONS):
        raise SchemaMismatchError(
            f"{source / FILES[1]}: expected horizons {list(HORIZONS)} and the schema hash of its own columns, "
            f"was {record['horizons']}, {record['schema_hash'][:12]}; train the model again"
        )
    if feature_names is not None:
        check_columns(names, tuple(feature_names))
    text = (source / FILES[0]).read_text(encoding="utf-8")
    if hashlib.sha256(text.encode()).hexdigest() != record["booster_sha256"]:
        raise ModelError(f"{source / FILES[0]}: expected the trees that bundle.json names, was another file")
    prior = _read_prior(source / FILES[2], record)
    booster = lgb.Booster(model_str=text)
    parts = _read_parts(source, record)
    return MarginCallPredictor(
        booster,
        prior,
        names,
        Calibration.from_dict(record["calibration"]),
        SizeModel.from_dict(record["size"]),
        record["metadata"],
        flatten_trees(booster),
        NoveltyModel.from_dict(parts["novelty"]) if "novelty" in parts else None,
        AmountModel.from_dict(parts["amounts"]) if "amounts" in parts else None,
        TimeModel.from_dict(parts["times"]) if "times" in parts else TimeModel(),
    )


def check_columns(trained: tuple[str, ...], given: tuple[str, ...]) -> None:
    """Refuse columns other than those of the training, and say which differ.

    Parameters
    ----------
    trained, given : tuple of str
        Names, in order.

    Raises
    ------
    SchemaMismatchError
        If names or their order differ.

    Examples
    --------
    >>> check_columns(("a",), ("b",))
    Traceback (most recent call last):
    ...
    models.errors.SchemaMismatchError: features: expected the columns of the training, was without 'a', with 'b' in excess; train the model again or use the version of the library that trained it
    """  # noqa: E501
    if trained == given:
        return
    missing, excess = [n for n in trained if n not in given], [n for n in given if n not in trained]
    parts = []
    if missing:
        parts.append(f"without {', '.join(map(repr, missing[:5]))}")
    if excess:
        parts.append(f"with {', '.join(map(repr, excess[:5]))} in excess")
    raise SchemaMismatchError(
        f"features: expected the columns of the training, was {', '.join(parts) or 'in another order'}; "
        "train the model again or use the version of the library that trained it"
    )


def _read_prior(path: Path, record: dict[str, Any]) -> PriorModel:
    """The prior's arrays; bundles of before do not name their hash."""
    data = path.read_bytes()
    if "prior_sha256" in record and hashlib.sha256(data).hexdigest() != record["prior_sha256"]:
        raise ModelError(f"{path}: expected the prior that bundle.json names, was another file")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return PriorModel.from_arrays({name: arrays[name] for name in arrays.files})


def _read_parts(source: Path, record: dict[str, Any]) -> dict[str, Any]:
    """What format 2 added; nothing in a bundle of format 1."""
    if record["format"] == 1:
        return {}
    path = source / FILES[3]
    if not path.is_file():
        raise ModelError(f"{source}: expected a model bundle ({', '.join(FILES)}), was without {FILES[3]}")
    text = path.read_text(encoding="utf-8")
    if hashlib.sha256(text.encode()).hexdigest() != record["parts_sha256"]:
        raise ModelError(f"{path}: expected the parts that bundle.json names, was another file")
    parts: dict[str, Any] = json.loads(text)
    return parts


def _read_record(source: Path) -> dict[str, Any]:
    missing = [name for name in _FIRST_FILES if not (source / name).is_file()]
    if missing:
        raise ModelError(f"{source}: expected a model bundle ({', '.join(FILES)}), was without {', '.join(missing)}")
    try:
        record = json.loads((source / FILES[1]).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{source / FILES[1]}: expected JSON, was broken ({error})") from None
    if not isinstance(record, dict) or record.get("format") not in (1, FORMAT):
        found = record.get("format") if isinstance(record, dict) else type(record).__name__
        raise ModelError(f"{source / FILES[1]}: expected format 1 or {FORMAT}, was {found!r}")
    return record
