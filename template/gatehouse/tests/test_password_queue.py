"""Hashing has threads of its own: how many calls may run and wait, what a cancelled one frees."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from held_hasher import HeldHasher

from gatehouse.hashing import passwords
from gatehouse.hashing.passwords import HashQueueFull, Passwords

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("hasher")]

RIGHT = "tidal-ochre-lantern-9"


@pytest.fixture
def pool(hasher: HeldHasher) -> Iterator[Passwords]:
    made = Passwords(concurrency=1, queue=2)
    yield made
    hasher.gate.set()
    made.close()


def test_hashing_leaves_the_event_loop_alone(pool: Passwords, hasher: HeldHasher) -> None:
    async def scenario() -> None:
        hasher.gate.clear()
        hashing = asyncio.create_task(pool.hash(RIGHT))
        await asyncio.sleep(0)
        assert not hashing.done()  # and yet this line runs
        hasher.gate.set()
        await hashing

    asyncio.run(scenario())
    ((thread, nice),) = hasher.threads
    assert thread != threading.get_ident()
    assert nice >= 10


def test_beyond_the_queue_a_call_is_refused_at_once(pool: Passwords, hasher: HeldHasher) -> None:
    async def scenario() -> None:
        await pool.start()
        hasher.gate.clear()
        admitted = [asyncio.create_task(pool.hash(RIGHT)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(HashQueueFull):
            await pool.hash(RIGHT)
        with pytest.raises(HashQueueFull):
            await pool.verify(RIGHT, None)
        hasher.gate.set()
        assert len(set(await asyncio.gather(*admitted))) == 3
        assert await pool.hash(RIGHT)

    asyncio.run(scenario())


def test_a_cancelled_waiting_call_frees_its_place(pool: Passwords, hasher: HeldHasher) -> None:
    async def scenario() -> None:
        hasher.gate.clear()
        admitted = [asyncio.create_task(pool.hash(RIGHT)) for _ in range(3)]
        await asyncio.sleep(0)
        for waiting in admitted[1:]:
            waiting.cancel()
        await asyncio.wait(admitted[1:])
        later = [asyncio.create_task(pool.hash(RIGHT)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(HashQueueFull):
            await pool.hash(RIGHT)
        hasher.gate.set()
        await asyncio.gather(admitted[0], *later)

    asyncio.run(scenario())
    assert len(hasher.threads) == 3


def test_a_cancelled_running_call_keeps_its_place_until_it_ends(
    pool: Passwords, hasher: HeldHasher
) -> None:
    async def scenario() -> None:
        hasher.gate.clear()
        running = asyncio.create_task(pool.hash(RIGHT))
        await asyncio.to_thread(hasher.started.acquire, timeout=5)
        running.cancel()
        await asyncio.wait([running])
        waiting = [asyncio.create_task(pool.hash(RIGHT)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(HashQueueFull):
            await pool.hash(RIGHT)
        hasher.gate.set()
        await asyncio.gather(*waiting)
        await pool.hash(RIGHT)

    asyncio.run(scenario())


def test_errors_free_their_place_too(pool: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> str:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(HeldHasher, "hash", failing)
        for _ in range(10):
            with pytest.raises(MemoryError):
                asyncio.run(pool.hash(RIGHT))
    assert asyncio.run(pool.hash(RIGHT))


def test_by_default_as_many_hash_at_once_as_there_is_room_for(
    hasher: HeldHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores = 3
    monkeypatch.setattr(passwords, "hash_threads", lambda: cores)
    pool = Passwords(queue=0)

    async def scenario() -> None:
        hasher.gate.clear()
        admitted = [asyncio.create_task(pool.hash(RIGHT)) for _ in range(cores)]
        await asyncio.sleep(0)
        with pytest.raises(HashQueueFull):
            await pool.hash(RIGHT)
        hasher.gate.set()
        await asyncio.gather(*admitted)

    asyncio.run(scenario())
    pool.close()
