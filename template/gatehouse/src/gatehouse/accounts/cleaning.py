"""Rows whose time is over: deleted by `cleanup`, and a few at a time while tokens are refreshed."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, func, literal_column, update
from sqlmodel import Session, col, select

from gatehouse.store.database import DatabasePool
from gatehouse.store.tables import (
    AuditEvent,
    EndedAccount,
    EndedSession,
    LoginSession,
    OneTimeToken,
    PendingRegistration,
    RefreshToken,
    utc_now,
)

ENDED_KEPT = timedelta(days=2)  # longer than any access token lives
EVENTS_KEPT = timedelta(days=365)
ADDRESSES_KEPT = timedelta(days=90)  # in events; a session's address goes with the session
SEALS_KEPT = timedelta(minutes=2)  # longer than any grace window
BATCH = 500  # rows of each kind in one go, so that no transaction is long
EVERY = 60  # seconds between two goes of one process


def clean(session: Session, idle: timedelta) -> int:
    """Delete at most `BATCH` rows of each kind; returns how many there were."""
    return sum(_rows(session, write) for _, write in _kinds(session, idle))


def clean_some(database: DatabasePool, idle: timedelta) -> int:
    """The same in short transactions, one for each kind of which there is something.

    Where there is nothing to delete this only reads, so on SQLite it holds up no writer.
    """
    with database.read() as session:
        found = [
            write for old, write in _kinds(session, idle) if session.execute(old.limit(1)).first()
        ]
    done = 0
    for write in found:
        with database.write() as session:
            done += _rows(session, write)
    return done


def _kinds(session: Session, idle: timedelta) -> Iterator[tuple[Select[Any], Any]]:
    """What is over, and the statement that ends it.

    Each has one bound, and an index that holds just such rows: otherwise, a million rows are
    read to find that there is nothing to do.
    """
    now = utc_now()
    # Where the database has a clock of its own, it wrote these rows by that: a host that is days
    # ahead would drop fresh ones, and a process that starts then would know of no end.
    is_remote = session.get_bind().dialect.name != "sqlite"
    ended = (func.now() if is_remote else now) - ENDED_KEPT
    for table, key, over in (
        (LoginSession, LoginSession.id, col(LoginSession.expires_at) < now),
        (LoginSession, LoginSession.id, col(LoginSession.last_used_at) < now - idle),
        (EndedSession, EndedSession.session_id, col(EndedSession.ended_at) < ended),
        (EndedAccount, EndedAccount.user_id, col(EndedAccount.ended_at) < ended),
        (OneTimeToken, OneTimeToken.digest, col(OneTimeToken.expires_at) < now),
        (PendingRegistration, PendingRegistration.id, col(PendingRegistration.expires_at) < now),
        (AuditEvent, AuditEvent.id, col(AuditEvent.time) < now - EVENTS_KEPT),
    ):
        old = select(key).where(over)
        # Its bound twice: PostgreSQL looks once more at a row that another transaction has written
        # meanwhile, but not into the inner query, and would delete an entry that is fresh now.
        yield old, delete(table).where(col(key).in_(old.limit(BATCH)), over)
    named = select(AuditEvent.id).where(
        col(AuditEvent.time) < now - ADDRESSES_KEPT,
        # Written out, as in the index: a planner that sees a parameter cannot know that it fits.
        col(AuditEvent.ip) != literal_column("''"),
    )
    anonymous = update(AuditEvent).where(col(AuditEvent.id).in_(named.limit(BATCH)))
    yield named, anonymous.values(ip="", network="", user_agent="")
    sealed = select(RefreshToken.digest).where(
        col(RefreshToken.retired_at) < now - SEALS_KEPT,
        col(RefreshToken.sealed_successor).is_not(None),
    )
    opened = update(RefreshToken).where(col(RefreshToken.digest).in_(sealed.limit(BATCH)))
    yield sealed, opened.values(sealed_successor=None)


def _rows(session: Session, statement: Any) -> int:
    plain = {"synchronize_session": False}  # no rows are held here that would have to follow
    return int(session.execute(statement, execution_options=plain).rowcount)  # type: ignore[attr-defined]


class Timer:
    """Says at most once in `EVERY` seconds that it is time. One for each process."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def is_due(self) -> bool:
        now = time.monotonic()
        if now - self._last < EVERY:
            return False
        self._last = now
        return True
