"""The schema's version: bring a database to it, or say what is missing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from models.errors import StoreSchemaError
from serving.store.engine import WRITE

__all__ = ["VERSION_TABLE", "check_schema", "current_version", "newest_version", "upgrade"]

VERSION_TABLE = "margincast_schema"
_MIGRATION_LOCK = 0x6D63_6D69  # PostgreSQL's advisory lock of who migrates


def newest_version() -> str:
    """Name the version of the tables that this program works with.

    Returns
    -------
    str
        The newest migration.

    Examples
    --------
    >>> newest_version() >= "0001"
    True
    """
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current_version(connection: Connection) -> str | None:
    """Name the version of the tables in a database.

    Parameters
    ----------
    connection : Connection
        A connection.

    Returns
    -------
    str or None
        None where there are no tables yet.
    """
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def check_schema(engine: Engine) -> str:
    """Check that the tables are those of this version.

    Parameters
    ----------
    engine : Engine
        The database.

    Returns
    -------
    str
        The version.

    Raises
    ------
    StoreSchemaError
        If they are absent, older or newer.
    """
    with engine.connect() as connection:
        found = current_version(connection)
    wanted = newest_version()
    if found == wanted:
        return wanted
    if found is None:
        raise StoreSchemaError(
            f"database: expected tables of version {wanted}, found none; run 'margincast db upgrade'"
        )
    if found in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}:
        raise StoreSchemaError(
            f"database: expected tables of version {wanted}, was {found}; run 'margincast db upgrade'"
        )
    raise StoreSchemaError(
        f"database: expected tables of version {wanted} or before, was {found}; install the newer margincast"
    )


def upgrade(engine: Engine, *, only_empty: bool = False) -> str:
    """Bring the tables to this version in one transaction; two at once wait for each other.

    Parameters
    ----------
    engine : Engine
        The database.
    only_empty : bool
        Do it only where there are no tables of margincast yet.

    Returns
    -------
    str
        The version after it.

    Raises
    ------
    StoreSchemaError
        If a newer margincast made the tables, or there are tables of somebody else under the same names.
    """
    config = _config()
    with engine.execution_options(**{WRITE: True}).connect() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        found = current_version(connection)
        if found is not None and only_empty:
            return found
        _refuse_others(connection, found, config)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return newest_version()


def _refuse_others(connection: Connection, found: str | None, config: Config) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreSchemaError(f"database: its tables have version {found}, of a newer margincast; install that")
    if found is None and "accounts" in inspect(connection).get_table_names():
        raise StoreSchemaError(
            "database: has a table 'accounts' that is not margincast's; give it a database or schema of its own"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
