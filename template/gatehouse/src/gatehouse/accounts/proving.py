"""The one function that proves a password, whatever for, and its sibling for mailed links.

One order at every endpoint: who is over a limit is refused before anything is looked up; the
attempt is counted when its hash is about to be computed; an account that no password opens costs
the same hash (ASVS 6.3.8); a wrong one is counted on the account and written down, in a
transaction of its own that survives the refusal. A text that is no possible password goes the
same way.
"""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlmodel import col

from gatehouse.accounts import registration, users
from gatehouse.accounts.audit import Origin, record
from gatehouse.state import Gatehouse
from gatehouse.store.hops import in_database_thread
from gatehouse.store.tables import User
from gatehouse.throttling.throttle import Throttled


class WrongPassword(Exception):
    """It is wrong, or no password opens this account now. A client sees one answer."""


async def prove_password(
    core: Gatehouse,
    origin: Origin,
    password: str,
    *,
    key: str,
    user_id: UUID | None = None,
    verified: bool = False,
    asked: frozenset[str] | None = None,
) -> users.Credentials:
    """The account whose password this is: that of an address's `key`, or of `user_id`.

    `verified`: its address must be proved. `asked`: scopes of which its role must hold one, else
    its password is wrong whatever it is: nobody tests passwords by scopes that end in no login.
    A better hash is stored on the way. Raises
    `WrongPassword`, `Throttled`, `HashQueueFull`. What acts on it calls `users.lock_proved`.
    """
    which = col(User.email_key) == key if user_id is None else col(User.id) == user_id
    found = await in_database_thread(_find, core, origin, key, which, verified, asked)
    stored = found.password_hash if found else None

    def count() -> None:
        refuse_throttled(core, origin, lambda: core.throttle.count_login(key, origin.network))

    checked = await core.passwords.verify(password, stored, count, client=origin.network)
    if found is None or stored is None or checked is None:
        await in_database_thread(note_failure, core, origin, key, found)
        raise WrongPassword
    await in_database_thread(
        refuse_throttled, core, origin, lambda: core.throttle.login_succeeded(key, origin.network)
    )
    if checked.new_hash is not None:
        await in_database_thread(_rehash, core, found, checked.new_hash)
    return found


def _find(
    core: Gatehouse,
    origin: Origin,
    key: str,
    which: ColumnElement[bool],
    verified: bool,
    asked: frozenset[str] | None,
) -> users.Credentials | None:
    refuse_throttled(core, origin, lambda: core.throttle.check_login(key, origin.network))
    with core.database.read() as session:
        found = users.find_credentials(session, which, verified=verified, network=origin.network)
    if found and asked is not None and not asked & frozenset(core.roles.get(found.role, ())):
        return replace(found, password_hash=None)
    return found


def _rehash(core: Gatehouse, found: users.Credentials, new_hash: str) -> None:
    with core.database.write() as session:
        users.store_better_hash(session, found, new_hash)


def note_failure(
    core: Gatehouse, origin: Origin, key: str, found: users.Credentials | None
) -> None:
    """Write down a password that did not open an account."""
    with core.database.write() as session:
        users.note_failure(session, key)
        record(session, "login_failed", origin, user_id=found.user_id if found else None)


async def prove_link_password(core: Gatehouse, origin: Origin, token: str, password: str) -> None:
    """Raise `WrongPassword` unless it belongs to the registration that a link is of.

    Counted for address and client, and on the link, never on an account. A link that is none of
    a registration's asks for no password.
    """
    wanted = await in_database_thread(_link, core, token)
    if wanted is None:
        return
    key = wanted.email_key

    def count() -> None:
        refuse_throttled(core, origin, lambda: core.throttle.count_login(key, origin.network))
        with core.database.write() as session:
            registration.count_link_password(session, token)

    checked = await core.passwords.verify(
        password, wanted.password_hash, count, client=origin.network
    )
    if checked is None:
        await in_database_thread(_note_wrong_link_password, core, origin, token)
        raise WrongPassword
    await in_database_thread(_note_right_link_password, core, token)
    await in_database_thread(
        refuse_throttled, core, origin, lambda: core.throttle.login_succeeded(key, origin.network)
    )


def _link(core: Gatehouse, token: str) -> registration.LinkPassword | None:
    with core.database.read() as session:
        return registration.password_of_link(session, token)


def _note_wrong_link_password(core: Gatehouse, origin: Origin, token: str) -> None:
    with core.database.write() as session:
        registration.drop_spent_link(session, token)
        record(session, "login_failed", origin)


def _note_right_link_password(core: Gatehouse, token: str) -> None:
    with core.database.write() as session:
        registration.uncount_link_password(session, token)


def refuse_throttled(core: Gatehouse, origin: Origin, count: Callable[[], None]) -> None:
    """Count a request. Over the limit it is an audit event, the first time, and `Throttled` (429).

    Only the first: a flood must not become a flood of rows.
    """
    try:
        count()
    except Throttled as refused:
        if refused.first:
            with core.database.write() as session:
                record(session, "throttled", origin)
        raise
