"""What routes to accounts share: their limits, their bodies, and how a password is asked for."""

import logging
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool

from gatehouse.accounts import users
from gatehouse.accounts.addresses import lenient_key, normalise
from gatehouse.accounts.logins import prove_password
from gatehouse.accounts.proving import WrongPassword, refuse_throttled
from gatehouse.hashing.password_policy import check_new_password
from gatehouse.hashing.passwords import WeakPassword
from gatehouse.mailer.jobs import enqueue
from gatehouse.signing.tokens import AccessToken
from gatehouse.state import Gatehouse, RequestOrigin, core_of, origin_of_request
from gatehouse.store.tables import User
from gatehouse.throttling.origin import Origin
from gatehouse.throttling.throttle import Limit
from gatehouse.web.guards import BAD_TOKEN, Caller

log = logging.getLogger("gatehouse.hooks")

_LIMIT = "__gatehouse_limit__"  # an attribute of a route's function
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


WRONG = HTTPException(400, "The current password is wrong.")
TOO_MANY: dict[int | str, dict[str, Any]] = {429: {"description": "Too many tries."}}


class Body(BaseModel):
    """The body of a request: what it does not name is refused, never ignored (API3:2023)."""

    model_config = ConfigDict(extra="forbid")


class Accepted(BaseModel):
    """The one answer to whoever asks for a mail, whether or not there is an account."""

    detail: str = "If this address can be used here, a mail is on its way to it."


async def _origin_of_caller(caller: Caller, origin: RequestOrigin) -> Origin:
    return origin.by(caller.user_id, caller.session_id)


CallerOrigin = Annotated[Origin, Depends(_origin_of_caller)]


def refuse_flood(core: Gatehouse, origin: Origin, limit: Limit) -> None:
    """Count a call of a route against what one client address may do there."""
    refuse_throttled(core, origin, lambda: core.throttle.count(limit, origin.network))


def limited(limit: Limit) -> Callable[[Endpoint], Endpoint]:
    """How often one client may call the function below, which stands in a `LimitedRoute`."""

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _LIMIT, limit)
        return endpoint

    return mark


class LimitedRoute(APIRoute):
    """Counts a call for its client before the body is read: a flood of bodies that are refused,
    or are no JSON, is a flood too. A dependency would come after that. Each route has a limit."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        limit: Limit = getattr(self.endpoint, _LIMIT)

        async def counted(request: Request) -> Response:
            core = await core_of(request)
            origin = await origin_of_request(request)
            await core.database.run(refuse_flood, core, origin, limit)
            return await handle(request)

        return counted


def enqueue_form(
    core: Gatehouse, origin: Origin, kind: str, email: str, password_hash: str | None = None
) -> Accepted:
    """Enqueue a job for an address: the same row whoever has an account (ASVS 6.3.8).

    Beyond the limit of mails to one address nothing is enqueued, and the answer is the same.
    """
    key = lenient_key(email)
    address = email if password_hash is None else normalise(email)[0]
    if core.throttle.allows_mail(kind, key, origin.network):
        with core.database.write() as session:
            enqueue(
                session, kind, origin, email=address, email_key=key, password_hash=password_hash
            )
    return Accepted()


async def hash_new_password(
    core: Gatehouse, origin: Origin, password: str, email: str, field: str
) -> str:
    """The hash of a password that may be used; else 422 that names the `field` and the reason."""
    try:
        check_new_password(
            password,
            email=lenient_key(email),
            service_name=core.name,
            min_length=core.settings.auth_password_min_length,
        )
    except WeakPassword as error:
        raise refused(field, str(error)) from None
    if await run_in_threadpool(_is_breached, core, password):
        raise refused(field, "This password is known from a breach of another service.")
    return await core.passwords.hash(password, client=origin.network)


def _is_breached(core: Gatehouse, password: str) -> bool:
    try:
        return core.hooks.is_breached(password)
    except Exception as error:
        log.error("is_breached failed: %s", type(error).__name__)
        return False


def refused(field: str, reason: str, kind: str = "weak_password") -> RequestValidationError:
    """422 for a field of the body, in the form that every other one has."""
    return RequestValidationError([{"type": kind, "loc": ("body", field), "msg": reason}])


async def confirm_password(
    core: Gatehouse, origin: Origin, user: User, password: str
) -> users.Credentials:
    """Let nobody by who does not know the account's password (ASVS 6.2.3): 400, as after a login
    that fails, and with its limits."""
    try:
        return await prove_password(core, origin, password, key=user.email_key, user_id=user.id)
    except WrongPassword:
        raise WRONG from None


def lock_confirmed(
    core: Gatehouse, session: Session, proved: users.Credentials, caller: AccessToken, network: str
) -> users.LockedUser:
    """The caller's account, locked, if the proof and the session that asks are still good."""
    user = users.lock_proved(session, proved, network)
    if user is None:
        raise WRONG
    return require_open(core, session, user, caller)


def require_open(
    core: Gatehouse, session: Session, user: users.LockedUser | None, caller: AccessToken
) -> users.LockedUser:
    """The caller's account, if the session that asks is live in this transaction; else 401."""
    try:
        return users.require_session(session, user, caller.session_id, core.lifetimes.idle)
    except users.NotLoggedIn:
        raise BAD_TOKEN from None
