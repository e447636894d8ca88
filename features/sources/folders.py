"""Folders that are put in place whole, and told apart by what is in them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

__all__ = ["folder_digest", "replace_folder"]


def replace_folder(source: Path, target: Path, move: bool = False) -> None:
    """Put a folder in the place of another, never file by file.

    Parameters
    ----------
    source : Path
        The new folder.
    target : Path
        Where it shall stand.
    move : bool
        Whether the source may be moved; else it is copied.

    Notes
    -----
    A reader finds the old folder or the new one, whole, and between two renames for an instant none. Done again after a
    kill it ends the same.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = source if move else target.with_name(f".{target.name}.new")
    old = target.with_name(f".{target.name}.old")
    if not move:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(source, fresh)
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.replace(old)
    fresh.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def folder_digest(folder: Path) -> str:
    """Digest of the names and contents of all files of a folder.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    str
        SHA-256, hexadecimal.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()
