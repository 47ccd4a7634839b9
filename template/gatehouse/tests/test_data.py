"""The database: transactions, migrations of two histories, and the order in which they are made."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from sqlalchemy import Connection, DateTime, Engine, Uuid, column, insert, inspect, table, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel, col, select
from starlette.testclient import TestClient

from gatehouse import Database as DatabaseOf
from gatehouse import public, utc_now
from gatehouse.migrating import CORE_MIGRATIONS, histories, migrate, unmigrated
from gatehouse.readiness import DATABASE_TROUBLE, database_look
from gatehouse.refusal import StartRefused
from gatehouse.state import Gatehouse
from gatehouse.store.database import Database, create_database_engine
from gatehouse.store.tables import CORE_TABLES, LoginSession, User
from gatehouse.testing import CreateUser, SignIn


@pytest.fixture
def fresh_url(tmp_path: Path, database_url: str) -> Iterator[str]:
    """An empty database of the same kind as the one under test."""
    engine = create_database_engine(database_url)
    if engine.dialect.name == "sqlite":
        yield f"sqlite:///{tmp_path / 'fresh.db'}"
        return
    admin = engine.execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE fresh"))
    yield engine.url.set(database="fresh").render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE fresh WITH (FORCE)"))
    engine.dispose()


def revisions(engine: Engine) -> dict[str, list[str]]:
    with engine.connect() as connection:
        names = [n for n in inspect(connection).get_table_names() if n.endswith("version")]
        return {
            name: list(connection.execute(text(f"SELECT version_num FROM {name}")).scalars())
            for name in names
        }


def test_both_histories_are_applied_the_core_first(core: Gatehouse, fresh_url: str) -> None:
    applied = migrate(fresh_url, core.migrations)
    assert applied[0] == "gatehouse_0001"
    engine = create_database_engine(fresh_url)
    found = revisions(engine)
    assert len(found) == len(histories(core.migrations))
    assert found["gatehouse_version"]
    with engine.connect() as connection:
        assert not unmigrated(connection, core.migrations)
    assert migrate(fresh_url, core.migrations) == []
    engine.dispose()


def test_the_migrations_make_the_tables_that_the_code_describes(
    core: Gatehouse, fresh_url: str
) -> None:
    """Alembic's own comparison, for the core's history."""
    migrate(fresh_url, core.migrations)
    config = Config()
    config.set_main_option("script_location", str(CORE_MIGRATIONS))
    engine = create_database_engine(fresh_url)
    with engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.check(config)
        assert set(inspect(connection).get_table_names()) >= CORE_TABLES
    engine.dispose()


def test_a_history_of_the_owners_sees_no_table_of_the_core(
    core: Gatehouse, fresh_url: str, tmp_path: Path
) -> None:
    """Else `alembic revision --autogenerate` would write migrations that drop them."""
    migrate(fresh_url, None)
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(
        "from gatehouse.migrating import run_migrations\n"
        "from sqlalchemy import MetaData\n"
        "run_migrations(MetaData(), version_table='alembic_version', database_url='')\n"
    )
    config = Config()
    config.set_main_option("script_location", str(folder))
    engine = create_database_engine(fresh_url)
    with engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.check(config)
    engine.dispose()


def test_a_migration_of_the_owners_names_column_types_of_the_core_by_public_names(
    core: Gatehouse, fresh_url: str, tmp_path: Path
) -> None:
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(
        "from gatehouse import UtcDateTime\n"
        "from gatehouse.migrating import run_migrations\n"
        "from sqlalchemy import Column, MetaData, Table\n"
        "Table('bill', metadata := MetaData(), Column('due', UtcDateTime()))\n"
        "run_migrations(metadata, version_table='alembic_version', database_url='')\n"
    )
    (tmp_path / "script.py.mako").write_text(
        "${imports}\nrevision = ${repr(up_revision)}\ndown_revision = None\n"
        "def upgrade():\n    ${upgrades}\n"
    )
    config = Config()
    config.set_main_option("script_location", str(tmp_path))
    engine = create_database_engine(fresh_url)
    with engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.revision(config, "bills", autogenerate=True)
    engine.dispose()
    (written,) = (tmp_path / "versions").glob("*.py")
    text = written.read_text()
    assert "import gatehouse\n" in text
    assert "sa.Column('due', gatehouse.UtcDateTime()" in text


def at_0_4_0(url: str) -> Engine:
    """A database as that release leaves it."""
    config = Config()
    config.set_main_option("script_location", str(CORE_MIGRATIONS))
    engine = create_database_engine(url)
    with engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "gatehouse_0003")
    return engine


def test_indexes_that_were_made_before_their_migration_are_taken_as_they_are(
    core: Gatehouse, fresh_url: str
) -> None:
    """As UPGRADING says: on PostgreSQL they can be made while the service writes on."""
    engine = at_0_4_0(fresh_url)
    how = "CONCURRENTLY" if engine.dialect.name == "postgresql" else ""
    name = "ix_gatehouse_login_session_last_used_at"
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        made = f"CREATE INDEX {how} {name} ON gatehouse_login_session (last_used_at)"
        connection.execute(text(made))
    assert "gatehouse_0004" in migrate(fresh_url, core.migrations)
    assert name in {
        index["name"] for index in inspect(engine).get_indexes("gatehouse_login_session")
    }
    engine.dispose()


@pytest.mark.parametrize("event", ["password_reset", "user_disabled", "login"])
def test_links_and_jobs_that_an_event_overtook_before_the_stamps_are_dropped(
    core: Gatehouse, fresh_url: str, event: str
) -> None:
    """Up to 0.4.0 a job that changes the address outlived a reset, a link outlived a disabling."""
    engine = at_0_4_0(fresh_url)
    with engine.connect() as connection, connection.begin():
        begin_at_0_4_0(connection, event)
    migrate(fresh_url, core.migrations)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT kind, email, stamp FROM gatehouse_errand")).all()
        jobs = {f"{kind} {when}" for kind, when, _ in found}
        links = set(connection.scalars(text("SELECT digest FROM gatehouse_one_time_token")))
    engine.dispose()
    before = {"change_email before"} if event == "login" else set()
    kept = {f"{kind} {when}" for kind in ("forgot", "address_changed") for when in WHEN}
    assert jobs == kept | {"change_email after"} | before
    # What acts for an account is bound to its first stamp; a form's job is at its first look.
    assert {stamp for kind, _, stamp in found if kind == "change_email"} == {0}
    assert {stamp for kind, _, stamp in found if kind == "forgot"} == {None}
    before |= {"reset before"} if event == "login" else set()
    assert links == {"reset after", "change_email after"} | before


WHEN = ("before", "after")  # the event


def begin_at_0_4_0(connection: Connection, event: str) -> None:
    """An account with an event, and links and jobs from a minute before it and after it."""
    user_id, now = uuid4(), utc_now()
    client = {"ip": "", "user_agent": "", "request_id": ""}
    address = {"email": "a@example.com", "email_key": "a@example.com"}
    who = {"password_hash": "", "role": "user", "is_active": True, "failed_logins": 0}
    put(connection, "user", id=user_id, created_at=now, **address, **who)
    put(connection, "audit_event", id=uuid4(), time=now, event=event, user_id=user_id, **client)
    lives = {"reset": timedelta(minutes=30), "change_email": timedelta(hours=24)}
    for when, moment in zip(WHEN, (-timedelta(minutes=1), timedelta(minutes=1)), strict=True):
        for purpose, life in lives.items():
            link = {"purpose": purpose, "email": "b@example.com", "user_id": user_id}
            expires_at = now + moment + life
            put(
                connection,
                "one_time_token",
                digest=f"{purpose} {when}",
                expires_at=expires_at,
                **link,
            )
        jobs = {"change_email": user_id, "forgot": None, "address_changed": user_id}
        for kind, acts_for in jobs.items():
            job = {
                "kind": kind,
                "email": when,
                "email_key": "b",
                "user_id": acts_for,
                "attempts": 1,
            }
            times = {"created_at": now + moment, "due_at": now}
            put(connection, "errand", id=uuid4(), **job, **times, **client)


def put(connection: Connection, name: str, **values: Any) -> None:
    """A row of a table as it was at an earlier version, which the classes no longer describe."""
    types: dict[type, Any] = {UUID: Uuid(), datetime: DateTime(timezone=True)}
    columns = (column(key, types.get(type(value))) for key, value in values.items())
    connection.execute(insert(table(f"gatehouse_{name}", *columns)).values(values))


@pytest.mark.asvs("6.3.2")
def test_a_new_database_holds_no_account_and_no_token(core: Gatehouse, fresh_url: str) -> None:
    migrate(fresh_url, core.migrations)
    engine = create_database_engine(fresh_url)
    with engine.connect() as connection:
        for table in CORE_TABLES - {"gatehouse_version", "gatehouse_service_epoch"}:
            rows = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            assert rows == 0, table
    engine.dispose()


def test_an_unmigrated_database_is_not_ready(core: Gatehouse, fresh_url: str) -> None:
    database = Database(fresh_url)
    look = database_look(database, core.migrations)
    assert look() == DATABASE_TROUBLE
    migrate(fresh_url, core.migrations)
    assert look() == ""
    with database.engine.connect() as connection, connection.begin():
        connection.execute(text("UPDATE gatehouse_version SET version_num = 'gatehouse_0003'"))
    assert look() == DATABASE_TROUBLE
    database.close()


def test_a_migration_that_leaves_rows_which_refer_to_nothing_is_undone(tmp_path: Path) -> None:
    """On SQLite, where foreign keys are off while tables are made anew."""
    path = tmp_path / "fresh.db"
    migrate(f"sqlite:///{path}", None)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE child (user_id TEXT REFERENCES user (id))")
        connection.execute("INSERT INTO child VALUES ('nobody')")
    with pytest.raises(RuntimeError, match="refer to nothing"):
        migrate(f"sqlite:///{path}", None)


def test_a_database_that_is_ahead_of_the_code_serves_on(core: Gatehouse, fresh_url: str) -> None:
    """While a deployment rolls, the version before goes on serving."""
    migrate(fresh_url, core.migrations)
    engine = create_database_engine(fresh_url)
    with engine.connect() as connection, connection.begin():
        connection.execute(text("UPDATE gatehouse_version SET version_num = 'gatehouse_9999'"))
    with engine.connect() as connection:
        assert not unmigrated(connection, core.migrations)
    engine.dispose()


def test_a_new_sqlite_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path / 'new.db'}", None)
    assert (tmp_path / "new.db").stat().st_mode & 0o777 == 0o600


def test_what_the_url_says_of_postgresql_goes_first() -> None:
    url = "postgresql+psycopg://127.0.0.1/x?options=-csearch_path%3Downer&connect_timeout=9"
    query = create_database_engine(url).url.query
    assert query["options"] == "-csearch_path=owner"
    assert query["connect_timeout"] == "9"
    assert query["tcp_user_timeout"] == "10000"
    silent = create_database_engine("postgresql+psycopg://127.0.0.1/x").url.query
    assert "options" not in silent
    assert silent["connect_timeout"] == "5"


@pytest.mark.parametrize("given", ["many", "-1", "1.5", "1&prepare_threshold=2"])
def test_a_number_in_the_url_that_is_none_refuses_the_start(given: str) -> None:
    with pytest.raises(StartRefused, match="prepare_threshold"):
        create_database_engine(f"postgresql+psycopg://127.0.0.1/x?prepare_threshold={given}")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("options", "limit", "threshold"),
    [
        ("", "10s", None),
        ("prepare_threshold=0", "10s", None),  # as the driver of Java and others mean it
        ("prepare_threshold=7", "10s", 7),
        ("options=-c%20statement_timeout%3D3s", "3s", None),
        ("options=-csearch_path%3Dpublic", "10s", None),
    ],
)
def test_a_statement_has_a_limit_in_every_transaction(
    core: Gatehouse, options: str, limit: str, threshold: int | None
) -> None:
    if core.database.engine.dialect.name == "sqlite":
        pytest.skip("needs PostgreSQL: SQLite has no such limit")
    url = core.database.engine.url.render_as_string(hide_password=False)
    database = Database(f"{url}{'&' if '?' in url else '?'}{options}")
    plain = database.engine.connect
    for isolation in (None, "SERIALIZABLE", "AUTOCOMMIT", None):
        level = {"isolation_level": isolation} if isolation else {}
        for _ in range(7):  # so often that a driver prepares it
            with plain().execution_options(**level) as connection:
                shown = connection.execute(text("SHOW statement_timeout")).scalar_one()
                driver: Any = connection.connection.driver_connection
                assert driver.prepare_threshold == threshold
                assert isolation == "AUTOCOMMIT" or shown == limit
                read = connection.execute(text("SHOW transaction_isolation")).scalar_one()
                assert read == ("serializable" if isolation == "SERIALIZABLE" else "read committed")
    database.close()


def test_a_history_that_was_deleted_in_its_project_is_no_hindrance_and_is_said(
    fresh_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "pyproject.toml").touch()
    caplog.set_level("INFO")
    for folder in (None, tmp_path / "missing"):
        migrate(fresh_url, folder)
        engine = create_database_engine(fresh_url)
        with engine.connect() as connection:
            for _ in range(2):
                assert not unmigrated(connection, folder)
        assert caplog.text.count("has no env.py") == (0 if folder is None else 1)
        engine.dispose()


@pytest.mark.parametrize("shape", ["missing", "empty", "without its env.py", "a file"])
@pytest.mark.parametrize("applied", [False, True])
def test_a_history_that_an_installation_has_lost_is_not_taken_for_none(
    fresh_url: str, tmp_path: Path, shape: str, applied: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """New code on old tables: the package lies in site-packages, or COPY left the folder out."""
    folder = tmp_path / "lib" / "migrations"
    if shape == "a file":
        folder.parent.mkdir()
        folder.touch()
    elif shape != "missing":
        (folder / "versions").mkdir(parents=True)
    if shape == "without its env.py":
        (folder / "versions" / "0001_notes.py").touch()
    engine = create_database_engine(fresh_url)
    if applied:
        folder.parent.mkdir(exist_ok=True)
        (folder.parent / "pyproject.toml").touch()
        with engine.connect() as connection, connection.begin():
            connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32))"))
            connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))
    with pytest.raises(StartRefused, match=r"has no env\.py") as refused:
        migrate(fresh_url, folder)
    assert "MIGRATIONS = None" in str(refused.value)
    migrate(fresh_url, None)
    with engine.connect() as connection:
        assert unmigrated(connection, folder)
        assert not unmigrated(connection, None)
    assert "has no env.py" in caplog.text
    engine.dispose()


def test_a_failed_write_leaves_nothing_behind(core: Gatehouse, create_user: CreateUser) -> None:
    with pytest.raises(RuntimeError, match="halfway"), core.database.write() as session:
        session.add(User(email="a", email_key="a", password_hash="!", role="user"))
        session.flush()
        raise RuntimeError("halfway")
    with core.database.read() as session:
        assert session.exec(select(User)).all() == []


def test_a_read_keeps_nothing_that_is_written_in_it(
    core: Gatehouse, create_user: CreateUser
) -> None:
    """So that what is to be told after a commit cannot be forgotten: `write` is the one way."""
    user = create_user()
    with core.database.read() as session:
        session.add(User(email="a", email_key="a", password_hash="!", role="user"))
        session.flush()
        session.get_one(User, user.id).is_active = False
    with core.database.read() as session:
        (row,) = session.exec(select(User)).all()
        assert row.is_active


def test_an_error_of_the_database_shows_no_value(core: Gatehouse) -> None:
    marker = "s3cret-marker-77"
    with pytest.raises(IntegrityError) as error, core.database.write() as session:
        for _ in range(2):
            session.add(User(email="a", email_key="a", password_hash=marker, role="user"))
    assert marker not in str(error.value)


def test_a_row_shows_its_id_alone_when_it_is_printed() -> None:
    user = User(email="bob@example.com", email_key="k", password_hash="$argon2id$", role="user")
    assert repr(user) == f"User(id={user.id!r})"
    assert "bob" not in str(user)
    assert "argon2" not in str(user)


def test_sessions_go_with_their_user(core: Gatehouse, sign_in: SignIn) -> None:
    sign_in()
    with core.database.write() as session:
        session.delete(session.exec(select(User)).one())
    with core.database.read() as session:
        assert session.exec(select(LoginSession)).all() == []


def test_moments_come_back_in_utc(core: Gatehouse, create_user: CreateUser) -> None:
    user = create_user()
    odd = datetime(2030, 6, 1, 12, 30, 15, 123456, timezone(timedelta(hours=5)))
    with core.database.write() as session:
        session.get_one(User, user.id).email_verified_at = odd
    with core.database.read() as session:
        found = session.get_one(User, user.id).email_verified_at
    assert found == odd
    assert found.utcoffset() == timedelta(0)
    assert utc_now().tzinfo is UTC


@pytest.mark.parametrize("value", [datetime(2030, 6, 1, 12), date(2030, 6, 1), "2030-06-01T12:00"])
def test_a_time_without_a_zone_is_refused_wherever_it_is_bound(
    core: Gatehouse, create_user: CreateUser, value: Any
) -> None:
    """SQLite took it for the host's zone and PostgreSQL for the server's."""
    user = create_user()
    with (
        pytest.raises(ValueError, match="without a time zone") as refused,
        core.database.write() as session,
    ):
        session.get_one(User, user.id).email_verified_at = value
    assert "2030" not in str(refused.value)
    with (
        pytest.raises(ValueError, match="without a time zone"),
        core.database.read() as session,
    ):
        session.exec(select(User).where(col(User.created_at) > value)).all()


def test_a_time_without_a_zone_from_a_client_is_a_422(client: TestClient, app: FastAPI) -> None:
    @app.get("/since")
    @public
    def since(moment: datetime, database: DatabaseOf) -> int:
        with database.read() as session:
            return len(session.exec(select(User).where(col(User.created_at) > moment)).all())

    answer = client.get("/since", params={"moment": "2030-06-01T12:00:00"})
    assert answer.status_code == 422
    assert client.get("/since", params={"moment": "2030-06-01T12:00:00Z"}).json() == 0


def test_a_read_that_is_followed_by_a_write_waits_its_turn(core: Gatehouse) -> None:
    """On SQLite a late upgrade from reading to writing fails at once; ours starts as a writer."""
    if core.database.engine.dialect.name != "sqlite":
        pytest.skip("needs SQLite: PostgreSQL locks rows, not the whole database")
    errors: list[BaseException] = []

    url = core.database.engine.url.render_as_string(hide_password=False)

    def increment() -> None:
        other = Database(url)  # as another process: within one, writes wait before they begin
        try:
            with other.write() as session:
                user = session.exec(select(User)).one()
                user.role = str(int(user.role) + 1)
        except BaseException as error:
            errors.append(error)
        finally:
            other.close()

    with core.database.write() as session:
        session.add(User(email="a", email_key="a", password_hash="!", role="0"))
    threads = [threading.Thread(target=increment) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with core.database.read() as session:
        assert session.exec(select(User)).one().role == "10"


def test_sqlite_is_set_up_for_a_server(core: Gatehouse) -> None:
    if core.database.engine.dialect.name != "sqlite":
        pytest.skip("needs SQLite: these are its switches")
    with core.database.read() as session:

        def pragma(name: str) -> Any:
            return session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()

        assert pragma("journal_mode") == "wal"
        assert pragma("foreign_keys") == 1
        assert pragma("busy_timeout") == 5_000


def test_a_database_that_is_away_is_an_error_within_seconds() -> None:
    from sqlalchemy.exc import OperationalError

    database = Database("postgresql+psycopg://127.0.0.1:9/x")
    with pytest.raises(OperationalError), database.read() as session:
        session.exec(select(User)).all()
    database.close()


def test_every_table_of_the_core_is_known_as_such() -> None:
    named = {name for name in SQLModel.metadata.tables if name.startswith("gatehouse_")}
    assert named == CORE_TABLES
