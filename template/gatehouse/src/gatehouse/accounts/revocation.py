"""The process's list of what has ended: what makes a stateless check see a log-out.

An access token outlives its session by at most its own lifetime, so the list holds what ended
during that time: single sessions, one entry for an account (see `stamps.py`), and one number
for everyone. It is read from the database every interval, only when somebody asks, and no more
of it than is new; what this process ends is on it at once.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, cast, func, or_, text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, select

from gatehouse.accounts.stamps import Ended, epoch_of, last_position
from gatehouse.signing.tokens import AccessToken
from gatehouse.store.database import DatabasePool
from gatehouse.store.tables import EndedAccount, EndedSession, utc_now

log = logging.getLogger("gatehouse.revocation")

OVERLAP = 30 * 60  # seconds that the clock of a host that issued a token may be ahead of ours
OLDER_RELEASE = timedelta(minutes=5)  # how far back rows without a position are looked for
PATIENCE = 0.2  # seconds that a look is waited for before the old list is used
FIRST_PATIENCE = 2.0  # where the old one is too old, and nothing says that the database is away
RETRY_PAUSE = 1.0  # seconds between two looks while the database is away

# A transaction that was under way when the list was read, or began after it.
_NOT_SEEN = text("NOT pg_visible_in_snapshot(position::text::xid8, CAST(:seen AS pg_snapshot))")


class RevocationStale(Exception):
    """The list has not been read for too long: nobody can say who is logged out (503)."""


@dataclass(frozen=True, slots=True)
class _Event:
    """An account's last event: tokens with a lower stamp are void, but for one session's."""

    stamp: int
    excepted: UUID | None
    heard: float


class RevocationList:
    """What has ended. `interval` and `max_stale` are in seconds, `lifetime` a token's.

    Its own clock is the monotonic one; time in rows is the database's.
    """

    def __init__(
        self, database: DatabasePool, *, interval: float, max_stale: float, lifetime: float
    ) -> None:
        self._database = database
        self._interval = interval
        self._max_stale = max_stale
        self._keep = lifetime + OVERLAP
        self._sessions: dict[UUID, float] = {}  # and when we heard of it
        self._accounts: dict[UUID, _Event] = {}
        self._epoch = 0
        self._changing = threading.Lock()  # `ends` takes none: it looks a key up, once
        self._seen: str | None = None  # what of the database's order has been read
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._lost = False  # the last look failed, or took too long

    def ends(self, token: AccessToken) -> bool:
        """Whether a token is void by the list as it stands.

        One without a stamp is of an older release: older than any event of its account.
        """
        if token.session_id in self._sessions or token.epoch < self._epoch:
            return True
        event = self._accounts.get(token.user_id)
        return (
            event is not None
            and (token.stamp or 0) < event.stamp
            and token.session_id != event.excepted
        )

    def note(self, ended: Iterable[Ended]) -> None:
        """What a transaction of this process has just ended, or what another's left in rows."""
        now = time.monotonic()
        with self._changing:
            for one in ended:
                for session_id in one.session_ids:
                    self._sessions.setdefault(session_id, now)
                if one.user_id is not None:
                    known = self._accounts.get(one.user_id)
                    if known is None or known.stamp < one.stamp:
                        self._accounts[one.user_id] = _Event(one.stamp, one.excepted, now)
                self._epoch = max(self._epoch, one.epoch)

    def is_fresh(self) -> bool:
        """Whether the list was read within the interval; if not, `refresh` it first."""
        return time.monotonic() - self._read_at < self._interval

    def forget(self) -> None:
        """Forget all that was read, and read it anew at the next call, as tests want."""
        with self._changing:
            self._read_at = self._tried_at = float("-inf")
            self._sessions.clear()
            self._accounts.clear()
            self._epoch, self._seen = 0, None

    async def refresh(self) -> None:
        """Have the list read if it is time. Raises `RevocationStale` rather than let anyone guess.

        One task reads for all callers. Whoever calls meanwhile waits for it, but not beyond a limit
        that runs from its start: a database that hangs delays the callers of that moment, and
        nobody after them. Then the list is used as it is.
        """
        now = time.monotonic()
        pause = RETRY_PAUSE if self._lost else self._interval
        if self._reading is None and now - self._tried_at >= pause:
            self._tried_at = now
            self._reading = asyncio.create_task(self._look())
        if self._reading is not None:
            left = self._tried_at + self._patience(now) - now
            if left > 0:
                await asyncio.wait([self._reading], timeout=left)
            if self._reading is not None:
                self._lost = True
        if time.monotonic() - self._read_at > self._max_stale:
            raise RevocationStale

    def _patience(self, now: float) -> float:
        """More where nobody has asked for long: the list is too old to be used as it is."""
        is_of_use = now - self._read_at <= self._max_stale
        return PATIENCE if is_of_use or self._lost else FIRST_PATIENCE

    async def _look(self) -> None:
        started = time.monotonic()
        try:
            await asyncio.to_thread(self.read)  # a thread of its own: the pool's may all hang
        except SQLAlchemyError as error:
            self._lost = True
            log.error("the list of ended sessions could not be read: %s", type(error).__name__)
        else:
            self._read_at, self._lost = started, False
        finally:
            self._reading = None

    def read(self) -> None:
        """Read what is new, and forget what no token can outlive. Blocks."""
        with self._database.look() as session:
            # In a statement of its own, before the rows: what is not in it is found next time.
            seen, now = self._place(session)
            if self._seen is not None and _first(seen) < _first(self._seen):
                self._seen = None  # another database, from a backup: its order is not the old one's
            sessions = session.exec(
                select(EndedSession.session_id).where(
                    or_(
                        self._is_new(EndedSession, now),
                        # Written by a process of an older release, during an update.
                        and_(
                            col(EndedSession.position) == 0,
                            col(EndedSession.ended_at) > now - OLDER_RELEASE,
                        ),
                    )
                )
            ).all()
            accounts = session.exec(
                select(EndedAccount).where(self._is_new(EndedAccount, now))
            ).all()
            epoch = epoch_of(session)
        self.note(
            Ended(user_id=row.user_id, stamp=row.stamp, excepted=row.excepted_session_id)
            for row in accounts
        )
        self.note([Ended(session_ids=tuple(sessions), epoch=epoch)])
        self._seen = seen
        self._forget()

    def _place(self, session: Session) -> tuple[str, datetime]:
        """Where the database's order of transactions stands, and its time.

        PostgreSQL: a snapshot, `xmin:xmax:…`, which says of each transaction whether its rows
        can be seen. SQLite: the last position, for there the order is that of the commits.
        """
        if session.get_bind().dialect.name == "postgresql":
            seen, now = session.execute(
                select(cast(func.pg_current_snapshot(), Text), func.now())
            ).one()
            return seen, now
        return str(last_position(session)), utc_now()

    def _is_new(self, table: Any, now: datetime) -> ColumnElement[bool]:
        """The rows that the list has not seen; the first time, those that matter still."""
        if self._seen is None:
            return col(table.ended_at) > now - timedelta(seconds=self._keep)
        if ":" in self._seen:
            not_seen = _NOT_SEEN.bindparams(seen=self._seen)
            return and_(col(table.position) >= _first(self._seen), not_seen)
        return col(table.position) > _first(self._seen)

    def _forget(self) -> None:
        limit = time.monotonic() - self._keep
        with self._changing:
            for session_id in [key for key, heard in self._sessions.items() if heard <= limit]:
                del self._sessions[session_id]
            for user_id in [key for key, event in self._accounts.items() if event.heard <= limit]:
                del self._accounts[user_id]


def _first(seen: str) -> int:
    """The oldest transaction that may not have been seen; on SQLite, the last that was."""
    return int(seen.partition(":")[0])
