"""What makes older things void: ended sessions, an account's stamp, the service's epoch.

Verbs on a session, in the caller's transaction. Each leaves rows for other processes to read
and a note in the session, of which this process's list hears once that is committed.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import BigInteger, Text, insert, update
from sqlalchemy import cast as sql_cast
from sqlmodel import Session, col, func, select

from gatehouse.store.database import NOTES
from gatehouse.store.tables import EndedAccount, EndedSession, ServiceEpoch, User, utc_now


@dataclass(frozen=True, slots=True)
class Ended:
    """What one verb made void: sessions, an account's tokens below `stamp`, or an epoch."""

    session_ids: tuple[UUID, ...] = ()
    user_id: UUID | None = None
    stamp: int = 0
    excepted: UUID | None = None  # the one session of the account that goes on
    epoch: int = 0


def end_sessions_on_list(session: Session, ids: Iterable[UUID]) -> None:
    """Put sessions on the list of the ended, for as long as an access token of theirs may live."""
    ended = Ended(session_ids=tuple(ids))
    if not ended.session_ids:
        return
    ended_at, position = _moment(session)
    session.execute(
        insert(EndedSession),
        [
            {"session_id": session_id, "ended_at": ended_at, "position": position}
            for session_id in ended.session_ids
        ],
    )
    _note(session, ended)


def raise_stamp(session: Session, user: User, *, excepted: UUID | None = None) -> int:
    """A security event of an account: what began under a lower stamp is void. Returns the new one.

    The access tokens of the session `excepted` go on.
    """
    # The database counts, not we: the row is locked from here on, whoever loaded it before.
    user.stamp = cast("int", col(User.stamp) + 1)
    session.add(user)
    session.flush()
    _put_account(session, user.id, user.stamp, excepted)
    return user.stamp


def end_account(session: Session, user_id: UUID, stamp: int) -> None:
    """The last event of an account that is being deleted, whose stamp was `stamp`."""
    _put_account(session, user_id, stamp + 1, None)


def raise_epoch(session: Session) -> int:
    """Everyone out: every session and token of before is void. Returns the new epoch."""
    raised = update(ServiceEpoch).values(epoch=col(ServiceEpoch.epoch) + 1)
    epoch = session.execute(raised.returning(col(ServiceEpoch.epoch))).scalar_one_or_none()
    if epoch is None:
        epoch = 1
        session.execute(insert(ServiceEpoch).values(id=1, epoch=epoch))
    _note(session, Ended(epoch=epoch))
    return epoch


def epoch_of(session: Session, *, lock: bool = False) -> int:
    """The service's epoch. `lock`: nobody raises it before this transaction ends."""
    query = select(ServiceEpoch.epoch)
    return session.exec(query.with_for_update(read=True) if lock else query).first() or 0


def _put_account(session: Session, user_id: UUID, stamp: int, excepted: UUID | None) -> None:
    """An account's one entry. Its user's row is locked, so nobody else but cleaning writes it."""
    ended_at, position = _moment(session)
    entry = {
        "stamp": stamp,
        "excepted_session_id": excepted,
        "ended_at": ended_at,
        "position": position,
    }
    there = update(EndedAccount).where(col(EndedAccount.user_id) == user_id)
    if not session.execute(there.values(entry)).rowcount:  # type: ignore[attr-defined]
        session.execute(insert(EndedAccount).values(user_id=user_id, **entry))
    _note(session, Ended(user_id=user_id, stamp=stamp, excepted=excepted))


def _moment(session: Session) -> tuple[datetime, int]:
    """The time and this transaction's place in the database's own order, no host's clock."""
    if session.get_bind().dialect.name == "postgresql":
        transaction = sql_cast(sql_cast(func.pg_current_xact_id(), Text), BigInteger)
        ended_at, position = session.execute(select(func.now(), transaction)).one()
        return ended_at, position
    # SQLite has one writer at a time, so one number after the other is the order of the commits.
    # Seconds keep it rising when `cleanup` has taken the highest row away.
    return utc_now(), max(int(time.time()), last_position(session) + 1)


def last_position(session: Session) -> int:
    """The highest position of a row."""
    sessions, accounts = func.max(EndedSession.position), func.max(EndedAccount.position)
    return max(session.exec(select(highest)).one() or 0 for highest in (sessions, accounts))


def _note(session: Session, ended: Ended) -> None:
    session.info.setdefault(NOTES, []).append(ended)
