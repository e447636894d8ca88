"""Lists of names for ``IN``, in few lengths: each length is a statement of its own, prepared and kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

__all__ = ["MOST", "in_groups"]

_T = TypeVar("_T")
MOST = 512
"""Most items of one statement; SQLite takes 32,766 and reads that many no faster."""


def in_groups(items: Iterable[_T]) -> Iterator[list[_T]]:
    """Cut items into groups for ``IN``, each as long as a power of two.

    Parameters
    ----------
    items : iterable
        What is looked for.

    Yields
    ------
    list
        At most `MOST`; the last group is filled up with its last item, which finds nothing more. A connection keeps
        the statements that it prepared, a hundred and more; with a length for each question they would be as many
        different ones, tens of kilobytes each.

    Examples
    --------
    >>> list(in_groups("abcde"))
    [['a', 'b', 'c', 'd', 'e', 'e', 'e', 'e']]
    >>> [len(group) for group in in_groups(range(1_100))], list(in_groups([]))
    ([512, 512, 128], [])
    """
    rest = iter(items)
    while group := list(islice(rest, MOST)):
        length = 1 << (len(group) - 1).bit_length()
        yield group + group[-1:] * (length - len(group))
