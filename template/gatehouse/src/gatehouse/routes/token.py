"""The token endpoint: a password or a refresh token in, tokens out (RFC 6749 4.3 and 6)."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from gatehouse.accounts.logins import log_in
from gatehouse.accounts.proving import WrongPassword
from gatehouse.accounts.refresh import Granted
from gatehouse.routes.forms import read_form
from gatehouse.routes.grants import no_login, refresh_tokens
from gatehouse.routes.shared import TOO_MANY
from gatehouse.state import Core, Gatehouse, RequestOrigin
from gatehouse.web.guards import public
from gatehouse.web.problems import OAuthError

router = APIRouter(prefix="/auth", tags=["auth"])


class PasswordGrant(BaseModel):
    """A login. `username` is the e-mail address; `scope` narrows what is granted."""

    grant_type: Literal["password"]
    username: str
    password: Annotated[str, Field(json_schema_extra={"format": "password"})]
    scope: str = ""


class RefreshGrant(BaseModel):
    """A refresh. `scope` narrows the new access token; the session keeps what it was granted."""

    grant_type: Literal["refresh_token"]
    refresh_token: str
    scope: str = ""


GRANTS: TypeAdapter[PasswordGrant | RefreshGrant] = TypeAdapter(
    Annotated[PasswordGrant | RefreshGrant, Field(discriminator="grant_type")]
)


class TokenAnswer(BaseModel):
    """What a client gets (RFC 6749 section 5.1). `expires_in` is in seconds."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str
    scope: str


class OAuthProblem(BaseModel):
    """A refusal of this endpoint (RFC 6749 section 5.2)."""

    error: str
    error_description: str


_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "oneOf": [PasswordGrant.model_json_schema(), RefreshGrant.model_json_schema()]
                }
            }
        },
    }
}


@router.post(
    "/token",
    openapi_extra=_FORM,
    responses={
        **TOO_MANY,
        400: {"model": OAuthProblem, "description": "The request or the login is refused"},
    },
)
@public
async def issue_token(
    request: Request, response: Response, core: Core, origin: RequestOrigin
) -> TokenAnswer:
    """Log in with an e-mail address and a password, or go on with a refresh token."""
    form = await read_form(request)
    # RFC 6749 section 3.3: one space between two names. None is all that there are. Of several
    # mistakes a missing grant comes first, then this one.
    asked = frozenset(form["scope"].split(" ")) if {"grant_type", "scope"} <= form.keys() else None
    if asked is not None and not asked <= core.scopes.keys():
        raise OAuthError("invalid_scope", "A scope that was asked for does not exist.")
    try:
        grant = GRANTS.validate_python(form)
    except ValidationError as error:
        raise _refusal(error) from None
    if isinstance(grant, PasswordGrant):
        try:
            granted = await log_in(core, origin, grant.username, grant.password, asked)
        except WrongPassword:
            raise no_login() from None
    else:
        granted = await refresh_tokens(core, origin, grant.refresh_token, asked)
    response.headers["Pragma"] = "no-cache"
    return _answer(core, granted)


def _refusal(error: ValidationError) -> OAuthError:
    """The first thing wrong with a form, in the words of RFC 6749 section 5.2."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "union_tag_invalid":
        known = "This service knows password and refresh_token."
        return OAuthError("unsupported_grant_type", known)
    missing = first["loc"][-1] if first["type"] == "missing" else "grant_type"
    return OAuthError("invalid_request", f"The parameter {missing} is missing.")


def _answer(core: Gatehouse, granted: Granted) -> TokenAnswer:
    login = granted.login
    token, lifetime = core.tokens.issue(
        user_id=login.user_id,
        session_id=login.id,
        scopes=granted.scopes,
        auth_time=login.created_at.timestamp(),
        session_end=login.expires_at.timestamp(),
        extra=granted.extra,
        stamp=login.stamp,
        epoch=login.epoch,
    )
    return TokenAnswer(
        access_token=token,
        token_type="Bearer",
        expires_in=lifetime,
        refresh_token=granted.refresh_token,
        scope=" ".join(sorted(granted.scopes)),
    )
