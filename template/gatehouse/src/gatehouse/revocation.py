"""The process's list of ended sessions: what makes a stateless check see a log-out.

An access token outlives its session by at most its own lifetime, so the list holds the sessions
ended during that time. It is read from the database by one query an interval (two where
something is new), and only when somebody asks; one that this process ends is on it at once.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import takewhile
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, func, select
from starlette.concurrency import run_in_threadpool

from gatehouse.database import Database
from gatehouse.tables import EndedSession, utc_now

log = logging.getLogger("gatehouse.revocation")

# A row is found although its transaction committed late, or its host's clock is behind ours.
OVERLAP = timedelta(minutes=5)
PATIENCE = 1.0  # seconds that a request waits for a slow database before the old list must do


class RevocationStale(Exception):
    """The list has not been read for too long: nobody can say who is logged out (503)."""


class Revocation:
    """Ended sessions by id. `interval` and `max_stale` are in seconds, `lifetime` a token's."""

    def __init__(
        self, database: Database, *, interval: float, max_stale: float, lifetime: float
    ) -> None:
        self._database = database
        self._interval = interval
        self._max_stale = max_stale
        self._lifetime = timedelta(seconds=lifetime) + OVERLAP
        self._ended: dict[UUID, datetime] = {}  # as the database has them, oldest first
        self._own: dict[UUID, datetime] = {}  # those that this process ended
        self._read_at = float("-inf")  # by the monotonic clock
        self._tried_at = float("-inf")
        self._newest: datetime | None = None
        self._reading: asyncio.Task[None] | None = None

    def add(self, session_ids: Iterable[UUID]) -> None:
        """Sessions that this process has just ended."""
        now = utc_now()
        for session_id in session_ids:
            self._own[session_id] = now

    def is_fresh(self) -> bool:
        """Whether the list was read within the interval; if not, `refresh` it first."""
        return time.monotonic() - self._read_at < self._interval

    def holds(self, session_id: UUID) -> bool:
        """Whether a session is on the list as it stands."""
        return session_id in self._ended or session_id in self._own

    async def refresh(self) -> None:
        """Read the list if it is time. Raises `RevocationStale` rather than let anyone guess."""
        await self._refresh(time.monotonic())
        if time.monotonic() - self._read_at > self._max_stale:
            raise RevocationStale

    async def _refresh(self, now: float) -> None:
        """Read the list once for all who wait. After a failure, not again before an interval."""
        if self._reading is None:
            if now - self._tried_at < self._interval:
                return
            self._tried_at = now
            self._reading = asyncio.create_task(self._read())
        await asyncio.wait([self._reading], timeout=PATIENCE)

    async def _read(self) -> None:
        started = time.monotonic()
        try:
            rows = await run_in_threadpool(self._query)
        except SQLAlchemyError as error:
            log.error("the list of ended sessions could not be read: %s", type(error).__name__)
        else:
            self._ended.update(rows)
            for known in (self._ended, self._own):
                self._forget(known)
            self._read_at = started
        finally:
            self._reading = None

    def _query(self) -> list[tuple[UUID, datetime]]:
        since = utc_now() - self._lifetime
        if self._newest is not None:
            since = max(since, self._newest - OVERLAP)
        late = EndedSession.ended_at > since
        with self._database.read() as session:
            # Most often there is nothing new, and thousands of rows need not be read to see it.
            summary = select(func.count(), func.max(EndedSession.ended_at)).where(late)
            count, newest = session.exec(summary).one()
            if count == self._known_since(since) and newest in (None, self._newest):
                return []
            query = select(EndedSession.session_id, EndedSession.ended_at).where(late)
            rows = list(session.exec(query.order_by(col(EndedSession.ended_at))))
        if rows:
            self._newest = rows[-1][1]
        return rows

    def _known_since(self, since: datetime) -> int:
        """How many of the database's rows of that time are on the list."""
        return sum(1 for _ in takewhile(since.__lt__, reversed(self._ended.values())))

    def _forget(self, known: dict[UUID, datetime]) -> None:
        """Drop the oldest, whose tokens have all expired. The order is that of their ends."""
        limit = utc_now() - self._lifetime
        while known and known[oldest := next(iter(known))] <= limit:
            del known[oldest]
