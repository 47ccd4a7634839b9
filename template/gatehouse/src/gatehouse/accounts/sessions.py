"""Login sessions: list them, end them. Plain functions on a database session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from gatehouse.accounts.audit import record
from gatehouse.accounts.stamps import end_sessions_on_list, epoch_of, raise_epoch
from gatehouse.store.tables import LockedUser, LoginSession, ServiceEpoch, User, utc_now
from gatehouse.throttling.origin import Origin


class NoSuchSession(Exception):
    """The account has no session of this id."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things live, by the settings."""

    grace: timedelta
    idle: timedelta


def is_live(idle: timedelta) -> Sequence[ColumnElement[bool]]:
    """What makes a session's row a live one: both of its ends lie ahead, and no stamp moved on."""
    now = utc_now()
    return is_live_at(now, now - idle)


def is_live_at(now: Any, unused_since: Any) -> Sequence[ColumnElement[bool]]:
    """The same with the moments given, or with parameters for them in a statement that is kept."""
    epoch, stamp = _epoch_and_stamp()
    return (
        col(LoginSession.expires_at) > now,
        col(LoginSession.last_used_at) > unused_since,
        col(LoginSession.stamp) == stamp,
        col(LoginSession.epoch) >= epoch,
    )


@cache
def _epoch_and_stamp() -> tuple[ColumnElement[int], ColumnElement[int]]:
    """The service's epoch, and the stamp of a session's account, as parts of a statement."""
    epoch = select(ServiceEpoch.epoch).where(ServiceEpoch.id == 1).scalar_subquery()
    owner = aliased(User)
    stamp = select(owner.stamp).where(owner.id == LoginSession.user_id).scalar_subquery()
    return func.coalesce(epoch, 0), stamp


def is_open(session: Session, session_id: UUID, user: LockedUser, idle: timedelta) -> bool:
    """Whether a session is live and the account's: it stays so until the transaction ends.

    Its row is held: a log-out at the same moment waits, or has been first.
    """
    query = select(LoginSession.id).where(
        LoginSession.id == session_id, LoginSession.user_id == user.id, *is_live(idle)
    )
    return session.exec(query.with_for_update(of=LoginSession)).first() is not None


def live_sessions(session: Session, user_id: UUID, idle: timedelta) -> Sequence[LoginSession]:
    """A user's live sessions, the one used last first."""
    return session.exec(
        select(LoginSession)
        .where(LoginSession.user_id == user_id, *is_live(idle))
        .order_by(col(LoginSession.last_used_at).desc())
    ).all()


def end_sessions(session: Session, *which: ColumnElement[bool]) -> int:
    """End the sessions that match, one by one; returns how many there were.

    The rows go, and their refresh tokens with them. Their ids stay for as long as an access
    token may: that is what other processes read.
    """
    gone = delete(LoginSession).where(*which).returning(col(LoginSession.id))
    ended = list(session.execute(gone).scalars())
    end_sessions_on_list(session, ended)
    return len(ended)


def drop_sessions(session: Session, user_id: UUID, but: UUID | None = None) -> int:
    """Delete the rows of sessions that a raised stamp has ended; returns how many there were."""
    gone = delete(LoginSession).where(col(LoginSession.user_id) == user_id)
    if but is not None:
        gone = gone.where(col(LoginSession.id) != but)
    return int(session.execute(gone).rowcount)  # type: ignore[attr-defined]


def count(session: Session) -> int:
    """How many sessions there are."""
    return session.exec(select(func.count()).select_from(LoginSession)).one()


def drop_some(session: Session, amount: int = 1_000) -> int:
    """Delete some sessions from before the last "everyone out"; returns how many there were."""
    old = select(LoginSession.id).where(LoginSession.epoch < epoch_of(session)).limit(amount)
    gone = delete(LoginSession).where(col(LoginSession.id).in_(old))
    return int(session.execute(gone).rowcount)  # type: ignore[attr-defined]


def end_session(session: Session, session_id: UUID) -> int:
    """End one session, if it is there."""
    return end_sessions(session, col(LoginSession.id) == session_id)


def log_out(session: Session, session_id: UUID, origin: Origin) -> None:
    """End a session, if it is there, for whoever holds a token of it."""
    login = session.get(LoginSession, session_id)
    if login is None:
        return
    acting = origin.by(login.user_id, login.id)
    record(session, "logout", acting, user_id=login.user_id, session_id=login.id)
    end_session(session, login.id)


def end_own(session: Session, user: LockedUser, session_id: UUID, origin: Origin) -> None:
    """End a session of this account. Raises `NoSuchSession`, for another's as for none."""
    login = session.get(LoginSession, session_id)
    if login is None or login.user_id != user.id:
        raise NoSuchSession
    record(session, "sessions_ended", origin, user_id=user.id, session_id=session_id)
    end_session(session, session_id)


def end_all_of(
    session: Session, user: LockedUser, origin: Origin, *, but: UUID | None = None
) -> int:
    """End an account's sessions, all or all but one; returns how many there were."""
    which = [col(LoginSession.user_id) == user.id]
    if but is not None:
        which.append(col(LoginSession.id) != but)
    ended = end_sessions(session, *which)
    record(session, "sessions_ended", origin, user_id=user.id)
    return ended


def end_everyones(session: Session, origin: Origin) -> int:
    """Everyone out: from here on nobody's token or session is good, however many there are.

    Returns how many rows there are, which `drop_some` deletes.
    """
    raise_epoch(session)
    record(session, "sessions_ended", origin)
    return count(session)
