"""The core's own history. Applied by the `migrate` command; released files never change."""

from alembic import context

from gatehouse.migrating import CORE_VERSION_TABLE, run_migrations
from gatehouse.store.tables import core_metadata

run_migrations(
    core_metadata(),
    version_table=CORE_VERSION_TABLE,
    database_url=context.config.get_main_option("sqlalchemy.url", ""),
)
