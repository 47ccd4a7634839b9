"""The routes for mailed links: an address is proved, a forgotten password is set anew."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import Field
from sqlalchemy.exc import IntegrityError

from gatehouse.accounts import one_time, recovery, registration
from gatehouse.accounts.addresses import BadAddress, KnownAddress
from gatehouse.accounts.one_time import BadOneTimeToken
from gatehouse.accounts.proving import WrongPassword, prove_link_password
from gatehouse.routes.shared import (
    TOO_MANY,
    Accepted,
    Body,
    LimitedRoute,
    enqueue_form,
    hash_new_password,
    limited,
)
from gatehouse.state import Core, Gatehouse, RequestOrigin
from gatehouse.throttling.origin import Origin
from gatehouse.throttling.throttle import FORGOT, ONE_TIME
from gatehouse.web.guards import public
from gatehouse.web.problems import WrongLinkPassword

router = APIRouter(prefix="/auth", tags=["accounts"], route_class=LimitedRoute)


class Verification(Body):
    """The token of a mailed link. `password`: that of the registration, where the link is of one.

    Where it is sent it must be right: so nobody confirms what a stranger made with their address.
    """

    token: str
    password: Annotated[str | None, Field(json_schema_extra={"format": "password"})] = None


class ForgottenPassword(Body):
    """The address of the account."""

    email: KnownAddress


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
@limited(ONE_TIME)
async def verify_email(sent: Verification, core: Core, origin: RequestOrigin) -> None:
    """Prove an address, of a new account or the new one of an old account, by a mailed token."""
    try:
        if sent.password is not None:
            await prove_link_password(core, origin, sent.token, sent.password)
        await core.database.run(_confirm, core, origin, sent.token)
    except WrongPassword:
        raise WrongLinkPassword from None
    # Taken meanwhile; or one that an earlier release mailed a link to and that is refused now.
    except (BadOneTimeToken, IntegrityError, BadAddress):
        raise BAD_LINK from None


def _confirm(core: Gatehouse, origin: Origin, token: str) -> None:
    with core.database.write() as session:
        registration.confirm(session, token, origin, core.hooks)


@router.post("/forgot-password", status_code=202, responses=TOO_MANY)
@public
@limited(FORGOT)
def forgot_password(asked: ForgottenPassword, core: Core, origin: RequestOrigin) -> Accepted:
    """Ask for a mail with a link that sets a new password. Nothing changes until it is used."""
    return enqueue_form(core, origin, "forgot", asked.email)


@router.post("/reset-password", status_code=204, responses=_BAD_LINK)
@public
@limited(ONE_TIME)
async def reset_password(sent: PasswordReset, core: Core, origin: RequestOrigin) -> None:
    """Set a new password by a mailed token. It ends every session, and opens none."""
    user_id, email = await core.database.run(_holder, core, sent.token)
    password_hash = await hash_new_password(core, origin, sent.password, email, "password")
    await core.database.run(_reset, core, origin, sent.token, user_id, password_hash)


def _holder(core: Gatehouse, token: str) -> tuple[UUID, str]:
    """Whose token it is, before a hash is computed for it. A weak password leaves it good."""
    try:
        with core.database.read() as session:
            user = one_time.holder(session, token, "reset")
            return user.id, user.email
    except BadOneTimeToken:
        raise BAD_LINK from None


def _reset(core: Gatehouse, origin: Origin, token: str, user_id: UUID, password_hash: str) -> None:
    try:
        with core.database.write() as session:
            recovery.reset(session, token, user_id, password_hash, origin)
    except BadOneTimeToken:
        raise BAD_LINK from None
