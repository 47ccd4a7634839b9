"""Password hashes that were made elsewhere: which of them a login here can check."""

import re
from base64 import b64decode, b64encode

import argon2

from gatehouse.hashing.passwords import BCRYPT, MOST_MEMORY, MOST_TIME

MOST_LANES = 255  # threads that one hash may start
ACCEPTED = (
    "its password_hash is neither Argon2id ($argon2id$v=19$m=…,t=…,p=…$salt$hash) "
    "nor bcrypt ($2a$, $2b$ or $2y$, cost 04 to 16)"
)
_ARGON2 = re.compile(
    r"\$argon2id(?:\$v=(?:16|19))?\$m=[1-9][0-9]{0,9},t=[1-9][0-9]{0,9},p=[1-9][0-9]{0,9}"
    r"\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)


class BadHash(ValueError):
    """No password would ever fit. The text says why, without the hash."""


def check_hash(text: str) -> None:
    """Pass a hash that a login can check, be it weak: a login replaces it. Raises `BadHash`."""
    if BCRYPT.fullmatch(text) and text[2] != "x":
        # The last characters of salt and digest have bits to spare, which must be 0.
        if text[28] not in ".Oeu" or text[59] not in ".CGKOSWaeimquy26":
            raise BadHash("its bcrypt hash is broken")
    elif parts := _ARGON2.fullmatch(text):
        _check_argon2(argon2.extract_parameters(text), *map(_decoded, parts.groups()))
    else:
        raise BadHash(ACCEPTED)


def _check_argon2(found: argon2.Parameters, salt: bytes, digest: bytes) -> None:
    if found.memory_cost > MOST_MEMORY or found.time_cost > MOST_TIME:
        raise BadHash("its Argon2id hash costs more than 4 GiB or 100 passes")
    lanes = found.parallelism
    # Beneath these the library refuses to compute (RFC 9106 section 3.1).
    if found.memory_cost < 8 * lanes or len(salt) < 8 or len(digest) < 4 or lanes > MOST_LANES:
        raise BadHash("its Argon2id hash is broken")


def _decoded(text: str) -> bytes:
    """Base64 as the Argon2 library reads it: no padding, no bit over. Empty for anything else."""
    try:
        content = b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
    return content if b64encode(content).decode().rstrip("=") == text else b""
