"""Behind a pooler that lends a server connection for one transaction: PgBouncer, for real."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import OperationalError

from gatehouse.migrating import migrate
from gatehouse.store.database import DatabasePool, create_database_engine

pytestmark = pytest.mark.thorough

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
Run = Callable[..., int]


@pytest.fixture
def direct(database_url: str) -> Iterator[Engine]:
    """The server itself, for what no pooler lets through."""
    if make_url(database_url).get_backend_name() != "postgresql":
        pytest.skip("needs PostgreSQL: -o gatehouse_database=postgresql")
    engine = create_database_engine(database_url)
    admin = engine.execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE pooled"))
    yield admin
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE pooled WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def pooled(direct: Engine) -> Iterator[str]:
    """The URL of an empty database behind PgBouncer, which has two connections to the server."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")
    host = str(make_url(str(direct.url)).query.get("host") or direct.url.host)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Not in pytest's own folder, which nobody else may enter.
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer"))
    folder.chmod(0o755)
    ini, users = folder / "pgbouncer.ini", folder / "users.txt"
    name = direct.url.username or "postgres"
    users.write_text(f'"{name}" ""\n')
    ini.write_text(
        f"[databases]\npooled = host={host} user={name} dbname=pooled\n"
        f"[pgbouncer]\npool_mode = transaction\ndefault_pool_size = 2\nauth_type = any\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
    )
    # It refuses to be root; the socket's folder is its owner's alone.
    owner = os.stat(host).st_uid if os.geteuid() == 0 and host.startswith("/") else os.geteuid()
    server = subprocess.Popen(
        [PGBOUNCER, "-q", str(ini)],
        user=owner or 65_534,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        if server.poll() is not None:
            pytest.fail(f"pgbouncer ended: {server.communicate()[0].decode()}")
        time.sleep(0.05)
    yield f"postgresql+psycopg://{name}@127.0.0.1:{port}/pooled"
    server.terminate()
    server.communicate()
    shutil.rmtree(folder)


def test_a_service_migrates_and_works_behind_a_pooler(pooled: str) -> None:
    assert "gatehouse_0001" in migrate(pooled, None)
    assert migrate(pooled, None) == []
    database = DatabasePool(pooled)

    def ask(number: int) -> int:
        with database.write() as session:  # the same statement so often that a driver prepares it
            asked = session.connection().execute(text("SELECT :number"), {"number": number})
            return int(asked.scalar_one())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == list(range(200))
    database.close()


def test_two_that_migrate_behind_a_pooler_wait_for_each_other(pooled: str, direct: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:  # more than the pooler has connections
        done = list(pool.map(lambda _: migrate(pooled, None), range(4)))
    assert sorted(map(len, done))[:3] == [0, 0, 0]
    with direct.connect() as connection:  # a lock that a lent connection kept would stay for ever
        held = connection.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
        assert held.scalar_one() == 0


def test_the_limit_of_a_statement_holds_behind_a_pooler(pooled: str) -> None:
    database = DatabasePool(pooled)
    for _ in range(12):
        with database.read() as session:
            shown = session.connection().execute(text("SHOW statement_timeout"))
            assert shown.scalar_one() == "10s"
    database.close()


def test_a_limit_that_ends_a_statement_is_an_error_of_the_database(pooled: str) -> None:
    database = DatabasePool(pooled)
    with database.read() as session:
        session.connection().execute(text("SET LOCAL statement_timeout = 50"))
        with pytest.raises(OperationalError):
            session.connection().execute(text("SELECT pg_sleep(5)"))
    with database.read() as session:
        assert session.connection().execute(text("SELECT 1")).scalar_one() == 1
    database.close()


@pytest.mark.parametrize(
    "options", ["", "?prepare_threshold=0", "?prepare_threshold=3&sslmode=disable"]
)
def test_migrate_through_a_pooler_takes_the_usual_options(
    run: Run, monkeypatch: pytest.MonkeyPatch, pooled: str, options: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", pooled + options)
    assert run("migrate") == 0


def test_what_the_server_says_at_the_door_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, pooled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{pooled}?options=-c%20geqo%3Doff")
    assert run("migrate") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "unsupported startup parameter" in line
    assert "127.0.0.1" not in line
