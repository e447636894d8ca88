"""What the server keeps: tables, migrations and transactions, on SQLite or PostgreSQL."""

from serving.store.migrate import check_schema, upgrade
from serving.store.store import Store, open_store

__all__ = ["Store", "check_schema", "open_store", "upgrade"]
