"""Migrations lead to the tables, and a server on other tables says what to do."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from models.errors import StoreSchemaError, StoreUnavailableError
from serving.store import Store, check_schema, open_store, upgrade
from serving.store.engine import database_url, make_engine
from serving.store.migrate import VERSION_TABLE, current_version, newest_version
from serving.store.tables import metadata


def test_migrations_make_the_tables(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": False}
        )
        differences = compare_metadata(context, metadata)
    assert differences == []


def test_upgrade_twice_is_once(store: Store) -> None:
    assert upgrade(store.engine) == newest_version() == check_schema(store.engine)


def test_two_upgrades_at_once(database: str) -> None:
    engines = [make_engine(database_url(database)) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(upgrade, engines)) == [newest_version()] * 2
    for engine in engines:
        engine.dispose()


def test_only_sqlite_makes_its_tables_by_itself(database: str) -> None:
    if database.startswith("sqlite"):
        open_store(database).close()
        return
    with pytest.raises(StoreSchemaError, match=r"found none; run 'margincast db upgrade'"):
        open_store(database)


def test_newer_tables_are_refused(store: Store, database: str) -> None:
    with store.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    for use in (lambda: open_store(database), lambda: upgrade(store.engine)):
        with pytest.raises(StoreSchemaError, match="9999"):
            use()


def test_a_failed_migration_leaves_nothing(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make_engine(database_url(database))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("cut off")

    monkeypatch.setattr("alembic.operations.Operations.create_index", fail)
    with pytest.raises(RuntimeError, match="cut off"):
        upgrade(engine)
    with engine.connect() as connection:
        assert current_version(connection) is None
        assert inspect(connection).get_table_names() == []
    engine.dispose()


def test_tables_of_somebody_else_are_left_alone(database: str) -> None:
    engine = make_engine(database_url(database))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE accounts (theirs integer)"))
    with pytest.raises(StoreSchemaError, match="of its own"):
        upgrade(engine)
    engine.dispose()


def test_no_server_is_said(tmp_path: object) -> None:
    with pytest.raises(StoreUnavailableError, match="not available"):
        open_store("postgresql://127.0.0.1:1/nothing", wait_seconds=2.0)
    with pytest.raises(StoreUnavailableError, match="not available"):
        open_store(f"sqlite:///{tmp_path}/no/such/folder/a.db")
