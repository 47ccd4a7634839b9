"""The key ring: which keys sign and verify access tokens, and which are too weak to."""

import hmac
import re
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise

from jwt.utils import base64url_decode, base64url_encode

KEY_BYTES = 32  # as many as HS256 puts out: RFC 8725bis section 3.5, ASVS 11.2.3

# Printed in standards and tutorials, hence known to everyone: RFC 7515 appendix A.1,
# RFC 7520 section 3.5. (The tutorial keys that we know of are hexadecimal, refused as such.)
WELL_KNOWN = frozenset(
    {
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
    }
)


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


def weakness(text: str) -> str | None:
    """Why this text cannot be a key, as the end of a sentence; None if it can."""
    if text.startswith("-----BEGIN"):
        return "is a PEM key, and this version reads base64url keys (HS256) only"
    if not re.fullmatch(r"[A-Za-z0-9_-]+={0,2}", text) or len(text.rstrip("=")) % 4 == 1:
        return "is not base64url (A-Z a-z 0-9 - _)"
    if text.rstrip("=") in WELL_KNOWN:
        return "is a well-known example"
    if re.fullmatch(r"[0-9A-Fa-f]+", text):
        return "is hexadecimal, which holds half the random bits of its length; use base64url"
    secret = _decode(text)
    if len(secret) < KEY_BYTES:
        return f"is too short: {len(secret)} bytes, and {KEY_BYTES} random bytes are needed"
    for described, looks_like in _PATTERNS:
        if looks_like(text.rstrip("="), secret):
            return described
    return None


def _decode(text: str) -> bytes:
    return base64url_decode(text.rstrip("="))


def _repeats(text: str, secret: bytes) -> bool:
    return any(
        value[period:] == value[:-period]
        for value in (text, secret)
        for period in range(1, len(value) // 2 + 1)
    )


def _runs(text: str, secret: bytes) -> bool:
    """Most steps from one unit to the next are the same, as in 0123… or abcd…"""
    for units in (text.encode(), secret):
        steps = Counter((b - a) % 256 for a, b in pairwise(units))
        if steps.most_common(1)[0][1] > len(units) // 2:
            return True
    return False


def _few_values(_: str, secret: bytes) -> bool:
    # 32 random bytes hold about 30 different ones; 16 or fewer come once in 10^10 keys.
    return len(set(secret[:KEY_BYTES])) <= KEY_BYTES // 2


def _reads_as_text(text: str, secret: bytes) -> bool:
    """Base64 of a sentence or a UUID, or a long pass phrase used as it stands."""
    printable = sum(32 <= byte < 127 for byte in secret)
    lower, upper, digits = (
        sum(map(kind, text)) for kind in (str.islower, str.isupper, str.isdigit)
    )
    # Of random text two fifths are small letters, as many are capitals, and a sixth are digits.
    words = not digits and lower >= 0.7 * len(text)
    one_kind = max(lower, upper, digits) >= 0.85 * len(text)
    return printable >= 0.85 * len(secret) or words or one_kind or not lower or not upper


_PATTERNS: tuple[tuple[str, Callable[[str, bytes], bool]], ...] = (
    ("repeats one pattern and is not random", _repeats),
    ("is sequential and not random", _runs),
    ("has too few different bytes to be random", _few_values),
    ("reads as text and is not random", _reads_as_text),
)
