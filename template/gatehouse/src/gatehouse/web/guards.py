"""Who is calling, and what may they do. `route_check.py` refuses a route that does not ask."""

import time
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar, cast

from fastapi import HTTPException, Security
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from starlette.requests import HTTPConnection

from gatehouse.accounts import users
from gatehouse.accounts.revocation import RevocationStale
from gatehouse.signing.tokens import AccessToken, BadAccessToken
from gatehouse.state import Core, Gatehouse
from gatehouse.store.tables import User

Marked = TypeVar("Marked")

# RFC 6750 section 3: with no token no error is named; with a bad one always the same,
# whatever is wrong with it, so that nobody learns why from the answer.
NO_TOKEN = HTTPException(401, "This needs an access token.", {"WWW-Authenticate": "Bearer"})
BAD_TOKEN = HTTPException(
    401,
    "The access token is not valid.",
    {"WWW-Authenticate": 'Bearer error="invalid_token"'},
)


# Nobody can say who has logged out while the database is away for long: nobody is let in.
NOT_KNOWN = HTTPException(503, "The service cannot tell who has logged out; try again.")


class AccessTokenGuard(OAuth2PasswordBearer):
    """The guard of a route: reads and checks the access token, then the scopes it must hold.

    No database query. FastAPI's own scheme takes the first of several headers and lets an
    empty token through; this one does neither.
    """

    async def __call__(  # type: ignore[override]
        self, connection: HTTPConnection, needed: SecurityScopes
    ) -> AccessToken:
        core = cast(Gatehouse, connection.scope["gatehouse"])
        try:
            token = core.tokens.read(bearer_token(connection))
        except BadAccessToken:
            raise BAD_TOKEN from None
        revocation = core.revocation
        if not revocation.is_fresh():
            try:
                await revocation.refresh()
            except RevocationStale:
                raise NOT_KNOWN from None
        if revocation.ends(token):
            raise BAD_TOKEN
        if not token.scopes.issuperset(needed.scopes):
            raise insufficient_scope(needed.scopes)
        return token


def bearer_token(connection: HTTPConnection) -> str:
    """The token in the one `Authorization` header (RFC 6750 section 2.1); never another place."""
    given = [value for name, value in connection.scope["headers"] if name == b"authorization"]
    if not given:
        raise NO_TOKEN
    scheme, _, token = given[0].partition(b" ")
    if len(given) == 1 and scheme.lower() != b"bearer":
        raise NO_TOKEN
    if len(given) > 1 or not token:
        raise BAD_TOKEN
    return cast(bytes, token).decode("latin-1")


class RecentLoginGuard(AccessTokenGuard):
    """A guard that also asks when a password was last shown (RFC 9470)."""

    def __init__(self, seconds: int) -> None:
        super().__init__(tokenUrl="auth/token", scheme_name="password", auto_error=False)
        self.seconds = seconds

    async def __call__(  # type: ignore[override]
        self, connection: HTTPConnection, needed: SecurityScopes
    ) -> AccessToken:
        token = await super().__call__(connection, needed)
        if time.time() - token.auth_time > self.seconds:
            challenge = 'Bearer error="insufficient_user_authentication"'
            raise HTTPException(
                401,
                "This needs a recent login: log in again with your password.",
                {"WWW-Authenticate": f"{challenge}, max_age={self.seconds}"},
            )
        return token


def insufficient_scope(needed: Sequence[str]) -> HTTPException:
    """403 as RFC 6750 section 3.1 words it. The scopes are the route's own, never the client's."""
    scope = " ".join(sorted(needed))
    challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
    return HTTPException(
        403, f"The access token lacks a scope: {scope}.", {"WWW-Authenticate": challenge}
    )


guard = AccessTokenGuard(tokenUrl="auth/token", scheme_name="password", auto_error=False)

Caller = Annotated[AccessToken, Security(guard)]


def requires(*scopes: str) -> Any:
    """A guard that asks for scopes as well.

    `caller: Annotated[Caller, requires("notes:read")]`, or `dependencies=[requires(…)]` on a
    route or router where the function does not need to know who calls.
    """
    return Security(guard, scopes=list(scopes))


def recent_login(minutes: int = 5, *, scopes: Sequence[str] = ()) -> Any:
    """A guard that asks for a login within that time, for what is worth a password.

    `caller: Annotated[Caller, recent_login(minutes=5)]`. A token that was refreshed keeps the
    time of its login.
    """
    return Security(RecentLoginGuard(minutes * 60), scopes=list(scopes))


async def load_current_user(caller: Caller, core: Core) -> User:
    """The caller's row, read now: sees a disabled account or an ended session at once."""

    def load() -> User | None:
        with core.database.read() as session:
            return users.find_live_user(
                session,
                user_id=caller.user_id,
                session_id=caller.session_id,
                idle=core.lifetimes.idle,
            )

    user = await core.database.run(load)
    if user is None:
        raise BAD_TOKEN
    return user


CurrentUser = Annotated[User, Security(load_current_user)]


def public(endpoint: Marked) -> Marked:
    """Mark a function, or a mounted application, as open to everyone."""
    endpoint.__gatehouse_public__ = True  # type: ignore[attr-defined]
    return endpoint
