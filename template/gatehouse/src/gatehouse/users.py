"""Accounts: find one for a login, make one, read one. Plain functions on a database session."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, delete, exists, not_, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from gatehouse.addresses import normalise
from gatehouse.one_time import retire
from gatehouse.sessions import end_sessions, is_live
from gatehouse.tables import AuditEvent, Errand, LoginSession, User, utc_now

ADMIN = "admin"
# In a row, over all networks (NIST SP 800-63B-4 section 3.2.2); after that only from one where
# the account has logged in before, or after a reset. Nobody can lock an owner out by failing.
MOST_FAILURES = 100
NOTEWORTHY_FAILURES = 10  # before a success that its owner is told of (ASVS 6.3.5)


class AddressTaken(Exception):
    """An account with this address is there already."""


class NoSuchUser(Exception):
    """No account has this address."""


class LastAdministrator(Exception):
    """Nobody could administer the service any more."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a login needs of an account before the password is checked."""

    user_id: UUID
    password_hash: str
    role: str
    failed_logins: int


def find_credentials(
    session: Session, email_key: str, *, verified: bool, network: str
) -> Credentials | None:
    """The account that may log in under this address, None if there is none.

    Unknown, disabled, (with `verified`) unverified, and failed too often for a network from
    which it never logged in look the same from here on, so that every later step costs the same
    for each of them (ASVS 6.3.8).
    """
    known = exists().where(
        col(AuditEvent.user_id) == col(User.id),
        col(AuditEvent.event) == "login",
        col(AuditEvent.network) == network,
    )
    closed = and_(col(User.failed_logins) >= MOST_FAILURES, not_(known))
    found = session.exec(select(User, closed).where(User.email_key == email_key)).one_or_none()
    if found is None:
        return None
    user, is_closed = found
    if is_closed or not user.is_active or (verified and user.email_verified_at is None):
        return None
    return Credentials(user.id, user.password_hash, user.role, user.failed_logins)


def note_failure(session: Session, email_key: str) -> None:
    """Count a failed login on the account, if there is one: the same statement either way."""
    counted = update(User).where(col(User.email_key) == email_key)
    session.execute(counted.values(failed_logins=col(User.failed_logins) + 1))


def may_log_in(session: Session, credentials: Credentials, new_hash: str | None) -> bool:
    """Whether the account is still as it was when its password was checked; stores a better hash.

    The check and the write are one statement: an account that was disabled, or whose password
    was changed, while the hash was computed gets no session. Failures before it are forgiven.
    """
    unchanged = update(User).where(
        col(User.id) == credentials.user_id,
        col(User.password_hash) == credentials.password_hash,
        col(User.is_active).is_(True),
    )
    done = session.execute(
        unchanged.values(password_hash=new_hash or credentials.password_hash, failed_logins=0)
    )
    return bool(done.rowcount)  # type: ignore[attr-defined]


def set_password(session: Session, credentials: Credentials, new_hash: str) -> bool:
    """Set a new password, if the one that was checked is still the account's.

    One-time tokens of the account are good no more (ASVS 6.4.3).
    """
    unchanged = update(User).where(
        col(User.id) == credentials.user_id, col(User.password_hash) == credentials.password_hash
    )
    done = session.execute(unchanged.values(password_hash=new_hash, failed_logins=0))
    retire(session, credentials.user_id)
    return bool(done.rowcount)  # type: ignore[attr-defined]


def create_user(session: Session, *, email: str, password_hash: str, role: str) -> User:
    """A new account whose address counts as verified. Raises `BadAddress` and `AddressTaken`."""
    address, key = normalise(email)
    user = User(
        email=address,
        email_key=key,
        password_hash=password_hash,
        role=role,
        email_verified_at=utc_now(),
    )
    session.add(user)
    try:
        session.flush()
    except IntegrityError:
        raise AddressTaken("an account with this address exists already") from None
    return user


def find_user(session: Session, email: str) -> User:
    """The account of an address. Raises `BadAddress` and `NoSuchUser`."""
    _, key = normalise(email)
    user = session.exec(select(User).where(User.email_key == key)).one_or_none()
    if user is None:
        raise NoSuchUser("no account has this address")
    return user


def disable(session: Session, user: User) -> list[UUID]:
    """Disable an account; returns the sessions that ended. Raises `LastAdministrator`."""
    require_another_administrator(session, user)
    user.is_active = False
    session.add(user)
    return end_sessions(session, col(LoginSession.user_id) == user.id)


def change_role(session: Session, user: User, role: str, *, demotes: bool) -> list[UUID]:
    """Give an account a role; returns the sessions that ended, all of them if it `demotes`.

    Raises `LastAdministrator`.
    """
    if role != ADMIN:
        require_another_administrator(session, user)
    user.role = role
    session.add(user)
    return end_sessions(session, col(LoginSession.user_id) == user.id) if demotes else []


def delete_user(session: Session, user: User) -> list[UUID]:
    """Delete an account and all that is its own; returns the sessions that ended.

    Raises `LastAdministrator`.
    """
    require_another_administrator(session, user)
    ended = end_sessions(session, col(LoginSession.user_id) == user.id)
    session.execute(delete(Errand).where(col(Errand.user_id) == user.id))
    session.execute(delete(Errand).where(col(Errand.email_key) == user.email_key))
    session.delete(user)
    session.flush()
    return ended


def require_another_administrator(session: Session, user: User) -> None:
    """Raise `LastAdministrator` if this is the only active one.

    The administrators' rows are locked until the transaction ends, so that of two who disable
    each other at the same moment one fails.
    """
    active = select(User).where(User.role == ADMIN, col(User.is_active).is_(True))
    administrators = session.exec(active.with_for_update()).all()
    if [other.id for other in administrators] == [user.id]:
        raise LastAdministrator("this is the last active administrator")


def find_live_user(
    session: Session, *, user_id: UUID, session_id: UUID, idle: timedelta
) -> User | None:
    """The active user of a live login session, in one query."""
    return session.exec(
        select(User)
        .join(LoginSession, col(LoginSession.user_id) == col(User.id))
        .where(
            User.id == user_id,
            col(User.is_active).is_(True),
            LoginSession.id == session_id,
            *is_live(idle),
        )
    ).one_or_none()
