"""The bundled list of common passwords and words: nothing that is made of them is hard to guess.

Passwords and keys are held against it. Its source, licence and size are in `common_passwords.md`.
"""

import gzip
from bisect import bisect_left
from functools import lru_cache
from importlib.resources import files

# Shorter listed words would make up too much of what a generator writes; longer ones cost time.
SHORTEST_WORD, LONGEST_WORD = 4, 16


@lru_cache(maxsize=1)
def load_list() -> dict[int, bytes]:
    """The list by length, each length one sorted block: a fifth of a set's memory."""
    blocks: dict[int, bytearray] = {}
    path = files("gatehouse") / "common_passwords.txt.gz"
    with path.open("rb") as packed, gzip.open(packed) as lines:
        for line in lines:
            entry = line.rstrip(b"\n")
            blocks.setdefault(len(entry), bytearray()).extend(entry)
    return {size: bytes(block) for size, block in blocks.items()}


def is_common(text: str) -> bool:
    wanted, size = text.encode(), len(text)
    block = load_list().get(size, b"")

    def entry(index: int) -> bytes:
        return block[index * size : (index + 1) * size]

    return entry(bisect_left(range(len(block) // size if size else 0), wanted, key=entry)) == wanted
