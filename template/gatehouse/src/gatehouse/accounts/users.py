"""Accounts: find one, make one, change one. Plain functions on a database session.

What changes an account takes its row as `LockedUser`, which `lock_user` alone gives: it decides
from what it holds, in the transaction that writes, never from what another one has read. Each
event after which older things must be void goes through `_void`, which raises the stamp.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, case, func, or_, text, true, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from gatehouse.accounts.addresses import lenient_key, normalise
from gatehouse.accounts.audit import Event, record, record_many
from gatehouse.accounts.sessions import drop_sessions, is_live_at, is_open
from gatehouse.accounts.stamps import end_account, raise_stamp
from gatehouse.hooks import Hooks
from gatehouse.mailer.jobs import notify
from gatehouse.store.database import CommittedRefusal
from gatehouse.store.tables import AuditEvent, Job, LoginSession, ServiceEpoch, User, utc_now
from gatehouse.store.tables import LockedUser as LockedUser
from gatehouse.throttling.origin import Origin

ADMIN = "admin"
ADMINISTRATION_LOCK = 0x6761_7466  # any fixed number: changes of administrators wait on it
_ROWS_HELD, _ADMINISTRATION_HELD = "gatehouse_rows_held", "gatehouse_administration_held"
# In a row, over all networks (NIST SP 800-63B-4 section 3.2.2); after that only from one where
# the account has logged in before, or after a reset. Nobody can lock an owner out by failing.
MOST_FAILURES = 100
NOTEWORTHY_FAILURES = 10  # before a success that its owner is told of (ASVS 6.3.5)


class AddressTaken(Exception):
    """An account with this address is there already."""


class NoSuchUser(Exception):
    """No account has this address, or this id."""


class LastAdministrator(Exception):
    """Nobody could administer the service any more."""


class NotAllowed(CommittedRefusal):
    """The caller may not do this to that account. It leaves an event."""


class NotLoggedIn(Exception):
    """The session of the caller has ended, or its account, since its token was checked."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account as a password is checked against it, with the stamps of that moment.

    `password_hash` is None where no password opens it: so it looks like an unknown account.
    """

    user_id: UUID
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
    return _lock(session, _by_id(), share=share, user_id=user_id)


@cache
def _by_id() -> SelectOfScalar[User]:
    """Kept: to build a statement costs more than to run it."""
    return select(User).where(User.id == bindparam("user_id"))


def _lock(
    session: Session, query: SelectOfScalar[User], *, share: bool = False, **values: object
) -> LockedUser | None:
    session.info[_ROWS_HELD] = True
    held = query.with_for_update(read=share).execution_options(populate_existing=True)
    user = session.exec(held, params=values).one_or_none()
    return None if user is None else LockedUser(user)


def lock_address(session: Session, email_key: str) -> LockedUser | None:
    """The account of an address, held as by `lock_user`."""
    found = session.exec(select(User.id).where(User.email_key == email_key)).one_or_none()
    return lock_user(session, found) if found else None


def lock_account_of(session: Session, job: Job) -> LockedUser | None:
    """The account that a job acts for, held; None if there is none, or its stamp has moved on.

    What a form asked for is bound to the account's stamp here, at the first look at it.
    """
    if job.user_id is not None:
        user = lock_user(session, job.user_id)
    else:
        user = lock_address(session, job.email_key)
    if user is None:
        return None
    if job.stamp is None:
        job.stamp = user.stamp
        session.add(job)
    return user if job.stamp == user.stamp else None


_EPOCH = func.coalesce(select(ServiceEpoch.epoch).where(ServiceEpoch.id == 1).scalar_subquery(), 0)


def _can_log_in(verified: bool, network: str) -> ColumnElement[bool]:
    """Active, proved (with `verified`), and not failed too often or known from this network."""
    earlier = select(AuditEvent.id).where(
        AuditEvent.user_id == User.id, AuditEvent.event == "login", AuditEvent.network == network
    )
    return and_(
        col(User.is_active),
        col(User.email_verified_at).is_not(None) if verified else true(),
        or_(col(User.failed_logins) < MOST_FAILURES, earlier.correlate(User).exists()),
    )


def find_credentials(
    session: Session,
    which: ColumnElement[bool],
    *,
    verified: bool,
    network: str,
    roles: Sequence[str] | None = None,
) -> Credentials | None:
    """The account whose password is to be proved, None if there is none. One query either way.

    Disabled, (with `verified`) unproved, of none of the `roles`, and failed too often for a
    network from which it never logged in look like an unknown one from here on, so that every
    later step costs the same for each of them (ASVS 6.3.8).
    """
    can = _can_log_in(verified, network)
    if roles is not None:
        can = and_(can, col(User.role).in_(roles))
    opens = case((can, col(User.password_hash)))
    row = session.exec(select(User.id, User.stamp, opens, _EPOCH).where(which)).one_or_none()
    if row is None:
        return None
    user_id, stamp, password_hash, epoch = row
    return Credentials(user_id, password_hash, verified, stamp, epoch)


def note_failure(session: Session, email_key: str, user_id: UUID | None, origin: Origin) -> None:
    """Count a wrong password on the account, if there is one: the same statement either way."""
    counted = update(User).where(col(User.email_key) == email_key)
    session.execute(counted.values(failed_logins=col(User.failed_logins) + 1))
    record(session, "login_failed", origin, user_id=user_id)


def lock_proved(session: Session, proved: Credentials, network: str) -> LockedUser | None:
    """The account whose password was proved, locked; None where that is void by now.

    It is when a stamp moved on meanwhile, and where the account may not log in any more.
    """
    held = select(User).where(
        User.id == proved.user_id,
        User.stamp == proved.stamp,
        proved.epoch == _EPOCH,
        _can_log_in(proved.verified, network),
    )
    return _lock(session, held)


def store_better_hash(
    session: Session, user: LockedUser | None, proved: Credentials, new_hash: str
) -> None:
    """After a right password, in place of a weaker hash of the same one: no stamp rises."""
    if user is not None and user.password_hash == proved.password_hash:
        user.password_hash = new_hash
        session.add(user)


def forgive_failures(session: Session, user: LockedUser) -> None:
    """Failures before a right password count no more."""
    user.failed_logins = 0
    session.add(user)


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
    session: Session,
    user: LockedUser,
    new_hash: str,
    event: Event,
    origin: Origin,
    *,
    keep: UUID | None = None,
) -> None:
    """Set a new password, and tell the owner. What was begun with the old one is void.

    But for the session `keep`. `event` is what has changed it.
    """
    user.password_hash = new_hash
    user.failed_logins = 0
    _void(session, user, keep)
    record(session, event, origin, user_id=user.id, session_id=keep)
    notify(session, "password_changed", user, origin)


def set_email(session: Session, user: LockedUser, email: str, origin: Origin) -> None:
    """Move an account to an address that was proved. What was begun under the old one is void.

    Raises `BadAddress`; IntegrityError where another account has it.
    """
    # The old address is told, so that a thief cannot do it unseen.
    notify(session, "address_changed", user, origin)
    user.email, user.email_key = normalise(email)
    user.email_verified_at = utc_now()
    _void(session, user)
    record(session, "email_changed", origin, user_id=user.id)


def create_user(
    session: Session, *, email: str, password_hash: str, role: str, origin: Origin
) -> LockedUser:
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
    record(session, "user_created", origin, user_id=user.id)
    return LockedUser(user)  # nobody else sees it before this transaction ends


def create_users(session: Session, made: Sequence[User], origin: Origin) -> None:
    """Accounts from elsewhere, many at a time; the log has one line for all (`audit.log_many`).

    Raises IntegrityError where an address got an account meanwhile.
    """
    session.add_all(made)
    session.flush()
    record_many(session, "user_created", origin, [user.id for user in made])


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
    transactions that lock several accounts each cannot wait for one another. Whoever forgets it,
    or locks a row first, gets no further (RuntimeError): on SQLite too, which has one writer.
    """
    if session.info.get(_ROWS_HELD):
        raise RuntimeError("lock_administration comes before any row is locked")
    session.info[_ADMINISTRATION_HELD] = True
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADMINISTRATION_LOCK})


