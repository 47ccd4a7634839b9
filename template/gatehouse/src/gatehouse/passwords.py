"""Passwords, hashed and checked off the event loop.

Sources: NIST SP 800-63B-4 section 3.1.1.2; OWASP ASVS 5.0 chapters 6.2, 6.3.8 and 11.4.2.
"""

import asyncio
import contextlib
import os
import re
import secrets
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import argon2
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from gatehouse.password_policy import (
    MAX_LENGTH,
    WeakPassword,
    check_new_password,
    load_list,
    normalise,
)

__all__ = [
    "MAX_LENGTH",
    "HashQueueFull",
    "Passwords",
    "Verified",
    "WeakPassword",
    "argon2_hasher",
    "check_new_password",
    "normalise",
]

# A cost beyond these is a broken row, not a choice: it would hold a thread for hours.
MOST_MEMORY, MOST_TIME = 4 * 1024 * 1024, 100  # KiB, passes
BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}")
T = TypeVar("T")


class HashQueueFull(Exception):
    """Too many calls wait for a hash already: answer 503 and ask the client to come back."""


def argon2_hasher() -> Argon2Hasher:
    """Argon2id as pwdlib recommends it: 3 passes over 64 MiB, above ASVS 11.4.2's floor."""
    hasher = PasswordHash.recommended().current_hasher
    if not isinstance(hasher, Argon2Hasher):
        raise TypeError("pwdlib recommends something else than Argon2: review this module")
    return hasher


@dataclass(frozen=True, slots=True)
class Verified:
    """The password was right; `new_hash`, if any, is to be stored in place of the old one."""

    new_hash: str | None


class Passwords:
    """Hashes and checks passwords on threads of its own, each call at the cost of one Argon2.

    At most `concurrency` at once (64 MiB each; default: the cores this process may use) and
    `queue` waiting; more raise HashQueueFull. The event loop's default pool took 2.2 GB and
    held other routes up for 2 s at 64 logins.

    An answer takes as long for an unknown user as for a wrong password (ASVS 6.3.8), with one
    exception that we accept: a wrong password against an imported bcrypt hash, or one with other
    Argon2 parameters, takes that hash's own time, until its owner's next login replaces it.
    """

    def __init__(self, *, concurrency: int | None = None, queue: int = 128) -> None:
        threads = _usable_cores() if concurrency is None else concurrency
        self._threads = threads
        self._executor = self._new_executor()
        self._limit = threads + queue
        self._pending = 0
        self._lock = threading.Lock()
        self._hasher = argon2_hasher()
        self._bcrypt = BcryptHasher()
        self._decoy: str | None = None

    def _new_executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, "password", initializer=_lower_priority)

    async def start(self) -> str:
        """Make the decoy with the live parameters, since a fixed one drifts; load the list."""
        self._decoy = decoy = await self._run(self._prepare)
        return decoy

    async def hash(self, password: str, *, client: str = "") -> str:
        """Hash the normalised password. Raises WeakPassword as normalise does, HashQueueFull."""
        normal = normalise(password)
        return await self._run(lambda: self._hasher.hash(normal))

    async def verify(
        self,
        password: str,
        stored: str | None,
        before: Callable[[], None] = lambda: None,
        *,
        client: str = "",
    ) -> Verified | None:
        """None for a wrong password, and after the same work for a missing or malformed hash.

        What normalise refuses is a wrong password like any other. `before` is called when the
        hash is about to be computed, in that thread; what it raises is raised in its place.
        Raises HashQueueFull.
        """
        try:
            normal = normalise(password)
        except WeakPassword:
            password, normal, stored = "", "", None
        decoy = self._decoy or await self.start()

        def check() -> Verified | None:
            before()
            return self._check(password, normal, stored, decoy)

        return await self._run(check)

    def close(self) -> None:
        """Drop what waits and let go of the threads; a hash under way ends by itself.

        Threads come back when they are needed: an application may be started again.
        """
        executor, self._executor = self._executor, self._new_executor()
        executor.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        with self._lock:
            if self._pending >= self._limit:
                raise HashQueueFull
            self._pending += 1
        try:
            future = self._executor.submit(work)
        except RuntimeError:  # closed meanwhile
            self._release(None)
            raise
        # Called too when a client leaves and its call is cancelled while waiting; one that runs
        # cannot be stopped and keeps its place until its memory is free.
        future.add_done_callback(self._release)
        return await asyncio.wrap_future(future)

    def _release(self, _: Future[T] | None) -> None:
        with self._lock:
            self._pending -= 1

    def _prepare(self) -> str:
        load_list()
        return self._hasher.hash(secrets.token_urlsafe(32))

    def _check(self, password: str, normal: str, stored: str | None, decoy: str) -> Verified | None:
        """Answer by the stored hash; where it cannot be computed with, work on the decoy."""
        try:
            if stored is not None and BCRYPT.fullmatch(stored):
                right, weaker = self._bcrypt.verify(password, stored), True  # as received there
            else:
                right, weaker = _verify_argon2(normal, stored or "", decoy)
        except (argon2.exceptions.Argon2Error, ValueError):
            # Malformed hash; or bcrypt's refusal of NUL and of more than 72 bytes.
            self._hasher.verify(normal, decoy)
            return None
        if not right:
            return None
        return Verified(self._hasher.hash(normal) if weaker else None)


def _verify_argon2(normal: str, stored: str, current: str) -> tuple[bool, bool]:
    """Whether the password is right, and whether the stored hash is weaker than the current.

    pwdlib answers False both for a wrong password and, at once, for a broken hash; the library
    beneath it tells them apart by raising something else for the latter.
    """
    found, wanted = argon2.extract_parameters(stored), argon2.extract_parameters(current)
    if found.memory_cost > MOST_MEMORY or found.time_cost > MOST_TIME:
        raise argon2.exceptions.InvalidHashError
    try:
        argon2.PasswordHasher().verify(stored, normal)
    except argon2.exceptions.VerifyMismatchError:
        return False, False
    weaker = (
        found.type is not argon2.Type.ID
        or found.version < wanted.version
        or found.time_cost < wanted.time_cost
        or found.memory_cost < wanted.memory_cost
        or found.hash_len < wanted.hash_len
    )
    return True, weaker


def _usable_cores() -> int:
    """The cores this process may run on, which a container or `taskset` may have narrowed."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _lower_priority() -> None:
    """Let the event loop's thread go first. Only Linux has a priority for each thread."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
