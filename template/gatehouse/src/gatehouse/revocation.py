"""The process's list of what has ended: what makes a stateless check see a log-out.

An access token outlives its session by at most its own lifetime, so the list reaches back that
far: single sessions that were ended, one entry for each account whose stamp has risen, and the
service's epoch. It is read from the database by a few indexed queries an interval, and only when
somebody asks; what this process ends is on it at once.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Text, cast
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, func, select
from starlette.concurrency import run_in_threadpool

from gatehouse.database import Database
from gatehouse.stamps import (
    AccountVoided,
    Ended,
    EveryoneOut,
    SessionsEnded,
    database_now,
    epoch_of,
)
from gatehouse.tables import EndedAccount, EndedSession, ServiceEpoch
from gatehouse.tokens import AccessToken

log = logging.getLogger("gatehouse.revocation")

# Beyond a token's lifetime: the clock of the host that checks `exp` may be behind.
OVERLAP = timedelta(minutes=30)
PATIENCE = 1.0  # seconds that a request waits for a slow database before the old list must do


class RevocationStale(Exception):
    """The list has not been read for too long: nobody can say who is logged out (503)."""


@dataclass(slots=True)
class _Account:
    """Tokens below `stamp` are no good, but for one session's."""

    stamp: int
    excepted_session_id: UUID | None
    known_at: float


@dataclass(frozen=True, slots=True)
class _News:
    """What a look at the database found, and where the next one begins."""

    ended: Sequence[Ended]
    cursor: int
    known: tuple[int, int]


class Revocation:
    """What has ended. `interval` and `max_stale` are in seconds, `lifetime` a token's.

    Entries are forgotten by this process's monotonic clock, and new rows are found by the
    database's own order: no host's clock decides who is out.
    """

    def __init__(
        self, database: Database, *, interval: float, max_stale: float, lifetime: float
    ) -> None:
        self._database = database
        self._interval = interval
        self._max_stale = max_stale
        self._lifetime = timedelta(seconds=lifetime) + OVERLAP
        self._sessions: dict[UUID, float] = {}  # when it was last told of, oldest first
        self._accounts: dict[UUID, _Account] = {}
        self._epoch = 0
        self._read_at = float("-inf")  # by the monotonic clock
        self._tried_at = float("-inf")
        self._cursor: int | None = None
        self._known = (0, 0)  # count and sum of the positions that were read from there on
        self._reading: asyncio.Task[None] | None = None

    def note(self, ended: Iterable[Ended]) -> None:
        """What this process has just ended, or has read of."""
        now = time.monotonic()
        for entry in ended:
            match entry:
                case SessionsEnded(ids):
                    for session_id in ids:
                        self._sessions.pop(session_id, None)
                        self._sessions[session_id] = now
                case AccountVoided(user_id, stamp, excepted):
                    known = self._accounts.pop(user_id, None)
                    if known is not None and known.stamp > stamp:
                        stamp, excepted = known.stamp, known.excepted_session_id
                    self._accounts[user_id] = _Account(stamp, excepted, now)
                case EveryoneOut(epoch):
                    self._epoch = max(self._epoch, epoch)

    def is_fresh(self) -> bool:
        """Whether the list was read within the interval; if not, `refresh` it first."""
        return time.monotonic() - self._read_at < self._interval

    def ends(self, token: AccessToken) -> bool:
        """Whether a token is no good any more, by the list as it stands.

        One of an earlier release has no numbers and counts as older than any event.
        """
        if token.session_id in self._sessions or (self._epoch and token.epoch < self._epoch):
            return True
        voided = self._accounts.get(token.user_id)
        return (
            voided is not None
            and token.stamp < voided.stamp
            and token.session_id != voided.excepted_session_id
        )

    def forget(self) -> None:
        """Forget all that was read, which tests do between each other."""
        self._sessions.clear()
        self._accounts.clear()
        self._epoch, self._cursor, self._known = 0, None, (0, 0)

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
            news = await run_in_threadpool(self._query)
        except SQLAlchemyError as error:
            log.error("the list of ended sessions could not be read: %s", type(error).__name__)
        else:
            self.note(news.ended)
            self._cursor, self._known = news.cursor, news.known
            self._forget(started)
            self._read_at = started
        finally:
            self._reading = None

    def _query(self) -> _News:
        with self._database.read() as session:
            # First the horizon: whatever commits after this statement is found the next time.
            horizon = _horizon(session)
            cursor = self._cursor
            if cursor is not None and horizon < cursor:
                cursor = None  # another database, from a backup perhaps: from the start
            epoch = EveryoneOut(epoch_of(session))
            if cursor is not None and _count_from(session, cursor) == self._known:
                return _News((epoch,), cursor, self._known)
            since = database_now(session) - self._lifetime

            def is_new(table: Any) -> Any:
                return table.ended_at > since if cursor is None else table.position >= cursor

            sessions = session.exec(select(EndedSession).where(is_new(EndedSession))).all()
            accounts = session.exec(select(EndedAccount).where(is_new(EndedAccount))).all()
        positions = [row.position for row in sessions] + [row.position for row in accounts]
        positions = [position for position in positions if position >= horizon]
        return _News(
            (
                epoch,
                SessionsEnded(tuple(row.session_id for row in sessions)),
                *(AccountVoided(r.user_id, r.stamp, r.excepted_session_id) for r in accounts),
            ),
            horizon,
            (len(positions), sum(positions)),
        )

    def _forget(self, now: float) -> None:
        """Drop the oldest, whose tokens have all expired. The order is that of being told."""
        limit = now - self._lifetime.total_seconds()
        while self._sessions and self._sessions[oldest := next(iter(self._sessions))] <= limit:
            del self._sessions[oldest]
        while self._accounts:
            user_id, voided = next(iter(self._accounts.items()))
            if voided.known_at > limit:
                break
            del self._accounts[user_id]


def _horizon(session: Session) -> int:
    """The position from which on rows may be new the next time: the oldest open transaction's."""
    if session.get_bind().dialect.name == "sqlite":
        last = select(ServiceEpoch.position).where(ServiceEpoch.id == 1)
        return (session.exec(last).one_or_none() or 0) + 1
    snapshot = func.pg_snapshot_xmin(func.pg_current_snapshot())
    return int(session.execute(select(cast(cast(snapshot, Text), BigInteger))).scalar_one())


def _count_from(session: Session, cursor: int) -> tuple[int, int]:
    """Count and sum of the positions from there on: the same as long as nothing came.

    A transaction that stays open for long holds the cursor back; what was read since need not be
    read again.
    """
    count = total = 0
    for table in (EndedSession, EndedAccount):
        found = select(func.count(), func.sum(table.position)).where(col(table.position) >= cursor)
        some, positions = session.exec(found).one()
        count, total = count + some, total + int(positions or 0)
    return count, total
