"""Counting in one Redis or Valkey for all processes, and in this one's memory while that is lost.

The windows are those of the `limits` library. Everything here blocks; call it in a thread.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from gatehouse.throttling.memory_store import MemoryStore, Store, Window, look

# Imported only where a shared store is set: it brings the client of Redis, and half a second.
if TYPE_CHECKING:
    from limits.storage import RedisStorage

log = logging.getLogger("gatehouse.throttle")

Result = TypeVar("Result")
clock = time.monotonic
STORE_PATIENCE = 0.5  # seconds for connecting to the shared store, and for each of its answers
STORE_PAUSE = 5.0  # seconds between two attempts to reach a shared store that was lost


class SharedStore:
    """The store at `url`, and this process's memory in its place while that is lost.

    `service` keeps services apart that share a store. `close` when done.
    """

    def __init__(self, url: str, service: str) -> None:
        self._memory = MemoryStore()
        self.shared = _shared_store(url, service)
        self._lock = Lock()  # for the flags below
        self._lost = False
        self._next_try = 0.0

    @property
    def degraded(self) -> bool:
        """Whether the store is not in use now, as far as calls have shown."""
        return self._lost

    def run(self, work: Callable[[Store], Result]) -> Result:
        """Do `work` on the shared store or, where that fails, from its start in memory."""
        if self._may_try():
            from limits.errors import StorageError

            try:
                result = work(self.shared)
            except StorageError as error:
                self._note_lost(error.storage_error)
            else:
                self._note_in_use()
                return result
        return self._memory.run(work)

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

    def look(self, limits: Sequence[Window]) -> list[tuple[float, int]]:
        """When the oldest in each window was counted, and how many there are."""
        return self.run(partial(look, limits))

    def forget(self) -> None:
        """Forget all that this process has counted, which tests do between each other."""
        self._memory.forget()

    def close(self) -> None:
        """Close the connections."""
        self.shared.storage.close()


def _shared_store(url: str, service: str) -> "RedisStorage":
    """Connects at the first use, not here, and asks once. Its errors are all `StorageError`s."""
    from limits.storage import RedisStorage

    return RedisStorage(
        url,
        key_prefix=f"gatehouse:{service}",
        wrap_exceptions=True,
        socket_connect_timeout=STORE_PATIENCE,
        socket_timeout=STORE_PATIENCE,
    )
