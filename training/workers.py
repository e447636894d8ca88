"""Who does the work of a build, a fit or a batch: this process, or the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from models.typing import Float32Array, FloatArray

__all__ = ["Grow", "Here", "Workers"]

T = TypeVar("T")
Grow = Callable[[dict[str, Any], Float32Array, FloatArray, FloatArray, int], str]
"""Grows trees: from settings of LightGBM, features, outcomes, starting scores and a number of trees to the text of a
model."""


class Workers(Protocol):
    """Applies functions to items, and gives the results in the order of the items."""

    @property
    def grow(self) -> Grow | None:
        """How the workers grow trees together; None where the caller is to do it."""

    def share(self, value: Any) -> Any:
        """Send a value to every worker, once.

        Parameters
        ----------
        value : object
            Anything that can be pickled.

        Returns
        -------
        object
            What stands for it in an item; the workers keep the value as long as this is kept.
        """

    def map(self, function: Callable[..., T], items: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """Call a function with the parts of each item.

        Parameters
        ----------
        function : callable
            A function of a module, so that it is there on the workers too.
        items : iterable of tuple
            Arguments; read a few ahead of the results, no further.

        Yields
        ------
        object
            What the function returned, in the order of the items.
        """


class Here:
    """This process alone, an item at a time.

    Examples
    --------
    >>> list(Here().map(pow, [(2, 3), (3, 2)]))
    [8, 9]
    """

    @property
    def grow(self) -> None:
        """Nothing: the caller grows trees."""
        return

    def share(self, value: Any) -> Any:
        """Give the value itself."""
        return value

    def map(self, function: Callable[..., T], items: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """Call the function for one item after the other."""
        return (function(*item) for item in items)
