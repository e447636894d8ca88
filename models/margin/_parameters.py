"""Reading the named numbers of a rule."""

from __future__ import annotations

from collections.abc import Mapping

from models.errors import InputError

__all__ = ["parameter"]


def parameter(parameters: Mapping[str, float], name: str, default: float | None = None) -> float:
    """Give one parameter.

    Parameters
    ----------
    parameters : mapping
        The parameters of a rule.
    name : str
        Which.
    default : float, optional
        Taken where it is not there.

    Returns
    -------
    float
        Its value.

    Raises
    ------
    InputError
        If it is not there and has no default.

    Examples
    --------
    >>> parameter({"leverage": 5}, "leverage")
    5.0
    """
    value = parameters.get(name, default)
    if value is None:
        raise InputError(f"parameters.{name}", None, f"a number (there are: {', '.join(parameters) or 'none'})")
    return float(value)
