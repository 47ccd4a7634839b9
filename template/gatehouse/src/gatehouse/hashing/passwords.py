"""Passwords, hashed and checked off the event loop.

Sources: NIST SP 800-63B-4 section 3.1.1.2; OWASP ASVS 5.0 chapters 6.2, 6.3.8 and 11.4.2.
"""

import re
import secrets
import threading
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import argon2
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from gatehouse.common_words import load_list
from gatehouse.hashing.hash_queue import HashQueue, HashQueueFull
from gatehouse.hashing.hash_threads import hash_threads

__all__ = [
    "MAX_LENGTH",
    "HashQueueFull",
    "Passwords",
    "Verified",
    "WeakPassword",
    "argon2_hasher",
    "normalise_password",
]

MAX_LENGTH = 256  # characters of a password
# A cost beyond these is a broken row, not a choice: it would hold a thread for hours.
MOST_MEMORY, MOST_TIME = 4 * 1024 * 1024, 100  # KiB, passes
BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}")
BCRYPT_READS = 72  # bytes of a password


class WeakPassword(ValueError):
    """The password may not be used; the message is the reason and never repeats the password."""


def normalise_password(password: str) -> str:
    """NFKC, so that one password typed on two systems is one (NIST; against ASVS 6.2.8).

    Nothing is trimmed, cut or lower-cased (ASVS 6.2.8). Raises WeakPassword over MAX_LENGTH code
    points, counted afterwards, and for lone surrogates, which no hash can take.
    """
    too_long = WeakPassword(f"The password must have at most {MAX_LENGTH} characters.")
    if len(password) > 4 * MAX_LENGTH:  # composing shortens at most fourfold: hopeless, unread
        raise too_long
    try:
        password.encode()
    except UnicodeEncodeError:
        raise WeakPassword("The password holds characters that are not valid Unicode.") from None
    normal = unicodedata.normalize("NFKC", password)
    if len(normal) > MAX_LENGTH:
        raise too_long
    return normal


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

    At most `concurrency` at once (64 MiB each; default: what machine and container have room
    for) and `queue` waiting; more raise HashQueueFull, and so does one `client` that has half of
    the queue. The event loop's default pool took 2.2 GB and held other routes up for 2 s at 64
    logins.

    An answer takes as long for an unknown user as for a wrong password (ASVS 6.3.8), with one
    exception that we accept: a wrong password against an imported bcrypt hash, or one with other
    Argon2 parameters, takes that hash's own time, until its owner's next login replaces it.
    """

    def __init__(self, *, concurrency: int | None = None, queue: int = 128) -> None:
        threads = hash_threads() if concurrency is None else concurrency
        self._queue = HashQueue(threads=threads, waiting=queue)
        self._hasher = argon2_hasher()
        self._bcrypt = BcryptHasher()
        self._decoy: str | None = None
        self._one_makes_it = threading.Lock()

    def prepare(self) -> None:
        """Begin to make what the first login needs. No start waits for it: that login does."""
        self._queue.submit(self._made_decoy)

    async def start(self) -> str:
        """The same, and wait until it is made."""
        return await self._queue.run(self._made_decoy)

    async def hash(self, password: str, *, client: str = "") -> str:
        """Hash the normalised password. Raises what `normalise_password` does, and HashQueueFull.

        `client` is the network that asks, "" for none of those whose share is bounded.
        """
        normal = normalise_password(password)
        return await self._queue.run(lambda: self._hasher.hash(normal), client)

    def verify(
        self,
        password: str,
        stored: str | None,
        before: Callable[[], None] | None = None,
        *,
        client: str = "",
    ) -> Awaitable[Verified | None]:
        """None for a wrong password, and after the same work for a missing or malformed hash.

        `before` is called when the hash is about to be computed, in that thread; what it raises
        is raised in its place. `client` is as for `hash`. Raises HashQueueFull.
        """
        try:
            normal = normalise_password(password)
        except WeakPassword:
            # Wrong for every account, and yet an attempt: it is counted and costs like any other.
            password, normal, stored = "", "", None
        check = partial(self._check, password, normal, stored)
        return self._queue.run(check, client, before)

    def close(self) -> None:
        """Drop what waits and let go of the threads, which come back when they are needed."""
        self._queue.close()

    def _made_decoy(self) -> str:
        """Made once, with the live parameters, since a fixed one drifts; and the list, loaded."""
        with self._one_makes_it:
            if self._decoy is None:
                load_list()
                self._decoy = self._hasher.hash(secrets.token_urlsafe(32))
            return self._decoy

    def _check(self, password: str, normal: str, stored: str | None) -> Verified | None:
        """Answer by the stored hash; where it cannot be computed with, work on the decoy."""
        decoy = self._made_decoy()
        try:
            if stored is not None and BCRYPT.fullmatch(stored):
                right, weaker = self._verify_bcrypt(password, stored), True
            else:
                right, weaker = _verify_argon2(normal, stored or "", decoy)
        except (argon2.exceptions.Argon2Error, ValueError):
            # Malformed hash; or a NUL where the hash is bcrypt's.
            self._hasher.verify(normal, decoy)
            return None
        if not right:
            return None
        return Verified(self._hasher.hash(normal) if weaker else None)

    def _verify_bcrypt(self, password: str, stored: str) -> bool:
        """Compare what bcrypt reads, of the password as it was typed there: never normalised.

        Of a longer one the rest was never looked at, so whoever knows the first 72 bytes gets in.
        That ends here: the new hash is of the whole (ASVS 6.2.8). Kept as it is, the old one would
        let every ending in for good; and whoever fixes a wrong ending by this could as well change
        the password. A NUL ends the password for some libraries, so what they made fits too much.
        """
        if "\0" in password:
            raise ValueError("NUL")
        return self._bcrypt.verify(password.encode()[:BCRYPT_READS], stored)


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
