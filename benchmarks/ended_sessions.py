"""A guarded route with many ended sessions in the process's list, against the same with none."""

import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from benchmarks.load import Ring
from benchmarks.plan import Plan
from benchmarks.report import Row, compare
from benchmarks.requests_per_second import CONNECTIONS
from benchmarks.service import Service
from benchmarks.signing_in import log_in

ENDED = 100_000
TARGET = 0.95


def measure(service: Service, plan: Plan) -> list[Row]:
    full = replace(service, environment={**service.environment, "DATABASE_URL": _full(service)})
    with service.serve() as empty_server, full.serve() as full_server:
        token = log_in(empty_server.port, service.accounts[0])
        with (
            Ring(empty_server.port, "/bench", token, CONNECTIONS) as empty,
            Ring(full_server.port, "/bench", token, CONNECTIONS) as filled,
        ):
            for ring in (empty, filled):
                ring.run(plan.turn)  # warm up; the list is read now
            pairs = [_round(empty, filled, plan.turn, number) for number in range(plan.turns)]
    return [
        compare(
            f"guarded route, {ENDED:,} ended sessions",
            pairs,
            "/s",
            target=f"≥ {TARGET}",
            met=lambda ratio: ratio >= TARGET,
        )
    ]


def _round(empty: Ring, filled: Ring, seconds: float, number: int) -> tuple[float, float]:
    rates: dict[int, float] = {}
    for index in (0, 1) if number % 2 == 0 else (1, 0):
        answers, taken = (empty, filled)[index].run(seconds)
        rates[index] = answers / taken
    return rates[0], rates[1]


def _full(service: Service) -> str:
    """The URL of a copy of the service's database with sessions that ended just now."""
    source, target = service.folder / "demo_service.db", service.folder / "ended.db"
    with sqlite3.connect(source) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(source, target)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    with sqlite3.connect(target) as database:
        rows = ((uuid4().hex, now, 1) for _ in range(ENDED))
        columns = "session_id, ended_at, position"
        database.executemany(
            f"INSERT INTO gatehouse_ended_session ({columns}) VALUES (?, ?, ?)",
            rows,
        )
    return f"sqlite:///{target}"
