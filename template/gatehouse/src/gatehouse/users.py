"""Accounts: find one for a login, make one, read one. Plain functions on a database session."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from gatehouse.addresses import BadAddress, normalise
from gatehouse.sessions import is_live
from gatehouse.tables import LoginSession, User, utc_now


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


def find_credentials(session: Session, email: str, *, verified: bool) -> Credentials | None:
    """The account that may log in under this address, None if there is none.

    Unknown, disabled and (with `verified`) unverified look the same from here on, so that
    every later step costs the same for each of them (ASVS 6.3.8).
    """
    try:
        _, key = normalise(email)
    except BadAddress:
        return None
    user = session.exec(select(User).where(User.email_key == key)).one_or_none()
    if user is None or not user.is_active or (verified and user.email_verified_at is None):
        return None
    return Credentials(user.id, user.password_hash, user.role)


def may_log_in(session: Session, credentials: Credentials, new_hash: str | None) -> bool:
    """Whether the account is still as it was when its password was checked; stores a better hash.

    The check and the write are one statement: an account that was disabled, or whose password
    was changed, while the hash was computed gets no session.
    """
    unchanged = update(User).where(
        col(User.id) == credentials.user_id,
        col(User.password_hash) == credentials.password_hash,
        col(User.is_active).is_(True),
    )
    done = session.execute(unchanged.values(password_hash=new_hash or credentials.password_hash))
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


def disable(session: Session, user: User) -> None:
    """Disable an account. Raises `LastAdministrator` for the last active one.

    The administrators' rows are locked until the transaction ends, so that of two who disable
    each other at the same moment one fails.
    """
    active = select(User).where(User.role == "admin", col(User.is_active).is_(True))
    administrators = session.exec(active.with_for_update()).all()
    if [other.id for other in administrators] == [user.id]:
        raise LastAdministrator("this is the last active administrator")
    user.is_active = False
    session.add(user)


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
