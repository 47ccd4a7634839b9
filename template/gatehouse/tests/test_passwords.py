"""Passwords are hashed and checked at the same cost whatever the account and its stored hash."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import argon2
import bcrypt
import pytest
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher
from steps import verified_by

from gatehouse.hashing import passwords
from gatehouse.hashing.passwords import Passwords, WeakPassword, argon2_hasher

pytestmark = pytest.mark.thorough

RIGHT = "tidal-ochre-lantern-9"
T = TypeVar("T")


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Passwords]:
    monkeypatch.setattr(passwords, "argon2_hasher", lambda: Argon2Hasher(1, 16, 1))
    made = Passwords(concurrency=1)
    yield made
    made.close()


@pytest.fixture
def work(pool: Passwords, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes computed since the decoy was made, whichever library was asked for them."""
    run(pool.start())
    done: list[str] = []
    for owner in (argon2.PasswordHasher, BcryptHasher):
        monkeypatch.setattr(owner, "verify", counting(owner.verify, done))
    return done


def counting(verify: Callable[..., bool], done: list[str]) -> Callable[..., bool]:
    def counted(*args: object) -> bool:
        right = False
        with contextlib.suppress(argon2.exceptions.VerifyMismatchError):  # computed, and differs
            right = verify(*args)
        done.append(verify.__qualname__)
        if not right and verify.__qualname__.startswith("PasswordHasher"):
            raise argon2.exceptions.VerifyMismatchError
        return right

    return counted


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def stored(*, password: str = RIGHT, **parameters: Any) -> str:
    cost = {"time_cost": 1, "memory_cost": 16, "parallelism": 1, **parameters}
    return Argon2Hasher(**cost).hash(password)


def test_the_production_parameters_are_the_recommended_ones() -> None:
    made = argon2_hasher().hash(RIGHT)
    assert made.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert len(made) == 97


def test_a_hash_verifies_its_own_password_only(pool: Passwords) -> None:
    made = run(pool.hash(RIGHT))
    verified = verified_by(pool, RIGHT, made)
    assert verified is not None
    assert verified.new_hash is None
    for wrong in ("", RIGHT + " ", " " + RIGHT, RIGHT.upper(), RIGHT[:-1], RIGHT + "\0"):
        assert verified_by(pool, wrong, made) is None


@pytest.mark.asvs("6.2.8", "6.2.9")
@pytest.mark.parametrize("position", [0, 72, 255])
def test_every_one_of_256_characters_counts(pool: Passwords, position: int) -> None:
    password = "k" * 256
    made = run(pool.hash(password))
    changed = password[:position] + "q" + password[position + 1 :]
    assert verified_by(pool, password, made)
    assert verified_by(pool, changed, made) is None


def test_the_unicode_form_makes_no_difference(pool: Passwords) -> None:
    made = run(pool.hash("cafe\u0301 \uff21 un ete\u0301"))
    assert verified_by(pool, "caf\u00e9 A un et\u00e9", made)


@pytest.mark.parametrize("password", ["x" * 257, "x" * 1_000_000, "\ud800"])
def test_what_normalising_refuses_is_wrong_after_one_verification(
    pool: Passwords, work: list[str], password: str
) -> None:
    assert verified_by(pool, password, None) is None
    assert verified_by(pool, password, stored()) is None
    assert verified_by(pool, password, stored(password="")) is None  # nor another's hash fits it
    assert work == ["PasswordHasher.verify"] * 3
    with pytest.raises(WeakPassword):
        run(pool.hash(password))
    assert len(work) == 3


MALFORMED = [
    *(None, "", "!", "plain text", "$2b$04$tooshort", "\ud800"),
    "$argon2id$v=19$m=16,t=1,p=1$c2FsdHNhbHQ",
    "$argon2id$v=19$m=16,t=1,p=0$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg",
    "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg",
    "$argon2id$v=19$m=16,t=4294967295,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg",
    "$argon2id$v=19$m=16,t=x,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg",
    "$argon2id$v=19$m=16,t=1,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg\n",
    "$argon2id$v=19$m=16,t=1,p=1$sältsält$MDEyMzQ1Njc4OWFiY2RlZg",
    "$2b$31$" + "a" * 53,
    "$2b$04$" + "/" * 53 + "\n",
]