def lock_administered(
    session: Session,
    acting: Acting,
    user_id: UUID,
    roles: Mapping[str, AbstractSet[str]],
    idle: timedelta,
    origin: Origin,
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
    reason = ""
    if "users:write" not in held or not touched <= held:
        reason = "This account holds scopes that you lack."
    elif role is not None and role != user.role and user.id == caller.id:
        reason = "Nobody changes their own role."
    if reason:
        record(session, "role_refused", origin, user_id=user_id)
        raise NotAllowed(reason)
    return user


def disable(session: Session, user: LockedUser, origin: Origin) -> int:
    """Disable an account; returns how many sessions ended. Raises `LastAdministrator`."""
    require_another_administrator(session, user)
    user.is_active = False
    ended = _void(session, user)
    record(session, "user_disabled", origin, user_id=user.id)
    return ended


def enable(session: Session, user: LockedUser, origin: Origin) -> None:
    """Let a disabled account log in again, with nothing that was begun before."""
    user.is_active = True
    _void(session, user)
    record(session, "user_enabled", origin, user_id=user.id)


def change_role(session: Session, user: LockedUser, role: str, origin: Origin) -> None:
    """Give an account a role. All its sessions end. Raises `LastAdministrator`."""
    if role != ADMIN:
        require_another_administrator(session, user)
    user.role = role
    _void(session, user)
    record(session, "role_changed", origin, user_id=user.id)


def delete_user(session: Session, user: LockedUser, hooks: Hooks, origin: Origin) -> None:
    """Delete an account and all that is its own. Raises `LastAdministrator`."""
    hooks.on_deleted(session, user)
    require_another_administrator(session, user)
    user_id = user.id
    end_account(session, user_id, user.stamp)
    session.delete(user)
    session.flush()
    record(session, "account_deleted", origin, user_id=user_id)


def require_another_administrator(session: Session, user: LockedUser) -> None:
    """Raise `LastAdministrator` if this is the only active one.

    That holds until the transaction ends only under `lock_administration`.
    """
    if not session.info.get(_ADMINISTRATION_HELD):
        raise RuntimeError("lock_administration comes before the account's lock")
    active = select(User.id).where(User.role == ADMIN, col(User.is_active).is_(True))
    if session.exec(active.limit(2)).all() == [user.id]:
        raise LastAdministrator("this is the last active administrator")


def find_live_user(
    session: Session, *, user_id: UUID, session_id: UUID, idle: timedelta
) -> User | None:
    """The active user of a live login session, in one query."""
    now = utc_now()
    asked = {"user_id": user_id, "session_id": session_id, "now": now, "unused_since": now - idle}
    return session.exec(_live_user(), params=asked).one_or_none()


@cache
def _live_user() -> SelectOfScalar[User]:
    """Kept, as above: this is the one query of a route that takes `CurrentUser`."""
    return (
        select(User)
        .join(LoginSession, col(LoginSession.user_id) == col(User.id))
        .where(
            User.id == bindparam("user_id"),
            col(User.is_active).is_(True),
            LoginSession.id == bindparam("session_id"),
            *is_live_at(bindparam("now"), bindparam("unused_since")),
        )
    )
