"""What became of what was said: for each row of a page, arrays and bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import StoreError
from models.typing import HORIZONS, BoolArray, FloatArray

__all__ = ["OUTCOME", "Verdict", "judge", "pack_outcomes", "unpack_outcomes"]

OUTCOME: Final = np.dtype(
    [
        ("minutes_to_call", "<f4"),
        ("minutes_to_liquidation", "<f4"),
        ("seen_minutes", "<f4"),
        ("acted_minutes", "<f4"),
        ("gap", "?"),
    ]
)
"""Minutes to the first call and liquidation (NaN: none seen), minutes of market that were seen, minutes until the owner
acted (infinity: not yet), and whether a bar is missing in what was seen."""
_MAGIC: Final = b"MCO1"
_HEAD: Final = struct.Struct("<4sI")


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What is known of n rows at each horizon.

    Parameters
    ----------
    called : ndarray of bool, shape (n, 4)
        A call came within the horizon.
    known : ndarray of bool, shape (n, 4)
        Whether it came is known.
    censored : ndarray of bool, shape (n, 4)
        The owner acted before the horizon and before a call: what would have come is not known and never will be.
    """

    called: BoolArray
    known: BoolArray
    censored: BoolArray


def judge(outcomes: NDArray[Any]) -> Verdict:
    """Turn times into what is known by horizon.

    Parameters
    ----------
    outcomes : ndarray of OUTCOME, shape (n,)
        What became of the rows.

    Returns
    -------
    Verdict
        Rows with a missing bar are not known at any horizon, as in training.

    Examples
    --------
    >>> one = np.array([(300.0, np.nan, 4320.0, np.inf, False), (np.nan, np.nan, 4320.0, 90.0, False)], OUTCOME)
    >>> found = judge(one)
    >>> found.called[0].tolist(), found.known[1].tolist()
    ([False, False, True, True], [True, False, False, False])
    """
    horizon: FloatArray = np.asarray(HORIZONS, np.float64)
    call, seen, acted = (
        outcomes[name].astype(np.float64)[:, None] for name in ("minutes_to_call", "seen_minutes", "acted_minutes")
    )
    whole = ~outcomes["gap"][:, None]
    with np.errstate(invalid="ignore"):
        called = (call <= horizon) & (call <= acted)
    survived = ~called & (seen >= horizon) & (acted >= horizon)
    censored = ~called & (acted < horizon) & (seen >= np.minimum(acted, horizon))
    return Verdict(called & whole, (called | survived) & whole, censored & whole)


def pack_outcomes(outcomes: NDArray[Any]) -> bytes:
    """Write outcomes as bytes, compressed.

    Parameters
    ----------
    outcomes : ndarray of OUTCOME, shape (n,)
        The outcomes.

    Returns
    -------
    bytes
        For `unpack_outcomes`.
    """
    body: bytes = pa.Codec("zstd", 1).compress(outcomes.tobytes(), asbytes=True)
    return _HEAD.pack(_MAGIC, len(outcomes)) + body


def unpack_outcomes(body: bytes) -> NDArray[Any]:
    """Read what `pack_outcomes` wrote.

    Parameters
    ----------
    body : bytes
        Of the outcomes of a page.

    Returns
    -------
    ndarray of OUTCOME, shape (n,)
        The outcomes.

    Raises
    ------
    StoreError
        If it is something else.
    """
    try:
        magic, n = _HEAD.unpack_from(body)
        if magic != _MAGIC:
            raise StoreError("ledger: expected outcomes, the bytes are of something else")
        raw = pa.Codec("zstd").decompress(body[_HEAD.size :], n * OUTCOME.itemsize, asbytes=True)
    except (struct.error, pa.ArrowException, OSError) as error:
        raise StoreError("ledger: expected outcomes, the bytes are cut off or changed") from error
    return np.frombuffer(raw, OUTCOME, n)
