"""Probes come every second from several places: they share one look at what the service needs."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from starlette.testclient import TestClient

from gatehouse import readiness
from gatehouse.mailer.outbox import MAIL_TROUBLE
from gatehouse.migrating import unmigrated
from gatehouse.readiness import DATABASE_TROUBLE, Readiness
from gatehouse.state import Gatehouse

pytestmark = pytest.mark.thorough

Tick = Callable[[float], None]


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Tick:
    moved = 0.0
    monkeypatch.setattr(readiness, "clock", lambda: 1000.0 + moved)

    def move(seconds: float) -> None:
        nonlocal moved
        moved += seconds

    return move


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Each reading of the migrations from disk."""
    made: list[object] = []

    def watched(connection: Connection, migrations: Path | None) -> bool:
        made.append(connection)
        return unmigrated(connection, migrations)

    monkeypatch.setattr("gatehouse.readiness.unmigrated", watched)
    return made


@contextmanager
def without_version(core: Gatehouse) -> Iterator[None]:
    """The database without its version, for a while."""
    with core.database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE gatehouse_version RENAME TO gone"))
    yield
    with core.database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO gatehouse_version"))


def test_an_answer_is_good_for_one_second(
    client: TestClient, tick: Tick, looks: list[object]
) -> None:
    assert {client.get("/readyz").status_code for _ in range(20)} == {200}
    assert len(looks) == 1
    tick(0.99)
    client.get("/readyz")
    assert len(looks) == 1
    tick(0.02)
    client.get("/readyz")
    assert len(looks) == 2


def test_a_database_that_is_lost_and_back_is_seen_within_a_second(
    client: TestClient, core: Gatehouse, tick: Tick
) -> None:
    assert client.get("/readyz").status_code == 200
    with without_version(core):
        assert client.get("/readyz").status_code == 200
        tick(1.01)
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["detail"] == DATABASE_TROUBLE
        assert answer.headers["Retry-After"] == "5"
    assert client.get("/readyz").status_code == 503
    tick(1.01)
    assert client.get("/readyz").json() == {"status": "ok"}


def test_probes_at_once_make_one_look() -> None:
    made: list[int] = []

    def look() -> str:
        time.sleep(0.2)
        made.append(1)
        return "trouble"

    ready = Readiness(look)
    with ThreadPoolExecutor(20) as threads:
        assert set(threads.map(lambda _: ready.trouble(), range(20))) == {"trouble"}
    assert len(made) == 1


def test_the_first_trouble_is_told_and_the_next_look_is_not_made() -> None:
    assert Readiness(lambda: "", lambda: "").trouble() == ""

    def never() -> str:
        raise AssertionError("looked further")

    assert Readiness(lambda: "", lambda: "one", never).trouble() == "one"


def test_a_look_that_fails_leaves_the_next_probe_a_look_of_its_own() -> None:
    errors = [RuntimeError()]

    def look() -> str:
        for error in errors:
            raise error
        return ""

    ready = Readiness(look)
    with pytest.raises(RuntimeError):
        ready.trouble()
    errors.clear()
    assert ready.trouble() == ""


def test_a_look_that_hangs_is_trouble_and_no_second_one_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released, made = threading.Event(), list[int]()

    def look() -> str:
        made.append(1)
        assert released.wait(60)
        return ""

    async def probe() -> list[str]:
        ready = Readiness(look)
        found = [await ready.ask() for _ in range(3)]
        released.set()
        monkeypatch.setattr(readiness, "LIMIT", 60)
        return [*found, await ready.ask()]

    monkeypatch.setattr(readiness, "LIMIT", 0.01)
    assert asyncio.run(probe()) == [*[DATABASE_TROUBLE] * 3, ""]
    assert len(made) == 1


def test_what_was_found_can_be_forgotten(tick: Tick) -> None:
    made: list[int] = []

    def look() -> str:
        made.append(1)
        return ""

    ready = Readiness(look)
    ready.trouble()
    ready.forget()
    ready.trouble()
    assert len(made) == 2


def test_readyz_says_that_mail_has_stopped(
    client: TestClient, core: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/readyz").status_code == 200
    monkeypatch.setattr(core.outbox, "_failed", True)
    core.readiness.forget()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["detail"]) == (503, MAIL_TROUBLE)
