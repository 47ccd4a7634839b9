"""Sliding windows in this process's memory, eight bytes an entry.

It answers as the storages of the `limits` library do. That one's own keeps an object of 150 bytes
for each entry (91 MiB for 200 clients that refresh) and a thread that walks all keys.
"""

import time
from array import array
from bisect import bisect_left, bisect_right


class _Window:
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
    """Not safe in several threads at once: `Windows` lets one in at a time."""

    def __init__(self) -> None:
        self.events: dict[str, _Window] = {}
        self.entries = 0  # in all windows together

    def acquire_entry(self, key: str, limit: int, expiry: int) -> bool:
        """Count one of `key`, unless there are `limit` in the last `expiry` seconds."""
        now = time.time()
        if (window := self.events.get(key)) is None:
            window = self.events[key] = _Window(expiry)
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

    def reset(self) -> None:
        """Forget everything."""
        self.events.clear()
        self.entries = 0

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