@pytest.mark.parametrize("broken", MALFORMED)
def test_a_missing_or_malformed_hash_costs_one_verification(
    pool: Passwords, work: list[str], broken: str | None
) -> None:
    assert verified_by(pool, RIGHT, broken) is None
    assert work == ["PasswordHasher.verify"]


def test_a_hash_that_costs_too_much_is_not_computed(pool: Passwords, work: list[str]) -> None:
    for costly in (stored(memory_cost=8, time_cost=101), "$2b$17$" + "." * 53):
        assert verified_by(pool, RIGHT, costly) is None
    assert work == ["PasswordHasher.verify"] * 2  # of the decoy


def test_a_wrong_password_costs_one_verification(pool: Passwords, work: list[str]) -> None:
    made = run(pool.hash(RIGHT))
    assert verified_by(pool, "wrong", made) is None
    assert verified_by(pool, "wrong", None) is None
    assert work == ["PasswordHasher.verify"] * 2


def test_the_decoy_costs_what_a_new_hash_costs(
    pool: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def verify(_: Argon2Hasher, password: str, known: str) -> bool:
        asked.append(known)
        return False

    monkeypatch.setattr(Argon2Hasher, "verify", verify)
    assert verified_by(pool, RIGHT, None) is None
    decoy, fresh = map(argon2.extract_parameters, (asked[0], run(pool.hash(RIGHT))))
    assert decoy == fresh


def test_a_login_that_comes_before_the_decoy_waits_for_it(pool: Passwords) -> None:
    """And makes none of its own."""
    made: list[str] = []

    class Counted(Argon2Hasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            made.append(super().hash(password, salt=salt))
            return made[-1]

    pool._hasher = Counted(1, 16, 1)

    async def at_once() -> None:
        pool.prepare()
        assert await pool.verify("wrong", None) is None

    run(at_once())
    assert len(made) == 1


@pytest.mark.parametrize(
    "weaker",
    [{"memory_cost": 8}, {"hash_len": 16}, {"type": argon2.Type.I}, {"type": argon2.Type.D}],
)
def test_a_weaker_stored_hash_is_replaced(pool: Passwords, weaker: dict[str, Any]) -> None:
    verified = verified_by(pool, RIGHT, stored(**weaker))
    assert verified is not None
    assert verified.new_hash is not None
    again = verified_by(pool, RIGHT, verified.new_hash)
    assert again is not None
    assert again.new_hash is None
    assert verified_by(pool, "wrong", stored(**weaker)) is None


def test_a_hash_with_fewer_passes_or_an_older_version_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "argon2_hasher", lambda: Argon2Hasher(2, 16, 1))
    pool = Passwords(concurrency=1)
    older = argon2.low_level.hash_secret(
        RIGHT.encode(), b"saltsalt", 2, 16, 1, 32, argon2.Type.ID, version=16
    ).decode()
    for old in (stored(time_cost=1), older):
        verified = verified_by(pool, RIGHT, old)
        assert verified is not None
        assert verified.new_hash is not None
    pool.close()


@pytest.mark.parametrize(
    "stronger", [{"time_cost": 2}, {"memory_cost": 64}, {"time_cost": 2, "memory_cost": 64}]
)
def test_a_stronger_stored_hash_is_kept(pool: Passwords, stronger: dict[str, Any]) -> None:
    verified = verified_by(pool, RIGHT, stored(**stronger))
    assert verified is not None
    assert verified.new_hash is None


def test_an_imported_bcrypt_hash_is_replaced_at_success(pool: Passwords, work: list[str]) -> None:
    as_typed = "Schlüssel für 20 m²"  # the old system did not normalise: NFKC makes it m2
    imported = bcrypt.hashpw(as_typed.encode(), bcrypt.gensalt(4)).decode()
    assert verified_by(pool, "wrong", imported) is None
    assert work == ["BcryptHasher.verify"]
    verified = verified_by(pool, as_typed, imported)
    assert verified is not None
    assert verified.new_hash is not None
    assert verified.new_hash.startswith("$argon2id$")
    assert verified_by(pool, as_typed, verified.new_hash)


@pytest.mark.parametrize("password", ["p" * 72 + "\0", "a\0b", "\0"])
def test_what_bcrypt_refuses_is_a_wrong_password_after_the_decoy(
    pool: Passwords, work: list[str], password: str
) -> None:
    imported = bcrypt.hashpw(b"p" * 72, bcrypt.gensalt(4)).decode()
    assert verified_by(pool, password, imported) is None
    assert len(work) == 1
