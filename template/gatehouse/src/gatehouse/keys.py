"""The key ring: which keys sign and verify access tokens, and which are too weak to."""

import hmac
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

from jwt.utils import base64url_decode, base64url_encode

from gatehouse.key_weakness import KEY_BYTES, weakness


class BadKey(ValueError):
    """A key is refused. The text says why and never holds the key."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. The algorithm belongs to the key: a token's header never chooses it."""

    kid: str
    algorithm: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys in force: the first signs, all verify."""

    keys: tuple[Key, ...]

    @property
    def signing(self) -> Key:
        return self.keys[0]

    def find(self, kid: object) -> Key | None:
        """The key of that id. `kid` is a stranger's word: it is compared and nothing else."""
        return next((key for key in self.keys if key.kid == kid), None)


def new_key() -> str:
    """A fresh HS256 key: 32 random bytes in base64url, sure to pass `read_keys`."""
    while True:
        text = secrets.token_urlsafe(KEY_BYTES)
        if not weakness(text):  # one key in a hundred million looks weak by chance
            return text


def read_keys(text: str) -> KeyRing:
    """The ring that `AUTH_KEYS` describes: base64url keys with commas between.

    Raises `BadKey` for none, for a weak one and for a duplicate.
    """
    items = [item for item in (part.strip() for part in text.split(",")) if item]
    if not items:
        raise BadKey("no key is set")
    keys: list[Key] = []
    for number, item in enumerate(items, start=1):
        if reason := weakness(item):
            raise BadKey(f"key {number} {reason}")
        secret = _decode(item)
        key = Key(kid=hmac_kid(secret), algorithm="HS256", secret=secret)
        if any(key.kid == other.kid for other in keys):
            raise BadKey(f"key {number} is there twice")
        keys.append(key)
    return KeyRing(tuple(keys))


def hmac_kid(secret: bytes) -> str:
    """The id of an HMAC key: 128 bits of an HMAC of a fixed label under that key.

    It tells no more than any token signed with the key. A hash of the secret itself
    (RFC 7638 section 7) would let a stranger test guesses without a token.
    """
    return base64url_encode(hmac.digest(secret, b"gatehouse kid", sha256)[:16]).decode()


def _decode(text: str) -> bytes:
    return base64url_decode(text.rstrip("="))
