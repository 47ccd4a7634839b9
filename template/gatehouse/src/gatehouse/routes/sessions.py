"""Log-out (RFC 7009), and the list of one's own sessions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlmodel import Session

from gatehouse.accounts import users
from gatehouse.accounts.refresh import digest_of, is_refresh_token
from gatehouse.accounts.sessions import (
    NoSuchSession,
    end_all_of,
    end_own,
    live_sessions,
    log_out,
)
from gatehouse.routes.forms import read_form, required
from gatehouse.routes.shared import TOO_MANY, CallerOrigin, refuse_flood, require_open
from gatehouse.routes.token import OAuthProblem
from gatehouse.signing.tokens import BadAccessToken
from gatehouse.state import Core, Gatehouse, RequestOrigin
from gatehouse.store.tables import RefreshToken
from gatehouse.throttling.origin import Origin
from gatehouse.throttling.throttle import REFRESH
from gatehouse.web.guards import Caller, public

router = APIRouter(prefix="/auth", tags=["auth"])


class Revocation(BaseModel):
    """What a client sends. The hint is not needed: a token shows what it is."""

    token: str
    token_type_hint: str = ""


class SessionOut(BaseModel):
    """One login. `current`: the one that asks."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    user_agent: str
    ip: str
    current: bool


_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {"schema": Revocation.model_json_schema()}
        },
    }
}


@router.post(
    "/revoke",
    openapi_extra=_FORM,
    responses={**TOO_MANY, 400: {"model": OAuthProblem, "description": "The request is refused"}},
)
@public
async def revoke_token(request: Request, core: Core, origin: RequestOrigin) -> Response:
    """Log out: end the session of a refresh or access token. 200 also for an unknown one."""
    token = required(await read_form(request), "token")
    await core.database.run(_log_out, core, origin, token)
    return JSONResponse({})


def _log_out(core: Gatehouse, origin: Origin, token: str) -> None:
    refuse_flood(core, origin, REFRESH)
    with core.database.write() as session:
        session_id = _session_of(core, session, token)
        if session_id is not None:
            log_out(session, session_id, origin)


def _session_of(core: Gatehouse, session: Session, token: str) -> UUID | None:
    if is_refresh_token(token):
        row = session.get(RefreshToken, digest_of(token))
        return row.session_id if row else None
    try:
        return core.tokens.read(token).session_id
    except BadAccessToken:
        return None


@router.get("/sessions")
def list_sessions(caller: Caller, core: Core) -> list[SessionOut]:
    """Your live sessions, the one used last first."""
    with core.database.read() as session:
        rows = live_sessions(session, caller.user_id, core.lifetimes.idle)
    return [SessionOut(**row.model_dump(), current=row.id == caller.session_id) for row in rows]


@router.delete("/sessions/{session_id}", status_code=204)
def delete_session(session_id: UUID, caller: Caller, core: Core, origin: CallerOrigin) -> None:
    """End one of your sessions. Another user's is 404, like one that is not there."""
    try:
        with core.database.write() as session:
            held = users.lock_user(session, caller.user_id)
            end_own(session, require_open(core, session, held, caller), session_id, origin)
    except NoSuchSession:
        raise HTTPException(404, "There is no such session.") from None


@router.delete("/sessions", status_code=204)
def delete_other_sessions(caller: Caller, core: Core, origin: CallerOrigin) -> None:
    """End all your sessions but the one that asks."""
    with core.database.write() as session:
        held = users.lock_user(session, caller.user_id)
        user = require_open(core, session, held, caller)
        end_all_of(session, user, origin, but=caller.session_id)
