"""Whether a service can work now: one look a second, however many ask."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from sqlalchemy.exc import SQLAlchemyError

from gatehouse.migrating import unmigrated
from gatehouse.store.database import DatabasePool

Look = Callable[[], str]

clock = time.monotonic
SECONDS = 1.0  # that an answer is good for
LIMIT = 2.0  # seconds that a look may take
DATABASE_TROUBLE = "The database does not answer, or is not migrated."


class Readiness:
    """Asks each of `looks` what is wrong: "" for nothing, else a sentence for whoever probes.

    A look reads migrations from disk and asks the database, milliseconds of the process's time,
    and `/readyz` is public. For use in threads: whoever comes during a look waits for it.
    """

    def __init__(self, *looks: Look) -> None:
        self._looks = looks
        self._lock = Lock()
        self._found = ""
        self._good_until: float | None = None
        self._looking: asyncio.Task[str] | None = None
        self._began = 0.0

    def trouble(self) -> str:
        """What is wrong first; "" if the service can work."""
        with self._lock:
            if self._good_until is None or clock() >= self._good_until:
                self._found = next(filter(None, (look() for look in self._looks)), "")
                self._good_until = clock() + SECONDS
            return self._found

    async def ask(self) -> str:
        """`trouble`, of which nobody waits for longer than `LIMIT` from the look's beginning."""
        if self._looking is None or self._looking.done():
            self._began = clock()
            self._looking = asyncio.create_task(asyncio.to_thread(self.trouble))
        await asyncio.wait([self._looking], timeout=max(0.0, self._began + LIMIT - clock()))
        return self._looking.result() if self._looking.done() else DATABASE_TROUBLE

    def forget(self) -> None:
        """Look again at the next call, as tests want between each other."""
        with self._lock:
            self._good_until = None


def database_look(database: DatabasePool, migrations: Path | None) -> Look:
    """The look that says whether the database answers and is migrated."""

    def look() -> str:
        try:
            with database.engine.connect() as connection:
                return DATABASE_TROUBLE if unmigrated(connection, migrations) else ""
        except SQLAlchemyError:
            return DATABASE_TROUBLE

    return look
