"""Two histories of migrations, the core's and yours, each with a version table of its own.

Alembic is imported where it is used: most commands, and the start of a process that serves, need
this module and not it.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, MetaData, text

from gatehouse.refusal import StartRefused
from gatehouse.store.database import create_database_engine
from gatehouse.store.tables import CORE_TABLES

log = logging.getLogger("gatehouse.migrating")

CORE_MIGRATIONS = Path(__file__).parent / "migrations"
CORE_VERSION_TABLE = "gatehouse_version"
OWNER_VERSION_TABLE = "alembic_version"
LOCK_KEY = 0x6761_7465  # any fixed number: what two migrating processes wait for each other on
LOCK_PAUSE = 0.2  # seconds between two looks whether the first `migrate` is done, on PostgreSQL
LOCK_WAIT = 60  # seconds that a second `migrate` waits for the first on SQLite

History = tuple[str, Path]


def histories(owner: Path | None) -> list[History]:
    """The histories in the order they are applied: your tables may refer to the core's."""
    found = [(CORE_VERSION_TABLE, CORE_MIGRATIONS)]
    if owner is not None and not is_missing(owner):
        found.append((OWNER_VERSION_TABLE, owner))
    return found


def is_missing(owner: Path | None) -> bool:
    """Whether a history was given that is not there. None says that there is none."""
    return owner is not None and not (owner / "env.py").is_file()


def lost(connection: Connection, owner: Path | None) -> str:
    """Why a missing history is not one that its owner deleted; empty if it may be.

    An install that is not editable looks for it in `lib`, an image may lack it: then new code
    would run on old tables. In a project its owner may have deleted it before it was ever used.
    """
    if owner is None or not is_missing(owner):
        return ""
    if _current(connection, OWNER_VERSION_TABLE):
        why = "the database was migrated by that history"
    elif not (owner.parent / "pyproject.toml").is_file():
        why = "the service is installed outside its project"
    else:
        return ""
    return (
        f"{owner} has no env.py, and {why}. Bring the folder there, "
        "or say MIGRATIONS = None in main.py if there is none"
    )


@cache
def _say(level: int, text: str) -> None:
    """Once in a process: /readyz asks every few seconds."""
    log.log(level, "%s", text)


def migrate(database_url: str, owner: Path | None) -> list[str]:
    """Bring both histories to their heads; returns the revisions applied, oldest first.

    Safe to start twice at once: the second waits for the first and then has nothing to do.
    On SQLite both histories are one transaction, on PostgreSQL one each.
    """
    from alembic import command
    from alembic.config import Config

    with _sole_connection(database_url) as connection:
        if reason := lost(connection, owner):
            raise StartRefused(f"{reason}. Nothing was changed.")
        before = _applied(connection, owner)
        for _, folder in histories(owner):
            config = Config()
            config.set_main_option("script_location", str(folder).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "heads")
        return [revision for revision in _applied(connection, owner) if revision not in before]


def unmigrated(connection: Connection, owner: Path | None) -> bool:
    """Whether a migration that this code knows, or should, is missing in this database.

    A database that knows more is no hindrance: while a deployment rolls, the version before
    goes on serving what the new one has migrated.
    """
    if reason := lost(connection, owner):
        _say(logging.ERROR, reason)
        return True
    if is_missing(owner):
        _say(logging.WARNING, f"{owner} has no env.py: your own tables are not migrated")
    from alembic.script import ScriptDirectory

    for version_table, folder in histories(owner):
        scripts = ScriptDirectory(str(folder))
        known = {script.revision for script in scripts.walk_revisions()}
        current = set(_current(connection, version_table))
        if current != set(scripts.get_heads()) and (not current or current <= known):
            return True
    return False


def run_migrations(metadata: MetaData, *, version_table: str, database_url: str) -> None:
    """What a history's `env.py` calls: from `migrate`, and from plain `alembic` commands alike.

    Each history sees its own tables only, so that autogenerate in yours never touches the core's.
    """
    from alembic import context

    mine = version_table == CORE_VERSION_TABLE

    def include_name(name: str | None, kind: str, _: Any) -> bool:
        if kind != "table":
            return True
        return (name in CORE_TABLES) == mine and name != CORE_VERSION_TABLE

    def include_object(_: Any, name: str | None, kind: str, *__: Any) -> bool:
        return include_name(name, kind, None)

    options: dict[str, Any] = {
        "target_metadata": metadata,
        "version_table": version_table,
        "include_name": include_name,
        "include_object": include_object,
        "transactional_ddl": True,
        "render_item": _render_type,
    }
    if context.is_offline_mode():
        context.configure(url=database_url, literal_binds=True, **options)
        with context.begin_transaction():
            context.run_migrations()
        return
    given = context.config.attributes.get("connection")
    with _given(given) if given is not None else _sole_connection(database_url) as connection:
        batch = connection.dialect.name == "sqlite"
        context.configure(connection=connection, render_as_batch=batch, **options)
        with context.begin_transaction():
            context.run_migrations()


@contextmanager
def _given(connection: Connection) -> Iterator[Connection]:
    yield connection


@contextmanager
def _sole_connection(database_url: str) -> Iterator[Connection]:
    """A connection that no other migrating process holds at the same time."""
    # SQLite changes a table by making it anew; with foreign keys on, dropping the old one
    # would delete the rows that refer to it.
    engine = create_database_engine(
        database_url, foreign_keys=False, lock_wait=LOCK_WAIT, statement_limit=0
    )
    engine = engine.execution_options(gatehouse_write=True)
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                with connection.begin():
                    yield connection
                    if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                        raise RuntimeError("a migration left rows that refer to nothing")
                return
            # Of a transaction, on a connection of its own: behind a pooler a session's lock would
            # stay with a connection that is lent to others, and never be given back.
            with engine.connect() as holding:
                # Asked for again and again: who waited in a transaction would keep a connection
                # of the pooler's that the one who works needs.
                lock = text("SELECT pg_try_advisory_xact_lock(:key)")
                while not holding.execute(lock, {"key": LOCK_KEY}).scalar_one():
                    holding.rollback()
                    time.sleep(LOCK_PAUSE)
                yield connection
                connection.commit()
    finally:
        engine.dispose()


def _applied(connection: Connection, owner: Path | None) -> list[str]:
    """Every revision that the heads in the database stand for, oldest first."""
    from alembic.script import ScriptDirectory
    from alembic.script.revision import RevisionError

    found: list[str] = []
    for version_table, folder in histories(owner):
        heads = _current(connection, version_table)
        if heads:
            scripts = ScriptDirectory(str(folder)).iterate_revisions(heads, "base")
            try:
                found += reversed([script.revision for script in scripts])
            except RevisionError:
                raise StartRefused(
                    "The database is newer than this code: it was migrated by a later version. "
                    "Nothing was changed; deploy that version."
                ) from None
    return found


def _current(connection: Connection, version_table: str) -> tuple[str, ...]:
    from alembic.runtime.migration import MigrationContext

    options = {"version_table": version_table}
    return MigrationContext.configure(connection, opts=options).get_current_heads()


def _render_type(kind: str, item: Any, autogen: Any) -> str | Literal[False]:
    """How autogenerate writes the core's column type into your migration."""
    if kind == "type" and type(item).__module__ == "gatehouse.store.tables":
        autogen.imports.add("import gatehouse")
        return f"gatehouse.{type(item).__name__}()"
    return False
