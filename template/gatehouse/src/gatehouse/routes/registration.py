"""Sign-up. These routes are there only while registration is open."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from gatehouse.accounts.addresses import Address, KnownAddress
from gatehouse.routes.shared import (
    TOO_MANY,
    Accepted,
    Body,
    LimitedRoute,
    enqueue_form,
    hash_new_password,
    limited,
)
from gatehouse.state import Core, RequestOrigin
from gatehouse.throttling.throttle import REGISTER, RESEND
from gatehouse.web.guards import public

router = APIRouter(prefix="/auth", tags=["accounts"], route_class=LimitedRoute)


class Registration(Body):
    """Who wants an account."""

    email: Address
    password: Annotated[str, Field(json_schema_extra={"format": "password"})]


class AddressOnly(Body):
    """An address to which a mail is asked for."""

    email: KnownAddress


@router.post("/register", status_code=202, responses=TOO_MANY)
@public
@limited(REGISTER)
async def register(new: Registration, core: Core, origin: RequestOrigin) -> Accepted:
    """Ask for an account. The mail that follows has a link, or says that there is one already."""
    password_hash = await hash_new_password(core, origin, new.password, new.email, "password")
    return await core.database.run(enqueue_form, core, origin, "register", new.email, password_hash)


@router.post("/verify-email/resend", status_code=202, responses=TOO_MANY)
@public
@limited(RESEND)
def resend_verification(asked: AddressOnly, core: Core, origin: RequestOrigin) -> Accepted:
    """Ask for the mail with the link again."""
    return enqueue_form(core, origin, "verify", asked.email)
