"""No client holds the hash threads alone, and every password that is looked at costs the same."""

import asyncio
import threading
from collections.abc import Iterator

import argon2
import bcrypt
import pytest
from held_hasher import HeldHasher
from steps import verified_by

from gatehouse.hashing.passwords import HashQueueFull, Passwords

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("hasher")]

RIGHT = "tidal-ochre-lantern-9"
LONG = "marmalade " * 8 + "at noon"  # 87 bytes, of which bcrypt reads 72


@pytest.fixture
def pool(hasher: HeldHasher) -> Iterator[Passwords]:
    made = Passwords(concurrency=1, queue=8)
    yield made
    hasher.gate.set()
    made.close()


def test_one_client_holds_at_most_half_of_the_queue(pool: Passwords, hasher: HeldHasher) -> None:
    async def scenario() -> None:
        await pool.start()
        hasher.gate.clear()
        greedy = [asyncio.create_task(pool.hash(RIGHT, client="192.0.2.1")) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(HashQueueFull):
            await pool.hash(RIGHT, client="192.0.2.1")
        with pytest.raises(HashQueueFull):
            await pool.verify(RIGHT, None, client="192.0.2.1")
        others = [asyncio.create_task(pool.hash(RIGHT, client="192.0.2.2")) for _ in range(4)]
        await asyncio.sleep(0)
        others.append(asyncio.create_task(pool.hash(RIGHT)))
        await asyncio.sleep(0)
        with pytest.raises(HashQueueFull):  # full for everybody: one that runs, eight that wait
            await pool.hash(RIGHT, client="192.0.2.3")
        hasher.gate.set()
        await asyncio.gather(*greedy, *others)
        assert await pool.hash(RIGHT, client="192.0.2.1")

    asyncio.run(scenario())


def test_what_ends_or_is_cancelled_frees_its_clients_share(
    pool: Passwords, hasher: HeldHasher
) -> None:
    async def scenario() -> None:
        for _ in range(20):  # one after another: far more than half of the queue
            await pool.hash(RIGHT, client="192.0.2.1")
        hasher.gate.clear()
        calls = [asyncio.create_task(pool.hash(RIGHT, client="192.0.2.1")) for _ in range(4)]
        await asyncio.sleep(0)
        calls[-1].cancel()
        await asyncio.wait(calls[-1:])
        again = asyncio.create_task(pool.hash(RIGHT, client="192.0.2.1"))
        await asyncio.sleep(0)
        hasher.gate.set()
        await asyncio.gather(*calls[:-1], again)

    asyncio.run(scenario())


def test_a_client_that_is_gone_leaves_nothing(pool: Passwords) -> None:
    """Whoever has many addresses would else fill the memory."""
    for number in range(3):
        asyncio.run(pool.hash(RIGHT, client=f"192.0.2.{number}"))
    assert len(pool._queue._pending_of) == 0


def test_calls_for_no_client_have_no_share(pool: Passwords, hasher: HeldHasher) -> None:
    async def scenario() -> None:
        hasher.gate.clear()
        calls = [asyncio.create_task(pool.hash(RIGHT)) for _ in range(9)]
        await asyncio.sleep(0)
        hasher.gate.set()
        assert len(await asyncio.gather(*calls)) == 9

    asyncio.run(scenario())


def test_the_least_queue_still_lets_a_client_in() -> None:
    pool = Passwords(concurrency=1, queue=1)
    assert asyncio.run(pool.hash(RIGHT, client="192.0.2.1"))
    pool.close()


@pytest.mark.parametrize("odd", ["", "x" * 257, "x" * 1_000_000, "\ud800", "ﷺ" * 100, "a\0b"])
@pytest.mark.parametrize("known", [True, False])
def test_an_odd_password_is_counted_and_costs_a_hash_in_the_hash_thread(
    pool: Passwords, monkeypatch: pytest.MonkeyPatch, odd: str, known: bool
) -> None:
    """Refused for nothing it would be a free guess, and an answer that comes at once tells."""
    stored = asyncio.run(pool.hash(RIGHT)) if known else None
    asyncio.run(pool.start())
    seen: list[str] = []
    verify = argon2.PasswordHasher.verify

    def watched(self: argon2.PasswordHasher, known_hash: str, password: str) -> bool:
        seen.append(threading.current_thread().name)
        return verify(self, known_hash, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", watched)

    def before() -> None:
        seen.append(f"counted in {threading.current_thread().name}")

    assert verified_by(pool, odd, stored, before) is None
    assert seen == ["counted in password_0", "password_0"]


def test_what_is_raised_before_an_odd_password_is_raised_in_its_place(pool: Passwords) -> None:
    def before() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        verified_by(pool, "x" * 257, None, before)


def test_of_a_password_only_what_bcrypt_reads_is_compared(pool: Passwords) -> None:
    imported = bcrypt.hashpw(LONG.encode()[:72], bcrypt.gensalt(4)).decode()
    verified = verified_by(pool, LONG, imported)
    assert verified is not None
    assert verified_by(pool, "x" + LONG[1:], imported) is None
    assert verified_by(pool, LONG[:71], imported) is None
    # From here on the whole counts (ASVS 6.2.8).
    assert verified.new_hash is not None
    assert verified.new_hash.startswith("$argon2id$")
    assert verified_by(pool, LONG, verified.new_hash)
    assert verified_by(pool, LONG[:-1], verified.new_hash) is None
    assert verified_by(pool, LONG[:72], verified.new_hash) is None


def test_bcrypt_reads_bytes_and_a_character_may_be_cut(pool: Passwords) -> None:
    password = "p" + "ü" * 60  # the 72nd byte is the first half of a character
    imported = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    assert verified_by(pool, password, imported)


@pytest.mark.parametrize("password", ["p" * 72 + "\0", "p" * 80 + "\0", "p" * 60 + "\0" + "p" * 40])
def test_bcrypt_is_asked_for_no_password_with_a_nul(pool: Passwords, password: str) -> None:
    """Some libraries read up to the first NUL: what they made would fit too much."""
    imported = bcrypt.hashpw(b"p" * 72, bcrypt.gensalt(4)).decode()
    assert verified_by(pool, password, imported) is None
