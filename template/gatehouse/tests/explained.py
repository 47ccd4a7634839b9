"""Every statement that the service executes in a test run, explained by the database.

A scan of a table that grows takes a second at a million rows, and on SQLite every other writer
waits for it. No test with ten rows sees that, so each statement is judged by its plan instead.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, make_url
from sqlmodel import SQLModel

import gatehouse
from gatehouse.store.database import create_database_engine
from gatehouse.store.tables import CORE_TABLES

GROWING = CORE_TABLES - {"gatehouse_service_epoch"}  # which has one row

ROWS = 20_000  # of each table, while plans are made on PostgreSQL
_VALUES = {
    "UUID": "gen_random_uuid()",
    "VARCHAR": "md5(i::text)",
    "TIMESTAMP WITH TIME ZONE": "now() - make_interval(mins => i)",
    "BIGINT": "i",
    "INTEGER": "0",
    "BOOLEAN": "true",
    "BYTEA": "''",
    "JSON": "'{}'",
}

# What is meant to read everything, by "module.function: statement", and why it may.
MEANT = {
    r"testing\.empty: DELETE": "empties the tables between two tests",
    r"sessions\.end_sessions: .* gatehouse_login_session\.id IS NOT NULL": "of a test's own",
    r"sessions\.(count|drop_some): ": "a command ends everyone: all rows, a thousand at a time",
    r"diagnosing\._lookalikes: ": "doctor reads each address, and holds up nobody",
}

_CORE = str(Path(gatehouse.__file__).parent)
_TESTS = str(Path(__file__).parent)
_NEUTRAL = {"database.py", Path(__file__).name}  # who calls these is who executes
_MIGRATIONS = str(Path(gatehouse.__file__).with_name("migrations"))  # each runs once


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Collect what is executed meanwhile; raise `AssertionError` for each scan at the end."""
    seen: dict[str, tuple[str, Any]] = {}

    def collect(by: Connection, _: Any, statement: str, values: Any, __: Any, many: bool) -> None:
        if statement in seen or by.dialect.name != make_url(url).get_backend_name():
            return
        reads = r"SELECT|UPDATE|DELETE|WITH|INSERT .*SELECT"
        if re.match(reads, statement, re.DOTALL) and (origin := _origin()):
            seen[statement] = (origin, values[0] if many else values)

    event.listen(Engine, "before_cursor_execute", collect)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", collect)
    found = list(_scans(url, seen))
    assert not found, "scans of what grows:\n" + "\n".join(found)


def _origin() -> str:
    """The core's function that executes the present statement, "" if it is a test's own."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        path = Path(frame.f_code.co_filename)
        if path.name not in _NEUTRAL and path.is_relative_to(_CORE):
            own = not path.is_relative_to(_MIGRATIONS)
            return f"{path.stem}.{frame.f_code.co_name}" if own else ""
        if path.name not in _NEUTRAL and path.is_relative_to(_TESTS):
            return ""
        frame = frame.f_back
    return ""


def _scans(url: str, seen: dict[str, tuple[str, Any]]) -> Iterator[str]:
    engine = create_database_engine(url)
    explain = _on_sqlite if engine.dialect.name == "sqlite" else _on_postgresql
    with engine.connect() as connection:  # and nothing is committed
        partial = _partial_indexes(connection)
        if connection.dialect.name == "postgresql":
            _fill(connection)
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for statement, (origin, values) in seen.items():
            name = f"{origin}: {' '.join(statement.split())}"
            if any(re.match(meant, name) for meant in MEANT):
                continue
            if any(table in statement for table in GROWING):
                yield from (
                    f"{name}\n    {scan}"
                    for scan in explain(connection, statement, values, partial)
                )
    engine.dispose()


def _fill(connection: Connection) -> None:
    """Rows enough that the planner does not take an empty table for one best read whole."""
    connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # no foreign keys
    for name in sorted(GROWING):
        columns = SQLModel.metadata.tables[name].columns
        names = ", ".join(column.name for column in columns)
        values = ", ".join(_VALUES[column.type.compile(connection.dialect)] for column in columns)
        rows = f"FROM generate_series(1, {ROWS}) AS i"
        connection.exec_driver_sql(f"INSERT INTO {name} ({names}) SELECT {values} {rows}")
        connection.exec_driver_sql(f"ANALYZE {name}")


def _partial_indexes(connection: Connection) -> set[str]:
    """Those that hold some rows only: they may be read from end to end."""
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'"
        if connection.dialect.name == "sqlite"
        else "SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL"
    )
    return set(connection.exec_driver_sql(query).scalars())


def _on_sqlite(
    connection: Connection, statement: str, values: Any, partial: set[str]
) -> Iterator[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    details = [str(row[3]) for row in rows]
    # In the order of an index, as far as LIMIT says.
    stops = "LIMIT" in statement and not any("TEMP B-TREE" in detail for detail in details)
    for detail in details:
        scan = re.match(r"SCAN (\w+?)(?:_\d+)?(?: USING (?:COVERING )?INDEX (\w+))?$", detail)
        if not scan or scan[1] not in GROWING or scan[2] in partial:
            continue
        if not (scan[2] and stops):
            yield detail


def _on_postgresql(
    connection: Connection, statement: str, values: Any, partial: set[str]
) -> Iterator[str]:
    """With sequential scans off, one that is left means that no index serves."""
    explain = f"EXPLAIN (FORMAT JSON) {statement}"
    (found,) = connection.exec_driver_sql(explain, values).scalar_one()
    yield from _walk(found["Plan"], partial, stops=False)


def _walk(node: dict[str, Any], partial: set[str], *, stops: bool) -> Iterator[str]:
    kind = str(node["Node Type"])
    # In the order of an index, as far as LIMIT says: a filter may throw all rows away.
    stops = kind == "Limit" or (stops and kind not in ("Sort", "Aggregate", "Hash"))
    table, index = node.get("Relation Name"), str(node.get("Index Name", ""))
    whole = index not in partial and "Index Cond" not in node
    if kind == "Seq Scan" and table in GROWING:
        yield f"Seq Scan on {table}"
    elif whole and "gatehouse_" in index and (not stops or "Filter" in node):
        yield f"{kind} of all of {index}"
    for child in node.get("Plans", ()):
        yield from _walk(child, partial, stops=stops)
