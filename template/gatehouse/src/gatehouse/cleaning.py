"""Rows whose time is over: deleted by `cleanup`, and a few at a time while tokens are refreshed."""

import time
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlmodel import Session, col, or_, select

from gatehouse.tables import (
    AuditEvent,
    EndedAccount,
    EndedSession,
    LoginSession,
    OneTimeToken,
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
    now = utc_now()
    over = or_(col(LoginSession.expires_at) < now, col(LoginSession.last_used_at) < now - idle)
    done = 0
    for table, key, old in (
        (LoginSession, LoginSession.id, over),
        (EndedSession, EndedSession.session_id, col(EndedSession.ended_at) < now - ENDED_KEPT),
        (EndedAccount, EndedAccount.user_id, col(EndedAccount.ended_at) < now - ENDED_KEPT),
        (OneTimeToken, OneTimeToken.digest, col(OneTimeToken.expires_at) < now),
        (AuditEvent, AuditEvent.id, col(AuditEvent.time) < now - EVENTS_KEPT),
    ):
        found = select(key).where(old).limit(BATCH)
        done += _rows(session, delete(table).where(col(key).in_(found)))
    named = select(AuditEvent.id).where(
        col(AuditEvent.time) < now - ADDRESSES_KEPT, AuditEvent.ip != ""
    )
    anonymous = update(AuditEvent).where(col(AuditEvent.id).in_(named.limit(BATCH)))
    done += _rows(session, anonymous.values(ip="", network="", user_agent=""))
    sealed = select(RefreshToken.digest).where(
        col(RefreshToken.retired_at) < now - SEALS_KEPT,
        col(RefreshToken.sealed_successor).is_not(None),
    )
    opened = update(RefreshToken).where(col(RefreshToken.digest).in_(sealed.limit(BATCH)))
    return done + _rows(session, opened.values(sealed_successor=None))


def _rows(session: Session, statement: Any) -> int:
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]


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
