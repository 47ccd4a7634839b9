"""Login sessions: open, list, end. Plain functions on a database session."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete
from sqlmodel import Session, col, select

from gatehouse.audit import Origin
from gatehouse.tables import EndedSession, LoginSession, utc_now

MOST_SESSIONS = 1_000  # live ones of a user; beyond that the one unused longest ends (ASVS 7.1.2)


def open_session(
    session: Session, *, user_id: UUID, scopes: Iterable[str], days: int, origin: Origin
) -> LoginSession:
    """A new login session that ends after `days`. Never the one a client brings (ASVS 7.2.4)."""
    now = utc_now()
    opened = LoginSession(
        user_id=user_id,
        scope=" ".join(sorted(scopes)),
        created_at=now,
        last_used_at=now,
        expires_at=now + timedelta(days=days),
        user_agent=origin.user_agent,
        ip=origin.ip,
    )
    session.add(opened)
    session.flush()
    return opened


def is_live(idle: timedelta) -> Sequence[ColumnElement[bool]]:
    """What makes a session's row a live one: both of its ends lie ahead."""
    now = utc_now()
    return col(LoginSession.expires_at) > now, col(LoginSession.last_used_at) > now - idle


def live_sessions(session: Session, user_id: UUID, idle: timedelta) -> Sequence[LoginSession]:
    """A user's live sessions, the one used last first."""
    return session.exec(
        select(LoginSession)
        .where(LoginSession.user_id == user_id, *is_live(idle))
        .order_by(col(LoginSession.last_used_at).desc())
    ).all()


def end_sessions(session: Session, *which: ColumnElement[bool]) -> list[UUID]:
    """End the sessions that match; returns their ids, which `Revocation.add` is to be told.

    The rows go, and their refresh tokens with them. Their ids stay for as long as an access
    token may: that is what other processes read.
    """
    gone = delete(LoginSession).where(*which).returning(col(LoginSession.id))
    ended = list(session.execute(gone).scalars())
    now = utc_now()
    session.add_all(EndedSession(session_id=session_id, ended_at=now) for session_id in ended)
    return ended


def end_session(session: Session, session_id: UUID) -> list[UUID]:
    """End one session, if it is there."""
    return end_sessions(session, col(LoginSession.id) == session_id)


def end_surplus(session: Session, user_id: UUID) -> list[UUID]:
    """End the sessions of a user beyond the most that one may have, those unused longest first."""
    surplus = session.exec(
        select(LoginSession.id)
        .where(LoginSession.user_id == user_id)
        .order_by(col(LoginSession.last_used_at).desc())
        .offset(MOST_SESSIONS)
    ).all()
    return end_sessions(session, col(LoginSession.id).in_(surplus)) if surplus else []
