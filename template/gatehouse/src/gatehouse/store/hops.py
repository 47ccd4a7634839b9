"""Threads for work that asks the database: a few, and a bound on how many calls wait for one.

FastAPI's own forty are for the routes of a service. When the database hangs, what waits for it
would take all of them, and a plain route that needs no database would wait too.
"""

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from anyio import to_thread
from anyio.lowlevel import RunVar
from sqlalchemy.exc import TimeoutError as Busy

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8  # of one process; more would wait for each other: for Python's lock, for rows, on disk
WAITING = 128  # calls that may wait for one of them, as many as may wait for a hash
PATIENCE = 5.0  # seconds that one waits


class _Hops:
    """The threads of one event loop."""

    def __init__(self) -> None:
        self.limiter = anyio.CapacityLimiter(THREADS)
        self.places = anyio.Semaphore(THREADS)
        self.waiting = 0

    async def enter(self) -> None:
        try:
            self.places.acquire_nowait()
            return
        except anyio.WouldBlock:
            if self.waiting >= WAITING:
                raise Busy("too many calls wait for the database") from None
        self.waiting += 1
        try:
            with anyio.fail_after(PATIENCE):
                await self.places.acquire()
        except TimeoutError:
            raise Busy("the database did not come to this call in time") from None
        finally:
            self.waiting -= 1


_hops: RunVar[_Hops] = RunVar("gatehouse_hops")


async def in_database_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`, done in a thread. Raises SQLAlchemy's TimeoutError (503) at once
    where too many calls wait, and after `PATIENCE` for one that did not get its turn."""
    hops = _hops.get(None)
    if hops is None:
        _hops.set(hops := _Hops())
    await hops.enter()
    try:
        return await to_thread.run_sync(partial(work, *args, **kwargs), limiter=hops.limiter)
    finally:
        hops.places.release()
