"""What every proof of a password shares: limits and events; and the proof of a link's password.

A password is proved in `logins.py`, whatever for. Who is over a limit is refused before anything
is looked up; the attempt is counted when its hash is about to be computed; a wrong one is counted
and written down in a transaction of its own that survives the refusal.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Protocol

from gatehouse.accounts import registration
from gatehouse.accounts.audit import record
from gatehouse.accounts.sessions import Lifetimes
from gatehouse.hashing.passwords import HashQueueFull, Passwords
from gatehouse.hooks import Hooks
from gatehouse.settings import Settings
from gatehouse.store.database import CommittedRefusal, DatabasePool
from gatehouse.throttling.origin import Origin
from gatehouse.throttling.throttle import Throttle, Throttled


class Parts(Protocol):
    """What the verbs of a login use of an application: `state.Gatehouse` has it."""

    @property
    def settings(self) -> Settings: ...
    @property
    def roles(self) -> Mapping[str, AbstractSet[str]]: ...
    @property
    def database(self) -> DatabasePool: ...
    @property
    def passwords(self) -> Passwords: ...
    @property
    def throttle(self) -> Throttle: ...
    @property
    def hooks(self) -> Hooks: ...
    @property
    def lifetimes(self) -> Lifetimes: ...


class WrongPassword(CommittedRefusal):
    """It is wrong, or no password opens this account now. A client sees one answer."""


async def prove_link_password(core: Parts, origin: Origin, token: str, password: str) -> None:
    """Raise `WrongPassword` unless it belongs to the registration that a link is of.

    Counted for address and client, and on the link, never on an account. A link that is none of
    a registration's asks for no password.
    """
    wanted = await core.database.run(_count_on_link, core, token)
    if wanted is None:
        return
    key = wanted.email_key
    count = partial(core.throttle.count_login, key, origin.network)
    try:
        checked = await core.passwords.verify(
            password, wanted.password_hash, count, client=origin.network
        )
    except (Throttled, HashQueueFull) as refused:
        await core.database.run(_uncount_on_link, core, origin, token, refused)
        raise
    if checked is None:
        await core.database.run(_note_wrong_link_password, core, origin, token)
        raise WrongPassword
    await core.database.run(_note_right_link_password, core, origin, token, key)


def _count_on_link(core: Parts, token: str) -> registration.LinkPassword | None:
    with core.database.write() as session:
        wanted = registration.password_of_link(session, token)
        if wanted is not None:
            registration.count_link_password(session, token)
    return wanted


def _uncount_on_link(
    core: Parts, origin: Origin, token: str, refused: Throttled | HashQueueFull
) -> None:
    """No hash was computed."""
    with core.database.write() as session:
        registration.uncount_link_password(session, token)
    if isinstance(refused, Throttled):
        note_throttled(core, origin, refused)


def _note_wrong_link_password(core: Parts, origin: Origin, token: str) -> None:
    with core.database.write() as session:
        registration.note_wrong_link_password(session, token, origin)


def _note_right_link_password(core: Parts, origin: Origin, token: str, key: str) -> None:
    with core.database.write() as session:
        registration.uncount_link_password(session, token)
    refuse_throttled(core, origin, partial(core.throttle.login_succeeded, key, origin.network))


def refuse_throttled(core: Parts, origin: Origin, count: Callable[[], None]) -> None:
    """Count a request; raises `Throttled` (429), which leaves its trace."""
    try:
        count()
    except Throttled as refused:
        note_throttled(core, origin, refused)
        raise


def note_throttled(core: Parts, origin: Origin, refused: Throttled) -> None:
    """An audit event, the first time alone: a flood must not become a flood of rows."""
    if refused.first:
        with core.database.write() as session:
            record(session, "throttled", origin)
