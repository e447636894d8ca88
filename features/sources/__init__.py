"""Sources: the only place where market data and accounts are read and written."""

from features.sources.account_chunks import AccountChunk, UnreadChunk
from features.sources.account_intake import Intake
from features.sources.accounts import (
    decode_account,
    read_account_chunks,
    read_accounts,
    read_unread_chunks,
    write_account_columns,
    write_accounts,
)
from features.sources.bars import KINDS, Bars
from features.sources.ccxt_lists import bars_from_ohlcv
from features.sources.check import BarsReport, DirectoryReport, check_bars, check_directory
from features.sources.collect import collect_zips
from features.sources.exchange import fetch_exchange
from features.sources.files import bars_path, list_bar_files, read_bars, write_bars
from features.sources.funding import Funding, read_funding, write_funding
from features.sources.implied import ImpliedIndex, read_implied_index
from features.sources.panel import PanelLoad, load_panel, read_panel, write_panel
from features.sources.simulated import simulate_market
from features.sources.tables import TableWriter, atomic_path, write_table
from features.sources.times import to_ns

__all__ = [
    "KINDS",
    "AccountChunk",
    "Bars",
    "BarsReport",
    "DirectoryReport",
    "Funding",
    "ImpliedIndex",
    "Intake",
    "PanelLoad",
    "TableWriter",
    "UnreadChunk",
    "atomic_path",
    "bars_from_ohlcv",
    "bars_path",
    "check_bars",
    "check_directory",
    "collect_zips",
    "decode_account",
    "fetch_exchange",
    "list_bar_files",
    "load_panel",
    "read_account_chunks",
    "read_accounts",
    "read_bars",
    "read_funding",
    "read_implied_index",
    "read_panel",
    "read_unread_chunks",
    "simulate_market",
    "to_ns",
    "write_account_columns",
    "write_accounts",
    "write_bars",
    "write_funding",
    "write_panel",
    "write_table",
]
