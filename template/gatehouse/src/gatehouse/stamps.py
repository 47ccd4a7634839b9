"""Security stamps: what makes void, at one stroke, all that was begun before an event.

An account has a number, and the service has one. A session, a mailed link, a job and an access
token carry those that they were begun under; whoever acts on one compares. What other processes
must know of it, each of these verbs writes beside the change itself, and notes it in the session:
after the commit this process is told.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Text, cast, func
from sqlmodel import Session, select

from gatehouse.tables import EndedAccount, EndedSession, ServiceEpoch, User, utc_now

NOTED = "gatehouse_ended"  # in a session's `info`


@dataclass(frozen=True, slots=True)
class SessionsEnded:
    """Single sessions, by their ids."""

    ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class AccountVoided:
    """Tokens of the account below this stamp are no good, but those of one session."""

    user_id: UUID
    stamp: int
    excepted_session_id: UUID | None


@dataclass(frozen=True, slots=True)
class EveryoneOut:
    """Tokens below this epoch are no good."""

    epoch: int


Ended = SessionsEnded | AccountVoided | EveryoneOut


def list_ended_sessions(session: Session, ids: Iterable[UUID]) -> None:
    """Write down that sessions were ended, for as long as a token of theirs may live."""
    ended = tuple(ids)
    if not ended:
        return
    now, position = database_now(session), _position(session)
    session.add_all(
        EndedSession(session_id=session_id, ended_at=now, position=position) for session_id in ended
    )
    _note(session, SessionsEnded(ended))


def raise_stamp(session: Session, user: User, *, excepted: UUID | None = None) -> int:
    """The account's next stamp; its row is locked by the caller. The tokens of one session go on.

    Returns the new stamp.
    """
    user.stamp += 1
    session.add(user)
    list_voided_account(session, user.id, user.stamp, excepted)
    return user.stamp


def list_voided_account(
    session: Session, user_id: UUID, stamp: int, excepted: UUID | None = None
) -> None:
    """Write down the lowest stamp of an account that is good: one row, the last event's."""
    row = session.get(EndedAccount, user_id) or EndedAccount(
        user_id=user_id, stamp=stamp, ended_at=utc_now()
    )
    row.stamp, row.excepted_session_id = stamp, excepted
    row.ended_at, row.position = database_now(session), _position(session)
    session.add(row)
    _note(session, AccountVoided(user_id, stamp, excepted))


def raise_epoch(session: Session) -> int:
    """Everyone out: whatever was begun before is void. Returns the new epoch."""
    query = select(ServiceEpoch).where(ServiceEpoch.id == 1).with_for_update()
    row = session.exec(query).one_or_none() or ServiceEpoch(id=1)
    row.epoch += 1
    session.add(row)
    session.flush()
    _note(session, EveryoneOut(row.epoch))
    return row.epoch


def epoch_of(session: Session) -> int:
    """The service's number now."""
    return session.exec(select(ServiceEpoch.epoch).where(ServiceEpoch.id == 1)).one_or_none() or 0


def database_now(session: Session) -> datetime:
    """The present moment by the one clock that all processes share: on PostgreSQL its own.

    A database in a file has its processes on one host.
    """
    if session.get_bind().dialect.name == "sqlite":
        return utc_now()
    now: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return now


def _position(session: Session) -> Any:
    """The place of this transaction in the database's own order, for readers of what is new.

    SQLite has one writer at a time: the next number is in the order of commits. On PostgreSQL it
    is the transaction's id: a reader keeps the lowest one that was still open when it last looked,
    and so finds what commits late.
    """
    if session.get_bind().dialect.name != "sqlite":
        return cast(cast(func.pg_current_xact_id(), Text), BigInteger)
    row = session.get(ServiceEpoch, 1) or ServiceEpoch(id=1)
    row.position += 1
    session.add(row)
    session.flush()
    return row.position


def _note(session: Session, ended: Ended) -> None:
    session.info.setdefault(NOTED, []).append(ended)
