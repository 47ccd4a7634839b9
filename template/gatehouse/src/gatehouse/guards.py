"""Who is calling, and what may they do. Every route has a guard, or says that it is public."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypeVar, cast

from fastapi import HTTPException, Security
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Host, Mount

from gatehouse import users
from gatehouse.refusal import StartRefused
from gatehouse.state import Core, Gatehouse
from gatehouse.tables import User
from gatehouse.tokens import AccessToken, BadAccessToken

Marked = TypeVar("Marked")

# RFC 6750 section 3: with no token no error is named; with a bad one always the same,
# whatever is wrong with it, so that nobody learns why from the answer.
NO_TOKEN = HTTPException(401, "This needs an access token.", {"WWW-Authenticate": "Bearer"})
BAD_TOKEN = HTTPException(
    401,
    "The access token is not valid.",
    {"WWW-Authenticate": 'Bearer error="invalid_token"'},
)


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


async def load_current_user(caller: Caller, core: Core) -> User:
    """The caller's row, read now: sees a disabled account or an ended session at once."""

    def load() -> User | None:
        with core.database.read() as session:
            return users.find_live_user(
                session, user_id=caller.user_id, session_id=caller.session_id
            )

    user = await run_in_threadpool(load)
    if user is None:
        raise BAD_TOKEN
    return user


CurrentUser = Annotated[User, Security(load_current_user)]


def public(endpoint: Marked) -> Marked:
    """Mark a function, or a mounted application, as open to everyone."""
    endpoint.__gatehouse_public__ = True  # type: ignore[attr-defined]
    return endpoint


def check_routes(routes: Sequence[BaseRoute], scopes: frozenset[str], prefix: str = "") -> None:
    """Refuse the start if a route is neither guarded nor public, or asks for an unknown scope."""
    for route in iter_route_contexts(routes):
        path = f"{prefix}{route.path or ''}" or "/"
        original = route.original_route
        if isinstance(original, Mount | Host) and original.routes:
            if not _is_public(original.app):
                check_routes(original.routes, scopes, path)
            continue
        dependant = getattr(route, "dependant", None)
        guards = list(_guards(dependant)) if dependant else []
        if unknown := {scope for found in guards for scope in found} - scopes:
            raise StartRefused(
                f"The route {path} asks for a scope that roles.py does not list: "
                f"{', '.join(sorted(unknown))}."
            )
        if not guards and not _is_public(route.endpoint) and not _is_public(_app_of(original)):
            raise StartRefused(
                f"The route {path} is neither guarded nor public. Give it a Caller, CurrentUser or "
                "requires(…), or mark its function with @public."
            )


def _guards(dependant: Dependant) -> Iterator[Sequence[str]]:
    """The scopes that each guard among a route's dependencies asks for."""
    if dependant.call is guard:
        yield [*(dependant.parent_oauth_scopes or ()), *(dependant.own_oauth_scopes or ())]
    for inner in dependant.dependencies:
        yield from _guards(inner)


def _app_of(route: BaseRoute) -> object:
    return getattr(route, "app", None)


def _is_public(endpoint: object) -> bool:
    return getattr(endpoint, "__gatehouse_public__", False)
