"""What goes over the wire about the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from features.answer import flag_names
from models.margin.levels import STATES
from models.typing import HORIZONS
from serving.instants import instant
from serving.ledger.read import Statement
from serving.ledger.verify import Anchor

__all__ = ["LedgerHeads", "SaidPrediction", "SaidRow", "Statements", "shown"]


class SaidRow(Struct, frozen=True, gc=False):
    """What was said for one horizon; null where an asset of the account had no price."""

    horizon_minutes: int
    p_call: float | None
    p_liquidation: float | None
    prior: float | None


class SaidPrediction(Struct, frozen=True, kw_only=True):
    """A prediction as the ledger has it: when it was said, on which market, by which model, of which state.

    ``page`` and ``seq`` say where it stands in the ledger of the account's shard.
    """

    said: datetime
    market_as_of: datetime
    model_version: str
    version: int
    digest: str
    state: str
    flags: list[str]
    rows: list[SaidRow]
    page: int
    seq: int


class Statements(Struct, frozen=True, kw_only=True):
    """What was said to an account, newest first; ``next`` goes into ``before`` to read on."""

    account_id: str
    predictions: list[SaidPrediction]
    next: int | None


class LedgerHeads(Struct, frozen=True, kw_only=True):
    """Where the ledger of each shard ends: an anchor for ``margincast ledger verify``, to be kept elsewhere."""

    heads: list[Anchor]


def shown(one: Statement) -> SaidPrediction:
    """Give a statement as it goes out.

    Parameters
    ----------
    one : Statement
        From `serving.ledger.read.Reader`.

    Returns
    -------
    SaidPrediction
        With null for what is NaN.
    """
    row, state = one.row, int(one.row["state"])
    columns = (row["p_call"].tolist(), row["p_liquidation"].tolist(), row["prior"].tolist())
    return SaidPrediction(
        said=instant(one.said_ns),
        market_as_of=instant(one.close_ns),
        model_version=one.model_version,
        version=int(row["version"]),
        digest=bytes(row["digest"]).hex(),
        state=STATES[state] if state >= 0 else "unknown",
        flags=flag_names(int(row["flags"])),
        rows=[SaidRow(h, *map(_known, line)) for h, line in zip(HORIZONS, zip(*columns, strict=True), strict=True)],
        page=one.page,
        seq=one.seq,
    )


def _known(p: Any) -> float | None:
    return float(p) if p == p else None
