"""Folders of parquet parts: a table that several processes encode, and one puts in place, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from features.sources.folders import replace_folder
from features.sources.tables import as_arrow
from models.errors import InputError

__all__ = ["CONTENTS", "PartsWriter", "encode_table", "is_folder", "read_contents"]

CONTENTS: Final = "_parts.json"
"""Written last into a folder of parts; readers of parquet folders pass over names with an underscore."""


def is_folder(path: str | Path, suffixes: tuple[str, ...]) -> bool:
    """Whether a name stands for a folder of parts: it has no suffix.

    Parameters
    ----------
    path : str or Path
        Where a table is to be written.
    suffixes : tuple of str
        Those of single files.

    Returns
    -------
    bool
        False for a file.

    Raises
    ------
    InputError
        If it has another suffix.

    Examples
    --------
    >>> is_folder("calls.parquet", (".parquet",)), is_folder("calls", (".parquet",))
    (False, True)
    """
    suffix = Path(path).suffix
    if suffix and suffix not in suffixes:
        expected = f"a name that ends in {', '.join(suffixes)}, or one without a suffix for a folder of parts"
        raise InputError("--out", str(path), expected)
    return not suffix


def encode_table(columns: Mapping[str, Any]) -> bytes:
    """Encode columns as a parquet file.

    Parameters
    ----------
    columns : mapping of str to array_like
        Columns of equal length; a column of missing values alone is one of text.

    Returns
    -------
    bytes
        The file.
    """
    arrays = {name: as_arrow(values) for name, values in columns.items()}
    whole = {name: a.cast(pa.string()) if pa.types.is_null(a.type) else a for name, a in arrays.items()}
    buffer = BytesIO()
    pq.write_table(pa.table(whole), buffer, compression="zstd")
    return buffer.getvalue()


class PartsWriter:
    """Writes parts to a folder, a file each, that stands in its place only if the block of ``with`` ends well.

    Parameters
    ----------
    folder : str or Path
        A new folder, or one that holds such parts and is replaced.

    Raises
    ------
    InputError
        If something else stands there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     with PartsWriter(Path(root) / "calls") as parts:
    ...         parts.write(encode_table({"p_call": [0.25]}), 1)
    ...     sorted(path.name for path in (Path(root) / "calls").iterdir())
    ['_parts.json', 'part-00000.parquet']
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.rows = 0
        self.names: list[str] = []
        self.about: dict[str, Any] = {}
        there = self.folder.exists() and not (self.folder / CONTENTS).is_file()
        if there and (self.folder.is_file() or any(self.folder.iterdir())):
            raise InputError("--out", str(folder), "a new folder, or one that holds parts written before")

    def __enter__(self) -> PartsWriter:
        self._fresh = self.folder.with_name(f".{self.folder.name}.{uuid4().hex}.part")
        self._fresh.mkdir(parents=True)
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if error[0] is None:
                said = {"parts": self.names, "rows": self.rows, **self.about}
                (self._fresh / CONTENTS).write_text(json.dumps(said, indent=1) + "\n")
                replace_folder(self._fresh, self.folder, move=True)
        finally:
            shutil.rmtree(self._fresh, ignore_errors=True)

    def write(self, content: bytes, rows: int) -> None:
        """Append a part.

        Parameters
        ----------
        content : bytes
            A parquet file.
        rows : int
            How many rows it has.
        """
        self.names.append(f"part-{len(self.names):05d}.parquet")
        (self._fresh / self.names[-1]).write_bytes(content)
        self.rows += rows


def read_contents(folder: str | Path) -> tuple[list[Path], dict[str, Any]]:
    """Read what belongs to a folder of parts.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    tuple of (list of Path, dict)
        Its files in their order, and what else was said when it was written.

    Raises
    ------
    InputError
        If it was not written whole, or a part is missing.
    """
    root = Path(folder)
    if not (root / CONTENTS).is_file():
        raise InputError("folder", str(root), f"a folder of parts written by margincast, with {CONTENTS}")
    said = json.loads((root / CONTENTS).read_text())
    files = [root / name for name in said.pop("parts")]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise InputError("folder", str(missing[0]), "every part that the folder was written with; write it again")
    return files, said
