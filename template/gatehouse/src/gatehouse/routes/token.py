"""The token endpoint (RFC 6749 section 4.3): a password in, an access token out."""

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from gatehouse import addresses, sessions, users
from gatehouse.guards import public
from gatehouse.problems import OAuthError
from gatehouse.proxies import client_address
from gatehouse.routes.forms import read_form, required
from gatehouse.state import Core, Gatehouse
from gatehouse.tables import LoginSession

router = APIRouter(prefix="/auth", tags=["auth"])


class PasswordGrant(BaseModel):
    """What a client sends. `username` is the e-mail address; `scope` narrows what is granted."""

    grant_type: Literal["password"]
    username: str
    password: Annotated[str, Field(json_schema_extra={"format": "password"})]
    scope: str = ""


class TokenAnswer(BaseModel):
    """What a client gets (RFC 6749 section 5.1). `expires_in` is in seconds."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


class OAuthProblem(BaseModel):
    """A refusal of this endpoint (RFC 6749 section 5.2)."""

    error: str
    error_description: str


_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {"schema": PasswordGrant.model_json_schema()}
        },
    }
}


@router.post(
    "/token",
    openapi_extra=_FORM,
    responses={400: {"model": OAuthProblem, "description": "The request or the login is refused"}},
)
@public
async def issue_token(request: Request, response: Response, core: Core) -> TokenAnswer:
    """Log in with an e-mail address and a password."""
    form = await read_form(request)
    grant_type = required(form, "grant_type")
    if grant_type != "password":
        raise OAuthError("unsupported_grant_type", "This service knows the grant type password.")
    username, password = required(form, "username"), required(form, "password")
    asked = _scopes(core, form.get("scope"))
    login = await _log_in(request, core, username, password, asked)
    token = core.tokens.issue(
        user_id=login.user_id, session_id=login.id, scopes=login.scope.split()
    )
    response.headers["Pragma"] = "no-cache"
    return TokenAnswer(
        access_token=token,
        token_type="Bearer",
        expires_in=core.tokens.expected.lifetime,
        scope=login.scope,
    )


async def _log_in(
    request: Request, core: Gatehouse, username: str, password: str, asked: frozenset[str] | None
) -> LoginSession:
    """Two short database sessions with the hash between them, where no connection is held."""
    if len(username) > addresses.MAX_LENGTH:
        raise _refused()

    def find() -> users.Credentials | None:
        with core.database.read() as session:
            verified = core.settings.auth_require_verified_email
            return users.find_credentials(session, username, verified=verified)

    found = await run_in_threadpool(find)
    # An account that may not log in costs the same hash as one that may (ASVS 6.3.8).
    checked = await core.passwords.verify(password, found.password_hash if found else None)
    if found is None or checked is None:
        raise _refused()
    role_scopes = frozenset(core.roles.get(found.role, ()))
    granted = role_scopes if asked is None else role_scopes & asked
    if asked and not granted:
        raise OAuthError("invalid_scope", "This account has none of the scopes asked for.")

    def open_session() -> LoginSession | None:
        with core.database.write() as session:
            if not users.may_log_in(session, found, checked.new_hash):
                return None
            return sessions.open_session(
                session,
                user_id=found.user_id,
                scopes=granted,
                days=core.settings.auth_session_days,
                user_agent=request.headers.get("user-agent", ""),
                ip=client_address(request, core.settings.trusted_proxies),
            )

    opened = await run_in_threadpool(open_session)
    if opened is None:
        raise _refused()
    return opened


def _refused() -> OAuthError:
    return OAuthError("invalid_grant", "The e-mail address or the password is wrong.")


def _scopes(core: Gatehouse, asked: str | None) -> frozenset[str] | None:
    """The scopes asked for, None for all that the role has."""
    if asked is None:
        return None
    # RFC 6749 section 3.3: one space between two names.
    names = frozenset(re.split(" ", asked))
    if not names <= core.scopes.keys():
        raise OAuthError("invalid_scope", "A scope that was asked for does not exist.")
    return names
