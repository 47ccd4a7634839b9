"""Sliding windows in this process's memory, eight bytes an entry.

It answers as the storages of the `limits` library do. That one's own keeps an object of 150 bytes
for each entry (91 MiB for 200 clients that refresh) and a thread that walks all keys.
"""

import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import NamedTuple, Protocol, TypeVar

Result = TypeVar("Result")
clock = time.monotonic
SWEEP_SECONDS = 60.0
# About 65 and 35 MB; only someone with very many networks makes so many.
MEMORY_KEYS = 200_000
MEMORY_ENTRIES = 4_000_000


class Store(Protocol):
    """What counts: the part of `limits.storage.MovingWindowSupport` that is used."""

    def acquire_entry(self, key: str, limit: int, expiry: int, /) -> bool: ...
    def get_moving_window(self, key: str, limit: int, expiry: int, /) -> tuple[float, int]: ...
    def clear(self, key: str, /) -> None: ...


class Window(NamedTuple):
    """What a storage of the `limits` library is asked for, in its own order."""

    key: str
    amount: int
    seconds: int


def look(limits: Sequence[Window], store: Store) -> list[tuple[float, int]]:
    """When the oldest in each window was counted, and how many there are."""
    return [store.get_moving_window(*window) for window in limits]


class _Times:
    """When each of a key was counted, oldest first."""

    __slots__ = ("seconds", "times")

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.times = array("d")

    def __len__(self) -> int:
        return len(self.times)

    def drop_expired(self, now: float) -> int:
        """Drop what is out of the window; returns how many that were."""
        expired = bisect_left(self.times, now - self.seconds)
        if expired:
            del self.times[:expired]
        return expired


class MemoryStore:
    """Counts for this process alone. `run` lets one in at a time; the rest is for what it runs."""

    degraded = False  # there is nothing better that it stands in for

    def __init__(self) -> None:
        self.events: dict[str, _Times] = {}
        self.entries = 0  # in all windows together
        self._lock = Lock()
        self._next_sweep = 0.0

    def run(self, work: Callable[[Store], Result]) -> Result:
        """The result of `work`, while nobody else counts."""
        with self._lock:
            if clock() >= self._next_sweep or self._is_full():
                self._next_sweep = clock() + SWEEP_SECONDS
                self._make_room()
            return work(self)

    def look(self, limits: Sequence[Window]) -> list[tuple[float, int]]:
        """When the oldest in each window was counted, and how many there are."""
        return self.run(partial(look, limits))

    def forget(self) -> None:
        """Forget all that was counted, which tests do between each other."""
        with self._lock:
            self.events.clear()
            self.entries = 0

    def close(self) -> None:
        """There is no connection to close, and no thread."""

    def acquire_entry(self, key: str, limit: int, expiry: int) -> bool:
        """Count one of `key`, unless there are `limit` in the last `expiry` seconds."""
        now = time.time()
        if (window := self.events.get(key)) is None:
            window = self.events[key] = _Times(expiry)
        self.entries -= window.drop_expired(now)
        if len(window) >= limit:
            return False
        window.times.append(now)
        self.entries += 1
        return True

    def get_moving_window(self, key: str, _limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest of the last `expiry` seconds was counted, and how many they are."""
        now = time.time()
        times = self.events[key].times if key in self.events else ()
        first = bisect_right(times, now - expiry)
        return (times[first], len(times) - first) if first < len(times) else (now, 0)

    def clear(self, key: str) -> None:
        """Forget a key."""
        if (window := self.events.pop(key, None)) is not None:
            self.entries -= len(window)

    def _is_full(self) -> bool:
        return len(self.events) > MEMORY_KEYS or self.entries > MEMORY_ENTRIES

    def _make_room(self) -> None:
        """Drop what has expired and, if there is still too much, the oldest tenth.

        Whoever can make so many keys has the networks to guess without them, and refusing
        everybody's login would be worse. A tenth, so that a full memory is not swept at every call.
        """
        self.sweep()
        if self._is_full():
            self.shrink(MEMORY_KEYS * 9 // 10, MEMORY_ENTRIES * 9 // 10)

    def sweep(self) -> None:
        """Drop what has expired, and the keys of which nothing is left."""
        now = time.time()
        for key, window in list(self.events.items()):
            self.entries -= window.drop_expired(now)
            if not window:
                del self.events[key]

    def shrink(self, keys: int, entries: int) -> None:
        """Drop the oldest keys until there are no more than so many keys and entries."""
        for key in list(self.events):
            if len(self.events) <= keys and self.entries <= entries:
                return
            self.clear(key)
