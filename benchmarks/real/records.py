"""The files of the Hyperliquid accounts of 2023: fills, payments, liquidations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from models.typing import BoolArray, IntArray

PREFIX: Final = "accounts/hyperliquid_2023_"


@dataclass(frozen=True, slots=True)
class Records:
    """The three files, in order of time.

    Parameters
    ----------
    fills : DataFrame
        time (ns), user, coin, quantity (signed, bought is positive), price, seized (part of a liquidation:
        the account's own fill or that of the liquidator who took it over, at the price that leaves no equity).
    ledger : DataFrame
        time (ns), user, amount (positive is paid in).
    liquidations : DataFrame
        time (ns), user, notional, value, mode ("Cross" or "Isolated"): as the venue recorded them.
    """

    fills: pd.DataFrame
    ledger: pd.DataFrame
    liquidations: pd.DataFrame

    @property
    def liquidators(self) -> set[str]:
        """Users who took positions over; they are the venue, not customers."""
        taken = self.fills[self.fills["seized"]]
        own = set(zip(self.liquidations["user"], self.liquidations["time"], strict=True))
        return {str(u) for u, t in zip(taken["user"], taken["time"], strict=True) if (u, t) not in own}

    @property
    def customers(self) -> list[str]:
        """Users with fills and with deposits on record, without the liquidator."""
        known = set(self.ledger["user"]) & set(self.fills["user"])
        return sorted(known - self.liquidators)


def read_records(root: str | Path) -> Records:
    """Read the files below ``<root>/accounts``."""
    base = str(Path(root) / PREFIX)
    fills, ledger, seen = (pd.read_parquet(f"{base}{n}.parquet") for n in ("trades", "ledger", "liquidations"))
    return records_of(fills, ledger, seen)


def records_of(fills: pd.DataFrame, ledger: pd.DataFrame, liquidations: pd.DataFrame) -> Records:
    """Bring the columns of the files into the shape that the study uses."""
    sign = fills["side"].map({"Bid": 1.0, "Ask": -1.0})
    trades = pd.DataFrame(
        {
            "time": _ns(fills["timestamp"]),
            "user": fills["user"].astype(object),
            "coin": fills["coin"].astype(object),
            "quantity": sign * fills["sz"],
            "price": fills["px"],
        }
    ).sort_values("time", kind="stable", ignore_index=True)
    paid = pd.DataFrame(
        {"time": _ns(ledger["timestamp"]), "user": ledger["user"].astype(object), "amount": ledger["delta_usd"]}
    ).sort_values("time", kind="stable", ignore_index=True)
    events = pd.DataFrame(
        {
            "time": _ns(liquidations["timestamp"]),
            "user": liquidations["user"].astype(object),
            "notional": liquidations["liquidated_ntl_pos"],
            "value": liquidations["liquidated_account_value"],
            "mode": liquidations["leverage_type"].astype(object),
        }
    ).sort_values("time", kind="stable", ignore_index=True)
    trades["seized"] = _seized(trades, events)
    return Records(trades, paid, events)


def _ns(stamps: pd.Series[Any]) -> IntArray:
    return np.asarray(pd.DatetimeIndex(stamps).as_unit("ns").asi8, np.int64)


def _seized(fills: pd.DataFrame, events: pd.DataFrame) -> BoolArray:
    """Fills of a liquidated user in the second of the liquidation, and the fills against them."""
    struck = set(zip(events["user"], events["time"], strict=True))
    own = np.array([key in struck for key in zip(fills["user"], fills["time"], strict=True)], bool)
    prints = set(fills.loc[own, ["coin", "time", "price"]].itertuples(index=False, name=None))
    there = fills[["coin", "time", "price"]].itertuples(index=False, name=None)
    return np.asarray(own | np.array([key in prints for key in there], bool))
