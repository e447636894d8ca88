"""Arrow IPC streams, one after the other in one body: three tables in, two tables out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from features.answer import BIT, flag_names, source_of
from features.sources.account_twins import Twins, join_twins
from models.errors import Failure
from models.margin.levels import STATES
from models.typing import HORIZONS, IntArray
from serving.bulk.score import Scored
from serving.problems import ProblemError

__all__ = ["MEDIA_TYPE", "read_tables", "write_answer"]

MEDIA_TYPE: Final = "application/vnd.apache.arrow.stream"
_TABLES: Final = ("accounts", "positions", "collateral")
_WIDTH: Final = len(HORIZONS)
_LARGEST: Final = 32


def read_tables(body: bytes, max_accounts: int) -> Twins:
    """Read accounts, positions and collateral: three streams in this order.

    Parameters
    ----------
    body : bytes
        The streams, each with its end mark.
    max_accounts : int
        Most accounts allowed.

    Returns
    -------
    Twins
        Checked and joined.

    Raises
    ------
    ProblemError
        400 for what is not three streams, 413 for too many accounts.
    InputError
        If a table has other columns or types than the parquet files.
    """
    source = pa.BufferReader(body)
    tables = [_table(source, name) for name in _TABLES]
    if source.tell() != len(body):
        raise ProblemError(400, "malformed_arrow", f"The body goes on after the third stream, at byte {source.tell()}.")
    if tables[0].num_rows > max_accounts:
        detail = f"accounts: expected at most {max_accounts} in one request, was {tables[0].num_rows}"
        raise ProblemError(413, "too_many_accounts", detail, "accounts")
    return join_twins(*tables)


def _table(source: pa.BufferReader, name: str) -> pa.Table:
    try:
        with pa.ipc.open_stream(source) as stream:
            table = pa.Table.from_batches(_bounded(stream, _LARGEST * source.size()), stream.schema)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        detail = f"The body is not three Arrow IPC streams ({', '.join(_TABLES)}): {name}: {error}"
        raise ProblemError(400, "malformed_arrow", detail, name) from None
    return table


def _bounded(stream: pa.RecordBatchStreamReader, most: int) -> Iterator[pa.RecordBatch]:
    """The batches, as long as they do not unpack to more than so many bytes."""
    total = 0
    for batch in stream:
        total += batch.nbytes
        if total > most:
            raise ValueError(f"it unpacks to more than {most} bytes")
        yield batch


def write_answer(pieces: Sequence[Scored], failures: Sequence[Failure], about: dict[str, str]) -> bytes:
    """Write predictions, a row for each account and horizon, and failures: two streams in this order.

    Parameters
    ----------
    pieces : sequence of Scored, not empty
        The predictions.
    failures : sequence of Failure
        The accounts that were not computed.
    about : dict of str to str
        What stands in the metadata of the first schema.

    Returns
    -------
    bytes
        The streams.
    """
    table = pa.concat_tables([_predictions(piece) for piece in pieces]).unify_dictionaries()
    sink = pa.BufferOutputStream()
    told = _failures(failures)
    for one in (table.replace_schema_metadata(about), told):
        with pa.ipc.new_stream(sink, one.schema) as stream:
            stream.write_table(one)
    return bytes(sink.getvalue())


def _predictions(piece: Scored) -> pa.Table:
    """One row for each account and horizon; what is not known is null."""
    seen, n = piece.seen, len(piece)
    each = np.repeat(np.arange(n, dtype=np.int32), _WIDTH)
    flags, word = np.unique(seen.flags, return_inverse=True)

    def said(words: Callable[[int], str]) -> Any:
        return pa.DictionaryArray.from_arrays(word.astype(np.int32)[each], pa.array([words(b) for b in flags.tolist()]))

    columns: dict[str, Any] = {
        "account_id": pa.array(piece.account_id, pa.string()).take(pa.array(each)),
        "as_of": _stamps(piece.as_of[each]),
        "market_as_of": _stamps(piece.market_as_of[each]),
        "market_age_minutes": seen.age_minutes[each],
        "state": pa.DictionaryArray.from_arrays(seen.state.astype(np.int32)[each], pa.array(STATES)),
        "horizon_minutes": np.tile(np.array(HORIZONS, np.int32), n),
        **{name: pa.array(values.ravel(), from_pandas=True) for name, values in seen.figures().items()},
        "flags": said(lambda bits: ";".join(flag_names(bits))),
        "source": said(lambda bits: source_of(bits)[0]),
        "source_reason": said(lambda bits: ";".join(source_of(bits)[1])),
        "novel": ((seen.flags & BIT["novel"]) != 0)[each],
        "novelty": pa.array(seen.novelty[each], from_pandas=True),
    }
    return pa.table(columns)


def _stamps(ns: IntArray) -> pa.Array:
    return pa.array(ns // 1000, pa.int64()).cast(pa.timestamp("us", "UTC"))


def _failures(failures: Sequence[Failure]) -> pa.Table:
    text = ("account_id", "code", "field", "message")
    columns = {name: pa.array([getattr(f, name) for f in failures], pa.string()) for name in text}
    return pa.table({"row": pa.array([f.row for f in failures], pa.int64()), **columns})
