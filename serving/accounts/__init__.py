"""Registered accounts: their states, the history of them, and who may see them."""

from serving.accounts.canonical import Entry, decode_body, entry_of, shard_of
from serving.accounts.changes import Condition, change, delete
from serving.accounts.lookup import changed_since, find, find_all, find_at, history, listing

__all__ = [
    "Condition",
    "Entry",
    "change",
    "changed_since",
    "decode_body",
    "delete",
    "entry_of",
    "find",
    "find_all",
    "find_at",
    "history",
    "listing",
    "shard_of",
]
