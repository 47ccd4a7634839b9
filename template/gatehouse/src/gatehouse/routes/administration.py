"""Accounts of others, for administrators. There where roles.py has the scopes `users:*`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, StrictBool, field_validator
from sqlmodel import Session, select

from gatehouse.accounts import users
from gatehouse.accounts.sessions import end_all_of
from gatehouse.routes.accounts import Account, shown
from gatehouse.routes.shared import Body, CallerOrigin, refused
from gatehouse.signing.tokens import AccessToken
from gatehouse.state import Core, Gatehouse
from gatehouse.store.paging import Cursor, page_of
from gatehouse.store.tables import User
from gatehouse.throttling.origin import Origin
from gatehouse.web.guards import BAD_TOKEN, requires

router = APIRouter(prefix="/users", tags=["administration"])

READ = requires("users:read")
Writer = Annotated[AccessToken, requires("users:write")]
_MISSING = HTTPException(404, "There is no such account.")
_LAST: dict[int | str, dict[str, Any]] = {
    409: {"description": "This is the last active administrator."}
}


class AdministeredAccount(Account):
    """An account as an administrator sees it."""

    is_active: bool


class AccountPage(BaseModel):
    """Some accounts, oldest first. `next` goes into `after` for those that follow."""

    items: list[AdministeredAccount]
    next: str | None


class AccountChange(Body):
    """What is to change; what is left out stays. Nobody sets another's password (ASVS 6.4.6)."""

    is_active: StrictBool | None = None
    role: str | None = None

    @field_validator("is_active", "role", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        if value is None:
            raise ValueError("leave it out, or give a value")
        return value


def _shown(core: Gatehouse, user: User) -> AdministeredAccount:
    return AdministeredAccount(**shown(core, user).model_dump(), is_active=user.is_active)


@router.get("", dependencies=[READ])
def list_users(
    core: Core,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    after: Annotated[Cursor | None, Query()] = None,
) -> AccountPage:
    """All accounts, oldest first, a page at a time."""
    with core.database.read() as session:
        rows, following = page_of(session, select(User), User, limit, after)
    return AccountPage(items=[_shown(core, row) for row in rows], next=following)


@router.get("/{user_id}", dependencies=[READ])
def read_user(user_id: UUID, core: Core) -> AdministeredAccount:
    """One account."""
    with core.database.read() as session:
        return _shown(core, _find(session, user_id))


@router.patch("/{user_id}", responses=_LAST)
def change_user(
    user_id: UUID, change: AccountChange, caller: Writer, core: Core, origin: CallerOrigin
) -> AdministeredAccount:
    """Disable or enable an account, or give it another role. All its sessions end at once."""
    if change.role is not None and change.role not in core.roles:
        raise refused("role", "There is no such role.", "unknown_role")
    try:
        with _administered(core, user_id, caller, origin, change.role) as (session, user):
            if change.role not in (None, user.role):
                users.change_role(session, user, change.role or "", origin)
            if change.is_active is not None and change.is_active != user.is_active:
                (users.enable if change.is_active else users.disable)(session, user, origin)
            session.flush()
            return _shown(core, user)
    except users.LastAdministrator:
        raise HTTPException(409, "This is the last active administrator.") from None


@router.delete("/{user_id}/sessions", status_code=204)
def end_user_sessions(user_id: UUID, caller: Writer, core: Core, origin: CallerOrigin) -> None:
    """Log an account out everywhere."""
    with _administered(core, user_id, caller, origin) as (session, user):
        end_all_of(session, user, origin)


@contextmanager
def _administered(
    core: Gatehouse,
    user_id: UUID,
    caller: AccessToken,
    origin: Origin,
    role: str | None = None,
) -> Iterator[tuple[Session, users.LockedUser]]:
    """A transaction that holds the account, if the caller may act on it. Else 401, 403, 404."""
    acting = users.Acting(caller.user_id, caller.session_id, caller.scopes)
    try:
        with core.database.write() as session:
            user = users.lock_administered(
                session, acting, user_id, core.roles, core.lifetimes.idle, origin, role=role
            )
            yield session, user
    except users.NoSuchUser:
        raise _MISSING from None
    except users.NotLoggedIn:
        raise BAD_TOKEN from None
    except users.NotAllowed as refusal:
        raise HTTPException(403, str(refusal)) from None


def _find(session: Session, user_id: UUID) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise _MISSING
    return user
