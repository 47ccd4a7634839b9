"""Accounts: find one, make one, change one. Plain functions on a database session.

What changes an account takes its row as `LockedUser`, which `lock_user` alone gives: it decides
from what it holds, in the transaction that writes, never from what another one has read. Each
event after which older things must be void goes through `_void`, which raises the stamp.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, text, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from gatehouse.accounts.addresses import lenient_key, normalise
from gatehouse.accounts.sessions import drop_sessions, is_live, is_open
from gatehouse.accounts.stamps import end_account, epoch_of, raise_stamp
from gatehouse.store.tables import AuditEvent, LoginSession, User, utc_now
from gatehouse.store.tables import LockedUser as LockedUser

ADMIN = "admin"
ADMINISTRATION_LOCK = 0x6761_7466  # any fixed number: changes of administrators wait on it
# In a row, over all networks (NIST SP 800-63B-4 section 3.2.2); after that only from one where
# the account has logged in before, or after a reset. Nobody can lock an owner out by failing.
MOST_FAILURES = 100
NOTEWORTHY_FAILURES = 10  # before a success that its owner is told of (ASVS 6.3.5)

NOBODY = UUID(int=0)  # whom the same queries look for where there is no account


class AddressTaken(Exception):
    """An account with this address is there already."""


class NoSuchUser(Exception):
    """No account has this address, or this id."""


class LastAdministrator(Exception):
    """Nobody could administer the service any more."""


class NotAllowed(Exception):
    """The caller may not do this to that account."""


class NotLoggedIn(Exception):
    """The session of the caller has ended, or its account, since its token was checked."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account as a password is checked against it, with the stamps of that moment.

    `password_hash` is None where no password opens it: so it looks like an unknown account.
    """

    user_id: UUID
    email_key: str
    role: str
    password_hash: str | None
    verified: bool  # whether its address must be proved
    stamp: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Acting:
    """Who administers: the account, session and scopes of an access token."""

    user_id: UUID
    session_id: UUID
    scopes: frozenset[str]


def lock_user(session: Session, user_id: UUID, *, share: bool = False) -> LockedUser | None:
    """The account's row, held until the transaction ends; on SQLite the whole database is.

    Whoever locks more of an account than its row does it afterwards: sessions, then tokens.
    """
    user = session.exec(_locking(share), params={"user_id": user_id}).one_or_none()
    return None if user is None else LockedUser(user)


@cache
def _locking(share: bool) -> SelectOfScalar[User]:
    """Kept: to build a statement costs more than to run it."""
    query = select(User).where(User.id == bindparam("user_id")).with_for_update(read=share)
    return query.execution_options(populate_existing=True)


def lock_address(session: Session, email_key: str) -> LockedUser | None:
    """The account of an address, held as by `lock_user`."""
    found = session.exec(select(User.id).where(User.email_key == email_key)).one_or_none()
    return lock_user(session, found) if found else None


def find_credentials(
    session: Session, which: ColumnElement[bool], *, verified: bool, network: str
) -> Credentials | None:
    """The account whose password is to be proved, None if there is none.

    Disabled, (with `verified`) unproved, and failed too often for a network from which it never
    logged in look like an unknown one from here on, so that every later step costs the same for
    each of them (ASVS 6.3.8).
    """
    user = session.exec(select(User).where(which)).one_or_none()
    known = _is_known(session, user.id if user else NOBODY, network)
    epoch = epoch_of(session)
    if user is None:
        return None
    return Credentials(
        user_id=user.id,
        email_key=user.email_key,
        role=user.role,
        password_hash=user.password_hash if _can_log_in(user, known, verified) else None,
        verified=verified,
        stamp=user.stamp,
        epoch=epoch,
    )


def _is_known(session: Session, user_id: UUID, network: str) -> bool:
    """Whether the account has logged in from this network before."""
    login = select(AuditEvent.id).where(
        AuditEvent.user_id == user_id, AuditEvent.event == "login", AuditEvent.network == network
    )
    return session.exec(login.limit(1)).first() is not None


def _can_log_in(user: User, known: bool, verified: bool) -> bool:
    return (
        user.is_active
        and not (verified and user.email_verified_at is None)
        and (user.failed_logins < MOST_FAILURES or known)
    )


def note_failure(session: Session, email_key: str) -> None:
    """Count a wrong password on the account, if there is one: the same statement either way."""
    counted = update(User).where(col(User.email_key) == email_key)
    session.execute(counted.values(failed_logins=col(User.failed_logins) + 1))


def lock_proved(session: Session, proved: Credentials, network: str) -> LockedUser | None:
    """The account whose password was proved, locked; None where that is void by now.

    It is when a stamp moved on meanwhile, and where the account may not log in any more.
    """
    user = lock_user(session, proved.user_id)
    if user is None or user.stamp != proved.stamp or epoch_of(session) != proved.epoch:
        return None
    if not _can_log_in(user, _is_known(session, user.id, network), proved.verified):
        return None
    return user


def store_better_hash(session: Session, proved: Credentials, new_hash: str) -> None:
    """After a right password, in place of a weaker hash of the same one: no stamp rises."""
    user = lock_user(session, proved.user_id)
    if user is not None and user.password_hash == proved.password_hash:
        user.password_hash = new_hash
        session.add(user)


def forgive_failures(session: Session, user: LockedUser) -> int:
    """Failures before a right password count no more; returns how many there were."""
    before, user.failed_logins = user.failed_logins, 0
    session.add(user)
    return before


def require_session(
    session: Session, user: LockedUser | None, session_id: UUID, idle: timedelta
) -> LockedUser:
    """The account, if the session that acts for it is live; else `NotLoggedIn`.

    A request under way when its session is ended has no effect.
    """
    if user is None or not user.is_active or not is_open(session, session_id, user, idle):
        raise NotLoggedIn
    return user


def _void(session: Session, user: LockedUser, but: UUID | None = None) -> int:
    """Make void all that was begun under the account, but for one session; how many ended."""
    stamp = raise_stamp(session, user, excepted=but)
    if but is not None:
        kept = update(LoginSession).where(
            col(LoginSession.id) == but, col(LoginSession.user_id) == user.id
        )
        session.execute(kept.values(stamp=stamp))
    session.add(user)
    session.flush()
    return drop_sessions(session, user.id, but)


def set_password(
    session: Session, user: LockedUser, new_hash: str, *, keep: UUID | None = None
) -> None:
    """Set a new password. What was begun with the old one is void, but for the session `keep`."""
    user.password_hash = new_hash
    user.failed_logins = 0
    _void(session, user, keep)


def set_email(session: Session, user: LockedUser, email: str) -> None:
    """Move an account to an address that was proved. What was begun under the old one is void.

    Raises `BadAddress`; IntegrityError where another account has it.
    """
    user.email, user.email_key = normalise(email)
    user.email_verified_at = utc_now()
    _void(session, user)


def create_user(session: Session, *, email: str, password_hash: str, role: str) -> LockedUser:
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
    return LockedUser(user)  # nobody else sees it before this transaction ends


def find_user(session: Session, email: str) -> LockedUser:
    """The account of an address, locked, for a command. Raises `BadAddress` and `NoSuchUser`."""
    lock_administration(session)
    user = lock_address(session, lenient_key(email))
    if user is None:
        raise NoSuchUser("no account has this address")
    return user


def lock_administration(session: Session) -> None:
    """Let changes of who administers come one after the other, before any row is locked.

    So two administrators who disable each other at the same moment do not both succeed, and two
    transactions that lock several accounts each cannot wait for one another.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADMINISTRATION_LOCK})


