"""What Alembic runs: the migrations, on the connection and in the transaction that `serving.store.migrate` made."""

from __future__ import annotations

from alembic import context

from serving.store.migrate import VERSION_TABLE
from serving.store.tables import metadata


def _run() -> None:
    connection = context.config.attributes["connection"]
    context.configure(connection, target_metadata=metadata, version_table=VERSION_TABLE, transactional_ddl=False)
    context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic loads this file
    _run()
