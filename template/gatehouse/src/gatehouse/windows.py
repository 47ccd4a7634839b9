"""Where windows are counted: in one Redis or Valkey for all processes, or in this one's memory.

The windows are those of the `limits` library. Everything here blocks; call it in a thread.
"""

import logging
import time
from collections.abc import Callable
from itertools import islice
from threading import Lock, Timer
from typing import TypeVar

from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage

log = logging.getLogger("gatehouse.throttle")

Result = TypeVar("Result")
Store = MemoryStorage | RedisStorage

clock = time.monotonic
STORE_PATIENCE = 0.5  # seconds for connecting to the shared store, and for each of its answers
STORE_PAUSE = 5.0  # seconds between two attempts to reach a shared store that was lost
SWEEP_SECONDS = 60.0
MEMORY_KEYS = 200_000  # about 120 MB; only someone with very many networks makes so many


class Windows:
    """The store at `url`, and this process's memory in its place while that is lost.

    `service` keeps services apart that share a store. `close` when done.
    """

    def __init__(self, url: str, service: str) -> None:
        self._memory = _process_memory()
        self._shared = None if url == "memory://" else _shared_store(url, service)
        self._lock = Lock()  # for the flags below
        self._memory_lock = Lock()  # limits' own locks are dropped while others wait for them
        self._lost = False
        self._next_try = 0.0
        self._next_sweep = 0.0

    @property
    def degraded(self) -> bool:
        """Whether a shared store was set and is not in use now, as far as calls have shown."""
        return self._lost

    def run(self, work: Callable[[Store], Result]) -> Result:
        """Do `work` on the shared store or, where that fails, from its start in memory."""
        if self._shared is not None and self._may_try():
            try:
                result = work(self._shared)
            except StorageError as error:
                self._note_lost(error.storage_error)
            else:
                self._note_in_use()
                return result
        with self._memory_lock:
            if clock() >= self._next_sweep or len(self._memory.events) > MEMORY_KEYS:
                self._next_sweep = clock() + SWEEP_SECONDS
                _sweep(self._memory)
            return work(self._memory)

    def _may_try(self) -> bool:
        """Whether the store is in use, or it is this call's turn to see if it is back."""
        with self._lock:
            if self._lost and clock() < self._next_try:
                return False
            if self._lost:
                self._next_try = clock() + STORE_PAUSE  # one call waits for it, not all
            return True

    def _note_lost(self, error: Exception) -> None:
        with self._lock:
            first, self._lost = not self._lost, True
            self._next_try = clock() + STORE_PAUSE
        if first:  # the class alone: the text of an error may hold the URL, and that a password
            name = type(error).__name__
            log.error("the shared throttle store is lost (%s): each process counts alone", name)

    def _note_in_use(self) -> None:
        if self._lost:
            with self._lock:
                back, self._lost = self._lost, False
            if back:
                log.info("the shared throttle store is back in use")

    def forget(self) -> None:
        """Forget all that this process has counted, which tests do between each other."""
        with self._memory_lock:
            self._memory.reset()

    def close(self) -> None:
        """Close the connections to the shared store. Counting in memory leaves no thread."""
        if self._shared is not None:
            self._shared.storage.close()


def _shared_store(url: str, service: str) -> RedisStorage:
    """Connects at the first use, not here, and asks once. Its errors are all `StorageError`s."""
    return RedisStorage(
        url,
        key_prefix=f"gatehouse:{service}",
        wrap_exceptions=True,
        socket_connect_timeout=STORE_PATIENCE,
        socket_timeout=STORE_PATIENCE,
    )


class _Resting(Timer):
    """Stands in the place of the library's timer, which would start a thread at each count.

    That thread walks all keys, up to a hundred times a second, and leaves the empty ones behind.
    """

    def is_alive(self) -> bool:
        return True


def _process_memory() -> MemoryStorage:
    memory = MemoryStorage()
    memory.timer.cancel()
    memory.timer.join()
    memory.timer = _Resting(0, memory.timer.function)
    return memory


def _sweep(memory: MemoryStorage) -> None:
    """Let the library drop what has expired, then the keys of which nothing is left.

    If there are still too many, the oldest go: whoever can make so many keys has the networks to
    guess without them, and refusing everybody's login would be worse.
    """
    memory.timer.function()
    for key in [key for key, entries in memory.events.items() if not entries]:
        memory.clear(key)
    if len(memory.events) > MEMORY_KEYS:
        for key in list(islice(memory.events, MEMORY_KEYS // 10)):
            memory.clear(key)
