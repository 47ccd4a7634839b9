"""Which new passwords are refused, and why.

Sources: NIST SP 800-63B-4 section 3.1.1.2; OWASP ASVS 5.0 chapter 6.2. The list of common ones
is read by `common_words.py`.
"""

import re
import unicodedata
from collections.abc import Iterator

from gatehouse.common_words import LONGEST_WORD, SHORTEST_WORD, is_common
from gatehouse.hashing.passwords import WeakPassword, normalise_password

SEQUENCES = (
    *("1234567890", "abcdefghijklmnopqrstuvwxyz", "!@#$%^&*()"),
    *("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm"),
    *("1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p", "qawsedrftgyhujikolp"),
)
# A longer run is several of these: 3, 4 and 5 add up to every greater length.
RUNS = frozenset(
    row[start : start + size]
    for sequence in SEQUENCES
    for row in (sequence * 2, (sequence * 2)[::-1])
    for size in (3, 4, 5)
    for start in range(len(sequence))
)


def check_new_password(password: str, *, email: str, service_name: str, min_length: int) -> str:
    """Return the normalised password, or raise WeakPassword with the reason (ASVS 6.2.4, 6.2.11).

    No composition rules (ASVS 6.2.5). `min_length` counts code points.
    """
    normal = normalise_password(password)
    if len(normal) < min_length:
        raise WeakPassword(f"The password must have at least {min_length} characters.")
    if "\0" in normal:
        raise WeakPassword("The password must not hold a NUL character.")
    folded = normal.casefold()
    if is_common(folded):
        raise WeakPassword("This password is on the list of commonly used passwords.")
    words = _context_words(email, service_name)
    if _only_context(folded, words):
        raise WeakPassword("The password must not be made of the e-mail address or service name.")
    if _easily_guessed(folded, words):
        raise WeakPassword("The password must not be made of common passwords, runs or repeats.")
    return normal


def _bare(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


def _context_words(email: str, service_name: str) -> frozenset[str]:
    """The address, its parts and the service's name, lower-cased (ASVS 6.1.2)."""
    found: set[str] = set()
    for text in (email, *email.rpartition("@")[::2], service_name):
        folded = unicodedata.normalize("NFKC", text).casefold()
        found |= {_bare(folded), *re.findall(r"[^\W_]+", folded)}
    return frozenset(word for word in found if len(word) > 1)


def _only_context(folded: str, words: frozenset[str]) -> bool:
    """Whether context words, perhaps followed by digits, make up the whole but for punctuation."""
    text = _bare(folded)
    reached = [True] + [False] * len(text)
    for start, char in enumerate(text):
        if reached[start]:
            reached[start + 1] |= start > 0 and char.isdecimal()
            for word in words:
                if text.startswith(word, start):
                    reached[start + len(word)] = True
    return bool(text) and reached[-1]


def _easily_guessed(folded: str, context: frozenset[str]) -> bool:
    """Whether listed words, runs and repeats make up the whole.

    Between separators up to two different words are too few, but four are a passphrase, though
    each be on the list. More than two kinds of punctuation are no mere separators.
    """
    if _fewest_words(folded, context) is not None:
        return True
    letters = _bare(folded)
    if not letters or len(set(folded) - set(letters)) > 2:
        return False
    fewest = _fewest_words(letters, context)
    return fewest is not None and fewest <= 2


def _fewest_words(text: str, context: frozenset[str]) -> int | None:
    """How many listed words, beside runs, make up the text; None if they do not.

    A text that repeats itself is judged by its repeated part. One pass over the positions: the
    time grows with the length times LONGEST_WORD.
    """
    for period in range(1, len(text) // 2 + 1):
        if text.startswith(text[period:]):
            text = text[:period]
            break
    else:
        period = len(text)
    if period < SHORTEST_WORD:
        return 0
    fewest: list[int | None] = [0] + [None] * len(text)
    for start in range(len(text)):
        if (count := fewest[start]) is None:
            continue
        for end, words in _pieces(text, start, context):
            known = fewest[end]
            fewest[end] = count + words if known is None else min(known, count + words)
    return fewest[-1]


def _pieces(text: str, start: int, context: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Where a run, a listed word, or digits added to one, that begins here may end; 1 for a word.

    Added digits are four at most (a year), and none follow digits: else a random number that
    merely begins with a listed one would be refused.
    """
    if start and text[start - 1].isalpha():
        for end in range(start + 1, min(start + 4, len(text)) + 1):
            if text[start:end].isdecimal():
                yield end, 0
    for end in range(start + 3, min(start + LONGEST_WORD, len(text)) + 1):
        piece = text[start:end]
        if piece in RUNS or len(set(piece)) == 1:
            yield end, 0
        elif len(piece) >= SHORTEST_WORD and (piece in context or is_common(piece)):
            yield end, 1
