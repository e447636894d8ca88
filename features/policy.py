"""Reads policy files."""

from __future__ import annotations

import tomllib
from pathlib import Path

from models.errors import InputError
from models.rebalance import Policy, policy_from_mapping

__all__ = ["load_policy"]


def load_policy(path: str | Path) -> Policy:
    """Read a policy from a TOML file.

    Parameters
    ----------
    path : str or Path
        The file. Keys as the parameters of `models.rebalance.Policy`; tables ``[assets.USDT]`` with min_transfer, step,
        cap and fee in units of the asset, and ``[symbols."BTC/USDT:USDT"]`` with lot.

    Returns
    -------
    Policy
        The policy.

    Raises
    ------
    InputError
        If there is no such file, it is not TOML, or a value is wrong; the key is named.

    Examples
    --------
    >>> load_policy("no-such-file.toml")
    Traceback (most recent call last):
    ...
    models.errors.InputError: policy: expected a readable TOML file, was 'no-such-file.toml'
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise InputError("policy", str(path), "a readable TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError("policy", str(path), f"a TOML file ({error})") from None
    return policy_from_mapping(content)
