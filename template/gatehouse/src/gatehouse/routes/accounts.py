"""The caller's own account."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from gatehouse.accounts import recovery, users
from gatehouse.accounts.addresses import Address, normalise
from gatehouse.hashing.passwords import normalise_password
from gatehouse.routes.shared import (
    TOO_MANY,
    Accepted,
    Body,
    CallerOrigin,
    confirm_password,
    hash_new_password,
    lock_confirmed,
    refused,
)
from gatehouse.state import Core, Gatehouse
from gatehouse.store.tables import User
from gatehouse.web.guards import Caller, CurrentUser

router = APIRouter(tags=["accounts"])

Password = Annotated[str, Field(json_schema_extra={"format": "password"})]
_WRONG: dict[int | str, dict[str, Any]] = {
    400: {"description": "The current password is wrong."},
    **TOO_MANY,
}


class Account(BaseModel):
    """An account as its owner sees it."""

    id: UUID
    email: str
    email_verified: bool
    role: str
    scopes: list[str]
    created_at: datetime


class PasswordChange(Body):
    """The password that is, and the one that is to be."""

    current_password: Password
    new_password: Password


class EmailChange(Body):
    """The address that is to be."""

    new_email: Address
    current_password: Password


class Deletion(Body):
    """What keeps a stolen token from deleting an account."""

    current_password: Password


@router.get("/users/me")
async def read_me(user: CurrentUser, core: Core) -> Account:
    """Your own account. `scopes` are those of your role; a token may hold fewer."""
    return shown(core, user)


def shown(core: Gatehouse, user: User) -> Account:
    """What an account's row is to a client."""
    return Account(
        id=user.id,
        email=user.email,
        email_verified=user.email_verified_at is not None,
        role=user.role,
        scopes=sorted(core.roles.get(user.role, ())),
        created_at=user.created_at,
    )


@router.post("/auth/change-password", status_code=204, responses=_WRONG)
async def change_password(
    change: PasswordChange, user: CurrentUser, caller: Caller, core: Core, origin: CallerOrigin
) -> None:
    """Set a new password. Every other session of yours ends."""
    proved = await confirm_password(core, origin, user, change.current_password)
    if normalise_password(change.current_password) == _normalised(change.new_password):
        raise refused("new_password", "The new password is the current one.")
    new_hash = await hash_new_password(
        core, origin, change.new_password, user.email, "new_password"
    )

    def store() -> None:
        with core.database.write() as session:
            locked = lock_confirmed(core, session, proved, caller, origin.network)
            kept = caller.session_id
            users.set_password(session, locked, new_hash, "password_changed", origin, keep=kept)

    await core.database.run(store)


def _normalised(password: str) -> str:
    try:
        return normalise_password(password)
    except ValueError:
        return ""  # it will be refused with its reason


@router.post("/auth/change-email", status_code=202, responses=_WRONG)
async def change_email(
    change: EmailChange, user: CurrentUser, caller: Caller, core: Core, origin: CallerOrigin
) -> Accepted:
    """Ask for another address. It is yours once the link in the mail to it was used."""
    proved = await confirm_password(core, origin, user, change.current_password)

    def ask() -> None:
        _, key = normalise(change.new_email)
        with core.database.write() as session:
            locked = lock_confirmed(core, session, proved, caller, origin.network)
            users.forgive_failures(session, locked)
            if core.throttle.allows_mail("change_email", key, origin.network):
                recovery.ask_new_address(session, locked, change.new_email, origin)

    await core.database.run(ask)
    return Accepted()


@router.delete(
    "/users/me",
    status_code=204,
    responses={**_WRONG, 409: {"description": "You are the last active administrator."}},
)
async def delete_me(
    deletion: Deletion, user: CurrentUser, caller: Caller, core: Core, origin: CallerOrigin
) -> None:
    """Delete your account, its sessions and all that hangs on it. There is no way back."""
    proved = await confirm_password(core, origin, user, deletion.current_password)

    def delete() -> None:
        with core.database.write() as session:
            users.lock_administration(session)
            locked = lock_confirmed(core, session, proved, caller, origin.network)
            users.delete_user(session, locked, core.hooks, origin)

    try:
        await core.database.run(delete)
    except users.LastAdministrator:
        raise HTTPException(409, "You are the last active administrator.") from None
