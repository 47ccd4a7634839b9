"""The doors for mailed links: an address is proved, a forgotten password is set anew."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request
from pydantic import Field
from sqlalchemy.exc import IntegrityError
from starlette.concurrency import run_in_threadpool

from gatehouse import one_time, recovery, registration
from gatehouse.addresses import Address
from gatehouse.audit import Origin, origin_of
from gatehouse.guards import public
from gatehouse.one_time import BadOneTimeToken
from gatehouse.routes.doors import (
    TOO_MANY,
    Accepted,
    Body,
    hash_new_password,
    knock,
    refuse_flood,
)
from gatehouse.state import Core, Gatehouse
from gatehouse.throttle import FORGOT, ONE_TIME

router = APIRouter(prefix="/auth", tags=["accounts"])


class Verification(Body):
    """The token of a mailed link."""

    token: str


class ForgottenPassword(Body):
    """The address of the account."""

    email: Address


class PasswordReset(Body):
    """The token of a mailed link, and the password that is to be."""

    token: str
    password: Annotated[str, Field(json_schema_extra={"format": "password"})]


# One answer, whatever is wrong with the token.
BAD_LINK = HTTPException(400, "The link is not valid, was used, or is too old. Ask for a new one.")
_BAD_LINK: dict[int | str, dict[str, Any]] = {
    400: {"description": "The token is not valid, was used, or is too old."},
    **TOO_MANY,
}


@router.post("/verify-email", status_code=204, responses=_BAD_LINK)
@public
def verify_email(sent: Verification, core: Core, request: Request) -> None:
    """Prove an address, of a new account or the new one of an old account, by a mailed token."""
    origin = origin_of(request, core.settings.trusted_proxies)
    refuse_flood(core, origin, ONE_TIME)
    try:
        with core.database.write() as session:
            registration.confirm(session, sent.token, origin)
    except (BadOneTimeToken, IntegrityError):  # the latter: the address was taken meanwhile
        raise BAD_LINK from None
    core.outbox.poke()


@router.post("/forgot-password", status_code=202, responses=TOO_MANY)
@public
def forgot_password(asked: ForgottenPassword, core: Core, request: Request) -> Accepted:
    """Ask for a mail with a link that sets a new password. Nothing changes until it is used."""
    origin = origin_of(request, core.settings.trusted_proxies)
    refuse_flood(core, origin, FORGOT)
    return knock(core, origin, "forgot", asked.email)


@router.post("/reset-password", status_code=204, responses=_BAD_LINK)
@public
async def reset_password(sent: PasswordReset, core: Core, request: Request) -> None:
    """Set a new password by a mailed token. It ends every session, and opens none."""
    origin = origin_of(request, core.settings.trusted_proxies)
    email = await run_in_threadpool(_email_of, core, origin, sent.token)
    password_hash = await hash_new_password(core, sent.password, email, "password")
    await run_in_threadpool(_reset, core, origin, sent.token, password_hash)


def _email_of(core: Gatehouse, origin: Origin, token: str) -> str:
    """Whose token it is, before a hash is computed for it. A weak password leaves it good."""
    refuse_flood(core, origin, ONE_TIME)
    try:
        with core.database.read() as session:
            return one_time.holder(session, token, "reset").email
    except BadOneTimeToken:
        raise BAD_LINK from None


def _reset(core: Gatehouse, origin: Origin, token: str, password_hash: str) -> None:
    try:
        with core.database.write() as session:
            ended = recovery.reset(session, token, password_hash, origin)
    except BadOneTimeToken:
        raise BAD_LINK from None
    core.revocation.add(ended)
    core.outbox.poke()
