"""A database that hangs holds up what asks it, and so much of that alone as there is room for."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import TimeoutError as Busy
from starlette.testclient import TestClient

from gatehouse import public
from gatehouse.accounts.revocation import RevocationList
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


def answer_of(asks: DatabasePool, work: Callable[[], object]) -> object:
    """What `run` gives or raises; a call without an answer is a TimeoutError."""

    async def ask() -> object:
        return await asyncio.wait_for(asks.run(work), 60)

    return asyncio.run(ask())


@pytest.fixture
def asks(core: Gatehouse) -> Iterator[DatabasePool]:
    asks = DatabasePool(core.settings.database_url)
    yield asks
    asks.close()


@pytest.fixture
def one_thread(asks: DatabasePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "THREADS", 1)
    asks.close()  # the next threads are as many


def test_a_call_that_raises_stop_iteration_is_answered(asks: DatabasePool) -> None:
    """As `next` does in a hook where nothing is found: no future takes such an exception."""
    with pytest.raises(RuntimeError) as raised:
        answer_of(asks, lambda: next(iter(())))
    assert isinstance(raised.value.__cause__, StopIteration)


@pytest.mark.usefixtures("one_thread")
def test_a_call_that_waits_while_the_database_is_closed_is_refused(asks: DatabasePool) -> None:
    hanging = Hanging()

    async def close_while_one_waits() -> str:
        works, waits = asks.run(hanging), asks.run(lambda: "its turn")
        await asyncio.to_thread(hanging.begun.acquire)
        asks.close()
        with pytest.raises(Busy):
            await asyncio.wait_for(waits, 60)
        hanging.released.set()
        return await works

    assert asyncio.run(close_while_one_waits()) == "released"


def test_a_call_for_which_no_thread_could_be_started_counts_no_longer(
    asks: DatabasePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "THREADS", 1)
    monkeypatch.setattr(database, "CALLS_WAITING", 0)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="thread"):
            answer_of(asks, lambda: "refused")
    assert answer_of(asks, lambda: "its turn") == "its turn"


@pytest.mark.usefixtures("one_thread")
def test_what_a_call_has_given_does_not_wait_for_the_garbage_collector(asks: DatabasePool) -> None:
    """It is rows, and tokens as they are sent."""

    class Given:
        pass

    given: list[weakref.ref[Given]] = []
    hanging = Hanging()

    def work() -> Given:
        hanging()
        found = Given()
        given.append(weakref.ref(found))
        return found

    async def ask() -> None:
        asyncio.get_running_loop().call_soon(hanging.released.set)
        await asks.run(work)
        await asks.run(int)  # the thread lets go of the first when it comes to the second

    gc.disable()
    try:
        asyncio.run(ask())
        assert given[0]() is None
    finally:
        gc.enable()


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


def test_the_list_of_ended_sessions_is_read_while_every_place_is_taken(small: DatabasePool) -> None:
    """Else as many long reads as there are places would stop every guard, without a query too."""
    revocation = RevocationList(small, interval=5, max_stale=60, lifetime=1800)
    with small.read():
        asyncio.run(revocation.refresh())
    assert revocation.is_fresh()


def test_a_session_that_ends_in_another_thread_gives_its_place_back(small: DatabasePool) -> None:
    """As those of dependencies that yield do: they begin and end in whichever is free."""
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:

        def read() -> None:
            with small.read():
                pass

        given = small.read()
        one.submit(given.__enter__).result(60)
        other.submit(given.__exit__, None, None, None).result(60)
        with small.read(), pytest.raises(Busy):
            one.submit(read).result(60)


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
