"""Reads policy files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from models.errors import InputError
from models.rebalance import Policy, policy_from_mapping

__all__ = ["load_policy"]

_KINDS = {".toml": "TOML", ".yaml": "YAML", ".yml": "YAML", ".json": "JSON"}


def load_policy(path: str | Path) -> Policy:
    """Read a policy from a TOML, YAML or JSON file.

    Parameters
    ----------
    path : str or Path
        The file; its ending says what it is, TOML where it has another. Keys as the parameters of
        `models.rebalance.Policy`; the schema is that of `models.rebalance.policy_schema`.

    Returns
    -------
    Policy
        The policy.

    Raises
    ------
    InputError
        If there is no such file, it cannot be read as what it is, or a value is wrong; the key is named.

    Examples
    --------
    >>> load_policy("no-such-file.toml")
    Traceback (most recent call last):
    ...
    models.errors.InputError: policy: expected a readable TOML file, was 'no-such-file.toml'
    """
    kind = _KINDS.get(Path(path).suffix.lower(), "TOML")
    try:
        content = _parsed(Path(path).read_text(encoding="utf-8"), kind)
    except (OSError, UnicodeDecodeError):
        raise InputError("policy", str(path), f"a readable {kind} file") from None
    except (tomllib.TOMLDecodeError, msgspec.DecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError("policy", str(path), f"a {kind} file ({reason})") from None
    if not isinstance(content, Mapping):
        raise InputError("policy", str(path), f"a {kind} file with a table of settings at its top")
    return policy_from_mapping(content)


def _parsed(text: str, kind: str) -> object:
    if kind == "TOML":
        return tomllib.loads(text)
    return msgspec.yaml.decode(text) if kind == "YAML" else msgspec.json.decode(text)
