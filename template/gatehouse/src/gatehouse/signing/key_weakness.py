"""Why a text cannot be an HMAC key. PyJWT checks the length alone; a sentence is long too."""

import re
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise

from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from jwt.utils import base64url_decode

from gatehouse.common_words import LONGEST_WORD, SHORTEST_WORD, is_common

WORDS_SHARE = 0.25  # of 20,000 random keys the worst had 0.19
GUESSED_FIRST = ("", "secret", "changeme", "password", "admin", "test", "key", "jwt", "token")
KEY_BYTES = 32  # as many as HS256 puts out: RFC 8725bis section 3.5, ASVS 11.2.3

# Printed in standards and tutorials, hence known to everyone: RFC 7515 appendix A.1,
# RFC 7520 section 3.5. Hexadecimal ones are refused as such.
WELL_KNOWN = frozenset(
    {
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
        # The key of a tutorial that many services were copied from, put into base64url.
        "CdJeCU-qbKJVbIGBZrepVjuT9wmfbw9Mqmz2O4jo0-c",
    }
)


def weakness(text: str) -> str | None:
    """Why this text cannot be an HMAC key, as the end of a sentence; None if it can."""
    bare = text.rstrip("=")
    if not re.fullmatch(r"[A-Za-z0-9_-]+={0,2}", text) or len(bare) % 4 == 1:
        return "is neither base64url (A-Z a-z 0-9 - _) nor a whole PEM private key"
    if bare in WELL_KNOWN:
        return "is a well-known example"
    if re.fullmatch(r"[0-9A-Fa-f]+", text):
        return "is hexadecimal, which holds half the random bits of its length; use base64url"
    secret = base64url_decode(bare)
    if len(secret) < KEY_BYTES:
        return f"is too short: {len(secret)} bytes, and {KEY_BYTES} random bytes are needed"
    for described, looks_like in _PATTERNS:
        if looks_like(bare, secret):
            return described
    return None


def _is_der(_: str, secret: bytes) -> bool:
    """The body of a PEM without its first and last line: a public one is known to everyone."""
    if secret.startswith(b"\x30\x82") and int.from_bytes(secret[2:4]) == len(secret) - 4:
        return True  # one sequence of a certificate's size
    if secret.startswith((b"\0\0\0", b"openssh-key")):  # an SSH key's form
        return True
    for load in (load_der_public_key, lambda der: load_der_private_key(der, None)):
        try:
            load(secret)
        except (ValueError, TypeError):
            continue
        return True
    return False


def _hash_of_a_word(_: str, secret: bytes) -> bool:
    return secret in {sha256(word.encode()).digest() for word in GUESSED_FIRST}


def _made_of_words(text: str, _: bytes) -> bool:
    """Common passwords and words strung together. Of random text they cover a tenth by chance."""
    folded, covered, start = text.lower(), 0, 0
    while start < len(folded):
        sizes = range(LONGEST_WORD, SHORTEST_WORD - 1, -1)
        pieces = (folded[start : start + size] for size in sizes if start + size <= len(folded))
        found = next((piece for piece in pieces if is_common(piece)), "")
        covered += len(found)
        start += len(found) or 1
    return covered >= WORDS_SHARE * len(folded)


def _repeats(text: str, secret: bytes) -> bool:
    return any(
        value[period:] == value[:-period]
        for value in (text, secret)
        for period in range(1, len(value) // 2 + 1)
    )


def _runs(text: str, secret: bytes) -> bool:
    """Equal steps as in 0123… or abcd…: most of them, or four equal bytes in a row."""
    if any(len(set(secret[start : start + 4])) == 1 for start in range(len(secret) - 3)):
        return True
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
        sum(map(is_it, text)) for is_it in (str.islower, str.isupper, str.isdigit)
    )
    # Of random text two fifths are small letters, as many are capitals, and a sixth are digits.
    words = not digits and lower >= 0.7 * len(text)
    one_kind = max(lower, upper, digits) >= 0.85 * len(text)
    return printable >= 0.85 * len(secret) or words or one_kind or not lower or not upper


_PATTERNS: tuple[tuple[str, Callable[[str, bytes], bool]], ...] = (
    ("is the body of a PEM or SSH key; give a PEM with its BEGIN and END lines", _is_der),
    ("repeats one pattern and is not random", _repeats),
    ("is sequential and not random", _runs),
    ("has too few different bytes to be random", _few_values),
    ("reads as text and is not random", _reads_as_text),
    ("is made of common words and is not random", _made_of_words),
    ("is the hash of a common word", _hash_of_a_word),
)
