"""What a run has done so far, on disk: written at once or not at all, so that it can be taken up again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["Journal"]


class Journal:
    """Finished stages of one run.

    Parameters
    ----------
    folder : Path
        Folder of the run; created if it is not there.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as scratch:
    ...     Journal(Path(scratch)).done("trained", rows=3)
    ...     Journal(Path(scratch)).get("trained")
    {'rows': 3}
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, stage: str) -> dict[str, Any] | None:
        """What a stage left; None where it has not ended."""
        path = self._path(stage)
        found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        return found

    def done(self, stage: str, **values: Any) -> None:
        """Write down that a stage has ended, and what it left."""
        path = self._path(stage)
        part = path.with_suffix(".part")
        with part.open("w", encoding="utf-8") as handle:
            json.dump(values, handle, indent=2)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)

    def _path(self, stage: str) -> Path:
        return self.folder / f"{stage}.json"
