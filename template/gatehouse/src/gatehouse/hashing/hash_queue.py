"""Threads of their own for hashes, and a queue before them of which no client takes it all."""

import asyncio
import contextlib
import os
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class HashQueueFull(Exception):
    """Too many calls wait for a hash already: answer 503 and ask the client to come back."""


class HashQueue:
    """At most `threads` calls run at once, and at most `waiting` wait.

    One client has at most half as many as may wait, those that run among them: who floods the
    queue, with whatever passwords, is refused alone.
    """

    def __init__(self, *, threads: int, waiting: int) -> None:
        self._threads = threads
        self._executor = self._new_executor()
        self._limit = threads + waiting
        self._share = max(1, waiting // 2)
        self._pending = 0
        self._pending_of: Counter[str] = Counter()
        self._lock = threading.Lock()

    def _new_executor(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, "password", initializer=_lower_priority)

    def run(
        self, work: Callable[[], T], client: str = "", before: Callable[[], None] | None = None
    ) -> Awaitable[T]:
        """The result of `work`, done in a thread. "" is no client. Raises HashQueueFull.

        `before` is called in that thread, when it is the turn of `work`; what it raises is raised
        in its place.
        """

        def take_turn() -> T:
            if before is not None:
                before()
            return work()

        self._enter(client)
        try:
            future = self._executor.submit(take_turn)
        except RuntimeError:  # closed meanwhile
            self._release(client)
            raise

        def end(_: Future[T]) -> None:
            self._release(client)

        # Called too when a client leaves and its call is cancelled while waiting; one that runs
        # cannot be stopped and keeps its place until its memory is free.
        future.add_done_callback(end)
        return asyncio.wrap_future(future)

    def submit(self, work: Callable[[], object]) -> None:
        """Do `work` when a thread is free. Whoever needs what it makes asks for that again."""
        self._executor.submit(work)

    def close(self) -> None:
        """Drop what waits and let go of the threads; a hash under way ends by itself.

        Threads come back when they are needed: an application may be started again.
        """
        executor, self._executor = self._executor, self._new_executor()
        executor.shutdown(wait=False, cancel_futures=True)

    def _enter(self, client: str) -> None:
        with self._lock:
            has_its_share = client != "" and self._pending_of[client] >= self._share
            if self._pending >= self._limit or has_its_share:
                raise HashQueueFull
            self._pending += 1
            self._pending_of[client] += 1

    def _release(self, client: str) -> None:
        with self._lock:
            self._pending -= 1
            self._pending_of[client] -= 1
            if not self._pending_of[client]:
                del self._pending_of[client]  # else every client that ever came stays


def _lower_priority() -> None:
    """Let the event loop's thread go first. Only Linux has a priority for each thread."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
