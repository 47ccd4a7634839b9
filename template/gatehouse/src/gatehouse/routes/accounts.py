"""The caller's own account."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from gatehouse.guards import CurrentUser
from gatehouse.state import Core

router = APIRouter(prefix="/users", tags=["users"])


class Account(BaseModel):
    """An account as its owner sees it."""

    id: UUID
    email: str
    email_verified: bool
    role: str
    scopes: list[str]
    created_at: datetime


@router.get("/me")
async def read_me(user: CurrentUser, core: Core) -> Account:
    """Your own account. `scopes` are those of your role; a token may hold fewer."""
    return Account(
        id=user.id,
        email=user.email,
        email_verified=user.email_verified_at is not None,
        role=user.role,
        scopes=sorted(core.roles.get(user.role, ())),
        created_at=user.created_at,
    )
