"""A page: the predictions that were said together, as arrays and as bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import StoreError
from models.typing import HORIZONS, BoolArray, FloatArray, IntArray
from serving.ledger.chain import CHECK_BYTES

__all__ = ["ROW", "Page", "Particulars", "pack", "pack_names", "rows_of", "unpack"]

_H = len(HORIZONS)
ROW: Final = np.dtype(
    [
        ("version", "<i4"),
        ("digest", "u1", (32,)),
        ("p_call", "<f8", (_H,)),
        ("p_liquidation", "<f8", (_H,)),
        ("prior", "<f8", (_H,)),
        ("flags", "<i8"),
        ("state", "i1"),
    ]
)
"""What is said of one account, besides its name: version and digest of its state, P by horizon, flags, margin state."""
_MAGIC: Final = b"MCL1"
_OBJECTS: Final = 1_000
_SIZES: Final = struct.Struct("<4sIII")  # magic, rows, bytes of names, bytes before compression


class Particulars(msgspec.Struct, frozen=True):
    """What all rows of a page share; hashed ahead of them."""

    tenant: str
    shard: int
    page: int
    first_seq: int
    n: int
    close_ns: int
    said_ns: int
    market_seq: int
    model_version: str
    kind: str

    def bytes(self) -> bytes:
        """Write them down, the same each time."""
        return _encoder.encode(self)


_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """The rows of a page.

    Parameters
    ----------
    names : bytes
        Names of the accounts in UTF-8, one after the other.
    ends : ndarray of int64, shape (n,)
        Where each name ends.
    rows : ndarray of ROW, shape (n,)
        What was said of each.
    checks : bytes
        From `serving.ledger.chain.link`.
    """

    names: bytes
    ends: IntArray
    rows: NDArray[Any]
    checks: bytes

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def weight(self) -> int:
        """Bytes of memory that it takes, about: the arrays, the bytes they are views of, and the objects themselves."""
        whole = self.rows.nbytes + 2 * (len(self.names) + len(self.checks)) + self.ends.nbytes * 3 // 2
        return whole + _OBJECTS

    def account_ids(self) -> list[str]:
        """Names of the accounts."""
        starts = [0, *self.ends[:-1].tolist()]
        return [self.names[a:b].decode(errors="replace") for a, b in zip(starts, self.ends.tolist(), strict=True)]

    def find(self, account_id: str) -> int | None:
        """Find the row of an account; None where it is not on the page."""
        wanted = account_id.encode()
        at = self.names.find(wanted) if wanted else -1
        while at >= 0:
            row = int(np.searchsorted(self.ends, at, "right"))
            start = 0 if row == 0 else int(self.ends[row - 1])
            if start == at and int(self.ends[row]) == at + len(wanted):
                return row
            at = self.names.find(wanted, at + 1)
        return None


def pack_names(account_ids: Sequence[str]) -> tuple[bytes, IntArray]:
    """Put names one after the other.

    Parameters
    ----------
    account_ids : sequence of str
        The names.

    Returns
    -------
    tuple of (bytes, ndarray of int64)
        The bytes, and where each name ends.

    Examples
    --------
    >>> pack_names(["a", "bc"])[1].tolist()
    [1, 3]
    """
    parts = [name.encode() for name in account_ids]
    return b"".join(parts), np.cumsum([len(part) for part in parts], dtype=np.int64)


def rows_of(
    version: IntArray,
    digest: Sequence[bytes] | NDArray[np.uint8],
    p_call: FloatArray,
    p_liquidation: FloatArray,
    prior: FloatArray,
    flags: IntArray,
    state: IntArray,
) -> NDArray[Any]:
    """Put the columns of what was said into rows.

    Parameters
    ----------
    version : ndarray of int, shape (n,)
        Versions of the accounts.
    digest : sequence of bytes, or ndarray of uint8, shape (n, 32)
        SHA-256 of their canonical JSON.
    p_call, p_liquidation, prior : ndarray, shape (n, 4)
        Probabilities by horizon; NaN where there was no price.
    flags : ndarray of int64, shape (n,)
        Bits of `features.answer.FLAGS`.
    state : ndarray of int64, shape (n,)
        Margin state, -1 where there was no price.

    Returns
    -------
    ndarray of ROW, shape (n,)
        The rows.
    """
    out = np.empty(len(version), ROW)
    out["version"] = version
    whole = digest if isinstance(digest, np.ndarray) else np.frombuffer(b"".join(digest), np.uint8)
    out["digest"] = whole.reshape(-1, 32)
    for name, column in (("p_call", p_call), ("p_liquidation", p_liquidation), ("prior", prior)):
        missing: BoolArray = np.isnan(column)
        out[name] = np.where(missing, np.nan, column) if missing.any() else column  # one NaN, whatever its bits were
    out["flags"], out["state"] = flags, state
    return out


def pack(page: Page) -> bytes:
    """Write the rows of a page as bytes, compressed.

    Parameters
    ----------
    page : Page
        The page.

    Returns
    -------
    bytes
        For `unpack`.
    """
    raw = b"".join([page.ends.astype("<u4").tobytes(), page.names, page.rows.tobytes(), page.checks])
    head = _SIZES.pack(_MAGIC, len(page), len(page.names), len(raw))
    return head + pa.Codec("zstd", 1).compress(raw, asbytes=True)


def unpack(body: bytes) -> Page:
    """Read what `pack` wrote.

    Parameters
    ----------
    body : bytes
        Of a page.

    Returns
    -------
    Page
        The rows.

    Raises
    ------
    StoreError
        If it is not a page.
    """
    try:
        magic, n, n_names, size = _SIZES.unpack_from(body)
        expected = n * (4 + ROW.itemsize + CHECK_BYTES) + n_names
        if magic != _MAGIC or size != expected:
            raise StoreError("ledger: expected a page, the bytes are of something else")
        raw = pa.Codec("zstd").decompress(body[_SIZES.size :], size, asbytes=True)
    except (struct.error, pa.ArrowException, OSError) as error:
        raise StoreError("ledger: expected a page, the bytes are cut off or changed") from error
    ends = np.frombuffer(raw, "<u4", n).astype(np.int64)
    at = 4 * n + n_names
    rows = np.frombuffer(raw, ROW, n, at)
    return Page(raw[4 * n : at], ends, rows, raw[at + n * ROW.itemsize :])
