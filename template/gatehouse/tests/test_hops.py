"""A database that hangs holds up what asks it, and so much of that alone as there is room for."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import TimeoutError as Busy
from starlette.testclient import TestClient

from gatehouse import public
from gatehouse.state import Gatehouse
from gatehouse.store import database
from gatehouse.store.database import DatabasePool

pytestmark = pytest.mark.thorough


class Hanging:
    """What a database does that does not answer, until it is `released`."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.released = threading.Event()

    def __call__(self) -> str:
        self.begun.release()
        assert self.released.wait(60)
        return "released"


async def two_wait_and_one_is_refused(url: str) -> list[object]:
    asks = DatabasePool(url)
    hanging = Hanging()
    works = asks.run(hanging)
    await asyncio.to_thread(hanging.begun.acquire)
    waits = asks.run(lambda: "its turn")
    try:
        with pytest.raises(Busy):
            asks.run(lambda: "refused")
        return [await asyncio.wait_for(asyncio.shield(waits), 0.01)]
    except TimeoutError:
        hanging.released.set()
        return [await works, await waits]
    except Busy:
        hanging.released.set()
        await works
        return ["out of time"]
    finally:
        asks.close()


def test_so_many_calls_wait_for_a_thread_and_one_more_is_refused_at_once(
    core: Gatehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "THREADS", 1)
    monkeypatch.setattr(database, "CALLS_WAITING", 1)
    assert asyncio.run(two_wait_and_one_is_refused(core.settings.database_url)) == [
        "released",
        "its turn",
    ]


def test_a_call_that_does_not_get_its_turn_is_refused(
    core: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "THREADS", 1)
    monkeypatch.setattr(database, "CALLS_WAITING", 1)
    monkeypatch.setattr(database, "CALL_WAIT", 0.001)
    assert asyncio.run(two_wait_and_one_is_refused(core.settings.database_url)) == ["out of time"]


@pytest.fixture
def small(core: Gatehouse, monkeypatch: pytest.MonkeyPatch) -> DatabasePool:
    """A database with room for one session, and for nobody who waits."""
    monkeypatch.setattr(database, "SESSIONS", 1)
    monkeypatch.setattr(database, "SESSIONS_WAITING", 0)
    monkeypatch.setattr(database, "POOL_WAIT", 60)
    return DatabasePool(core.settings.database_url)


def test_so_many_sessions_are_open_at_once_and_one_more_is_refused(small: DatabasePool) -> None:
    with ThreadPoolExecutor(1) as other:

        def read() -> None:
            with small.read():
                pass

        with small.read(), pytest.raises(Busy):
            other.submit(read).result(60)
        other.submit(read).result(60)  # the place is free again


def test_a_session_inside_another_s_needs_no_second_place(small: DatabasePool) -> None:
    with small.read(), small.read():
        pass
    with small.read():
        pass


def test_routes_without_a_query_have_threads_while_every_session_hangs(
    app: FastAPI, client: TestClient, core: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty at once, where FastAPI has forty threads: of a service's own plain routes too."""
    hanging = Hanging()

    @app.get("/probe/hangs")
    @public
    def hangs() -> None:
        with core.database.read():
            hanging()

    @app.get("/probe/plain")
    @public
    def plain() -> str:
        return "here"

    with ThreadPoolExecutor(60) as clients:
        asked = [clients.submit(client.get, "/probe/hangs") for _ in range(60)]
        for _ in range(database.SESSIONS):
            assert hanging.begun.acquire(timeout=60)
        assert client.get("/probe/plain").json() == "here"
        hanging.released.set()
        answers = [one.result(60) for one in asked]
    assert {answer.status_code for answer in answers} == {200, 503}
    refused = [answer for answer in answers if answer.status_code == 503]
    assert all(answer.headers["Retry-After"].isdigit() for answer in refused)
