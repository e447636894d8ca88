"""Cut a market on disk at an instant, so that the rest can be played to a server as if it came in."""

from __future__ import annotations

from pathlib import Path

from features.sources.times import Instant, to_ns
from models.errors import InputError

__all__ = ["cut_market"]


def cut_market(root: str | Path, out: str | Path, end: Instant) -> int:
    """Copy the rows of every parquet file that are stamped before an instant; other files are copied whole.

    Parameters
    ----------
    root : str or Path
        Folder of market data.
    out : str or Path
        Folder to write to, with the same files.
    end : int or str
        Nanoseconds or ISO 8601; bars that open at or after it are left out.

    Returns
    -------
    int
        Rows left out.

    Raises
    ------
    InputError
        If there is no file under the root, or `out` lies within it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    source, target = Path(root).resolve(), Path(out).resolve()
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    if not files:
        raise InputError("root", str(root), "a folder with market data")
    if target == source or source in target.parents:
        raise InputError("out", str(out), "a folder outside of the market")
    last = to_ns(end, "--to")
    left = 0
    for path in files:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".parquet":
            place.write_bytes(path.read_bytes())
            continue
        table = pq.read_table(path)
        stamp = table.column("timestamp")
        before = pc.less(pc.cast(stamp, pa.timestamp("ns", tz=stamp.type.tz)).cast(pa.int64()), last)
        kept = table.filter(before)
        left += table.num_rows - kept.num_rows
        pq.write_table(kept, place)
    return left
