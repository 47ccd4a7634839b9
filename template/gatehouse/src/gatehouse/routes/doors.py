"""What the doors to accounts share: their limits, their bodies, and how a password is asked for."""

import logging
from collections.abc import Callable
from typing import Any

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from gatehouse import users
from gatehouse.addresses import normalise
from gatehouse.audit import Origin, record
from gatehouse.errands import leave
from gatehouse.passwords import Verified, WeakPassword, check_new_password
from gatehouse.state import Gatehouse
from gatehouse.tables import User
from gatehouse.throttle import MAIL, Limit, Throttled

log = logging.getLogger("gatehouse.hooks")


TOO_MANY: dict[int | str, dict[str, Any]] = {429: {"description": "Too many tries."}}


class Body(BaseModel):
    """The body of a request: what it does not name is refused, never ignored (API3:2023)."""

    model_config = ConfigDict(extra="forbid")


class Accepted(BaseModel):
    """The one answer to whoever asks for a mail, whether or not there is an account."""

    detail: str = "If this address can be used here, a mail is on its way to it."


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


def refuse_flood(core: Gatehouse, origin: Origin, limit: Limit) -> None:
    """Count a call of a door against what one client address may do there."""
    refuse_throttled(core, origin, lambda: core.throttle.count(limit, origin.network))


def knock(
    core: Gatehouse, origin: Origin, kind: str, email: str, password_hash: str | None = None
) -> Accepted:
    """Leave an errand for an address: the same row whoever has an account (ASVS 6.3.8).

    Beyond the limit of mails to one address nothing is left, and the answer is the same.
    """
    address, key = normalise(email)
    if core.throttle.allows(MAIL, f"{kind}:{key}"):
        with core.database.write() as session:
            leave(session, kind, origin, email=address, email_key=key, password_hash=password_hash)
        core.outbox.poke()
    return Accepted()


async def hash_new_password(core: Gatehouse, password: str, email: str, field: str) -> str:
    """The hash of a password that may be used; else 422 that names the `field` and the reason."""
    try:
        check_new_password(
            password,
            email=normalise(email)[1],
            service_name=core.name,
            min_length=core.settings.auth_password_min_length,
        )
    except WeakPassword as error:
        raise refused(field, str(error)) from None
    if await run_in_threadpool(_is_breached, core, password):
        raise refused(field, "This password is known from a breach of another service.")
    return await core.passwords.hash(password)


def _is_breached(core: Gatehouse, password: str) -> bool:
    try:
        return core.hooks.is_breached(password)
    except Exception as error:
        log.error("is_breached failed: %s", type(error).__name__)
        return False


def refused(field: str, reason: str, kind: str = "weak_password") -> RequestValidationError:
    """422 for a field of the body, in the form that every other one has."""
    return RequestValidationError([{"type": kind, "loc": ("body", field), "msg": reason}])


def refuse_login_flood(core: Gatehouse, origin: Origin, key: str) -> None:
    """Refuse who is over the limit of failed logins already, before anything is done for them."""
    refuse_throttled(core, origin, lambda: core.throttle.check_login(key, origin.network))


async def check_password(
    core: Gatehouse, origin: Origin, key: str, password: str, found: users.Credentials | None
) -> Verified | None:
    """Whether a password is right. The attempt is counted when its hash is about to be computed.

    So parallel guesses do not slip under the limit, and many right logins at once do not reach
    it: `Throttle.login_succeeded` takes each off again before many more begin.
    """

    def count() -> None:
        refuse_throttled(core, origin, lambda: core.throttle.count_login(key, origin.network))

    return await core.passwords.verify(password, found.password_hash if found else None, count)


def note_failure(
    core: Gatehouse, origin: Origin, key: str, found: users.Credentials | None
) -> None:
    """Write down a wrong password, in a transaction of its own: it survives the refusal."""
    with core.database.write() as session:
        users.note_failure(session, key)
        record(session, "login_failed", origin, user_id=found.user_id if found else None)


async def confirm_password(
    core: Gatehouse, origin: Origin, user: User, password: str
) -> users.Credentials:
    """Let nobody by who does not know the account's password (ASVS 6.2.3): 400, as after a login
    that fails, and with its limits."""
    found = users.Credentials(user.id, user.password_hash, user.role, user.failed_logins)
    await run_in_threadpool(refuse_login_flood, core, origin, user.email_key)
    if await check_password(core, origin, user.email_key, password, found) is None:
        await run_in_threadpool(note_failure, core, origin, user.email_key, found)
        raise HTTPException(400, "The current password is wrong.")
    await run_in_threadpool(core.throttle.login_succeeded, user.email_key, origin.network)
    return found
