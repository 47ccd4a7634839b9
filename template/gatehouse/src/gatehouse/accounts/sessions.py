"""Login sessions: open, list, end. Plain functions on a database session."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from gatehouse.accounts.audit import Origin
from gatehouse.accounts.stamps import end_sessions_on_list, epoch_of
from gatehouse.store.tables import LockedUser, LoginSession, ServiceEpoch, User, utc_now

MOST_SESSIONS = 1_000  # live ones of a user; beyond that the one unused longest ends (ASVS 7.1.2)


def open_session(
    session: Session,
    user: LockedUser,
    *,
    scopes: Iterable[str],
    days: int,
    origin: Origin,
    epoch: int,
) -> LoginSession:
    """A new login session that ends after `days`. Never the one a client brings (ASVS 7.2.4).

    It carries the stamp of the account's row.
    """
    now = utc_now()
    opened = LoginSession(
        user_id=user.id,
        scope=" ".join(sorted(scopes)),
        created_at=now,
        last_used_at=now,
        expires_at=now + timedelta(days=days),
        user_agent=origin.user_agent,
        ip=origin.ip,
        stamp=user.stamp,
        epoch=epoch,
    )
    session.add(opened)
    session.flush()
    return opened


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


def end_surplus(session: Session, user_id: UUID) -> None:
    """End the sessions of a user beyond the most that one may have, those unused longest first."""
    surplus = session.exec(
        select(LoginSession.id)
        .where(LoginSession.user_id == user_id)
        .order_by(col(LoginSession.last_used_at).desc())
        .offset(MOST_SESSIONS)
    ).all()
    if surplus:
        end_sessions(session, col(LoginSession.id).in_(surplus))