def lock_administered(
    session: Session,
    acting: Acting,
    user_id: UUID,
    roles: Mapping[str, AbstractSet[str]],
    idle: timedelta,
    *,
    role: str | None = None,
) -> LockedUser:
    """Another's account, locked, if the caller may act on it, `role` being its new one, if any.

    Nobody acts on an account whose old or new role holds a scope that they lack: that of the
    token, as far as the caller's own role goes by now. Nobody changes their own role. Raises
    `NotLoggedIn`, `NoSuchUser` and `NotAllowed`.
    """
    lock_administration(session)
    caller = require_session(session, lock_user(session, acting.user_id), acting.session_id, idle)
    user = lock_user(session, user_id)
    if user is None:
        raise NoSuchUser("there is no such account")
    held = acting.scopes & frozenset(roles.get(caller.role, ()))
    touched = frozenset(roles.get(user.role, ())) | frozenset(roles.get(role or "", ()))
    if "users:write" not in held or not touched <= held:
        raise NotAllowed("This account holds scopes that you lack.")
    if role is not None and role != user.role and user.id == caller.id:
        raise NotAllowed("Nobody changes their own role.")
    return user


def disable(session: Session, user: LockedUser) -> int:
    """Disable an account; returns how many sessions ended. Raises `LastAdministrator`."""
    require_another_administrator(session, user)
    user.is_active = False
    return _void(session, user)


def enable(session: Session, user: LockedUser) -> None:
    """Let a disabled account log in again, with nothing that was begun before."""
    user.is_active = True
    _void(session, user)


def change_role(session: Session, user: LockedUser, role: str) -> None:
    """Give an account a role. All its sessions end. Raises `LastAdministrator`."""
    if role != ADMIN:
        require_another_administrator(session, user)
    user.role = role
    _void(session, user)


def delete_user(session: Session, user: LockedUser) -> None:
    """Delete an account and all that is its own. Raises `LastAdministrator`."""
    require_another_administrator(session, user)
    end_account(session, user.id, user.stamp)
    session.delete(user)
    session.flush()


def require_another_administrator(session: Session, user: LockedUser) -> None:
    """Raise `LastAdministrator` if this is the only active one."""
    active = select(User.id).where(User.role == ADMIN, col(User.is_active).is_(True))
    if session.exec(active.limit(2)).all() == [user.id]:
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
