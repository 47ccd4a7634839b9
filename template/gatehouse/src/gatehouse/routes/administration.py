"""Accounts of others, for administrators. There where roles.py has the scopes `users:*`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel, StrictBool, field_validator
from sqlmodel import Session, col, select

from gatehouse import users
from gatehouse.audit import Origin, origin_of, record
from gatehouse.guards import requires
from gatehouse.paging import Cursor, page_of
from gatehouse.routes.accounts import Account, shown
from gatehouse.routes.doors import Body, refused
from gatehouse.sessions import end_sessions
from gatehouse.state import Core, Gatehouse
from gatehouse.tables import LoginSession, User

router = APIRouter(prefix="/users", tags=["administration"])

READ, WRITE = requires("users:read"), requires("users:write")
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


@router.patch("/{user_id}", dependencies=[WRITE], responses=_LAST)
def change_user(
    user_id: UUID, change: AccountChange, core: Core, request: Request
) -> AdministeredAccount:
    """Disable or enable an account, or give it another role. What it may no more ends at once."""
    if change.role is not None and change.role not in core.roles:
        raise refused("role", "There is no such role.", "unknown_role")
    origin = origin_of(request, core.settings.trusted_proxies)
    try:
        with core.database.write() as session:
            user = _find(session, user_id)
            ended = _change_role(core, session, user, change.role, origin)
            ended += _change_activity(session, user, change.is_active, origin)
            session.flush()
            changed = _shown(core, user)
    except users.LastAdministrator:
        raise HTTPException(409, "This is the last active administrator.") from None
    core.revocation.add(ended)
    return changed


def _change_role(
    core: Gatehouse, session: Session, user: User, role: str | None, origin: Origin
) -> list[UUID]:
    if role is None or role == user.role:
        return []
    before = frozenset(core.roles.get(user.role, ()))
    demotes = not before <= frozenset(core.roles[role])
    ended = users.change_role(session, user, role, demotes=demotes)
    record(session, "role_changed", origin, user_id=user.id)
    return ended


def _change_activity(
    session: Session, user: User, is_active: bool | None, origin: Origin
) -> list[UUID]:
    if is_active is None or is_active == user.is_active:
        return []
    if not is_active:
        ended = users.disable(session, user)
        record(session, "user_disabled", origin, user_id=user.id)
        return ended
    user.is_active = True
    session.add(user)
    record(session, "user_enabled", origin, user_id=user.id)
    return []


@router.delete("/{user_id}/sessions", status_code=204, dependencies=[WRITE])
def end_user_sessions(user_id: UUID, core: Core, request: Request) -> None:
    """Log an account out everywhere."""
    origin = origin_of(request, core.settings.trusted_proxies)
    with core.database.write() as session:
        user = _find(session, user_id)
        ended = end_sessions(session, col(LoginSession.user_id) == user.id)
        record(session, "sessions_ended", origin, user_id=user.id)
    core.revocation.add(ended)


def _find(session: Session, user_id: UUID) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise _MISSING
    return user
