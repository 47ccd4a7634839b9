"""A login, from a password to a session; and the one proof of a password, whatever for.

One order at every endpoint: who is over a limit is refused before anything is looked up; the
attempt is counted when its hash is about to be computed; an account that no password opens costs
the same hash (ASVS 6.3.8); a wrong one is counted on the account and written down, in a
transaction that survives the refusal. A text that is no possible password goes the same way.
Two short transactions with the hash between them, where no connection is held.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID

from sqlmodel import Session, col, select

from gatehouse.accounts import users
from gatehouse.accounts.addresses import key_of
from gatehouse.accounts.audit import record
from gatehouse.accounts.proving import Parts, WrongPassword, note_throttled
from gatehouse.accounts.refresh import Granted, issue_refresh_token
from gatehouse.accounts.sessions import end_sessions
from gatehouse.hashing.passwords import Verified
from gatehouse.mailer.jobs import notify
from gatehouse.store.tables import LockedUser, LoginSession, User, utc_now
from gatehouse.throttling.origin import Origin
from gatehouse.throttling.throttle import Throttled

MOST_SESSIONS = 1_000  # live ones of a user; beyond that the one unused longest ends (ASVS 7.1.2)

T = TypeVar("T")


async def log_in(
    core: Parts, origin: Origin, username: str, password: str, asked: frozenset[str] | None
) -> Granted:
    """A new session. `asked`: the scopes asked for, None for all that the account's role holds.

    Where the role holds none of them the password is wrong, whatever it is: nobody tests
    passwords by scopes that end in no login. Raises `WrongPassword`, `Throttled`, `HashQueueFull`.
    """
    key = key_of(username)
    look = partial(
        users.find_credentials,
        which=col(User.email_key) == key,
        verified=core.settings.auth_require_verified_email,
        network=origin.network,
        roles=None if asked is None else _roles_that_hold(core, asked),
    )
    return await _prove(core, origin, key, password, look, partial(_open, core, origin, key, asked))


async def prove_password(
    core: Parts, origin: Origin, password: str, *, key: str, user_id: UUID
) -> users.Credentials:
    """The account of an id, whose address has this key, if the password is its own.

    For a change of it: what acts on it calls `users.lock_proved`. A better hash is stored on the
    way. Raises `WrongPassword`, `Throttled`, `HashQueueFull`.
    """
    look = partial(
        users.find_credentials,
        which=col(User.id) == user_id,
        verified=False,
        network=origin.network,
    )
    return await _prove(core, origin, key, password, look, partial(_store_better_hash, core))


async def _prove(
    core: Parts,
    origin: Origin,
    key: str,
    password: str,
    look: Callable[[Session], users.Credentials | None],
    then: Callable[[users.Credentials, Verified], T],
) -> T:
    """What `then` makes of a right password, in the thread that it writes in."""
    count = partial(core.throttle.count_login, key, origin.network)
    try:
        found = await core.database.run(_look, core, origin, key, look)
        stored = found.password_hash if found else None
        checked = await core.passwords.verify(password, stored, count, client=origin.network)
        return await core.database.run(_conclude, core, origin, key, found, checked, then)
    except Throttled as refused:
        await core.database.run(note_throttled, core, origin, refused)
        raise


def _look(
    core: Parts, origin: Origin, key: str, look: Callable[[Session], users.Credentials | None]
) -> users.Credentials | None:
    core.throttle.check_login(key, origin.network)
    with core.database.read() as session:
        return look(session)


def _conclude(
    core: Parts,
    origin: Origin,
    key: str,
    found: users.Credentials | None,
    checked: Verified | None,
    then: Callable[[users.Credentials, Verified], T],
) -> T:
    if found is None or checked is None:
        with core.database.write() as session:
            users.note_failure(session, key, found.user_id if found else None, origin)
        raise WrongPassword
    core.throttle.login_succeeded(key, origin.network)
    return then(found, checked)


def _store_better_hash(
    core: Parts, proved: users.Credentials, checked: Verified
) -> users.Credentials:
    if checked.new_hash is not None:
        with core.database.write() as session:
            user = users.lock_user(session, proved.user_id)
            users.store_better_hash(session, user, proved, checked.new_hash)
    return proved


def _roles_that_hold(core: Parts, asked: frozenset[str]) -> list[str]:
    return [role for role, scopes in core.roles.items() if not asked.isdisjoint(scopes)]


def _open(
    core: Parts,
    origin: Origin,
    key: str,
    asked: frozenset[str] | None,
    proved: users.Credentials,
    checked: Verified,
) -> Granted:
    """The session of a right password; wrong after all, if meanwhile that has become void, or the
    role holds none of the scopes asked for."""
    with core.database.write() as session:
        user = users.lock_proved(session, proved, origin.network)
        scopes = frozenset(core.roles.get(user.role, ())) if user else frozenset()
        if asked is not None:
            scopes &= asked
        if user is None or (asked is not None and not scopes):
            users.note_failure(session, key, proved.user_id, origin)
            raise WrongPassword
        if checked.new_hash is not None:
            users.store_better_hash(session, user, proved, checked.new_hash)
        failures = user.failed_logins
        days = core.settings.auth_session_days
        login = open_session(
            session, user, scopes=scopes, days=days, origin=origin, epoch=proved.epoch
        )
        refresh_token = issue_refresh_token(session, login.id)
        acting = origin.by(user.id, login.id)
        record(session, "login", acting, user_id=user.id, session_id=login.id)
        if failures >= users.NOTEWORTHY_FAILURES:
            notify(session, "login_after_failures", user, origin)
        session.flush()  # what a hook reads is there
        core.hooks.on_login(session, user)
        extra = core.hooks.extra_claims(session, user)
    return Granted(login, scopes, refresh_token, extra)


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

    It carries the stamp of the account's row, whose failures before it count no more. Beyond the
    most sessions that one account may have, those unused longest end.
    """
    user.failed_logins = 0
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
    session.add_all((user, opened))
    session.flush()
    newest_first = col(LoginSession.last_used_at).desc()
    own = select(LoginSession.id).where(LoginSession.user_id == user.id).order_by(newest_first)
    if surplus := session.exec(own.offset(MOST_SESSIONS)).all():
        end_sessions(session, col(LoginSession.id).in_(surplus))
    return opened
